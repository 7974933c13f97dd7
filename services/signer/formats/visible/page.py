"""Pages as a reader sees them: cut to the CropBox, turned by /Rotate, in points of 1/72 inch whatever /UserUnit says.

"Displayed" coordinates start at the lower left corner of the page on the screen. A PDF file's own coordinates are
"default user space" (ISO 32000-1 8.3.2.3): signatures are placed in the first and written in the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.kernel.errors import DocumentDamaged, PlaceInvalid
from services.signer.formats.pdf_objects import resolved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyhanko.pdf_utils.reader import PdfFileReader

POINTS_PER_MM = 72 / 25.4
MAX_PAGE_TREE_DEPTH = 64
_INHERITED = ("/MediaBox", "/CropBox", "/Rotate")
"""ISO 32000-1 table 30: what a page takes from the nodes above it (7.7.3.4)."""
_LARGEST = 1e7


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with its sides along the axes, in points."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        """Extent to the right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Extent upwards."""
        return self.top - self.bottom

    @property
    def middle(self) -> tuple[float, float]:
        """The centre."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    def moved(self, right: float = 0.0, up: float = 0.0) -> Box:
        """Give the same rectangle elsewhere."""
        return Box(self.left + right, self.bottom + up, self.right + right, self.top + up)

    def overlaps(self, other: Box) -> bool:
        """Say whether the two share more than a line."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def holds(self, other: Box, tolerance: float = 0.01) -> bool:
        """Say whether the other lies within this one."""
        return (
            other.left >= self.left - tolerance
            and other.bottom >= self.bottom - tolerance
            and other.right <= self.right + tolerance
            and other.top <= self.top + tolerance
        )

    @classmethod
    def around(cls, *points: tuple[float, float]) -> Box:
        """Give the smallest rectangle with all the points."""
        across = [x for x, _ in points]
        upright = [y for _, y in points]
        return cls(min(across), min(upright), max(across), max(upright))

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """The four, lower left first, against the clock."""
        return (
            (self.left, self.bottom),
            (self.right, self.bottom),
            (self.right, self.top),
            (self.left, self.top),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A page and its geometry."""

    number: int
    """From 1."""
    reference: generic.Reference
    dictionary: generic.DictionaryObject
    crop: Box
    """What of it is displayed, in default user space."""
    rotation: int
    """0, 90, 180 or 270 degrees with the clock."""
    unit: float
    """Points in a unit of default user space."""

    @property
    def displayed(self) -> Box:
        """The whole page as displayed: (0, 0) to its width and height."""
        width, height = self.crop.width * self.unit, self.crop.height * self.unit
        return Box(0, 0, height, width) if self.rotation in (90, 270) else Box(0, 0, width, height)

    def to_displayed(self, box: Box) -> Box:
        """Turn a rectangle of default user space into displayed coordinates."""
        return Box.around(*(self._point_to_displayed(*corner) for corner in box.corners))

    def to_user_space(self, box: Box) -> Box:
        """Turn a displayed rectangle into default user space: the /Rect of an annotation there."""
        return Box.around(*(self._point_to_user_space(*corner) for corner in box.corners))

    @property
    def upright(self) -> tuple[int, int, int, int, int, int]:
        """The /Matrix that makes an appearance stand upright on the displayed page."""
        return {
            0: (1, 0, 0, 1, 0, 0),
            90: (0, 1, -1, 0, 0, 0),
            180: (-1, 0, 0, -1, 0, 0),
            270: (0, -1, 1, 0, 0, 0),
        }[self.rotation]

    def _point_to_displayed(self, x: float, y: float) -> tuple[float, float]:
        crop = self.crop
        across, upright = {
            0: (x - crop.left, y - crop.bottom),
            90: (y - crop.bottom, crop.right - x),
            180: (crop.right - x, crop.top - y),
            270: (crop.top - y, x - crop.left),
        }[self.rotation]
        return across * self.unit, upright * self.unit

    def _point_to_user_space(self, across: float, upright: float) -> tuple[float, float]:
        crop, x, y = self.crop, across / self.unit, upright / self.unit
        return {
            0: (crop.left + x, crop.bottom + y),
            90: (crop.right - y, crop.bottom + x),
            180: (crop.right - x, crop.top - y),
            270: (crop.left + y, crop.top - x),
        }[self.rotation]


def page_at(reader: PdfFileReader, number: int) -> Page:
    """Find a page by its number from 1; PlaceInvalid where the file has fewer."""
    count = 0
    for reference, dictionary, inherited in _leaves(reader.root):
        count += 1
        if count == number:
            return _page(number, reference, dictionary, inherited)
    raise PlaceInvalid(f"the document has {count} pages, so nothing can stand on page {number}", pages=count)


def page_of(reader: PdfFileReader, reference: generic.Reference) -> Page | None:
    """Find a page by its object."""
    for number, (found, dictionary, inherited) in enumerate(_leaves(reader.root), 1):
        if found == reference:
            return _page(number, found, dictionary, inherited)
    return None


def all_pages(reader: PdfFileReader) -> list[Page]:
    """Give every page."""
    return [_page(number, *leaf) for number, leaf in enumerate(_leaves(reader.root), 1)]


Leaf = tuple[generic.Reference, generic.DictionaryObject, dict[str, generic.PdfObject]]


def _leaves(catalog: generic.DictionaryObject) -> Iterator[Leaf]:
    """Yield the pages in order with what they inherit; /Count is not believed."""
    seen: set[generic.Reference] = set()
    stack: list[tuple[generic.PdfObject, dict[str, generic.PdfObject], int]] = [
        (catalog.raw_get("/Pages"), {}, 0)
    ]
    while stack:
        node, inherited, depth = stack.pop()
        if (
            not isinstance(node, generic.IndirectObject)
            or depth > MAX_PAGE_TREE_DEPTH
            or node.reference in seen
        ):
            raise DocumentDamaged("the page tree is broken, too deep or goes in a circle", where="/Pages")
        seen.add(node.reference)
        dictionary = resolved(node)
        if not isinstance(dictionary, generic.DictionaryObject):
            raise DocumentDamaged("a node of the page tree is not a dictionary", where="/Pages")
        own = {key: value for key in _INHERITED if (value := value_at(dictionary, key)) is not None}
        passed = {**inherited, **own} if own else inherited
        kids = value_at(dictionary, "/Kids")
        if kids is None:
            yield node.reference, dictionary, passed
            continue
        if not isinstance(kids, generic.ArrayObject):
            raise DocumentDamaged("/Kids of a page tree node is not an array", where="/Pages")
        stack.extend((kids.raw_get(index), passed, depth + 1) for index in reversed(range(len(kids))))


def _page(
    number: int,
    reference: generic.Reference,
    dictionary: generic.DictionaryObject,
    inherited: dict[str, generic.PdfObject],
) -> Page:
    media = box_of(inherited.get("/MediaBox"), "/MediaBox")
    crop = media
    if "/CropBox" in inherited:
        # ISO 32000-1 14.11.2: what the CropBox has outside the MediaBox is not there.
        cut = box_of(inherited["/CropBox"], "/CropBox")
        common = Box(
            max(cut.left, media.left),
            max(cut.bottom, media.bottom),
            min(cut.right, media.right),
            min(cut.top, media.top),
        )
        crop = common if common.width > 0 and common.height > 0 else media
    if not (crop.width > 0 and crop.height > 0):
        raise DocumentDamaged(f"page {number} has no size", where="/MediaBox")
    turn = real(inherited["/Rotate"], "/Rotate") if "/Rotate" in inherited else 0.0
    if turn % 90:
        raise DocumentDamaged(f"/Rotate of page {number} is not a multiple of 90", where="/Rotate")
    own_unit = value_at(dictionary, "/UserUnit")
    unit = 1.0 if own_unit is None else real(own_unit, "/UserUnit")
    if not 0.01 <= unit <= 75_000:
        raise DocumentDamaged(f"/UserUnit of page {number} is out of range", where="/UserUnit")
    return Page(number, reference, dictionary, crop, int(turn) % 360, unit)


def value_at(parent: generic.DictionaryObject, key: str) -> generic.PdfObject | None:
    """Return what stands at a key, directly or by reference; None where nothing or null does."""
    try:
        value: generic.PdfObject = resolved(parent.raw_get(key))
    except KeyError:
        return None
    return None if isinstance(value, generic.NullObject) else value


def name_at(parent: generic.DictionaryObject, key: str) -> str:
    """Return the name at a key; empty where there is none."""
    value = value_at(parent, key)
    return str(value) if isinstance(value, generic.NameObject) else ""


def whole_at(parent: generic.DictionaryObject, key: str) -> int:
    """Return the integer at a key; 0 where there is none."""
    value = value_at(parent, key)
    return int(value) if isinstance(value, generic.NumberObject) else 0


def box_of(value: generic.PdfObject | None, where: str) -> Box:
    """Read a rectangle object (ISO 32000-1 7.9.5), its corners in any order."""
    array = None if value is None else resolved(value)
    if not isinstance(array, generic.ArrayObject) or len(array) != 4:
        raise DocumentDamaged(f"{where} is not a rectangle", where=where)
    x0, y0, x1, y1 = (real(array[index], where) for index in range(4))
    return Box.around((x0, y0), (x1, y1))


def real(value: generic.PdfObject, where: str) -> float:
    """Read a number that can be a length."""
    found = resolved(value)
    number = float(found) if isinstance(found, (generic.NumberObject, generic.FloatObject)) else None
    if number is None or not abs(number) <= _LARGEST:
        raise DocumentDamaged(f"{where} holds something that is no number, or too large a one", where=where)
    return number

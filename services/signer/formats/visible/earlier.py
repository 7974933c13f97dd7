"""The images of earlier signatures in a file: where their visible pixels stand on the page (VS-05, section 7.2).

Positions are computed from the appearance's own numbers (ISO 32000-1 12.5.5), not measured on a rendering. An appearance
that is stranger than an image inside nested forms is taken as if it had none.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError

from services.signer.formats import pdf_structure
from services.signer.formats.visible import image
from services.signer.formats.visible.page import (
    Box,
    all_pages,
    box_of,
    name_at,
    page_of,
    real,
    value_at,
    whole_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.visible.page import Page

Matrix = tuple[float, float, float, float, float, float]
IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)
MARK = "/Kyso"
"""Key in /PieceInfo (ISO 32000-1 14.5) of the appearances that are written here; /Private names the profile."""
MAX_CONTENT_BYTES = 1 << 18
MAX_PIXELS = 4000 * 4000
_MAX_DEPTH = 6
_PNG_PREDICTORS = 10
"""ISO 32000-1 table 8: this and above."""
_HIDDEN = 2 | 32
"""Annotation flags Hidden and NoView."""
_TOKEN = re.compile(
    rb"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?=[\s/\[\]<>(){}%]|\Z)"
    rb"|(?P<name>/[^\s/\[\]<>(){}%]*)"
    rb"|(?P<operator>[A-Za-z'\"][A-Za-z0-9*'\"]*)"
    rb"|(?P<other>\((?:\\.|[^\\()])*\)|<[0-9A-Fa-f\s]*>|%[^\r\n]*|<<|>>|[\[\]])",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class EarlierImage:
    """The image in the widget of an earlier signature."""

    page: Page
    box: Box
    """Its visible pixels, displayed coordinates."""
    end: int
    """Where the signature's byte range ends: later signatures end later."""


@dataclass(frozen=True, slots=True)
class EarlierSignature:
    """A signed field that is no time-stamp."""

    dictionary: generic.DictionaryObject
    widgets: tuple[generic.DictionaryObject, ...]
    end: int


def signatures(reader: PdfFileReader) -> list[EarlierSignature]:
    """Give the signed signature fields, the oldest first."""
    form = pdf_structure.dictionary_at(reader.root, "/AcroForm")
    found = []
    for field in pdf_structure.form_fields(form):
        value = field.value if field.is_signature else None
        if value is not None and name_at(value, "/SubFilter") != "/ETSI.RFC3161":
            found.append(EarlierSignature(value, tuple(_widgets(field.dictionary)), _end(value)))
    return sorted(found, key=lambda one: one.end)


def person_images(reader: PdfFileReader) -> list[EarlierImage]:
    """Give the images of earlier signatures that can be a person's, the oldest first: seals are left out."""
    found = []
    for signature in signatures(reader):
        for widget in signature.widgets:
            appearance = _appearance(widget)
            page = page_of_widget(reader, widget) if appearance is not None else None
            if appearance is None or page is None or _profile(appearance) == "/nd30.agency":
                continue
            boxes = _person_boxes(widget, appearance)
            if boxes:
                largest = max(boxes, key=lambda box: box.width * box.height)
                found.append(EarlierImage(page, page.to_displayed(largest), signature.end))
    return found


def shown_on(reader: PdfFileReader, page: Page) -> list[Box]:
    """Give the displayed boxes of the visible signature widgets on a page."""
    return [
        page.to_displayed(box_of(value_at(widget, "/Rect"), "/Rect"))
        for signature in signatures(reader)
        for widget in signature.widgets
        if _appearance(widget) is not None and _is_on(widget, page)
    ]


def page_of_widget(reader: PdfFileReader, widget: generic.DictionaryObject) -> Page | None:
    """Find the page of a widget by its /P, else by the pages' lists of annotations."""
    raw = widget.raw_get("/P") if "/P" in widget else None
    if isinstance(raw, generic.IndirectObject):
        return page_of(reader, raw.reference)
    return next((page for page in all_pages(reader) if _is_on(widget, page)), None)


def named_widget(reader: PdfFileReader, name: str) -> generic.DictionaryObject | None:
    """Give the first widget of the field of that name."""
    form = pdf_structure.dictionary_at(reader.root, "/AcroForm")
    for field in pdf_structure.form_fields(form):
        if field.name == name:
            return next(_widgets(field.dictionary), None)
    return None


def _is_on(widget: generic.DictionaryObject, page: Page) -> bool:
    annotations = value_at(page.dictionary, "/Annots")
    if not isinstance(annotations, generic.ArrayObject):
        return False
    # By their numbers: a page may have thousands of annotations that need not be read.
    entries = (annotations.raw_get(index) for index in range(len(annotations)))
    return any(
        entry.reference == widget.container_ref
        if isinstance(entry, generic.IndirectObject)
        else entry is widget
        for entry in entries
    )


def _widgets(field: generic.DictionaryObject) -> Iterator[generic.DictionaryObject]:
    kids = value_at(field, "/Kids")
    candidates: list[generic.PdfObject] = [field]
    if isinstance(kids, generic.ArrayObject):
        candidates += [kids[index] for index in range(len(kids))]
    for candidate in candidates:
        if isinstance(candidate, generic.DictionaryObject) and "/Rect" in candidate:
            yield candidate


def _end(signature: generic.DictionaryObject) -> int:
    covered = value_at(signature, "/ByteRange")
    if not isinstance(covered, generic.ArrayObject) or len(covered) < 4:
        return 0
    return int(covered[2]) + int(covered[3])


def _appearance(widget: generic.DictionaryObject) -> generic.StreamObject | None:
    """Return the normal appearance of a widget that is displayed."""
    flags = whole_at(widget, "/F")
    appearances = pdf_structure.dictionary_at(widget, "/AP")
    if appearances is None or (flags & _HIDDEN) != 0:
        return None
    normal = value_at(appearances, "/N")
    box = box_of(value_at(widget, "/Rect"), "/Rect")
    if not isinstance(normal, generic.StreamObject) or not (box.width > 0 and box.height > 0):
        return None
    return normal


def _profile(appearance: generic.StreamObject) -> str:
    pieces = pdf_structure.dictionary_at(appearance, "/PieceInfo")
    ours = pdf_structure.dictionary_at(pieces, MARK) if pieces is not None else None
    return name_at(ours, "/Private") if ours is not None else ""


def _person_boxes(widget: generic.DictionaryObject, appearance: generic.StreamObject) -> list[Box]:
    """Map the visible pixels of each image that is no seal into default user space (ISO 32000-1 algorithm 8.1)."""
    bounds = box_of(value_at(appearance, "/BBox"), "/BBox")
    own = _matrix_of(appearance)
    turned = Box.around(*(_apply(own, *corner) for corner in bounds.corners))
    target = box_of(value_at(widget, "/Rect"), "/Rect")
    if not (turned.width > 0 and turned.height > 0):
        return []
    across, upright = target.width / turned.width, target.height / turned.height
    fitted: Matrix = (
        across, 0, 0, upright, target.left - turned.left * across, target.bottom - turned.bottom * upright
    )  # fmt: skip
    found = []
    for picture, matrix in _images(appearance, _times(own, fitted), 0):
        visible = _visible_part(picture)
        if visible is not None and not _is_red(picture):
            found.append(Box.around(*(_apply(matrix, *corner) for corner in visible.corners)))
    return found


def _images(
    form: generic.StreamObject, matrix: Matrix, depth: int
) -> Iterator[tuple[generic.StreamObject, Matrix]]:
    """Yield the images that a form paints, each with the matrix from its unit square."""
    resources = pdf_structure.dictionary_at(form, "/Resources")
    objects = pdf_structure.dictionary_at(resources, "/XObject") if resources is not None else None
    content = _decoded(form)
    if objects is None or depth > _MAX_DEPTH or content is None or len(content) > MAX_CONTENT_BYTES:
        return
    kept: list[Matrix] = []
    for operator, operands in _operations(content):
        match operator:
            case b"q":
                kept.append(matrix)
            case b"Q":
                matrix = kept.pop() if kept else matrix
            case b"cm":
                matrix = _times(_six(operands), matrix)
            case b"Do" if operands:
                painted = value_at(objects, str(operands[-1]))
                if isinstance(painted, generic.StreamObject):
                    yield from _painted(painted, matrix, depth)


def _operations(content: bytes) -> Iterator[tuple[bytes, list[float | str]]]:
    """Yield operators with their numbers and names; an inline image ends it, for its bytes look like anything."""
    operands: list[float | str] = []
    for token in _TOKEN.finditer(content):
        if token["number"]:
            operands.append(float(token["number"]))
        elif token["name"]:
            operands.append(token["name"].decode("latin-1"))
        elif token["operator"] == b"BI":
            return
        elif token["operator"]:
            yield token["operator"], operands
            operands = []


def _painted(
    painted: generic.StreamObject, matrix: Matrix, depth: int
) -> Iterator[tuple[generic.StreamObject, Matrix]]:
    kind = name_at(painted, "/Subtype")
    if kind == "/Image":
        yield painted, matrix
    elif kind == "/Form":
        yield from _images(painted, _times(_matrix_of(painted), matrix), depth + 1)


def _visible_part(picture: generic.StreamObject) -> Box | None:
    """Return the box of pixels with alpha above 0 within the unit square; None where nothing is visible."""
    whole = Box(0, 0, 1, 1)
    mask = value_at(picture, "/SMask")
    if not isinstance(mask, generic.StreamObject):
        return whole
    pixels = _samples(mask, 1)
    if pixels is None:
        # A mask that only a viewer can decode: the whole image counts.
        return whole
    tight = pixels.getbbox()
    if tight is None:
        return None
    left, upper, right, lower = tight
    width, height = pixels.size
    return Box(left / width, 1 - lower / height, right / width, 1 - upper / height)


def _is_red(picture: generic.StreamObject) -> bool:
    """Say whether an image is a seal by its colour, where its samples are plain RGB."""
    colours = _samples(picture, 3)
    if colours is None:
        return False
    mask = value_at(picture, "/SMask")
    alpha = _samples(mask, 1) if isinstance(mask, generic.StreamObject) else None
    if alpha is None or alpha.size != colours.size:
        alpha = Image.new("L", colours.size, 255)
    return image.hue_shares(colours, alpha).get(image.RED, 0.0) >= image.MIN_SHARE


def _samples(picture: generic.StreamObject, channels: int) -> Image.Image | None:
    """Decode 8-bit samples of one or three channels; None where the image is of another kind."""
    width, height = (whole_at(picture, key) for key in ("/Width", "/Height"))
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        return None
    if whole_at(picture, "/BitsPerComponent") != 8 or "/Decode" in picture:
        return None
    try:
        return _unpacked(picture, width, height, "L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, zlib.error):
        return None


def _unpacked(picture: generic.StreamObject, width: int, height: int, mode: str) -> Image.Image | None:
    """Decode Flate data, with PNG's predictors or none; None for every other filter."""
    packing, how = (_only(value_at(picture, key)) for key in ("/Filter", "/DecodeParms"))
    if not isinstance(packing, generic.NameObject) or str(packing) != "/FlateDecode":
        return None
    data, channels = bytes(picture.encoded_data), len(mode)
    predictor = whole_at(how, "/Predictor") if isinstance(how, generic.DictionaryObject) else 0
    if predictor < _PNG_PREDICTORS:
        plain = zlib.decompressobj().decompress(data, width * height * channels)
        return Image.frombytes(mode, (width, height), plain) if predictor <= 1 else None
    # With these predictors the data is what a PNG file holds in its IDAT chunk, where the row's length is the same.
    if not isinstance(how, generic.DictionaryObject) or whole_at(how, "/Columns") != width:
        return None
    if (whole_at(how, "/Colors") or 1) != channels:
        return None
    return image.from_png_data(data, width, height, mode)


def _only(value: generic.PdfObject | None) -> generic.PdfObject | None:
    """Take the one element out of an array of one."""
    if isinstance(value, generic.ArrayObject) and len(value) == 1:
        element: generic.PdfObject = value[0]
        return element
    return value


def _decoded(stream: generic.StreamObject) -> bytes | None:
    try:
        return bytes(stream.data)
    except (PdfError, ValueError, NotImplementedError, AssertionError, zlib.error):
        # A filter that is not built in, or damaged data, which pyHanko's predictors meet with assertions.
        return None


def _matrix_of(form: generic.StreamObject) -> Matrix:
    array = value_at(form, "/Matrix")
    if not isinstance(array, generic.ArrayObject) or len(array) != 6:
        return IDENTITY
    a, b, c, d, e, f = (real(array[index], "/Matrix") for index in range(6))
    return a, b, c, d, e, f


def _six(operands: list[float | str]) -> Matrix:
    values = [value for value in operands[-6:] if isinstance(value, float)]
    if len(values) != 6:
        return IDENTITY
    a, b, c, d, e, f = values
    return a, b, c, d, e, f


def _times(first: Matrix, second: Matrix) -> Matrix:
    """Apply the first, then the second."""
    a, b, c, d, e, f = first
    m, n, o, p, q, r = second
    return (
        a * m + b * o, a * n + b * p, c * m + d * o, c * n + d * p, e * m + f * o + q, e * n + f * p + r
    )  # fmt: skip


def _apply(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f

"""Profiles with an image: nd30.person (section 7.1), nd30.agency (section 7.2), and free placement."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import pkcs7
from pyhanko.pdf_utils import generic

from services.kernel.errors import FieldInvalid, ImageInvalid, PlaceInvalid
from services.signer.formats.format import Role
from services.signer.formats.visible.appearance import Drawing
from services.signer.formats.visible.earlier import person_images, signatures
from services.signer.formats.visible.image import BLUE, RED
from services.signer.formats.visible.page import POINTS_PER_MM, Box, value_at
from services.signer.formats.visible.request import require_on
from services.signer.formats.visible.words import LINE_HEIGHT, set_lines, subject, wrap

if TYPE_CHECKING:
    from services.signer.formats.visible.earlier import EarlierImage
    from services.signer.formats.visible.image import Picture
    from services.signer.formats.visible.page import Page
    from services.signer.formats.visible.positions import Found
    from services.signer.formats.visible.request import Request

MIN_GAP = 8 * POINTS_PER_MM
OVERLAP = 1 / 3
OVERLAP_TOLERANCE = 0.04
SEAL_PIXELS_PER_INCH, SIGNATURE_PIXELS_PER_INCH = 300, 150
MAX_DISTORTION = 0.05
"""How far the sides of a seal's image may be from the sides that were sent for it."""
IMAGE_SHARE = 0.4
"""Of the width of a free box with image and text: the most that the image takes."""
_GAP = 4.0


def person(request: Request) -> Drawing:
    """The person's signature in the box that was asked for, else between title and printed name."""
    picture = request.picture()
    picture.require_hue(BLUE, "a person's signature")
    asked = request.asked_box(of_field=True)
    if asked is not None:
        page, area = asked
        box = _fitted(picture, area, None)
    else:
        page, name, gap = signing_gap(request, request.visible.printed_name or request.signer_name)
        box = _in_gap(picture, page, name, gap, _physical(request, picture))
    request.claim.require_transparency(page)
    _warn_of_few_pixels(request, picture, box, SIGNATURE_PIXELS_PER_INCH)
    return Drawing(page, box, ((picture, Box(0, 0, box.width, box.height)),))


def signing_gap(request: Request, name: str) -> tuple[Page, Box, Box]:
    """Find the printed name, and the room between it and the title above. Raises PlaceInvalid.

    The room is as wide as the name's line; both edges are those of the letters themselves.
    """
    if not name:
        raise PlaceInvalid("there is no name to look for: send printed_name, or a box on a page")
    found = request.texts.last(name)
    if found is None:
        raise PlaceInvalid(
            f"the printed name {name!r} does not stand in the document: send printed_name as it is written there, "
            "or a box on a page",
            found=0,
        )
    line = found.line
    title = _title_above(request, found)
    if title is None:
        raise PlaceInvalid(
            f"no title stands above the printed name on page {found.page.number}: send a box on a page",
            page=found.page.number,
        )
    gap = Box(line.left, line.top, line.right, title.bottom)
    if not found.page.displayed.holds(gap, tolerance=0):
        raise PlaceInvalid(
            f"the printed name {name!r} stands where page {found.page.number} is not displayed: send a box on a page",
            page=found.page.number,
        )
    if gap.height < MIN_GAP:
        raise PlaceInvalid(
            f"title and name on page {found.page.number} are {gap.height / POINTS_PER_MM:.1f} mm apart, a signature "
            "needs 8: send a box on a page",
            page=found.page.number,
        )
    return found.page, found.line, gap


def _title_above(request: Request, found: Found) -> Box | None:
    name = found.line
    above = [
        line
        for line in request.texts.on(found.page)
        if line.bottom >= name.top - 1 and line.left < name.right and name.left < line.right
    ]
    return min(above, key=lambda box: box.bottom, default=None)


def _in_gap(picture: Picture, page: Page, name: Box, gap: Box, physical: tuple[float, float] | None) -> Box:
    """Scale to the gap, not above the physical size, not over the page's edges; centre on name and gap."""
    centre, middle = name.middle[0], gap.middle[1]
    reach = 2 * min(centre, page.displayed.right - centre)
    return _fitted(
        picture,
        Box(centre - reach / 2, middle - gap.height / 2, centre + reach / 2, middle + gap.height / 2),
        physical,
    )


def _fitted(picture: Picture, area: Box, largest: tuple[float, float] | None) -> Box:
    """Give the largest box of the picture's proportions in the middle of an area."""
    scale = min(area.width / picture.width, area.height / picture.height)
    if largest is not None:
        scale = min(scale, largest[0] / picture.width, largest[1] / picture.height)
    across, upright = area.middle
    half_width, half_height = picture.width * scale / 2, picture.height * scale / 2
    return Box(across - half_width, upright - half_height, across + half_width, upright + half_height)


def _physical(request: Request, picture: Picture) -> tuple[float, float] | None:
    """Physical size in points: what was sent, else what the file says."""
    width, height = request.visible.image_width_mm, request.visible.image_height_mm
    if not width and not height:
        return picture.physical
    unlimited = 1e6
    return (width * POINTS_PER_MM or unlimited, height * POINTS_PER_MM or unlimited)


def agency(request: Request) -> Drawing:
    """The seal in its physical size, over a third of the person's signature from the left."""
    picture = request.picture()
    picture.require_hue(RED, "a seal")
    width = request.visible.image_width_mm * POINTS_PER_MM
    height = request.visible.image_height_mm * POINTS_PER_MM
    if not (width and height):
        raise FieldInvalid(
            "a seal is shown in its physical size: send image_width_mm and image_height_mm (VS-04)",
            field="visible.image",
        )
    whole = _seal_in(picture, width, height)
    asked = request.asked_box()
    if asked is not None:
        page, area = asked
        across, upright = area.middle
        box = Box(across - width / 2, upright - height / 2, across + width / 2, upright + height / 2)
        require_on(page, box)
    else:
        page, signed = _leaders_signature(request)
        box = _over_a_third(request, page, signed, width, height)
    request.claim.require_transparency(page)
    _warn_of_few_pixels(request, picture, whole.moved(box.left, box.bottom), SEAL_PIXELS_PER_INCH)
    return Drawing(page, box, ((picture, whole),))


def _seal_in(picture: Picture, width: float, height: float) -> Box:
    """Place the image so that its visible pixels, without transparent borders, have the seal's physical size."""
    left, upper, right, lower = picture.visible
    across, upright = width / (right - left), height / (lower - upper)
    if abs(across / upright - 1) > MAX_DISTORTION:
        raise ImageInvalid(
            f"the seal's image is {right - left} x {lower - upper} pixels where it is visible, which does not fit "
            f"{width / POINTS_PER_MM:g} x {height / POINTS_PER_MM:g} mm (VS-04)",
            check="VS-04",
        )
    return Box(
        -left * across,
        (lower - picture.height) * upright,
        (picture.width - left) * across,
        lower * upright,
    )


def _leaders_signature(request: Request) -> tuple[Page, Box]:
    """Return S of section 7.2: the visible part of the person's signature image, else the gap for it."""
    images = person_images(request.reader)
    if images:
        chosen = _chosen(request, images)
        return chosen.page, chosen.box
    for name in _printed_names(request):
        found = request.texts.last(name)
        if found is not None:
            page, _, gap = signing_gap(request, name)
            request.warnings.append(
                "NO_PERSON_IMAGE: the person's signature shows no image, so the seal stands at the printed name"
            )
            return page, gap
    raise PlaceInvalid(
        "no earlier signature shows a person's image, and no printed name says where it belongs: send printed_name, "
        "or a box on a page"
    )


def _chosen(request: Request, images: list[EarlierImage]) -> EarlierImage:
    """Choose the signature that the seal belongs to: the one at the printed name, else the newest."""
    if len(images) == 1:
        return images[0]
    wanted = request.visible.printed_name
    name = request.texts.last(wanted) if wanted else None
    if name is not None:
        near = [one for one in images if one.page.number == name.page.number]
        if near:
            across, upright = name.line.middle
            return min(
                near, key=lambda one: (one.box.middle[0] - across) ** 2 + (one.box.middle[1] - upright) ** 2
            )
    request.warnings.append(
        f"SEVERAL_PERSONS: {len(images)} earlier signatures show an image; the seal stands at the newest "
        "(printed_name chooses another)"
    )
    return images[-1]


def _printed_names(request: Request) -> list[str]:
    """Names to look for: the one that was sent, else those of the earlier signers, the newest first."""
    if request.visible.printed_name:
        return [request.visible.printed_name]
    names = []
    for signature in reversed(signatures(request.reader)):
        contents = value_at(signature.dictionary, "/Contents")
        if isinstance(contents, (generic.ByteStringObject, generic.TextStringObject)):
            names += _common_names(bytes(contents.original_bytes))
    return names


def _common_names(container: bytes) -> list[str]:
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificates = pkcs7.load_der_pkcs7_certificates(_without_padding(container))
        return [name for one in certificates if (name := subject(one.public_bytes(Encoding.DER))[0])]
    except ValueError:
        return []


def _without_padding(container: bytes) -> bytes:
    """Cut off the zeros behind a DER value."""
    if len(container) < 2:
        return container
    octets = container[1] & 0x7F if container[1] & 0x80 else 0
    length = int.from_bytes(container[2 : 2 + octets], "big") if octets else container[1]
    return container[: 2 + octets + length]


def _over_a_third(request: Request, page: Page, signed: Box, width: float, height: float) -> Box:
    """Compute the seal's box (section 7.2), moved into the page where it leaves it."""
    right = signed.left + signed.width * OVERLAP
    bottom = signed.middle[1] - height / 2
    box = Box(right - width, bottom, right, bottom + height)
    whole = page.displayed
    if box.left < 0:
        box = box.moved(right=-box.left)
    over = (box.right - signed.left) / signed.width
    if abs(over - OVERLAP) > OVERLAP_TOLERANCE or box.right > whole.right:
        raise PlaceInvalid(
            f"at the page's left edge the seal would cover {over:.0%} of the signature instead of a third: "
            "send a box on a page",
            page=page.number,
        )
    lift = max(0.0, -box.bottom) - max(0.0, box.top - whole.top)
    if lift:
        box = box.moved(up=lift)
        request.warnings.append("SEAL_MOVED: the seal was moved up or down to stay on the page")
    require_on(page, box)
    return box


def free(request: Request) -> Drawing:
    """An image, lines of text, or both, in the box that was asked for; the box grows downwards with its text."""
    asked = request.asked_box(of_field=True)
    if asked is None:
        raise PlaceInvalid(
            "the profile free wants a place: send a box on a page, an anchor text, or the name of a field that has one"
        )
    page, box = asked
    has_image = bool(request.document.role_of(Role.IMAGE))
    texts = _free_texts(request)
    if not has_image and not texts:
        raise FieldInvalid(
            "the profile free shows an image, lines of text, or both: send one", field="visible.lines"
        )
    picture = request.picture() if has_image else None
    column = min(box.width * IMAGE_SHARE, box.height * picture.width / picture.height) if picture else 0.0
    start = column + _GAP if picture else 0.0
    lines: list[str] = []
    if texts:
        lines = [line for text in texts for line in wrap(request.face, text, box.width - start)]
        height = max(box.height, len(lines) * LINE_HEIGHT)
        box = Box(box.left, box.top - height, box.right, box.top)
        require_on(page, box)
    drawing = Drawing(page, box)
    if picture is not None:
        request.claim.require_transparency(page)
        area = Box(0, 0, column if texts else box.width, box.height)
        place = _fitted(picture, area, None)
        _warn_of_few_pixels(request, picture, place, SIGNATURE_PIXELS_PER_INCH)
        drawing = replace(drawing, pictures=((picture, place),))
    if lines:
        area = Box(start, 0, box.width, box.height)
        drawing = replace(drawing, lines=set_lines(request.face, lines, area, right=False))
    return drawing


def _free_texts(request: Request) -> list[str]:
    known = {"{name}": request.signer_name, "{time}": request.time}
    texts = []
    for line in request.visible.lines:
        for place, value in known.items():
            line = line.replace(place, value)
        texts.append(request.printable(line, "lines"))
    return texts


def _warn_of_few_pixels(request: Request, picture: Picture, box: Box, wanted: int) -> None:
    """VS-33."""
    found = min(picture.width / box.width, picture.height / box.height) * 72
    if found < wanted - 0.5:
        request.warnings.append(
            f"VS-33: the image has {found:.0f} pixels an inch at its size on the page, {wanted} are asked for"
        )

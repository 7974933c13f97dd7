"""Profiles of text alone: nd30.attachment, nd30.copy, archive05, and the block of earlier systems (section 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kernel.errors import FieldInvalid, PlaceInvalid
from services.signer.formats.visible.appearance import Drawing
from services.signer.formats.visible.earlier import shown_on
from services.signer.formats.visible.page import POINTS_PER_MM, Box, page_at
from services.signer.formats.visible.request import require_on
from services.signer.formats.visible.words import LINE_HEIGHT, SIZE, set_lines, wrap

if TYPE_CHECKING:
    from services.signer.formats.visible.page import Page
    from services.signer.formats.visible.request import Request

RIGHT_MARGIN = 15 * POINTS_PER_MM
TOP_MARGIN = 10 * POINTS_PER_MM
LEAST_TOP_MARGIN = 3 * POINTS_PER_MM
"""How far up the block may go to leave the page's own text alone: printers leave about that much."""
MAX_WIDTH = 170.0
PADDING = 2.0
"""At either side: the block is 4 pt wider than its widest line."""
BLOCK_WIDTH, BLOCK_HEIGHT = 170.0, 30.0
A4_SHORT, A4_LONG = 210 * POINTS_PER_MM, 297 * POINTS_PER_MM
_CLEARANCE = 1.0


def attachment(request: Request) -> Drawing:
    """Number and notation of the main document, and the signing time."""
    request.refuse_image("VS-01")
    number = request.visible.document_number
    if not number:
        raise FieldInvalid(
            "nd30.attachment prints the number and notation of the main document: send document_number",
            field="visible.document_number",
        )
    return _corner_block(request, [request.printable(number, "document_number"), request.time])


def copy(request: Request) -> Drawing:
    """Form of copy, agency that makes it, and the signing time."""
    request.refuse_image("VS-01")
    form = request.visible.copy_form
    if not form:
        raise FieldInvalid(
            "nd30.copy prints the form of copy: send copy_form, SAO_Y, SAO_LUC or TRICH_SAO",
            field="visible.copy_form",
        )
    drawing = _corner_block(request, [form, _agency(request), request.time])
    _judge_scan(request)
    return drawing


def archive(request: Request) -> Drawing:
    """BẢN SAO, agency and signing time; never a seal (VS-64)."""
    request.refuse_image("VS-64")
    drawing = _corner_block(request, ["BẢN SAO", _agency(request), request.time])
    _judge_scan(request)
    return drawing


def block(request: Request) -> Drawing:
    """Name and time in 170 x 30 points on A4, larger and smaller with the page or the box that was asked for."""
    request.refuse_image("VS-01")
    name = request.printable(request.signer_name or request.agency_name, "signer_name")
    asked = request.asked_box(of_field=True)
    if asked is not None:
        page, box = asked
        scale = min(box.width / BLOCK_WIDTH, box.height / BLOCK_HEIGHT)
    else:
        page = page_at(request.reader, 1)
        short, long = sorted((page.displayed.width, page.displayed.height))
        scale = min(short / A4_SHORT, long / A4_LONG)
        right, top = page.displayed.right - RIGHT_MARGIN, page.displayed.top - TOP_MARGIN
        box = Box(right - BLOCK_WIDTH * scale, top - BLOCK_HEIGHT * scale, right, top)
    texts = [
        line
        for text in (name, request.time)
        for line in wrap(request.face, text, box.width - 2 * PADDING, SIZE * scale)
    ]
    needed = len(texts) * LINE_HEIGHT * scale
    box = Box(box.left, min(box.bottom, box.top - needed), box.right, box.top)
    require_on(page, box)
    # The lines stand in the middle of what they do not fill.
    first = box.height - (box.height - needed) / 2
    area = Box(PADDING, 0, box.width - PADDING, first)
    return Drawing(page, box, lines=set_lines(request.face, texts, area, right=False, scale=scale))


def _agency(request: Request) -> str:
    name = request.printable(request.agency_name, "agency_name")
    if not name:
        raise FieldInvalid(
            "the signer's certificate names no organisation: send agency_name", field="visible.agency_name"
        )
    return name


def _judge_scan(request: Request) -> None:
    """VT-11: say where a copy of paper was scanned worse than the rules want."""
    try:
        request.warnings += request.texts.scan_warnings()
    except PlaceInvalid:
        # Told already by whoever looked for text.
        return


def _corner_block(request: Request, texts: list[str]) -> Drawing:
    """Set the texts, broken at spaces, at the top right of page 1 or downwards from the box that was asked for."""
    asked = request.asked_box()
    face = request.face
    room = (asked[1].width if asked is not None else MAX_WIDTH) - 2 * PADDING
    lines = [line for text in texts for line in wrap(face, text, room)]
    height = len(lines) * LINE_HEIGHT
    if asked is not None:
        page, given = asked
        # The box grows downwards; letters are never made smaller.
        box = Box(given.left, min(given.bottom, given.top - height), given.right, given.top)
        require_on(page, box)
    else:
        page = page_at(request.reader, 1)
        width = max(face.width(line, SIZE) for line in lines) + 2 * PADDING
        box = _in_the_corner(request, page, width, height)
    area = Box(PADDING, 0, box.width - PADDING, box.height)
    return Drawing(page, box, lines=set_lines(face, lines, area, right=True))


def _in_the_corner(request: Request, page: Page, width: float, height: float) -> Box:
    """Place a block by section 7.3, higher where the page's own text is in the way and there is room."""
    whole = page.displayed
    right, top = whole.right - RIGHT_MARGIN, whole.top - TOP_MARGIN
    box = Box(right - width, top - height, right, top)
    if not whole.holds(box):
        raise PlaceInvalid(
            f"page {page.number} is too small for the text: give a box", page=page.number, needed=int(height)
        )
    occupied = shown_on(request.reader, page)
    try:
        occupied += request.texts.on(page)
    except PlaceInvalid as unreadable:
        request.warnings.append(f"TEXT_UNKNOWN: {unreadable.message}")
    beneath = [other for other in occupied if other.overlaps(box)]
    if not beneath:
        return box
    lift = max(other.top for other in beneath) + _CLEARANCE - box.bottom
    raised = box.moved(up=lift)
    if raised.top <= whole.top - LEAST_TOP_MARGIN and not any(other.overlaps(raised) for other in occupied):
        return raised
    request.warnings.append(
        f"TEXT_BENEATH: the text at the top right of page {page.number} lies over text that was there"
    )
    return box

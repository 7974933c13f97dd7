"""Text profiles as poppler shows them: nd30.attachment, nd30.copy, archive05, block (VT-02, VT-07 to VT-10)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from services.kernel.errors import FieldInvalid, ImageInvalid, PlaceInvalid
from services.kernel.typeface import VIETNAMESE
from services.signer.formats import visible
from services.signer.formats.parameters import Place, Visible
from tests.support import pdfs
from tests.support.document_signers import pdfsig
from tests.support.pictures import (
    A4,
    AGENCY,
    MM,
    Edges,
    blank_pdf,
    fonts_of,
    ink,
    letter_pdf,
    prepared,
    rendered,
    scanned_pdf,
    seal_png,
    sign,
    signature_png,
    text_of,
    use_font,
    widgets,
)

MORNING = datetime(2026, 3, 5, 7, 7, 9, tzinfo=UTC)
COPY = Visible("nd30.copy", copy_form="SAO Y", agency_name=AGENCY)
NUMBER = "1030/UBND-VX"


@pytest.fixture(autouse=True)
def _font() -> None:
    use_font()


def lines_of(data: bytes) -> list[str]:
    return [line.strip() for line in text_of(data).splitlines() if line.strip()]


def test_each_separate_annex_gets_number_and_time_at_the_top_right_and_no_image(tmp_path: Any) -> None:
    """VT-02."""
    for number in (1, 2):
        annex = blank_pdf()
        data = sign(annex, Visible("nd30.attachment", document_number=NUMBER), at=MORNING)
        (tmp_path / "annex.pdf").write_bytes(data)
        found = pdfsig(tmp_path / "annex.pdf")
        assert [entry["Signature Validation"] for entry in found] == ["Signature is Valid."], number
        assert lines_of(data) == [NUMBER, "2026-03-05T14:07:09+07:00"]
        assert b"/Subtype /Image" not in data
        ((page, rect),) = widgets(data)
        assert page == 1
        assert rect[2:] == pytest.approx((595 - 15 * MM, 842 - 10 * MM), abs=0.01)


@pytest.mark.parametrize(
    ("shown", "first"),
    [
        (COPY, ["SAO Y"]),
        (Visible("nd30.copy", copy_form="SAO LỤC", agency_name=AGENCY), ["SAO LỤC"]),
        (Visible("nd30.copy", copy_form="TRÍCH SAO", agency_name=AGENCY), ["TRÍCH SAO"]),
        (Visible("archive05", agency_name=AGENCY), ["BẢN SAO"]),
        (Visible("nd30.copy", copy_form="SAO Y"), ["SAO Y"]),
    ],
)
def test_copies_show_form_agency_and_time(shown: Visible, first: list[str]) -> None:
    data = sign(blank_pdf(), shown, at=MORNING)
    assert lines_of(data) == [*first, AGENCY, "2026-03-05T14:07:09+07:00"]
    fonts = [font for font in fonts_of(data) if "+" in font["name"]]
    assert [(font["type"].strip(), font["emb"], font["sub"], font["uni"]) for font in fonts] == [
        ("CID TrueType", "yes", "yes", "yes")
    ]
    assert fonts[0]["name"].endswith("+LiberationSerif")


@pytest.mark.parametrize(
    ("page", "size"),
    [
        (b"", (595, 842)),
        (b"/Rotate 90", (842, 595)),
        (b"/Rotate 180", (595, 842)),
        (b"/Rotate 270", (842, 595)),
        (b"/CropBox [40 50 500 700]", (460, 650)),
        (b"/CropBox [40 50 500 700] /Rotate 90", (650, 460)),
        (b"/CropBox [40 50 500 700] /Rotate 270", (650, 460)),
    ],
)
def test_the_block_stands_at_the_displayed_top_right(page: bytes, size: tuple[float, float]) -> None:
    """VT-07."""
    data = sign(blank_pdf(page), COPY, at=MORNING)
    image = rendered(data)
    assert (image.width / 4, image.height / 4) == pytest.approx(size, abs=0.5)
    found = ink(image, "black")
    assert found is not None
    right, top = size[0] - 15 * MM - 2, size[1] - 10 * MM
    # Capitals of Times are 6.55 high at 10 pt and stand on a line 9.2 below the line's edge; the last line is digits.
    digits, lines = 0.14, 3
    expected = Edges(found.left, top - (lines - 1) * 11.5 - 9.2 - digits, right, top - 9.2 + 6.76)
    assert found.near(expected), (found, expected)
    # The widest line decides where it begins.
    assert 150 < found.right - found.left < 166


def test_a_unit_of_two_points_makes_the_same_block() -> None:
    """UserUnit: a page of 595 x 842 units is displayed twice as large, the text still has 10 pt."""
    ((_, plain),) = widgets(sign(blank_pdf(), COPY, at=MORNING))
    ((_, large),) = widgets(sign(blank_pdf(b"/UserUnit 2"), COPY, at=MORNING))
    assert large[2:] == pytest.approx((595 - 15 * MM / 2, 842 - 10 * MM / 2), abs=0.01)
    assert (large[2] - large[0]) * 2 == pytest.approx(plain[2] - plain[0], abs=0.01)
    assert (large[3] - large[1]) * 2 == pytest.approx(plain[3] - plain[1], abs=0.01)


@pytest.mark.parametrize(
    ("moment", "printed", "utc"),
    [
        (MORNING, "2026-03-05T14:07:09+07:00", b"D:20260305070709+00'00'"),
        (datetime(2025, 12, 31, 17, 30, tzinfo=UTC), "2026-01-01T00:30:00+07:00", b"D:20251231173000+00'00'"),
    ],
)
def test_the_printed_time_is_the_instant_of_m(moment: datetime, printed: str, utc: bytes) -> None:
    """VT-08 and VT-09."""
    data = sign(blank_pdf(), COPY, at=moment)
    assert printed in text_of(data)
    assert re.findall(rb"/M \(([^)]*)\)", data) == [utc]


def test_a_long_name_with_every_vietnamese_letter_wraps_and_can_be_read() -> None:
    """VT-10."""
    letters = iter(VIETNAMESE)
    name = " ".join("".join(next(letters) for _ in range(6)) for _ in range(17))
    assert len(name) == 118
    data = sign(blank_pdf(), Visible("nd30.copy", copy_form="SAO Y", agency_name=name), at=MORNING)
    found = lines_of(data)
    assert len(found) > 4
    assert " ".join(found[1:-1]) == name
    ((_, rect),) = widgets(data)
    assert rect[2] - rect[0] <= 170.01
    assert rect[3] - rect[1] == pytest.approx(11.5 * len(found), abs=0.01)
    drawn = ink(rendered(data), "black")
    assert drawn is not None
    assert rect[0] <= drawn.left
    assert rect[1] <= drawn.bottom


def test_the_block_moves_up_from_text_that_is_there() -> None:
    data = sign(letter_pdf(), COPY, at=MORNING)
    ((_, rect),) = widgets(data)
    assert rect[3] > A4[1] - 10 * MM + 1
    assert prepared(letter_pdf(), COPY).warnings == ()
    # The two texts do not touch: a row of pixels between them is white.
    image = rendered(data)
    bottom = round((A4[1] - rect[1]) * 4)
    row = image.crop((round(rect[0] * 4), bottom, round(rect[2] * 4), bottom + 1))
    assert row.getextrema() == ((255, 255), (255, 255), (255, 255))


def test_text_beneath_is_told_where_there_is_no_room() -> None:
    crowded = blank_pdf(content=b"BT /F1 12 Tf 400 800 Td (Text that was here) Tj ET")
    made = prepared(crowded, COPY)
    assert [warning.partition(":")[0] for warning in made.warnings] == ["TEXT_BENEATH"]
    ((_, rect),) = widgets(sign(crowded, COPY))
    assert rect[3] == pytest.approx(842 - 10 * MM, abs=0.01)


def test_a_second_block_does_not_hide_the_first_unsaid() -> None:
    once = sign(blank_pdf(), COPY)
    assert [one.partition(":")[0] for one in prepared(once, COPY).warnings] == ["TEXT_BENEATH"]


def test_the_place_that_was_asked_for_wins_and_grows_downwards() -> None:
    place = Place(width=100, height=20, page=1, left=50, bottom=300)
    shown = Visible("nd30.copy", copy_form="SAO Y", agency_name=AGENCY, place=place)
    ((_, rect),) = widgets(sign(blank_pdf(), shown))
    assert (rect[0], rect[2], rect[3]) == pytest.approx((50, 150, 320), abs=0.01)
    assert rect[3] - rect[1] > 40
    low = Place(width=100, height=20, page=1, left=50, bottom=5)
    with pytest.raises(PlaceInvalid, match="leaves page 1"):
        prepared(blank_pdf(), Visible("nd30.copy", copy_form="SAO Y", agency_name=AGENCY, place=low))


def test_the_legacy_block_has_name_and_time_and_grows_with_the_page() -> None:
    small = sign(blank_pdf(), Visible("block"), at=MORNING)
    assert lines_of(small) == ["Nguyễn Văn Thử", "2026-03-05T14:07:09+07:00"]
    ((_, rect),) = widgets(small)
    assert (rect[2] - rect[0], rect[3] - rect[1]) == pytest.approx((170, 30), abs=0.1)
    ((_, large),) = widgets(sign(blank_pdf(b"/MediaBox [0 0 1190 1684]"), Visible("block")))
    assert (large[2] - large[0], large[3] - large[1]) == pytest.approx((340, 60), abs=0.2)


@pytest.mark.parametrize(
    ("shown", "image", "row"),
    [
        (Visible("archive05"), seal_png(), "VS-64"),
        (COPY, seal_png(), "VS-01"),
        (Visible("nd30.attachment", document_number=NUMBER), signature_png(), "VS-01"),
        (Visible("block"), signature_png(), "VS-01"),
    ],
)
def test_an_image_has_no_place_in_a_text_profile(shown: Visible, image: bytes, row: str) -> None:
    with pytest.raises(ImageInvalid) as caught:
        prepared(blank_pdf(), shown, image)
    assert caught.value.data["check"] == row


@pytest.mark.parametrize(
    ("shown", "field"),
    [
        (Visible("nd30.attachment"), "visible.document_number"),
        (Visible("nd30.copy", agency_name=AGENCY), "visible.copy_form"),
        (Visible("nd30.copy", copy_form="SAO Y", agency_name="機関"), "visible.agency_name"),
    ],
)
def test_what_a_profile_needs_is_asked_for_by_name(shown: Visible, field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        prepared(blank_pdf(), shown)
    assert caught.value.data["field"] == field


def test_without_a_font_text_is_refused_and_an_image_is_not() -> None:
    from services.kernel.errors import FontMissing

    visible.load(None)
    with pytest.raises(FontMissing, match="fonts-liberation2"):
        prepared(blank_pdf(), COPY)
    box = Place(width=100, height=50, page=1, left=50, bottom=300)
    assert ink(rendered(sign(blank_pdf(), Visible("free", place=box), signature_png())), "blue") is not None


def test_a_page_too_small_for_the_text_is_refused() -> None:
    with pytest.raises(PlaceInvalid, match="too small"):
        prepared(blank_pdf(b"/MediaBox [0 0 150 60]"), COPY)


@pytest.mark.parametrize(
    ("dpi", "colour", "told"),
    [
        (200, True, []),
        (300, True, []),
        (150, True, ["SCAN_COARSE"]),
        (200, False, ["SCAN_GREY"]),
        (150, False, ["SCAN_COARSE", "SCAN_GREY"]),
    ],
)
def test_a_copy_of_a_poor_scan_is_told(dpi: int, colour: bool, told: list[str]) -> None:
    """VT-11."""
    made = prepared(scanned_pdf(dpi, colour=colour), COPY)
    assert [warning.partition(":")[0] for warning in made.warnings] == told
    number = Visible("nd30.attachment", document_number=NUMBER)
    assert prepared(scanned_pdf(dpi, colour=colour), number).warnings == ()


def test_files_of_every_structure_show_the_block() -> None:
    objects = pdfs.page_objects("structures")
    for data in (pdfs.assemble_with_streams(objects), pdfs.hybrid_pdf(), pdfs.form_pdf()):
        assert "SAO Y" in text_of(sign(data, COPY))

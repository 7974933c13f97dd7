"""Signature and seal images as poppler shows them: nd30.person, nd30.agency, free (VT-01, VT-04, VT-05, VT-06)."""

from __future__ import annotations

import itertools
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from asn1crypto import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from services.kernel.errors import FieldInvalid, ImageInvalid, PlaceInvalid
from services.signer.formats.parameters import Place, Visible
from tests.support import pdfs
from tests.support.document_signers import pdfsig, signer
from tests.support.pictures import (
    BLUE,
    LEADER,
    MM,
    RED,
    SEAL_MM,
    Edges,
    blank_pdf,
    ink,
    letter_pdf,
    prepared,
    rendered,
    seal_png,
    sealed_letter,
    sign,
    signature_png,
    text_of,
    use_font,
    widgets,
)

PERSON = Visible("nd30.person")
SEAL = Visible("nd30.agency", image_width_mm=SEAL_MM, image_height_mm=SEAL_MM)
SIDE = SEAL_MM * MM


@pytest.fixture(autouse=True)
def _font() -> None:
    use_font()


def at(left: float, bottom: float, width: float, height: float, page: int = 1) -> Place:
    return Place(width=width, height=height, page=page, left=left, bottom=bottom)


def signed_at(place: Place, page: bytes = b"", **image: Any) -> bytes:
    return sign(blank_pdf(page), Visible("nd30.person", place=place), signature_png(**image))


def colour(data: bytes, name: str, page: int = 1) -> Edges:
    found = ink(rendered(data, page), name)
    assert found is not None
    return found


def warnings(*arguments: Any, **options: Any) -> list[str]:
    return [one.partition(":")[0] for one in prepared(*arguments, **options).warnings]


def test_leader_and_agency_sign_the_first_page_and_no_annex_page(tmp_path: Path) -> None:
    """VT-01."""
    data = sealed_letter(pages=3)
    path = tmp_path / "sealed.pdf"
    path.write_bytes(data)
    assert [entry["Signature Validation"] for entry in pdfsig(path)] == ["Signature is Valid."] * 2
    assert [page for page, _ in widgets(data)] == [1, 1]
    for page in (2, 3):
        image = rendered(data, page)
        assert (ink(image, "blue"), ink(image, "red")) == (None, None)


def test_the_seal_of_the_worked_example_stands_where_the_rule_computes() -> None:
    """VT-04: S = (330, 200, 450, 250), 36 mm."""
    once = signed_at(at(330, 200, 120, 50))
    assert colour(once, "blue").near(Edges(330, 200, 450, 250))
    data = sign(once, SEAL, seal_png())
    (_, (_, rect)) = widgets(data)
    assert rect == pytest.approx((267.953, 173.976, 370.0, 276.024), abs=0.01)
    assert colour(data, "red").near(Edges(267.953, 173.976, 370.0, 276.024))


def test_overlap_is_measured_on_visible_pixels() -> None:
    """VT-05: a fifth of the image's width and height is transparent at each side."""
    once = signed_at(at(300, 200, 200, 100), padding=0.2, width=500, height=250)
    visible_part = Edges(340, 220, 460, 280)
    assert colour(once, "blue").near(visible_part)
    data = sign(once, SEAL, seal_png())
    right = visible_part.left + 40
    seal = Edges(right - SIDE, 250 - SIDE / 2, right, 250 + SIDE / 2)
    assert colour(data, "red").near(seal)
    (_, (_, rect)) = widgets(data)
    assert (rect[2] - visible_part.left) / 120 == pytest.approx(1 / 3, abs=0.005)


def test_a_seal_is_as_large_as_the_real_one_whatever_its_transparent_border() -> None:
    once = signed_at(at(330, 200, 120, 50))
    data = sign(once, SEAL, seal_png(600, padding=60))
    assert colour(data, "red").near(Edges(370 - SIDE, 225 - SIDE / 2, 370, 225 + SIDE / 2))


@pytest.mark.parametrize(
    "page", [b"/Rotate 90", b"/Rotate 180", b"/Rotate 270", b"/CropBox [40 50 500 700] /Rotate 90"]
)
def test_on_a_turned_page_the_seal_stands_upright_to_the_left_of_the_signature(page: bytes) -> None:
    once = signed_at(at(230, 200, 120, 50), page)
    assert colour(once, "blue").near(Edges(230, 200, 350, 250))
    data = sign(once, SEAL, seal_png())
    assert colour(data, "red").near(Edges(270 - SIDE, 225 - SIDE / 2, 270, 225 + SIDE / 2))


@pytest.mark.parametrize("page", [b"", b"/Rotate 90", b"/CropBox [40 50 500 700] /Rotate 270"])
def test_another_renderer_sees_the_same(page: bytes) -> None:
    """PDFium, whose treatment of appearances is not poppler's."""
    once = signed_at(at(230, 200, 120, 50), page)
    document = pypdfium2.PdfDocument(sign(once, SEAL, seal_png()))
    document.init_forms()
    image = document[0].render(scale=4).to_pil().convert("RGB")
    blue, red = ink(image, "blue"), ink(image, "red")
    document.close()
    assert blue is not None
    assert red is not None
    assert blue.near(Edges(230, 200, 350, 250))
    assert red.near(Edges(270 - SIDE, 225 - SIDE / 2, 270, 225 + SIDE / 2))


def test_both_stay_legible_and_the_seal_is_over_the_signature() -> None:
    once = signed_at(at(330, 200, 120, 50))
    data = sign(once, SEAL, seal_png())
    before, after = rendered(once), rendered(data)
    # Where blue ink lay, the seal's red shines over it, and blue still shines through.
    left, right = (331 * 4), (369 * 4)
    top, bottom = before.height - (249 * 4), before.height - (201 * 4)
    both = 0
    for x in range(left, right):
        for y in range(top, bottom):
            old, new = before.getpixel((x, y)), after.getpixel((x, y))
            if old == BLUE and new != old:
                assert isinstance(new, tuple)
                assert new[0] > old[0]
                assert new[2] > RED[2]
                both += 1
    assert both > 20


def test_a_person_signs_between_title_and_name() -> None:
    letter = letter_pdf()
    image = rendered(letter)
    # The ink of the title's last line and of the name, found without reading any text: white rows between them.
    column = image.crop(((300 * 4), image.height - (400 * 4), (520 * 4), image.height - (270 * 4)))
    dark = [
        row
        for row in range(column.height)
        if column.crop((0, row, column.width, row + 1)).convert("L").getextrema()[0] < 128  # type: ignore[operator]
    ]
    gaps = [(later - earlier, earlier, later) for earlier, later in itertools.pairwise(dark)]
    _, last_of_title, first_of_name = max(gaps)
    top, bottom = 400 - (last_of_title + 1) / 4, 400 - first_of_name / 4
    name = ink(column.crop((0, first_of_name, column.width, column.height)), "black")
    assert name is not None
    centre = 300 + (name.left + name.right) / 2
    data = sign(letter, PERSON, signature_png())
    found = colour(data, "blue")
    width = (top - bottom) * 480 / 200
    assert found.near(Edges(centre - width / 2, bottom, centre + width / 2, top))


def test_a_signature_is_not_enlarged_above_its_physical_size() -> None:
    image = signature_png(300, 125, dpi=300)
    found = colour(sign(letter_pdf(), PERSON, image), "blue")
    assert (found.right - found.left, found.top - found.bottom) == pytest.approx((72, 30), abs=0.5)
    small = Visible("nd30.person", image_width_mm=20)
    found = colour(sign(letter_pdf(), small, image), "blue")
    assert found.right - found.left == pytest.approx(20 * MM, abs=0.5)


def test_the_last_occurrence_of_the_name_counts() -> None:
    twice = letter_pdf(pages=2, repeat_name=True)
    ((page, _),) = widgets(sign(twice, PERSON, signature_png()))
    assert page == 2


def test_the_printed_name_may_be_another_than_the_certificates() -> None:
    letter = letter_pdf(name="TRẦN THỊ B")
    with pytest.raises(PlaceInvalid, match="Nguyễn Văn Thử"):
        prepared(letter, PERSON, signature_png())
    assert prepared(letter, Visible("nd30.person", printed_name="Trần Thị B"), signature_png()).digest


def test_a_gap_below_eight_millimetres_is_refused() -> None:
    with pytest.raises(PlaceInvalid, match="mm apart"):
        prepared(letter_pdf(gap=20), PERSON, signature_png())


def test_a_name_without_a_title_above_is_refused() -> None:
    lonely = blank_pdf(content=b"BT /F1 12 Tf 300 400 Td (Nguyen Van A) Tj ET")
    with pytest.raises(PlaceInvalid, match="no title"):
        prepared(lonely, Visible("nd30.person", printed_name="Nguyen Van A"), signature_png())


def test_a_name_outside_the_displayed_page_is_refused() -> None:
    content = b"BT /F1 12 Tf 520 500 Td (CHU TICH) Tj 0 -80 Td (Nguyen Van A) Tj ET"
    hidden = blank_pdf(b"/CropBox [0 0 500 842]", content=content)
    with pytest.raises(PlaceInvalid, match="not displayed"):
        prepared(hidden, Visible("nd30.person", printed_name="Nguyen Van A"), signature_png())


async def test_pyhanko_finds_a_seal_to_be_no_more_than_a_form_filled_in() -> None:
    data = sign(sealed_letter(), Visible("nd30.copy", copy_form="SAO Y"))
    anchor = x509.Certificate.load(signer().chain[1])
    levels = []
    for signature in PdfFileReader(BytesIO(data)).embedded_signatures:
        context = ValidationContext(trust_roots=[anchor], allow_fetching=False)
        status = await async_validate_pdf_signature(signature, signer_validation_context=context)
        assert status.bottom_line
        levels.append(status.modification_level)
    assert levels == [
        ModificationLevel.FORM_FILLING,
        ModificationLevel.FORM_FILLING,
        ModificationLevel.NONE,
    ]


def test_a_seal_without_an_image_of_the_person_stands_at_the_printed_name() -> None:
    once = letter_pdf()
    once += _invisible(once)
    assert warnings(once, SEAL, seal_png(), who=signer(name="Cơ quan")) == ["NO_PERSON_IMAGE"]
    found = colour(sign(once, SEAL, seal_png(), who=signer(name="Cơ quan")), "red")
    # The gap is as wide as the name; the seal covers a third of it.
    assert found.right == pytest.approx(410 - 48 + 96 / 3, abs=4)


def _invisible(data: bytes) -> bytes:
    from services.signer.formats.pades import PadesBaseline
    from tests.support.document_signers import signed

    who = signer()
    return signed(PadesBaseline(), data, who, who.parameters())


def test_a_seal_with_nothing_to_stand_at_is_refused() -> None:
    with pytest.raises(PlaceInvalid, match="no earlier signature"):
        prepared(blank_pdf(), SEAL, seal_png())


def test_a_seal_is_not_taken_for_a_person() -> None:
    sealed = sign(
        blank_pdf(),
        Visible("nd30.agency", place=at(100, 100, 110, 110), image_width_mm=36, image_height_mm=36),
        seal_png(),
    )
    with pytest.raises(PlaceInvalid, match="no earlier signature"):
        prepared(sealed, SEAL, seal_png())
    # Nor is one that was placed by a program that is not this one: its colour tells.
    foreign = sign(blank_pdf(), Visible("free", place=at(100, 100, 110, 110)), seal_png())
    with pytest.raises(PlaceInvalid, match="no earlier signature"):
        prepared(foreign, SEAL, seal_png())


def test_of_two_persons_the_newest_or_the_named_one_gets_the_seal() -> None:
    twice = sign(
        signed_at(at(330, 600, 120, 50)), Visible("nd30.person", place=at(330, 200, 120, 50)), signature_png()
    )
    assert warnings(twice, SEAL, seal_png()) == ["SEVERAL_PERSONS"]
    (*_, (_, rect)) = widgets(sign(twice, SEAL, seal_png()))
    assert rect[3] == pytest.approx(276.024, abs=0.01)
    letter = letter_pdf()
    named = sign(letter, PERSON, signature_png())
    both = sign(named, Visible("nd30.person", place=at(60, 60, 120, 50)), signature_png())
    chosen = Visible("nd30.agency", image_width_mm=36, image_height_mm=36, printed_name=LEADER)
    assert warnings(both, chosen, seal_png()) == []
    (*_, (_, rect)) = widgets(sign(both, chosen, seal_png()))
    assert rect[1] > 200


def test_at_the_left_edge_the_seal_moves_in_or_is_refused() -> None:
    moved = sign(signed_at(at(68, 200, 96, 40)), SEAL, seal_png())
    (*_, (_, rect)) = widgets(moved)
    assert rect[0] == pytest.approx(0, abs=0.01)
    with pytest.raises(PlaceInvalid, match="left edge"):
        prepared(signed_at(at(20, 200, 120, 50)), SEAL, seal_png())


def test_a_seal_needs_its_size_and_the_proportions_of_it() -> None:
    once = signed_at(at(330, 200, 120, 50))
    with pytest.raises(FieldInvalid, match="physical size"):
        prepared(once, Visible("nd30.agency"), seal_png())
    with pytest.raises(ImageInvalid, match="VS-04"):
        prepared(once, Visible("nd30.agency", image_width_mm=36, image_height_mm=30), seal_png())


@pytest.mark.parametrize(
    ("shown", "image", "row"),
    [
        (PERSON, signature_png(colour=RED), "VS-32"),
        (SEAL, seal_png(colour=BLUE), "VS-32"),
        (PERSON, None, "VS-01"),
        (SEAL, None, "VS-01"),
    ],
)
def test_the_wrong_image_is_refused(shown: Visible, image: bytes | None, row: str) -> None:
    """VT-06; the rest of it is in the unit test of images."""
    with pytest.raises(ImageInvalid) as caught:
        prepared(letter_pdf(), shown, image)
    assert caught.value.data["check"] == row


def test_few_pixels_are_told() -> None:
    once = signed_at(at(330, 200, 120, 50))
    assert warnings(once, SEAL, seal_png(500)) == []
    assert warnings(once, SEAL, seal_png(300)) == ["VS-33"]
    assert warnings(
        blank_pdf(), Visible("nd30.person", place=at(100, 100, 240, 100)), signature_png(300, 125)
    ) == ["VS-33"]


def anchored(text: str, left: float = 0, bottom: float = 0) -> Visible:
    return Visible("free", place=Place(width=100, height=40, anchor=text, left=left, bottom=bottom))


def test_an_anchor_places_the_box_below_its_text() -> None:
    page = blank_pdf(content=b"BT /F1 12 Tf 200 500 Td (HERE) Tj ET")
    data = sign(page, anchored("HERE", left=10, bottom=5), signature_png(400, 160))
    ((_, rect),) = widgets(data)
    assert rect == pytest.approx((200.2 + 10, 455, 310.2, 495), abs=0.5)
    assert colour(data, "blue").near(Edges(*rect))


@pytest.mark.parametrize(("text", "found"), [("NOWHERE", 0), ("HERE", 2)])
def test_an_anchor_must_be_there_once(text: str, found: int) -> None:
    content = b"BT /F1 12 Tf 200 500 Td (HERE) Tj 0 -100 Td (and HERE) Tj ET"
    with pytest.raises(PlaceInvalid) as caught:
        prepared(blank_pdf(content=content), anchored(text), signature_png())
    assert caught.value.data["found"] == found


def test_an_anchor_is_found_whatever_its_spaces_and_composition() -> None:
    ((page, _),) = widgets(sign(letter_pdf(), anchored("Nguyễn  Văn Thử"), signature_png()))
    assert page == 1


@pytest.mark.parametrize(
    "place",
    [at(500, 100, 100, 50), at(-1, 100, 100, 50), at(100, 800, 100, 50), at(100, 100, 50, 50, page=2)],
)
def test_a_box_that_is_on_no_page_is_refused(place: Place) -> None:
    with pytest.raises(PlaceInvalid):
        prepared(blank_pdf(), Visible("free", place=place), signature_png())


def test_free_placement_prints_name_and_time_beside_the_image() -> None:
    shown = Visible(
        "free", place=at(100, 500, 220, 60), lines=("Người ký: {name}", "{time}", "ý kiến: đồng ý")
    )
    data = sign(blank_pdf(), shown, signature_png())
    text = text_of(data)
    for line in ("Người ký: Nguyễn Văn Thử", "2026-11-22T10:04:05+07:00", "ý kiến: đồng ý"):
        assert line in text
    image = rendered(data)
    blue, black = ink(image, "blue"), ink(image, "black")
    assert blue is not None
    assert black is not None
    assert (blue.left, blue.right) == pytest.approx((100, 188), abs=0.5)


def test_free_placement_without_anything_to_show_is_refused() -> None:
    with pytest.raises(FieldInvalid, match="image, lines"):
        prepared(blank_pdf(), Visible("free", place=at(100, 100, 50, 50)))
    with pytest.raises(PlaceInvalid, match="wants a place"):
        prepared(blank_pdf(), Visible("free"), signature_png())


def test_an_empty_field_gives_its_place() -> None:
    field = b"/FT /Sig /T (Sign here) /Rect [100 200 220 250]"
    data = _rebuilt(field)
    signed_file = sign(data, PERSON, signature_png(), field_name="Sign here")
    ((_, rect),) = widgets(signed_file)
    assert rect == pytest.approx((100, 200, 220, 250), abs=0.01)
    assert colour(signed_file, "blue").near(Edges(100, 200, 220, 250))


def _rebuilt(field: bytes) -> bytes:
    objects = pdfs.page_objects("form", page=b"/Annots [10 0 R]", catalog=b"/AcroForm <</Fields [10 0 R]>>")
    objects[10] = b"<</Type /Annot /Subtype /Widget /P 3 0 R " + field + b">>"
    return pdfs.assemble(objects)

"""Images in the widgets of earlier signatures, written as other programs write them."""

from __future__ import annotations

import zlib
from io import BytesIO

import pytest
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader

from services.signer.formats.visible.earlier import person_images, shown_on, signatures
from services.signer.formats.visible.page import page_at
from tests.support import pdfs
from tests.support.pictures import BLUE, RED

Objects = dict[int, bytes]
WIDGET, FORM, IMAGE, MASK, INNER = 10, 11, 12, 13, 14
SIGNATURE = b"/V <</Type /Sig /SubFilter /ETSI.CAdES.detached /ByteRange [0 10 20 30]>>"
PAINT = b"q 100 0 0 50 10 20 cm /Im0 Do Q"


def stream(entries: bytes, data: bytes) -> bytes:
    return b"<<%s /Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


def form(content: bytes, entries: bytes = b"/BBox [0 0 200 100]", name: bytes = b"/Im0 12 0 R") -> bytes:
    return stream(
        b"/Type /XObject /Subtype /Form %s /Resources <</XObject <<%s>>>>" % (entries, name), content
    )


def picture(
    colour: tuple[int, int, int] = BLUE, extra: bytes = b"/SMask 13 0 R", predictor: bool = False
) -> bytes:
    rows = [bytes(colour) * 10 for _ in range(10)]
    return image(b"/ColorSpace /DeviceRGB " + extra, rows, 3, predictor)


def mask(predictor: bool = False) -> bytes:
    """Ten by ten, the outer fifth at each side transparent."""
    rows = [bytes(255 if 2 <= x < 8 and 2 <= y < 8 else 0 for x in range(10)) for y in range(10)]
    return image(b"/ColorSpace /DeviceGray", rows, 1, predictor)


def image(entries: bytes, rows: list[bytes], colours: int, predictor: bool) -> bytes:
    entries = b"/Type /XObject /Subtype /Image /Width 10 /Height 10 /BitsPerComponent 8 " + entries
    if predictor:
        # Sub and Up in turn, so that the predictor must really be undone.
        filtered = [rows[0], *rows[1:]]
        packed = b""
        for number, row in enumerate(filtered):
            if number % 2:
                packed += b"\2" + bytes((a - b) % 256 for a, b in zip(row, rows[number - 1], strict=True))
            else:
                left = bytes(colours) + row[:-colours]
                packed += b"\1" + bytes((a - b) % 256 for a, b in zip(row, left, strict=True))
        how = b" /Filter [/FlateDecode] /DecodeParms [<</Predictor 15 /Colors %d /Columns 10>>]" % colours
        return stream(entries + how, zlib.compress(packed))
    return stream(entries + b" /Filter /FlateDecode", zlib.compress(b"".join(rows)))


def reader(widget: bytes = b"", **objects: bytes) -> PdfFileReader:
    """Open a file with one signed widget of 200 x 100 at (100, 300)."""
    whole = pdfs.page_objects("form", page=b"/Annots [10 0 R]", catalog=b"/AcroForm <</Fields [10 0 R]>>")
    rect = b"" if b"/Rect" in widget else b"/Rect [100 300 300 400] "
    value = b"" if b"/V " in widget else SIGNATURE
    whole[WIDGET] = (
        b"<</Type /Annot /Subtype /Widget /FT /Sig /T (S) /P 3 0 R /AP <</N 11 0 R>> "
        + rect + value + widget + b">>"
    )  # fmt: skip
    whole[FORM] = objects.get("form", form(PAINT))
    whole[IMAGE] = objects.get("image", picture())
    whole[MASK] = objects.get("mask", mask())
    if "inner" in objects:
        whole[INNER] = objects["inner"]
    return PdfFileReader(BytesIO(pdfs.assemble(whole)))


def box(opened: PdfFileReader) -> tuple[float, ...]:
    (found,) = person_images(opened)
    return found.box.left, found.box.bottom, found.box.right, found.box.top


# The image is painted at (10, 20), 100 x 50; its middle three fifths are visible.
VISIBLE = pytest.approx((100 + 10 + 20, 300 + 20 + 10, 100 + 10 + 80, 300 + 20 + 40))
WHOLE = pytest.approx((110, 320, 210, 370))


def test_visible_pixels_are_mapped_through_the_appearance() -> None:
    assert box(reader()) == VISIBLE


@pytest.mark.parametrize("predictor", [True, False])
def test_predictors_are_undone(predictor: bool) -> None:
    assert box(reader(mask=mask(predictor), image=picture(predictor=predictor))) == VISIBLE


def test_nested_forms_and_matrices_are_followed() -> None:
    outer = form(b"q 0.5 0 0 0.5 5 10 cm /In Do Q", name=b"/In 14 0 R")
    inner = form(PAINT, b"/BBox [0 0 400 200] /Matrix [2 0 0 2 0 0]")
    # 2 and 1/2 leave the sizes; the shift of the outer form remains.
    assert box(reader(form=outer, inner=inner)) == pytest.approx((135, 340, 195, 370))


def test_the_box_is_fitted_to_the_rectangle() -> None:
    shifted = form(b"q 100 0 0 50 -90 -80 cm /Im0 Do Q", b"/BBox [-100 -100 100 0]")
    assert box(reader(form=shifted)) == VISIBLE
    assert box(reader(b"/Rect [100 300 200 350] ")) == pytest.approx((115, 315, 145, 330))


def test_a_turned_appearance_is_turned_back() -> None:
    turned = form(PAINT, b"/BBox [0 0 200 100] /Matrix [0 1 -1 0 0 0]")
    # 90 degrees against the clock: (x, y) becomes (-y, x) in a rectangle of 100 x 200.
    opened = reader(b"/Rect [100 300 200 500] ", form=turned)
    assert box(opened) == pytest.approx((200 - 60, 330, 200 - 30, 390))


@pytest.mark.parametrize(
    ("masked", "of_image"),
    [
        (mask(), b""),
        (mask(), b"/ImageMask true"),
        (stream(b"/Type /XObject /Subtype /Image /Width 10 /Height 10 /BitsPerComponent 8 /Filter /JPXDecode", b"?"), b"/SMask 13 0 R"),
        (stream(b"/Type /XObject /Subtype /Image /Width 10 /Height 10 /BitsPerComponent 8 /Filter /FlateDecode", b"?"), b"/SMask 13 0 R"),
    ],
    ids=["no mask", "stencil", "another filter", "damaged"],
)  # fmt: skip
def test_without_a_mask_that_can_be_read_the_whole_image_counts(masked: bytes, of_image: bytes) -> None:
    assert box(reader(mask=masked, image=picture(extra=of_image))) == WHOLE


def test_a_photograph_counts_as_a_whole() -> None:
    buffer = BytesIO()
    Image.new("RGB", (10, 10), BLUE).save(buffer, "JPEG")
    entries = (
        b"/Type /XObject /Subtype /Image /Width 10 /Height 10 /BitsPerComponent 8 /ColorSpace /DeviceRGB"
    )
    assert box(reader(image=stream(entries + b" /Filter /DCTDecode", buffer.getvalue()))) == WHOLE


def test_of_several_images_the_largest_is_the_signature() -> None:
    two = form(b"q 20 0 0 20 150 70 cm /Im0 Do Q " + PAINT)
    assert box(reader(form=two)) == VISIBLE


def test_an_image_in_a_content_that_means_nothing_else_is_found() -> None:
    noise = b"% /Im0 Do\n/Tx BMC (a \\) Do (b) ) Tj <41> Tj [1 (x) 2] TJ " + PAINT + b" EMC"
    assert box(reader(form=form(noise))) == VISIBLE


@pytest.mark.parametrize(
    "case",
    ["seal", "packed seal", "hidden", "no size", "text only", "time-stamp", "unsigned", "other name", "inline", "endless"],
)  # fmt: skip
def test_what_is_no_persons_image_is_left_out(case: str) -> None:
    opened = {
        "seal": lambda: reader(image=picture(RED)),
        "packed seal": lambda: reader(image=picture(RED, predictor=True)),
        "hidden": lambda: reader(b"/F 2 "),
        "no size": lambda: reader(b"/Rect [100 300 100 300] "),
        "text only": lambda: reader(form=form(b"BT /F1 12 Tf (Im0 Do) Tj ET")),
        "time-stamp": lambda: reader(b"/V <</Type /DocTimeStamp /SubFilter /ETSI.RFC3161>> "),
        "unsigned": lambda: reader(b"/V null "),
        "other name": lambda: reader(form=form(b"/Im1 Do")),
        "inline": lambda: reader(form=form(b"BI /W 1 /H 1 ID /Im0 Do EI")),
        "endless": lambda: reader(form=form(b"/Im0 Do", name=b"/Im0 11 0 R")),
    }[case]()
    assert person_images(opened) == []


def test_a_widget_below_its_field_is_found() -> None:
    opened = reader()
    whole = pdfs.page_objects("form", page=b"/Annots [10 0 R]", catalog=b"/AcroForm <</Fields [15 0 R]>>")
    whole[15] = b"<</FT /Sig /T (S) /Kids [10 0 R] " + SIGNATURE + b">>"
    whole[WIDGET] = (
        b"<</Type /Annot /Subtype /Widget /Parent 15 0 R /Rect [100 300 300 400] /AP <</N 11 0 R>>>>"
    )
    whole |= {FORM: form(PAINT), IMAGE: picture(), MASK: mask()}
    opened = PdfFileReader(BytesIO(pdfs.assemble(whole)))
    # Without /P the page is found by its list.
    assert box(opened) == VISIBLE
    (shown,) = shown_on(opened, page_at(opened, 1))
    assert (shown.left, shown.top) == (100, 400)


def test_later_signatures_come_last() -> None:
    whole = pdfs.page_objects(
        "form", page=b"/Annots [10 0 R 20 0 R]", catalog=b"/AcroForm <</Fields [10 0 R 20 0 R]>>"
    )
    for number, end in ((10, 900), (20, 100)):
        whole[number] = (
            b"<</Type /Annot /Subtype /Widget /FT /Sig /T (S%d) /P 3 0 R /Rect [0 0 0 0] "
            b"/V <</Type /Sig /ByteRange [0 1 2 %d]>>>>" % (number, end)
        )
    assert [one.end for one in signatures(PdfFileReader(BytesIO(pdfs.assemble(whole))))] == [102, 902]

"""Page geometry: places are told as a reader sees the page and written as the file counts."""

from __future__ import annotations

from io import BytesIO

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from services.kernel.errors import DocumentDamaged, PlaceInvalid
from services.signer.formats.visible.page import Box, Page, page_at
from tests.support import pdfs


def page_of(extra: bytes, number: int = 1, pages: bytes = b"") -> Page:
    objects = pdfs.page_objects(page=extra)
    if pages:
        objects[2] = objects[2].replace(b"/Count 1", b"/Count 1 " + pages)
    return page_at(PdfFileReader(BytesIO(pdfs.assemble(objects))), number)


CORNER = Box(10, 20, 110, 60)
"""Displayed: 10 from the left, 20 from below, 100 x 40."""


@pytest.mark.parametrize(
    ("extra", "size", "rect"),
    [
        (b"", (595, 842), (10, 20, 110, 60)),
        (b"/Rotate 90", (842, 595), (535, 10, 575, 110)),
        (b"/Rotate 180", (595, 842), (485, 782, 585, 822)),
        (b"/Rotate 270", (842, 595), (20, 732, 60, 832)),
        (b"/Rotate -90", (842, 595), (20, 732, 60, 832)),
        (b"/Rotate 450", (842, 595), (535, 10, 575, 110)),
        (b"/CropBox [50 60 500 800]", (450, 740), (60, 80, 160, 120)),
        (b"/CropBox [500 800 50 60]", (450, 740), (60, 80, 160, 120)),
        (b"/CropBox [-100 -100 500 9000]", (500, 842), (10, 20, 110, 60)),
        (b"/CropBox [900 900 950 950]", (595, 842), (10, 20, 110, 60)),
        (b"/CropBox [50 60 500 800] /Rotate 90", (740, 450), (440, 70, 480, 170)),
        (b"/UserUnit 2", (1190, 1684), (5, 10, 55, 30)),
        (b"/UserUnit 2 /CropBox [100 100 300 300]", (400, 400), (105, 110, 155, 130)),
    ],
)
def test_a_displayed_box_becomes_a_rectangle_of_the_file(
    extra: bytes, size: tuple[float, float], rect: tuple[float, ...]
) -> None:
    page = page_of(extra)
    assert (page.displayed.width, page.displayed.height) == pytest.approx(size)
    found = page.to_user_space(CORNER)
    assert (found.left, found.bottom, found.right, found.top) == pytest.approx(rect)
    back = page.to_displayed(found)
    assert (back.left, back.bottom, back.right, back.top) == pytest.approx((10, 20, 110, 60))


def test_boxes_and_rotation_are_inherited() -> None:
    page = page_of(b"", pages=b"/Rotate 90 /CropBox [50 60 500 800]")
    assert (page.rotation, page.crop) == (90, Box(50, 60, 500, 800))


def test_null_is_as_good_as_nothing() -> None:
    assert page_of(b"/CropBox null /Rotate null /UserUnit null").displayed == Box(0, 0, 595, 842)


@pytest.mark.parametrize(
    "extra",
    [
        b"/Rotate 45",
        b"/CropBox [0 0 1]",
        b"/CropBox 7",
        b"/UserUnit 0",
        b"/UserUnit (x)",
        b"/CropBox [0 0 9 9000000000]",
    ],
)
def test_a_page_without_sense_is_refused(extra: bytes) -> None:
    with pytest.raises(DocumentDamaged):
        page_of(extra)


def test_a_page_that_is_not_there_is_named_with_their_count() -> None:
    with pytest.raises(PlaceInvalid, match="1 pages") as caught:
        page_of(b"", number=2)
    assert caught.value.data["pages"] == 1


def test_a_page_tree_in_a_circle_is_refused() -> None:
    objects = pdfs.page_objects()
    objects[2] = b"<</Type /Pages /Kids [2 0 R 3 0 R] /Count 2>>"
    with pytest.raises(DocumentDamaged):
        page_at(PdfFileReader(BytesIO(pdfs.assemble(objects))), 2)


def test_pages_are_counted_whatever_count_says() -> None:
    objects = pdfs.page_objects()
    objects[2] = b"<</Type /Pages /Kids [6 0 R 3 0 R] /Count 1>>"
    objects[6] = b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 100 200]>>"
    reader = PdfFileReader(BytesIO(pdfs.assemble(objects)))
    assert page_at(reader, 1).reference.idnum == 6
    assert page_at(reader, 2).reference.idnum == 3

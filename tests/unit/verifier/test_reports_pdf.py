"""The report as PDF: text that can be searched, an embedded font, the same bytes every time, any length."""

from __future__ import annotations

import re

import pypdfium2
import pytest

from services.kernel.typeface import Face
from services.verifier.domain import DocumentReport
from services.verifier.reports import pdf
from services.verifier.reports.words import Language
from tests.support.pictures import font_file
from tests.support.report_samples import HOSTILE, document, hostile, many

FACE = Face.read(font_file())


def pages(report: DocumentReport, language: str = "vi", document_name: str = "") -> list[str]:
    """The text of each page, spaces and line breaks as one space."""
    file = pypdfium2.PdfDocument(pdf.render(report, language, face=FACE, document_name=document_name))
    try:
        return [" ".join(page.get_textpage().get_text_range().split()) for page in file]
    finally:
        file.close()


def test_an_ordinary_report_stands_on_one_sheet() -> None:
    told = pages(document(), document_name="Đơn đề nghị.pdf")
    assert len(told) == 1
    assert told[0].startswith("Kết quả kiểm tra chữ ký số Hợp lệ")
    for part in (
        "Đơn đề nghị.pdf",
        "Nguyễn Văn An",
        "0106793535",
        "012******901",
        "2026-11-23 03:30:05 +07:00",
    ):
        assert part in told[0]


@pytest.mark.parametrize("language", list(Language))
def test_each_language_is_there_where_it_is_asked_for(language: Language) -> None:
    told = " ".join(pages(document(), language))
    assert ("Cơ quan tạo lập, cấp, phát hành" in told) == (language is not Language.EN)
    assert ("Managing unit" in told) == (language is not Language.VI)


def test_the_file_is_the_same_every_time_and_holds_one_font() -> None:
    data = pdf.render(document(), face=FACE)
    assert data == pdf.render(document(), face=FACE)
    assert data.count(b"/FontFile2") == 1
    assert not re.search(rb"/(JavaScript|JS|OpenAction|AA|URI|Launch|EmbeddedFile)\b", data)


def test_hostile_texts_are_glyphs_only() -> None:
    told = " ".join(pages(hostile(), document_name=HOSTILE))
    assert "alert('x')" in told
    assert "U+202E" in told
    data = pdf.render(hostile(), face=FACE, document_name=HOSTILE)
    assert b"alert" not in data
    assert b"<script" not in data


def test_letters_that_the_font_lacks_are_told_by_their_numbers() -> None:
    assert "[U+4E2D][U+6587]" in pages(document(), document_name="中文")[0]


def test_five_hundred_signatures_are_no_trouble() -> None:
    told = pages(many(500))
    assert len(told) > 100
    assert "Người ký số 500" in " ".join(told[-3:])
    assert told[-1].endswith(f"{len(told)} / {len(told)}")


def test_nothing_is_set_outside_the_paper() -> None:
    file = pypdfium2.PdfDocument(pdf.render(hostile(), face=FACE, document_name="x" * 300))
    for page in file:
        width, height = page.get_size()
        words = page.get_textpage()
        for number in range(words.count_rects()):
            left, bottom, right, top = words.get_rect(number)
            assert left >= 0
            assert bottom >= 0
            assert right <= width
            assert top <= height
    file.close()

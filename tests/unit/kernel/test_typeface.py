"""Subsets of the font, judged by fontTools: the same outlines and widths, valid tables, only what is used."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

from services.kernel.typeface import VIETNAMESE, Face, FontUnfit
from tests.support.pictures import font_file

FACE = Face.read(font_file())
TEXT = "SAO Y Ủy ban nhân dân tỉnh Ví Dụ Ẫỗự 2026-03-05T14:07:09+07:00"


def outline(font: Any, name: str) -> list[Any]:
    glyphs = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    return list(pen.value)


@pytest.mark.parametrize("text", [TEXT, VIETNAMESE, "a"])
def test_a_subset_has_the_outlines_and_widths_of_the_font(text: str) -> None:
    subset = FACE.subset(text)
    whole = TTFont(font_file())
    part = TTFont(BytesIO(subset.program), checkChecksums=2)
    names = part.getGlyphOrder()
    units = whole["head"].unitsPerEm
    for letter, number in subset.numbers.items():
        original = whole.getBestCmap()[ord(letter)]
        assert outline(part, names[number]) == outline(whole, original)
        advance = whole["hmtx"][original][0]
        assert part["hmtx"][names[number]][0] == advance
        assert abs(subset.widths[number] - advance * 1000 / units) <= 0.5
    assert outline(part, names[0]) == outline(whole, ".notdef")


def test_a_subset_has_only_what_is_used() -> None:
    subset = FACE.subset("aa b")
    assert sorted(subset.numbers) == [" ", "a", "b"]
    assert len(subset.widths) == 4
    assert len(subset.program) < 4000


def test_the_name_tells_the_subset() -> None:
    name = FACE.subset("abc").name
    tag, _, font = name.partition("+")
    assert (len(tag), tag.isupper(), tag.isalpha(), font) == (6, True, True, "LiberationSerif")
    assert FACE.subset("cab").name == name
    assert FACE.subset("abd").name != name


def test_widths_are_those_of_times() -> None:
    # The widths of Times that every AFM file has: A 722, space 250, W 944.
    assert FACE.width("A W", 1000) == 722 + 250 + 944


def test_missing_letters_are_told() -> None:
    assert FACE.missing("Việt 汉字汉") == "汉字"


@pytest.mark.parametrize("data", [b"", b"no font", b"OTTO" + bytes(100), b"\0\1\0\0" + bytes(100)])
def test_what_is_no_font_is_refused(data: bytes) -> None:
    with pytest.raises(FontUnfit):
        Face(data)


def test_a_font_without_vietnamese_letters_is_refused() -> None:
    font = TTFont(font_file())
    for table in font["cmap"].tables:
        table.cmap.pop(ord("ệ"), None)
    buffer = BytesIO()
    font.save(buffer)
    with pytest.raises(FontUnfit, match="ệ"):
        Face(buffer.getvalue())


def test_a_font_that_must_not_be_embedded_is_refused() -> None:
    font = TTFont(font_file())
    font["OS/2"].fsType = 2
    buffer = BytesIO()
    font.save(buffer)
    with pytest.raises(FontUnfit, match="licence"):
        Face(buffer.getvalue())

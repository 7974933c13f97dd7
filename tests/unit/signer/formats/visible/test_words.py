"""Texts: times by VS-20 and VS-21, lines that break at spaces and lose no letter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import FieldInvalid
from services.kernel.typeface import VIETNAMESE, Face
from services.signer.formats.visible.words import SIZE, clean, time_text, wrap
from tests.support.pictures import font_file

FACE = Face.read(font_file())
WORDS = st.text(alphabet=VIETNAMESE + "abcđ 019/-.", min_size=1, max_size=150)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 5, 7, 7, 9, tzinfo=UTC), "2026-03-05T14:07:09+07:00"),
        (datetime(2025, 12, 31, 17, 30, 0, tzinfo=UTC), "2026-01-01T00:30:00+07:00"),
        (datetime(2026, 3, 5, 7, 7, 9, 999_999, tzinfo=UTC), "2026-03-05T14:07:09+07:00"),
        (datetime(2026, 7, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=-5))), "2026-07-01T13:00:00+07:00"),
    ],
)
def test_the_printed_time_is_the_instant_in_viet_nam(moment: datetime, text: str) -> None:
    assert time_text(moment) == text


@given(WORDS, st.floats(min_value=20, max_value=300))
def test_lines_fit_and_lose_nothing(text: str, width: float) -> None:
    printed = clean(text, "lines", FACE)
    lines = wrap(FACE, printed, width)
    assert all(FACE.width(line, SIZE) <= width or len(line) == 1 for line in lines)
    assert "".join(lines).replace(" ", "") == printed.replace(" ", "")


def test_lines_break_at_spaces_where_they_can() -> None:
    assert wrap(FACE, "Ủy ban nhân dân phường Thử Nghiệm", 90) == ["Ủy ban nhân dân", "phường Thử Nghiệm"]


def test_a_word_wider_than_a_line_is_broken() -> None:
    lines = wrap(FACE, "W" * 30, 100)
    assert len(lines) > 1
    assert "".join(lines) == "W" * 30


def test_letters_with_marks_apart_are_composed() -> None:
    assert clean("Tie\u0302\u0301ng  Vie\u0323\u0302t", "lines", FACE) == "Tiếng Việt"


def test_what_the_font_cannot_print_is_named() -> None:
    with pytest.raises(FieldInvalid, match="U\\+6C49"):
        clean("汉", "visible.agency_name", FACE)

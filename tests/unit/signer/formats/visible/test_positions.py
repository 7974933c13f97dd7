"""Text is compared without regard to spaces and to how letters and marks are stored; places stay those of the page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.typeface import VIETNAMESE
from services.signer.formats.visible.positions import _normal, _quick

TEXTS = st.text(alphabet=VIETNAMESE + "abc \n\u00a0\u200b", max_size=60)


@given(TEXTS, st.sampled_from(["NFC", "NFD"]), st.booleans())
def test_both_normalisations_agree(text: str, form: str, fold: bool) -> None:
    stored = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    joined, origins = _normal(stored, fold=fold)
    assert joined.strip() == _quick(stored, fold=fold) == _quick(text, fold=fold)
    assert len(joined) == len(origins)
    assert origins == sorted(origins)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_origins_point_at_the_stored_characters(form: str) -> None:
    stored = unicodedata.normalize(form, "TM. CHỦ  TỊCH\r\nNguyễn\u00a0Văn Thử")  # type: ignore[arg-type]
    joined, origins = _normal(stored, fold=True)
    at = joined.index("nguyễn văn thử")
    assert stored[origins[at]] == "N"
    assert stored[origins[at + len("nguyễn")]] == "\u00a0"
    assert unicodedata.normalize("NFC", stored[origins[at + len("nguyễn văn th")] :]) == "ử"

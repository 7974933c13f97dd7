"""PDF files over 100 MB and over 2 GB are signed right, in bounded memory; what cannot be written is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.kernel.errors import BodyTooLarge
from services.signer.formats.format import Document
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from tests.support.big_pdfs import sign_apart, write_with_hole
from tests.support.document_signers import pdfsig, signer

if TYPE_CHECKING:
    from pathlib import Path

MAX_MORE_KIB = 32 * 1024
"""Memory that signing may take above the imported code, however large the file."""


@pytest.mark.parametrize(
    ("size", "level"),
    [(150_000_000, Level.B_LTA), (2_200_000_000, Level.B_B)],
    ids=["150 MB", "2.2 GB"],
)
def test_a_big_file_is_signed_right_in_bounded_memory(size: int, level: Level, tmp_path: Path) -> None:
    path = tmp_path / "big.pdf"
    write_with_hole(path, size)
    measured = sign_apart(path, level.value)
    assert path.stat().st_size > size + measured.added
    found = pdfsig(path)
    assert found[0]["Signature Validation"] == "Signature is Valid."
    assert len(found) == (2 if level is Level.B_LTA else 1)
    assert measured.peak - measured.before < MAX_MORE_KIB, measured


def test_a_file_too_big_for_its_cross_reference_table_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bigger.pdf"
    write_with_hole(path, 10_000_000_000)
    with path.open("rb") as stream, pytest.raises(BodyTooLarge, match="cross-reference table"):
        PadesBaseline().prepare(Document(stream, path.stat().st_size), signer().parameters())

"""The programs that are not ours, on a file that our own PAdES code signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import independent
from deploy.local.console import PlatformError
from deploy.local.letter import make_letter
from deploy.local.tools import Program, Tools
from services.signer.formats.pades import PadesBaseline
from tests.support.document_signers import signed, signer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The signed letter, and the same with one byte changed."""
    letter = make_letter(Tools().serif_fonts())
    document = letter + signed(PadesBaseline(), letter, signer(), signer().parameters())
    folder = tmp_path_factory.mktemp("independent")
    good, changed = folder / "signed.pdf", folder / "changed.pdf"
    good.write_bytes(document)
    changed.write_bytes(independent.flip_one_byte(document)[0])
    return good, changed


def without_pdfsig(_: Tools) -> Program:
    raise PlatformError("poppler-utils could not be fetched")


def test_pdfsig_accepts_the_signed_letter_and_refuses_the_changed_one(files: tuple[Path, Path]) -> None:
    good, changed = files
    assert independent.check(Tools(), good) == "pdfsig: Signature is Valid. Total document signed."
    with pytest.raises(PlatformError, match="pdfsig does not find the signature valid"):
        independent.check(Tools(), changed)


def test_where_pdfsig_cannot_be_had_openssl_judges_and_the_demo_says_so(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tools, "pdfsig", without_pdfsig)
    good, changed = files
    said = independent.check(Tools(), good)
    assert said.startswith("openssl cms: the signature over the signed byte range is valid")
    assert "no pdfsig: poppler-utils could not be fetched" in said
    with pytest.raises(PlatformError, match=r"openssl ended with exit code(.|\n)*verification failure"):
        independent.check(Tools(), changed)

"""Every PDF file of the corpora is signed and verified, or refused with its reason; earlier signatures keep their verdict."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
from asn1crypto import tsp  # noqa: F401 - teaches the reader the time-stamp attribute
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.misc import PdfError

from services.kernel.errors import DocumentDamaged, DocumentEncrypted, DocumentLocked
from services.kernel.values import DigestAlgorithm
from services.signer.formats.format import Document, Evidence, Signed, TimeStampNeeded
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from tests.support.document_signers import (
    authority,
    openssl_cms_verify,
    pdf_signature_parts,
    pdfsig,
    signed,
    signer,
)
from tests.support.stamping import crl, imprint, openssl_ts_verify, token

CORPORA = Path(os.environ["CORPORA"])
UNREADABLE = (DocumentDamaged, PdfError)
"""What pyHanko's reader raises becomes DocumentDamaged at the document worker's door."""
REFUSED: dict[str, tuple[tuple[type[Exception], ...], str]] = {
    "isa_D.pdf": (UNREADABLE, "startxref"),
    "isa_F.pdf": (UNREADABLE, "xref"),
    "isa_G.pdf": (UNREADABLE, "size mismatch"),
    "isa_H.pdf": (UNREADABLE, "startxref"),
    "isa_I.pdf": (UNREADABLE, "startxref"),
    "usf_04_No_Contents_Value.pdf": (UNREADABLE, "dictionary key"),
    "encrypted.pdf": ((DocumentEncrypted,), "encrypted"),
    "pdf-spoofing-attack.pdf": ((DocumentEncrypted,), "encrypted"),
    "pdf-structtreeroot-changes.pdf": ((DocumentDamaged,), "contradict"),
    "pkcs7-no-message-digest.pdf": ((DocumentLocked,), "allows no change"),
    "test-with-vri.pdf": ((DocumentLocked,), "locks"),
    "GHOSTSCRIPT-698804-1-fuzzed.pdf": (UNREADABLE, "generation"),
    "PDFBOX-3148-2-fuzzed.pdf": (UNREADABLE, "ASCII85"),
    "poppler-937-0-fuzzed.pdf": (UNREADABLE, "XRef line"),
}
"""By name: how a file is refused that cannot be signed."""

NOT_RAISED = {name for name, (errors, _) in REFUSED.items() if DocumentLocked not in errors} | {
    "2_original-document-shadowed.pdf",
    "1_original-document.pdf",
    "PdfNoSignature.pdf",
    "checkbox-bad-appearance.pdf",
    "pdfjsbad1586.pdf",
    "poppler-91414-0-53.pdf",
    "poppler-91414-0-54.pdf",
    "pdf-eof.pdf",
    "usf_02_00_Contents.pdf",
    "usf_03_Null_Contents.pdf",
    "usf_05_No_Contents.pdf",
    "usf_12_Null_ByteRange.pdf",
    "usf_14_No_ByteRange.pdf",
}
"""By name: files without a signature, or with one that has no container, that ends behind the file, ..."""


@cache
def files() -> dict[str, Path]:
    """Return the PDF files by name within the corpora."""
    found = sorted((CORPORA / "files").rglob("*.pdf"))
    assert found, f"no PDF file lies under {CORPORA}: set CORPORA to the folder of the corpora"
    return {path.relative_to(CORPORA).as_posix(): path for path in found}


def raised(data: bytes, addition: bytes, level: Level) -> bytes:
    """Raise to a level with answers that need no certificate to be readable: files of all kinds have all kinds."""
    form, document = PadesBaseline(), Document.of(data)
    ca = authority()[1].public_bytes(Encoding.DER)
    while (need := form.next_need(Signed(document, addition), level, DigestAlgorithm.SHA256)) is not None:
        if isinstance(need, TimeStampNeeded):
            stamp = token(need.imprint, DigestAlgorithm.SHA256)
            addition = form.add_time_stamp(Signed(document, addition), need, stamp)
        else:
            evidence = Evidence((ca,), (crl(),), ())
            addition = form.add_evidence(Signed(document, addition), need, evidence)
    return addition


def verdicts(folder: Path, data: bytes) -> list[str]:
    path = folder / "judged.pdf"
    path.write_bytes(data)
    return [entry["Signature Validation"] for entry in pdfsig(path) if "Signature Validation" in entry]


@pytest.mark.parametrize("name", files())
@pytest.mark.parametrize("level", [Level.B_B, Level.B_LTA], ids=lambda level: level.value)
def test_a_file_is_signed_and_verified_or_refused_with_the_reason(
    name: str, level: Level, tmp_path: Path
) -> None:
    data, who = files()[name].read_bytes(), signer()
    refusal = REFUSED.get(Path(name).name)
    if refusal is not None:
        errors, says = refusal
        with pytest.raises(errors, match=says):
            signed(PadesBaseline(), data, who, who.parameters(level=level))
        return
    addition = signed(PadesBaseline(), data, who, who.parameters(level=level))
    addition = raised(data, addition, level)
    whole = data + addition
    before, after = verdicts(tmp_path, data), verdicts(tmp_path, whole)
    assert after.count("Signature is Valid.") == before.count("Signature is Valid.") + 1
    assert len(after) == len(before) + (2 if level is Level.B_LTA else 1)
    container, covered = pdf_signature_parts(whole, -2 if level is Level.B_LTA else -1)
    assert openssl_cms_verify(tmp_path, container, covered) == ""
    if level is Level.B_LTA:
        stamp, covered = pdf_signature_parts(whole)
        assert openssl_ts_verify(tmp_path, stamp, imprint(covered)) == ""


@pytest.mark.parametrize("name", files())
def test_a_file_is_raised_to_the_highest_level_or_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    data = files()[name].read_bytes()
    try:
        addition = raised(data, b"", Level.B_LTA)
    except (*UNREADABLE, DocumentEncrypted):
        assert Path(name).name in NOT_RAISED
        return
    assert Path(name).name not in NOT_RAISED
    before, after = verdicts(tmp_path, data), verdicts(tmp_path, data + addition)
    assert after[: len(before)] == before
    stamp, covered = pdf_signature_parts(data + addition)
    assert openssl_ts_verify(tmp_path, stamp, imprint(covered)) == ""

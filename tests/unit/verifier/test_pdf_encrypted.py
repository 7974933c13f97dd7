"""Signed PDF files that are encrypted and open without a password."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer
from pyhanko.sign import PdfSignatureMetadata, fields, signers
from pyhanko.sign.fields import SigSeedSubFilter

from services.verifier.domain import Code, SubIndication, Verdict
from services.verifier.formats import pdf_filters, pdf_syntax
from services.verifier.formats.pdf import PdfFormat
from services.verifier.formats.pdf_filters import Budget
from services.verifier.formats.pdf_syntax import Meter, PdfError
from services.verifier.ports import SubmittedDocument
from tests.support.pdfs import one_page_pdf
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify
from tests.unit.verifier.test_pdf_revisions import update


def encrypted(password: str, **options: Any) -> bytes:
    """A file encrypted for a user's password."""
    writer: Any = copy_into_new_writer(PdfFileReader(BytesIO(one_page_pdf())))
    writer.encrypt("owner", password, **options)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def signed(data: bytes, hierarchy: Hierarchy) -> bytes:
    """The file with one signature, written by its cipher."""
    writer: Any = IncrementalPdfFileWriter(BytesIO(data))
    writer.encrypt("")
    who = hierarchy.signer.pyhanko()
    metadata = PdfSignatureMetadata(
        field_name="Chữ ký", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
    )
    out = BytesIO()
    signers.sign_pdf(writer, metadata, who, new_field_spec=fields.SigFieldSpec("Chữ ký"), output=out)
    return out.getvalue()


@pytest.fixture(scope="module")
def document(hierarchy: Hierarchy) -> bytes:
    """A signed file for everybody to read."""
    return signed(encrypted(""), hierarchy)


def test_a_signature_in_a_file_that_everybody_can_read_is_judged(verify: Verify, document: bytes) -> None:
    report = verify(document)
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert report.signatures[0].name == "Chữ ký"


def test_a_second_signature_leaves_the_first_clean(
    verify: Verify, document: bytes, hierarchy: Hierarchy
) -> None:
    writer: Any = IncrementalPdfFileWriter(BytesIO(document))
    writer.encrypt("")
    metadata = PdfSignatureMetadata(field_name="B", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
    out = BytesIO()
    new = fields.SigFieldSpec("B")
    signers.sign_pdf(writer, metadata, hierarchy.signer.pyhanko(), new_field_spec=new, output=out)
    report = verify(out.getvalue())
    assert report.verdict is Verdict.VALID
    assert report.clean


def test_an_update_that_takes_the_encryption_away_is_not_clean(verify: Verify, document: bytes) -> None:
    report = verify(update(document, {77: b"<<>>"}))
    assert not report.clean


def test_a_flipped_bit_is_found(verify: Verify, document: bytes) -> None:
    broken = bytearray(document)
    broken[20] ^= 1
    (signature,) = verify(bytes(broken)).signatures
    assert signature.sub_indication is SubIndication.HASH_FAILURE


def test_a_file_that_needs_a_password_is_not_read(document: bytes) -> None:
    findings = PdfFormat().find(SubmittedDocument(encrypted("secret")))
    assert findings.obstacle is not None
    assert findings.obstacle.code is Code.DOC_ENCRYPTED
    assert not findings.signatures
    damaged = document.replace(b"/Standard", b"/Standart")
    again = PdfFormat().find(SubmittedDocument(damaged))
    assert again.obstacle is not None
    assert again.obstacle.code in (Code.DOC_ENCRYPTED, Code.DOC_MALFORMED)


def test_metadata_in_the_clear_are_read_in_an_encrypted_file(verify: Verify, hierarchy: Hierarchy) -> None:
    """They name the crypt filter Identity; each signature's software writes them anew."""
    once = signed(encrypted("", encrypt_metadata=False), hierarchy)
    writer: Any = IncrementalPdfFileWriter(BytesIO(once))
    writer.encrypt("")
    out = BytesIO()
    who, metadata = hierarchy.signer.pyhanko(), PdfSignatureMetadata(field_name="B", md_algorithm="sha256")
    signers.sign_pdf(writer, metadata, who, new_field_spec=fields.SigFieldSpec("B"), output=out)
    assert b"/Crypt" in out.getvalue()
    report = verify(out.getvalue())
    assert report.verdict is Verdict.VALID
    assert report.clean


def test_only_the_crypt_filter_that_does_nothing_is_passed_over() -> None:
    for parameters in (b"", b"/DecodeParms null", b"/DecodeParms[<</Name/Identity>>]", b"/DecodeParms<<>>"):
        entries, _ = pdf_syntax.parse(b"<</Filter[/Crypt/AHx]%s>>" % parameters, 0, Meter())
        assert isinstance(entries, dict)
        assert pdf_filters.decoded(entries, b"4b79736f>", Budget()) == b"Kyso"
    for text in (b"<</Filter/Crypt/DecodeParms<</Name/StdCF>>>>", b"<</Filter/Crypt/DecodeParms 7>>"):
        entries, _ = pdf_syntax.parse(text, 0, Meter())
        assert isinstance(entries, dict)
        with pytest.raises(PdfError, match="not supported"):
            pdf_filters.decoded(entries, b"Kyso", Budget())

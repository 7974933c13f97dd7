"""A certification made by another program stays valid under our signature, in that program's own judgement."""

from __future__ import annotations

from io import BytesIO

from asn1crypto import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import PdfSignatureMetadata, signers
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from services.signer.formats.pades import PadesBaseline
from tests.support.document_signers import signed, signer
from tests.support.pdfs import one_page_pdf


class ForeignSigner(signers.Signer):
    """pyHanko's signer with a key of the tests."""

    def __init__(self) -> None:
        super().__init__(signing_cert=x509.Certificate.load(signer().chain[0]))

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        key = signer().key
        assert isinstance(key, rsa.RSAPrivateKey)
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


async def test_a_certification_that_allows_filling_in_stays_valid_under_our_signature() -> None:
    metadata = PdfSignatureMetadata(
        field_name="Author",
        certify=True,
        docmdp_permissions=MDPPerm.FILL_FORMS,
        subfilter=SigSeedSubFilter.PADES,
        md_algorithm="sha256",
    )
    writer = IncrementalPdfFileWriter(BytesIO(one_page_pdf()))
    out = await signers.PdfSigner(metadata, signer=ForeignSigner()).async_sign_pdf(
        writer, bytes_reserved=16384
    )
    data = out.getvalue()
    data += signed(PadesBaseline(), data, signer(), signer().parameters())
    found = PdfFileReader(BytesIO(data)).embedded_signatures
    assert [signature.field_name for signature in found] == ["Author", "Signature2"]
    for signature in found:
        anchors = [x509.Certificate.load(signer().chain[1])]
        context = ValidationContext(trust_roots=anchors, allow_fetching=False)
        status = await async_validate_pdf_signature(signature, signer_validation_context=context)
        assert (status.bottom_line, status.docmdp_ok) == (True, True)

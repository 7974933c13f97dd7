"""Everything that the signer's formats make comes back passed, with trust and status; and no mutation of it does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.values import KeyAlgorithm, SigningAlgorithm
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.pades import PadesBaseline
from services.verifier.domain import DocumentReport, Indication, Verdict
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support.document_signers import ALGORITHMS, authority, signed, signer
from tests.support.pdfs import one_page_pdf

NOW = datetime.now(UTC)
CONTENT = "Nghị quyết số 57".encode()
FORMATS = (PdfFormat(), CmsFormat())


def trust() -> TrustMaterial:
    """The authority of the test run with a fresh CRL of its own."""
    key, certificate = authority()
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate.subject)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    return TrustMaterial((certificate.public_bytes(Encoding.DER),), (), (crl.public_bytes(Encoding.DER),))


def verify(data: bytes, detached: bytes | None = None) -> DocumentReport:
    """Report with trust and status."""
    return VerificationService(FORMATS, trust()).verify(SubmittedDocument(data, detached), NOW)


def sign_pdf(data: bytes, key: KeyAlgorithm, algorithm: SigningAlgorithm) -> bytes:
    """The document with one more signature."""
    who = signer(key)
    return data + signed(PadesBaseline(), data, who, who.parameters(algorithm))


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS)
def test_every_algorithm_of_the_signer_passes(key: KeyAlgorithm, algorithm: SigningAlgorithm) -> None:
    report = verify(sign_pdf(one_page_pdf(), key, algorithm))
    assert report.verdict is Verdict.VALID, report.signatures[0].detail
    assert report.clean
    assert report.signatures[0].format == "PAdES-B-B"
    who = signer(key)
    report = verify(signed(CadesBaseline(), CONTENT, who, who.parameters(algorithm)), CONTENT)
    assert report.verdict is Verdict.VALID, report.signatures[0].detail
    assert report.signatures[0].format == "CAdES-B-B"


def test_several_signatures_of_the_signer_stay_clean() -> None:
    data = one_page_pdf()
    for _ in range(3):
        data = sign_pdf(data, *ALGORITHMS[0])
    report = verify(data)
    assert [s.indication for s in report.signatures] == [Indication.TOTAL_PASSED] * 3
    assert report.clean


@pytest.fixture(scope="module")
def twice() -> bytes:
    """A document with two signatures."""
    return sign_pdf(sign_pdf(one_page_pdf(), *ALGORITHMS[0]), *ALGORITHMS[-1])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_flipped_bit_of_a_twice_signed_document_passes(twice: bytes, data: st.DataObject) -> None:
    """All of the file is signed by the second signature but that signature's own hexadecimal string."""
    second = [int(n) for n in re.findall(rb"/ByteRange\s*\[([\d\s]+)\]", twice)[-1].split()]
    position = data.draw(st.integers(0, second[1] + second[3] - 1))
    position = position if position < second[1] else position - second[1] + second[2]
    flipped = bytearray(twice)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    report = verify(bytes(flipped))
    assert not report.clean
    assert report.verdict is not Verdict.VALID


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_inserted_or_removed_octets_pass(twice: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(twice)))
    octets = data.draw(st.binary(min_size=1, max_size=40))
    remove = data.draw(st.integers(0, 40))
    changed = twice[:position] + octets + twice[position + remove :]
    report = verify(changed)
    assert changed == twice or not report.clean

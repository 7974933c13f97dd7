"""Time-stamps that are forged, moved or foreign never help a signature whose certificate was revoked since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import ber
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.cades_levels import ARCHIVE_TIME_STAMP_V3, SIGNATURE_TIME_STAMP
from services.signer.formats.cms_container import SignedData, SignerInfo
from services.signer.formats.format import Document, Evidence, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.pades_layout import base_of
from services.signer.formats.pades_store import store_update
from services.signer.formats.parameters import Level
from services.signer.formats.pdf_structure import open_pdf
from services.verifier.domain import Code, DocumentReport, Indication, SubIndication, Verdict
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signed, signer
from tests.support.pdfs import one_page_pdf
from tests.support.time_world import (
    STAMPING,
    START,
    brief_signer,
    days,
    foreign_authority,
    signed_again,
    unit,
)

CONTENT_TIMESTAMP = "1.2.840.113549.1.9.16.2.20"
CONTENT = "Nghị quyết số 57".encode()
SHA256 = DigestAlgorithm.SHA256
AT = days(1.5)
"""The signer's certificate was revoked half a day before."""
REVOKED = SubIndication.REVOKED_NO_POE


def container() -> bytes:
    """A CAdES B-B container by the brief signer."""
    who = brief_signer()
    return signed(CadesBaseline(), CONTENT, who, who.parameters(form="CADES"))


def value_of(data: bytes) -> bytes:
    """The signature value in a container."""
    return SignerInfo.read(SignedData.read(data).signers[0]).signature_value


def with_token(data: bytes, token: bytes, kind: bytes = SIGNATURE_TIME_STAMP) -> bytes:
    """The container with a token as it is given."""
    parsed = SignedData.read(data)
    return parsed.with_signer(0, SignerInfo.read(parsed.signers[0]).with_unsigned(kind, token)).encode()


def verify(
    data: bytes, at: datetime = AT, *revoked: bytes, detached: bytes | None = CONTENT
) -> DocumentReport:
    """Report by a list of a day after START that revokes the signer, and these others."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    lists = (stamping.crl(days(1), revoked=(brief_signer().chain[0], *revoked)),)
    service = VerificationService((PdfFormat(), CmsFormat()), TrustMaterial((anchor,), (), lists))
    return service.verify(SubmittedDocument(data, detached), at)


def codes(report: DocumentReport) -> set[Code]:
    """Codes of the first signature's notices."""
    return {notice.code for notice in report.signatures[0].notices}


def test_the_honest_token_helps() -> None:
    data = container()
    token = stamping.token(stamping.imprint(value_of(data)), SHA256, START, unit())
    report = verify(with_token(data, token))
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert {Code.TS_OK, Code.CERT_REVOKED_LATER} <= codes(report)


def _flipped(token: bytes) -> bytes:
    return token[:-3] + bytes([token[-3] ^ 1]) + token[-2:]


def _other_time(token: bytes) -> bytes:
    """The same token with an earlier time written into it."""
    info = asn1_cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed.dump()
    earlier = START - timedelta(hours=2)
    changed = info.replace(f"{START:%Y%m%d%H%M%SZ}".encode(), f"{earlier:%Y%m%d%H%M%SZ}".encode())
    assert changed != info
    return token.replace(info, changed)


def _by(**options: object) -> Callable[[bytes], bytes]:
    """A token over the right value at START by a unit of another kind."""
    return lambda value: stamping.token(
        stamping.imprint(value),
        SHA256,
        START,
        unit(**options),
    )


def _honest(value: bytes) -> bytes:
    return stamping.token(stamping.imprint(value), SHA256, START, unit())


FORGERIES: dict[str, tuple[Callable[[bytes], bytes], Code, SubIndication]] = {
    "over another signature": (lambda _: _honest(value_of(container()) + b"x"), Code.TS_BAD, REVOKED),
    "over the content": (lambda _: _honest(CONTENT), Code.TS_BAD, REVOKED),
    "over the value's digest": (lambda value: _honest(stamping.imprint(value)), Code.TS_BAD, REVOKED),
    "signature of the token changed": (lambda value: _flipped(_honest(value)), Code.TS_BAD, REVOKED),
    "time in the token changed": (lambda value: _other_time(_honest(value)), Code.TS_BAD, REVOKED),
    "octets behind the token": (lambda value: _wrapped(_honest(value)), Code.TS_BAD, REVOKED),
    "no extended key usage": (_by(purposes=()), Code.TS_BAD, REVOKED),
    "extended key usage not critical": (_by(critical=False), Code.TS_BAD, REVOKED),
    "extended key usage for more": (
        _by(purposes=(*STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)),
        Code.TS_BAD,
        REVOKED,
    ),
    "certificate younger than the time": (_by(since=START + timedelta(hours=1)), Code.TS_BAD, REVOKED),
    "certificate older than the time": (_by(until=START - timedelta(hours=1)), Code.TS_BAD, REVOKED),
    "foreign authority of the same name": (_by(foreign=True), Code.TS_UNDECIDED, REVOKED),
    "unit has expired since": (_by(until=days(1.2)), Code.TS_UNDECIDED, REVOKED),
    "time in the future": (
        lambda value: stamping.token(stamping.imprint(value), SHA256, days(3), unit()),
        Code.TS_NONE,
        SubIndication.TIMESTAMP_ORDER_FAILURE,
    ),
    "time after the revocation": (
        lambda value: stamping.token(stamping.imprint(value), SHA256, days(1.2), unit()),
        Code.TS_OK,
        REVOKED,
    ),
    "by the signer itself": (
        lambda value: stamping.token(stamping.imprint(value), SHA256, START, _own_unit()),
        Code.TS_BAD,
        REVOKED,
    ),
}


def _wrapped(token: bytes) -> bytes:
    """The token inside an OCTET STRING, as no standard has it."""
    return bytes(core.OctetString(token).dump())


def _own_unit() -> stamping.TimeStampUnit:
    who = signer(KeyAlgorithm.ECDSA_P256)
    assert isinstance(who.key, ec.EllipticCurvePrivateKey)
    return stamping.TimeStampUnit(who.key, who.chain[0])


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forged_token_helps(name: str) -> None:
    forge, code, sub = FORGERIES[name]
    data = container()
    report = verify(with_token(data, forge(value_of(data))))
    first = report.signatures[0]
    assert (first.indication, first.sub_indication) == (Indication.INDETERMINATE, sub), first.detail
    assert report.verdict is Verdict.INDETERMINATE
    if code is not Code.TS_NONE:
        assert code in codes(report)
        assert Code.TS_NONE not in codes(report)
    if code is not Code.TS_OK:
        assert Code.TS_OK not in codes(report)
        assert first.signing_time.best == AT


def test_a_revoked_unit_does_not_help() -> None:
    data, revoked = container(), unit(since=START - timedelta(hours=3))
    token = stamping.token(stamping.imprint(value_of(data)), SHA256, START, revoked)
    report = verify(with_token(data, token), AT, revoked.certificate)
    assert report.signatures[0].sub_indication is REVOKED
    assert Code.TS_UNDECIDED in codes(report)


def test_a_token_moved_from_one_signature_to_another_does_not_help() -> None:
    data = stamping.raise_to(
        CadesBaseline(), Signed(Document.of(CONTENT), container()), Level.B_LTA, at=START, unit=unit()
    )
    info = SignerInfo.read(SignedData.read(data).signers[0])
    other = _signed_again()
    for kind in (SIGNATURE_TIME_STAMP, ARCHIVE_TIME_STAMP_V3):
        token = info.attributes(kind, signed=False)[0].values[0]
        report = verify(with_token(other, token, kind))
        assert report.signatures[0].sub_indication is REVOKED
        assert Code.TS_BAD in codes(report)


def _signed_again() -> bytes:
    """Another signature by the same signer over the same content: its algorithm makes another value."""
    who = brief_signer()
    algorithm = SigningAlgorithm(SignatureScheme.RSA_PSS, SHA256)
    return signed(CadesBaseline(), CONTENT, who, who.parameters(algorithm, form="CADES"))


def test_an_archive_token_is_worth_nothing_where_its_index_names_what_is_not_there() -> None:
    data = stamping.raise_to(
        CadesBaseline(), Signed(Document.of(CONTENT), container()), Level.B_LTA, at=START, unit=unit()
    )
    parsed = SignedData.read(data)
    assert len(parsed.crls) > 1
    report = verify(replace(parsed, crls=parsed.crls[:-1]).encode())
    told = [n for n in report.signatures[0].notices if n.code is Code.TS_BAD]
    assert len(told) == 1
    assert "archive" in told[0].detail
    # The signature's own time-stamp is not touched by that.
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert not report.signatures[0].format.endswith("LTA")


def test_content_stamped_after_the_signature_contradicts_itself() -> None:
    data = _with_content_stamp(days(0.5))
    token = stamping.token(stamping.imprint(value_of(data)), SHA256, START, unit())
    report = verify(with_token(data, token))
    assert report.signatures[0].sub_indication is SubIndication.TIMESTAMP_ORDER_FAILURE
    data = _with_content_stamp(START - timedelta(hours=1))
    token = stamping.token(stamping.imprint(value_of(data)), SHA256, START, unit())
    assert verify(with_token(data, token)).signatures[0].indication is Indication.TOTAL_PASSED


def test_nobody_can_state_a_time_at_which_the_signature_did_not_exist() -> None:
    anchor = authority()[1].public_bytes(Encoding.DER)
    lists = stamping.crl(START), stamping.crl(days(1), revoked=(brief_signer().chain[0],))
    service = VerificationService((CmsFormat(),), TrustMaterial((anchor,), (), lists))
    stated = days(0.5)
    for at, expected in ((days(0.2), None), (days(1.2), SubIndication.TIMESTAMP_ORDER_FAILURE)):
        document = SubmittedDocument(_with_content_stamp(at), CONTENT)
        report = service.examine(document, AT, stated).report
        assert report.signatures[0].sub_indication is expected


def _with_content_stamp(at: datetime) -> bytes:
    """A container whose signer signed a content time-stamp too (EN 319 122-1 clause 5.2.8)."""
    stamp = stamping.token(stamping.imprint(CONTENT), SHA256, at, unit())
    return signed_again(container(), ber.oid(CONTENT_TIMESTAMP), stamp)


def test_lists_of_another_issuer_in_the_store_do_not_help() -> None:
    """B-LT of an expired signer whose only list is by a foreign key of the issuer's name."""
    who, data = brief_signer(), one_page_pdf()
    data += signed(PadesBaseline(), data, who, who.parameters(level=Level.B_T))
    data += stamping.raise_to(PadesBaseline(), Signed(Document.of(data)), Level.B_T, at=START, unit=unit())
    anchor = authority()[1].public_bytes(Encoding.DER)
    service = VerificationService((PdfFormat(),), TrustMaterial((anchor,), (), (stamping.crl(days(10)),)))
    for crl, expected in ((stamping.crl(START), None), (_foreign_crl(), SubIndication.OUT_OF_BOUNDS_NO_POE)):
        report = service.verify(SubmittedDocument(data + _store(data, crl)), days(10))
        assert report.signatures[0].sub_indication is expected


def _foreign_crl() -> bytes:
    key, ca = foreign_authority()
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
    builder = builder.last_update(START).next_update(days(7))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _store(data: bytes, crl: bytes) -> bytes:
    """The update that puts one list into the file's store."""
    document = Document.of(data)
    reader = open_pdf(document)
    return bytes(store_update(reader, base_of(document, reader), Evidence((), (crl,), ())))

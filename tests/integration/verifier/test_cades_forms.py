"""CAdES forms beside the baseline levels: counter-signatures, values and references in attributes, older time-stamps."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

import pytest
from asn1crypto import algos, cms, core
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm
from services.signer.formats import ber
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.cms_container import SignedData, SignerInfo
from services.verifier.domain import Code, DocumentReport, Indication, SignatureReport, SubIndication, Verdict
from services.verifier.formats.cms_counter import MAX_COUNTER_SIGNATURES
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signed
from tests.support.time_world import START, brief_signer, days, signed_again, unit

CONTENT = "Nghị quyết số 57".encode()
SHA256 = DigestAlgorithm.SHA256
COUNTER_SIGNATURE = "1.2.840.113549.1.9.6"
SIGNATURE_TIME_STAMP = "1.2.840.113549.1.9.16.2.14"
CERTIFICATE_REFERENCES = "1.2.840.113549.1.9.16.2.21"
REVOCATION_REFERENCES = "1.2.840.113549.1.9.16.2.22"
CERTIFICATE_VALUES = "1.2.840.113549.1.9.16.2.23"
REVOCATION_VALUES = "1.2.840.113549.1.9.16.2.24"
ESC_TIME_STAMP = "1.2.840.113549.1.9.16.2.25"
REFERENCES_TIME_STAMP = "1.2.840.113549.1.9.16.2.26"
ARCHIVE_TIME_STAMP_V2 = "1.2.840.113549.1.9.16.2.48"
ARCHIVE_TIME_STAMP_V3 = "0.4.0.1733.2.4"
ARCHIVAL = "1.2.840.113583.1.1.8"
INDEXES = {"v1": "0.4.0.1733.2.5", "v2": "0.4.0.19122.1.4"}


def container() -> bytes:
    """A CAdES B-B container by the brief signer, the content beside it."""
    who = brief_signer()
    return signed(CadesBaseline(), CONTENT, who, who.parameters(form="CADES"))


def info_of(data: bytes) -> SignerInfo:
    """The container's signer."""
    return SignerInfo.read(SignedData.read(data).signers[0])


def with_unsigned(data: bytes, kind: str, *values: bytes) -> bytes:
    """The container with unsigned attributes of one value each."""
    parsed, info = SignedData.read(data), info_of(data)
    for value in values:
        info = info.with_unsigned(ber.oid(kind), value)
    return parsed.with_signer(0, info).encode()


def token(octets: bytes, at: datetime = START) -> bytes:
    """An honest token over these octets."""
    return stamping.token(stamping.imprint(octets), SHA256, at, unit())


def stamped(data: bytes) -> bytes:
    """The container with a signature time-stamp."""
    return with_unsigned(data, SIGNATURE_TIME_STAMP, token(info_of(data).signature_value))


def verify(
    data: bytes, at: datetime = START, *crls: bytes, content: bytes | None = CONTENT
) -> DocumentReport:
    """Report by these lists; without any by a fresh one that names nobody."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    service = VerificationService((CmsFormat(),), TrustMaterial((anchor,), (), crls or (stamping.crl(at),)))
    return service.verify(SubmittedDocument(data, content), at)


def only(report: DocumentReport) -> SignatureReport:
    """The one signature."""
    (found,) = report.signatures
    return found


def stamps(report: DocumentReport) -> list[tuple[Code, str]]:
    """What is said of each time-stamp of the first signature."""
    told = (Code.TS_OK, Code.TS_BAD, Code.TS_UNDECIDED, Code.TS_NOT_CHECKED)
    return [(n.code, n.detail.partition(" of ")[0]) for n in report.signatures[0].notices if n.code in told]


def counter(over: bytes, *, content_type: bool = False, nested: bytes = b"") -> bytes:
    """A SignerInfo by the brief signer over these octets, as a counter-signature is one."""
    who = brief_signer()
    certificate = asn1_x509.Certificate.load(who.chain[0])
    attributes = cms.CMSAttributes(
        [
            {"type": "message_digest", "values": [SHA256.digest(over)]},
            {"type": "signing_time", "values": [cms.Time({"utc_time": core.UTCTime(START)})]},
            *([{"type": "content_type", "values": ["data"]}] if content_type else []),
        ]
    )
    encoded = attributes.dump(force=True)
    made = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.IssuerAndSerialNumber(
                {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
            ),
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
            "signature": who.sign(stamping.imprint(encoded)),
        }
    )
    info = SignerInfo.read(made.dump())
    return info.with_unsigned(ber.oid(COUNTER_SIGNATURE), nested).encode() if nested else info.encode()


def test_a_counter_signature_has_a_verdict_of_its_own() -> None:
    data = container()
    report = verify(with_unsigned(data, COUNTER_SIGNATURE, counter(info_of(data).signature_value)))
    assert [one.name for one in report.signatures] == ["signer-1", "signer-1.counter-1"]
    assert [one.indication for one in report.signatures] == [Indication.TOTAL_PASSED] * 2
    assert report.clean


def test_a_counter_signature_of_a_counter_signature_is_told_apart() -> None:
    data = container()
    inner = counter(info_of(data).signature_value)
    over_it = counter(SignerInfo.read(inner).signature_value)
    both = SignerInfo.read(inner).with_unsigned(ber.oid(COUNTER_SIGNATURE), over_it).encode()
    report = verify(with_unsigned(data, COUNTER_SIGNATURE, both))
    assert [one.name for one in report.signatures][-1] == "signer-1.counter-1.counter-1"
    assert report.clean


@pytest.mark.parametrize(
    ("over", "content_type", "sub"),
    [
        (b"another value", False, SubIndication.HASH_FAILURE),
        (CONTENT, False, SubIndication.HASH_FAILURE),
        (b"", True, SubIndication.FORMAT_FAILURE),
    ],
)
def test_a_counter_signature_over_something_else_fails(
    over: bytes, content_type: bool, sub: SubIndication
) -> None:
    data = container()
    over = over or info_of(data).signature_value
    report = verify(with_unsigned(data, COUNTER_SIGNATURE, counter(over, content_type=content_type)))
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert (report.signatures[1].indication, report.signatures[1].sub_indication) == (
        Indication.TOTAL_FAILED,
        sub,
    )
    assert report.verdict in (Verdict.INVALID, Verdict.MALFORMED)


def test_what_is_no_signer_among_counter_signatures_is_malformed_and_many_are_limited() -> None:
    data = container()
    report = verify(with_unsigned(data, COUNTER_SIGNATURE, ber.encode(ber.SEQUENCE)))
    assert report.signatures[1].sub_indication is SubIndication.FORMAT_FAILURE
    many = [counter(b"%d" % number) for number in range(2)] * (MAX_COUNTER_SIGNATURES // 2 + 1)
    parsed, info = SignedData.read(data), info_of(data)
    attribute = ber.encode(ber.SEQUENCE, ber.oid(COUNTER_SIGNATURE), ber.encode(ber.SET, *many))
    flooded = parsed.with_signer(0, replace(info, unsigned_attributes=(attribute,))).encode()
    report = verify(flooded)
    assert len(report.signatures) == 1 + MAX_COUNTER_SIGNATURES + 1
    assert Code.LIMIT_REACHED in {notice.code for notice in report.signatures[-1].notices}


def revocation_values(*crls: bytes, ocsp: bytes = b"") -> bytes:
    """RevocationValues: lists, and of an OCSP response the inner part (RFC 5126 6.3.4)."""
    parts = [ber.encode(0xA0, ber.encode(ber.SEQUENCE, *crls))] if crls else []
    if ocsp:
        inner = ber.children(ber.children(ber.children(ber.whole(ocsp))[1])[0])[1]
        parts.append(ber.encode(0xA1, ber.encode(ber.SEQUENCE, ber.octets(inner))))
    return ber.encode(ber.SEQUENCE, *parts)


@pytest.mark.parametrize("kind", ["crl", "ocsp"])
def test_values_in_attributes_are_evidence_after_the_signer_expired(kind: str) -> None:
    data = stamped(container())
    assert only(verify(data, days(10))).sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE
    value = (
        revocation_values(stamping.crl(START))
        if kind == "crl"
        else revocation_values(ocsp=stamping.ocsp(brief_signer().chain[0], START))
    )
    ca = authority()[1].public_bytes(Encoding.DER)
    data = with_unsigned(data, CERTIFICATE_VALUES, ber.encode(ber.SEQUENCE, ca))
    found = only(verify(with_unsigned(data, REVOCATION_VALUES, value), days(10)))
    assert found.indication is Indication.TOTAL_PASSED, found.detail
    assert found.status.source.value == kind
    damaged = with_unsigned(data, REVOCATION_VALUES, value[:-1] + bytes([value[-1] ^ 1]))
    assert only(verify(damaged, days(10))).sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE


def test_lists_that_a_pdf_signature_signed_are_evidence() -> None:
    """The attribute of ISO 32000-2 12.8.3.3.2, with a whole OCSP response."""
    archival = revocation_values(stamping.crl(START))
    data = stamped(signed_again(container(), ber.oid(ARCHIVAL), archival))
    found = only(verify(data, days(10)))
    assert found.indication is Indication.TOTAL_PASSED, found.detail
    assert found.format == "CAdES-B-LT"


def _attributes(data: bytes, *kinds: str) -> bytes:
    """Type and values of these unsigned attributes, without the SEQUENCE around each."""
    found = [one for kind in kinds for one in info_of(data).attributes(ber.oid(kind), signed=False)]
    return b"".join(b"".join(c.encoded for c in ber.children(ber.whole(one.encoded))) for one in found)


def test_parameters_that_an_algorithm_does_not_have_are_refused() -> None:
    """They are not signed: whatever stands there has to be what everybody else would read."""
    data = container()
    info = info_of(data)
    assert info.signature_algorithm.endswith(b"\x05\x00")
    sha256 = ber.oid("2.16.840.1.101.3.4.2.1")
    for changed in (
        replace(info, signature_algorithm=info.signature_algorithm[:-2] + b"\x25\x00"),
        replace(info, digest_algorithm=ber.encode(ber.SEQUENCE, sha256, ber.integer(1))),
    ):
        made = SignedData.read(data).with_signer(0, changed).encode()
        assert verify(made).verdict is Verdict.MALFORMED


def references(*values: bytes) -> bytes:
    """CompleteCertificateRefs by SHA-256."""
    algorithm = ber.encode(ber.SEQUENCE, ber.oid("2.16.840.1.101.3.4.2.1"))
    each = [
        ber.encode(
            ber.SEQUENCE,
            ber.encode(ber.SEQUENCE, algorithm, ber.encode(ber.OCTET_STRING, hashlib.sha256(value).digest())),
        )
        for value in values
    ]
    return ber.encode(ber.SEQUENCE, *each)


def test_time_stamps_over_references_count_for_what_they_are_over() -> None:
    """RFC 5126 6.3.5 and 6.3.6: with the signature it is proved, without it only what is referred to."""
    revoked = stamping.crl(days(1), revoked=(brief_signer().chain[0],))
    data = container()
    data = with_unsigned(data, CERTIFICATE_REFERENCES, references(brief_signer().chain[1]))
    data = with_unsigned(data, REVOCATION_REFERENCES, ber.encode(ber.SEQUENCE))
    named = _attributes(data, CERTIFICATE_REFERENCES, REVOCATION_REFERENCES)
    alone = verify(with_unsigned(data, REFERENCES_TIME_STAMP, token(named)), days(1.5), revoked)
    assert stamps(alone) == [(Code.TS_OK, "references time stamp")]
    assert only(alone).sub_indication is SubIndication.REVOKED_NO_POE
    assert only(alone).format == "CAdES-B-B"
    value = info_of(data).signature_value
    whole = verify(with_unsigned(data, ESC_TIME_STAMP, token(value + named)), days(1.5), revoked)
    assert only(whole).indication is Indication.TOTAL_PASSED
    less = verify(with_unsigned(data, ESC_TIME_STAMP, token(value)), days(1.5), revoked)
    assert stamps(less)[0][0] is Code.TS_BAD
    assert only(less).sub_indication is SubIndication.REVOKED_NO_POE


def _archive_octets(data: bytes, *, whole: bool) -> bytes:
    """RFC 5126 6.4.1, by a foreign reader: what an archive time-stamp of version 2 is over."""
    message = cms.ContentInfo.load(data)["content"]
    (info,) = message["signer_infos"]
    parts = [message["encap_content_info"].dump(), CONTENT, message["certificates"].dump()]
    parts += [message["crls"].dump()] if message["crls"].native else []
    fields = ["version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature"]
    parts += [info[field].dump() for field in fields]
    unsigned = info["unsigned_attrs"]
    parts.append(unsigned.dump() if whole else b"".join(one.dump() for one in unsigned))
    return b"".join(parts)


@pytest.mark.parametrize("whole", [True, False])
def test_an_archive_time_stamp_of_version_2_protects_everything_before_it(whole: bool) -> None:
    data = with_unsigned(stamped(container()), REVOCATION_VALUES, revocation_values(stamping.crl(START)))
    stamp = token(_archive_octets(data, whole=whole), days(1))
    archived = with_unsigned(data, ARCHIVE_TIME_STAMP_V2, stamp)
    report = verify(archived, days(10))
    assert (Code.TS_OK, "archive time stamp") in stamps(report)
    assert only(report).format == "CAdES-B-LTA"
    assert only(report).indication is Indication.TOTAL_PASSED
    more = with_unsigned(archived, CERTIFICATE_VALUES, ber.encode(ber.SEQUENCE))
    assert (Code.TS_BAD, "archive time stamp") in stamps(verify(more, days(10)))
    later = with_unsigned(archived, ARCHIVE_TIME_STAMP_V2, token(b"anything", days(2)))
    assert stamps(verify(later, days(10))).count((Code.TS_OK, "archive time stamp")) == 1
    assert (Code.TS_OK, "signature time stamp") in stamps(verify(archived, days(10), content=CONTENT + b"."))
    assert verify(archived, days(10), content=CONTENT + b".").verdict is Verdict.INVALID


def test_an_archive_time_stamp_of_version_2_says_nothing_without_the_content() -> None:
    data = with_unsigned(container(), ARCHIVE_TIME_STAMP_V2, token(b"x"))
    assert (Code.TS_NOT_CHECKED, "an older form") in [
        (code, detail[:13]) for code, detail in stamps(verify(data, content=None))
    ]


def _hashes(*octets: bytes) -> bytes:
    return ber.encode(
        ber.SEQUENCE, *(ber.encode(ber.OCTET_STRING, hashlib.sha256(each).digest()) for each in octets)
    )


@pytest.mark.parametrize("form", INDEXES)
@pytest.mark.parametrize("honest", [True, False])
def test_an_older_hash_index_names_whole_attributes(form: str, honest: bool) -> None:
    """TS 101 733 6.4.2: hashes of certificates, revocation values and attributes; SHA-256 need not be named."""
    data = with_unsigned(stamped(container()), REVOCATION_VALUES, revocation_values(stamping.crl(START)))
    parsed, info = SignedData.read(data), info_of(data)
    attributes = info.unsigned_attributes if honest else (*info.unsigned_attributes, b"not there")
    index = ber.encode(ber.SEQUENCE, _hashes(*parsed.certificates), _hashes(), _hashes(*attributes))
    kind = ber.children(ber.whole(parsed.content_info))[0].encoded
    stamp = token(kind + hashlib.sha256(CONTENT).digest() + info.core + index, days(1))
    indexed = SignedData.read(stamp)
    carrier = SignerInfo.read(indexed.signers[0]).with_unsigned(ber.oid(INDEXES[form]), index)
    archived = with_unsigned(data, ARCHIVE_TIME_STAMP_V3, indexed.with_signer(0, carrier).encode())
    report = verify(archived, days(10))
    assert (Code.TS_OK if honest else Code.TS_BAD, "archive time stamp") in [
        (code, detail.partition(":")[0]) for code, detail in stamps(report)
    ]
    assert only(report).format == ("CAdES-B-LTA" if honest else "CAdES-B-LT")

"""Test documents whose outcome hangs on time-stamps, on algorithms that end, and on anchors that do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm
from services.signer.formats import ber
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.cades_levels import SIGNATURE_TIME_STAMP
from services.signer.formats.cms_container import SignedData, SignerInfo
from services.signer.formats.format import Document, Signed
from services.signer.formats.parameters import Level
from services.verifier import algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose, Row
from services.verifier.domain import Code, DocumentReport, SubIndication
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from services.verifier.workers.worker import FORMATS
from services.verifier.x509 import certificates
from services.verifier.x509.anchors import AnchorTerms
from tests.support import stamping
from tests.support.document_signers import TestSigner, authority, signed
from tests.support.time_world import START, brief_signer, days, issue, signed_again, unit
from tests.support.verdict_documents import CONTENT, Case, case

CONTENT_TIME_STAMP = "1.2.840.113549.1.9.16.2.20"
ARCHIVE_TIME_STAMP_V2 = "1.2.840.113549.1.9.16.2.48"
ROOT = authority()[1].public_bytes(Encoding.DER)
ANCHOR = certificates.load(ROOT).sha256
S, C = SubIndication, Code


def _judged(
    data: bytes, at: datetime, *crls: bytes, detached: bytes | None = CONTENT, **trust: object
) -> DocumentReport:
    lists = crls or (stamping.crl(at),)
    material = replace(TrustMaterial((ROOT,), (), lists), **trust)  # type: ignore[arg-type]
    return VerificationService(FORMATS, material).verify(SubmittedDocument(data, detached), at)


def _container(
    level: Level = Level.B_B, who: TestSigner | None = None, claimed: datetime | None = None
) -> bytes:
    """A detached CAdES signature, by the brief signer where no other is given, raised to a level at START."""
    form, by = CadesBaseline(), who or brief_signer()
    parameters = by.parameters(form="CADES", level=level)
    parameters = replace(parameters, signing_time=claimed or parameters.signing_time)
    addition = signed(form, CONTENT, by, parameters)
    return stamping.raise_to(form, Signed(Document.of(CONTENT), addition), level, at=START, unit=unit())


def _revoked() -> bytes:
    """A list of a day after START that revokes the brief signer."""
    return stamping.crl(days(1), revoked=(brief_signer().chain[0],))


def _token(octets: bytes, at: datetime, by: stamping.TimeStampUnit | None = None) -> bytes:
    return stamping.token(stamping.imprint(octets), DigestAlgorithm.SHA256, at, by or unit())


def _with(data: bytes, kind: bytes, token: bytes) -> bytes:
    """The container with a token in its signer's unsigned attributes."""
    parsed = SignedData.read(data)
    return parsed.with_signer(0, SignerInfo.read(parsed.signers[0]).with_unsigned(kind, token)).encode()


def _stamped(at: datetime, by: stamping.TimeStampUnit | None = None, octets: bytes | None = None) -> bytes:
    """A signature with a time-stamp of this time, over its value or over something else."""
    data = _container()
    value = SignerInfo.read(SignedData.read(data).signers[0]).signature_value
    return _with(data, SIGNATURE_TIME_STAMP, _token(value if octets is None else octets, at, by))


def _over_a_stamp(at: datetime) -> bytes:
    """A signature whose signed attributes hold a time-stamp over the content (EN 319 122-1 clause 5.2.8)."""
    return signed_again(_container(), ber.oid(CONTENT_TIME_STAMP), _token(CONTENT, at))


def _early_signer() -> TestSigner:
    """Its certificate begins five days after START."""
    key = rsa.generate_private_key(65537, 2048)
    return TestSigner(key, (issue("Người ký sớm", key.public_key(), since=days(5), until=days(9)), ROOT))


def _ending(end: datetime) -> AlgorithmPolicy:
    """The shipped policy, but SHA-256 ends for signatures."""
    policy = algorithms.default_policy()
    rest = tuple(replace(row, names=row.names - {"SHA-256"}) for row in policy.digests)
    sha256, signatures = frozenset({"SHA-256"}), frozenset({Purpose.SIGNATURE})
    own = (Row(sha256, end, purposes=signatures), Row(sha256, purposes=frozenset(Purpose) - signatures))
    return replace(policy, digests=(*rest, *own))


CASES: dict[str, Case] = {
    "revoked after the time-stamp": case(
        lambda: _judged(_container(Level.B_T), days(1.5), _revoked()), C.TS_OK, C.CERT_REVOKED_LATER
    ),
    "expired after the time-stamp": case(
        lambda: _judged(_container(Level.B_LT), days(10)), C.TS_OK, C.CERT_EXPIRED_LATER
    ),
    "signed after the revocation": case(
        lambda: _judged(_over_a_stamp(days(1.5)), days(1.8), _revoked()), S.REVOKED
    ),
    "signed after the end": case(lambda: _judged(_over_a_stamp(days(3)), days(10)), S.EXPIRED),
    "signed before the certificate began": case(
        lambda: _judged(_container(Level.B_T, _early_signer()), days(1)), S.NOT_YET_VALID
    ),
    "a time-stamp over something else": case(
        lambda: _judged(_stamped(START, octets=b"else"), days(1)), C.TS_BAD
    ),
    "a time-stamp by a foreign authority": case(
        lambda: _judged(_stamped(START, unit(foreign=True)), days(1)), C.TS_UNDECIDED
    ),
    "a time-stamp of tomorrow": case(
        lambda: _judged(_stamped(days(3)), days(1.5)), S.TIMESTAMP_ORDER_FAILURE
    ),
    "an older archive time-stamp without the content": case(
        lambda: _judged(
            _with(_container(), ber.oid(ARCHIVE_TIME_STAMP_V2), _token(b"x", START)), days(1), detached=None
        ),
        C.TS_NOT_CHECKED,
    ),
    "local time written as UTC": case(
        lambda: _judged(_container(Level.B_T, claimed=START + timedelta(hours=7)), days(1)),
        C.TIME_LOCAL_AS_UTC,
    ),
    "an algorithm that ended": case(
        lambda: _judged(_container(), days(1), algorithms=_ending(days(1))),
        S.CRYPTO_CONSTRAINTS_FAILURE_NO_POE, C.ALG_WEAK,
    ),
    "an algorithm that ended before": case(
        lambda: _judged(_container(), days(1), algorithms=_ending(START - timedelta(days=2))),
        S.CRYPTO_CONSTRAINTS_FAILURE,
    ),
    "an anchor that ended": case(
        lambda: _judged(_container(), days(1), terms=(AnchorTerms(ANCHOR, "public", None, days(1)),)),
        S.NO_CERTIFICATE_CHAIN_FOUND_NO_POE,
    ),
    "an anchor abroad": case(
        lambda: _judged(_container(), days(1), terms=(AnchorTerms(ANCHOR, "foreign"),)), C.CA_FOREIGN
    ),
}  # fmt: skip

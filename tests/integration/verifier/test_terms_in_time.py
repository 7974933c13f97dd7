"""Algorithms and anchors that end: what is proved to be older passes with a warning, what is not stays undecided."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.signer.formats.cades import CadesBaseline
from services.signer.formats.format import Document, Signed
from services.signer.formats.parameters import Level
from services.verifier import algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose, Row
from services.verifier.domain import Code, DocumentReport, Indication, SignatureReport, SubIndication
from services.verifier.evidence import wanted
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from services.verifier.x509 import certificates
from services.verifier.x509.anchors import AnchorTerms
from tests.support import stamping
from tests.support.document_signers import authority, signed
from tests.support.time_world import START, brief_signer, days, unit

CONTENT = "Nghị quyết số 57".encode()
NO_POE, LATE = SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE
ROOT = authority()[1].public_bytes(Encoding.DER)
ANCHOR = certificates.load(ROOT).sha256


def make(level: Level) -> SubmittedDocument:
    """A detached CAdES signature by the brief signer at START, raised to a level."""
    form, who = CadesBaseline(), brief_signer()
    addition = signed(form, CONTENT, who, who.parameters(form="CADES", level=level))
    raised = stamping.raise_to(form, Signed(Document.of(CONTENT), addition), level, at=START, unit=unit())
    return SubmittedDocument(raised, CONTENT)


def verify(document: SubmittedDocument, at: datetime, **trust: object) -> SignatureReport:
    """Report on the signature as of `at`."""
    material = replace(TrustMaterial((ROOT,), (), (stamping.crl(at),)), **trust)  # type: ignore[arg-type]
    report: DocumentReport = VerificationService((CmsFormat(),), material).verify(document, at)
    (signature,) = report.signatures
    assert (signature.sub_indication is None) == (signature.indication is Indication.TOTAL_PASSED)
    return signature


def codes(report: SignatureReport) -> set[Code]:
    """Codes of the notices."""
    return {notice.code for notice in report.notices}


def ending(end: datetime, *purposes: Purpose) -> AlgorithmPolicy:
    """The shipped policy, but SHA-256 ends for these purposes."""
    policy = algorithms.default_policy()
    others = frozenset(Purpose) - set(purposes)
    rest = tuple(replace(row, names=row.names - {"SHA-256"}) for row in policy.digests)
    sha256 = frozenset({"SHA-256"})
    own = (Row(sha256, end, purposes=frozenset(purposes)), Row(sha256, purposes=others))
    return replace(policy, digests=(*rest, *own))


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT, Level.B_LTA])
def test_an_algorithm_that_ended_passes_with_a_time_stamp_from_before(level: Level) -> None:
    policy = ending(days(1), Purpose.SIGNATURE)
    report = verify(make(level), days(1.5), algorithms=policy)
    assert report.sub_indication is None, report.detail
    assert Code.ALG_WEAK in codes(report)
    # Before its end nothing is said of it.
    assert Code.ALG_WEAK not in codes(verify(make(level), days(0.5), algorithms=policy))


def test_without_a_proof_from_before_it_does_not_pass() -> None:
    policy = ending(days(1), Purpose.SIGNATURE)
    assert verify(make(Level.B_B), days(1) - timedelta(seconds=1), algorithms=policy).sub_indication is None
    report = verify(make(Level.B_B), days(1), algorithms=policy)
    assert report.sub_indication is NO_POE
    assert Code.ALG_WEAK in codes(report)


def test_an_algorithm_that_ended_before_the_signature_was_made_is_cured_by_nothing() -> None:
    before_the_stamp = ending(START - timedelta(hours=1), Purpose.SIGNATURE)
    assert verify(make(Level.B_LTA), days(1), algorithms=before_the_stamp).sub_indication is NO_POE
    # Not even the signer's certificate existed then.
    before_the_certificate = ending(START - timedelta(days=2), Purpose.SIGNATURE)
    assert verify(make(Level.B_LTA), days(1), algorithms=before_the_certificate).sub_indication is LATE


def test_a_time_stamp_of_an_ended_algorithm_proves_nothing_by_itself() -> None:
    policy = ending(days(1), Purpose.SIGNATURE, Purpose.TIME_STAMP)
    assert verify(make(Level.B_T), days(0.5), algorithms=policy).sub_indication is None
    report = verify(make(Level.B_T), days(1.5), algorithms=policy)
    assert report.sub_indication is NO_POE
    assert Code.TS_OK not in codes(report)


def test_certificates_of_an_ended_algorithm_need_a_proof_each() -> None:
    policy = ending(days(1), Purpose.CERTIFICATE)
    for level in (Level.B_B, Level.B_T):
        assert verify(make(level), days(1.5), algorithms=policy).sub_indication is NO_POE
    late = ending(START - timedelta(days=2), Purpose.CERTIFICATE)
    assert verify(make(Level.B_B), days(0.5), algorithms=late).sub_indication is LATE


def test_an_anchor_that_ended_vouches_for_what_is_older() -> None:
    terms = (AnchorTerms(ANCHOR, "public", START - timedelta(days=300), days(1)),)
    assert verify(make(Level.B_B), days(0.5), terms=terms).sub_indication is None
    report = verify(make(Level.B_B), days(1), terms=terms)
    assert report.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE
    assert Code.CERT_UNTRUSTED in codes(report)
    stamps = (*terms, AnchorTerms(ANCHOR, "public", None, None, frozenset({Purpose.TIME_STAMP})))
    for level in (Level.B_T, Level.B_LT, Level.B_LTA):
        assert verify(make(level), days(1.5), terms=stamps).sub_indication is None
    # Where the time-stamps hang on the same ended anchor there is no proof left.
    assert verify(make(Level.B_T), days(1.5), terms=terms).sub_indication is (
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE
    )


def test_an_anchor_vouches_for_nothing_from_before_its_time_or_for_another_purpose() -> None:
    wrong = SubIndication.CHAIN_CONSTRAINTS_FAILURE
    late = (AnchorTerms(ANCHOR, "public", days(1)),)
    assert verify(make(Level.B_B), days(0.5), terms=late).sub_indication is wrong
    stamps_only = (AnchorTerms(ANCHOR, "public", purposes=frozenset({Purpose.TIME_STAMP})),)
    assert verify(make(Level.B_B), days(0.5), terms=stamps_only).sub_indication is wrong
    signatures_only = (AnchorTerms(ANCHOR, "public", purposes=frozenset({Purpose.SIGNATURE})),)
    report = verify(make(Level.B_T), days(0.5), terms=signatures_only)
    assert report.sub_indication is None
    assert Code.TS_BAD in codes(report)


def test_an_anchor_that_is_trusted_since_vouches_for_nothing_older() -> None:
    since = AnchorTerms(ANCHOR, "public", days(1), purposes=frozenset({Purpose.SIGNATURE}))
    stamps = AnchorTerms(ANCHOR, "public", purposes=frozenset({Purpose.TIME_STAMP}))
    for level in (Level.B_T, Level.B_LTA):
        report = verify(make(level), days(1.5), terms=(since, stamps))
        assert report.sub_indication is SubIndication.CHAIN_CONSTRAINTS_FAILURE
        assert "not trusted yet" in report.detail
    # Nothing proves that it is older.
    assert verify(make(Level.B_B), days(1.5), terms=(since, stamps)).sub_indication is None
    # A time-stamp from before its authority was trusted is none.
    report = verify(make(Level.B_T), days(1.5), terms=(AnchorTerms(ANCHOR, "public", days(1)),))
    assert report.sub_indication is None
    assert Code.TS_BAD in codes(report)


def test_an_anchor_that_was_suspended_does_not_vouch_for_that_time() -> None:
    signatures = frozenset({Purpose.SIGNATURE})
    terms = (
        AnchorTerms(ANCHOR, "public", None, START - timedelta(hours=1), signatures),
        AnchorTerms(ANCHOR, "public", days(1), None, signatures),
        AnchorTerms(ANCHOR, "public", purposes=frozenset({Purpose.TIME_STAMP})),
    )
    report = verify(make(Level.B_T), days(1.5), terms=terms)
    assert report.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE
    earlier = replace(terms[0], trusted_until=START + timedelta(hours=1))
    assert verify(make(Level.B_T), days(1.5), terms=(earlier, *terms[1:])).sub_indication is None


def test_a_foreign_authority_is_told_about() -> None:
    foreign = AnchorTerms(ANCHOR, "foreign")
    report = verify(make(Level.B_T), days(0.5), terms=(foreign,))
    assert report.sub_indication is None
    assert Code.CA_FOREIGN in codes(report)
    assert Code.CA_FOREIGN in codes(verify(make(Level.B_LT), days(10), terms=(foreign,)))
    # Who stands for the country too is none.
    both = (foreign, AnchorTerms(ANCHOR, "public"))
    assert Code.CA_FOREIGN not in codes(verify(make(Level.B_T), days(0.5), terms=both))


def wanted_of(level: Level, at: datetime, *lists: bytes) -> set[bytes]:
    """What would be fetched for a signature as of `at`."""
    service = VerificationService((CmsFormat(),), TrustMaterial((ROOT,), (), lists))
    return set(wanted.of(service.examine(make(level), at)))


def test_what_lacks_a_status_is_named_for_whoever_can_fetch_it() -> None:
    signer, stamps = brief_signer().chain[0], unit().certificate
    assert {signer, stamps} <= wanted_of(Level.B_T, days(0.5))
    assert wanted_of(Level.B_T, days(0.5), stamping.crl(days(0.5))) == set()
    # What brings its own evidence lacks nothing but the status of the newest time-stamp's authority.
    assert signer not in wanted_of(Level.B_LT, days(0.5))
    # An expired signer may have been good when it was stamped: the list of today does not say.
    assert signer in wanted_of(Level.B_T, days(10), stamping.crl(days(10)))
    assert wanted_of(Level.B_B, days(10), stamping.crl(days(10))) == set()

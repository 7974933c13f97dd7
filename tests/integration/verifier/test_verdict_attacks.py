"""Signatures that all mathematics holds for and that must not pass: status, time and use of the signer's certificate."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kernel.values import DigestAlgorithm
from services.signer.formats.cades import CadesBaseline
from services.verifier.domain import Code, Indication, SignatureReport, SubIndication
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.procedure.past import ChainJudge, Material
from services.verifier.procedure.poe import Proofs
from services.verifier.service import VerificationService
from services.verifier.x509 import certificates
from tests.integration.verifier.test_time_stamp_attacks import value_of, with_token
from tests.support import stamping
from tests.support.document_signers import TestSigner, authority, signed
from tests.support.time_world import START, days, issue, unit
from tests.unit.verifier.authority import NOW, Authority

CONTENT = "Nghị quyết số 57".encode()
CA = authority()[1].public_bytes(Encoding.DER)


def person(
    since: datetime = START - timedelta(days=1), purposes: tuple[x509.ObjectIdentifier, ...] = ()
) -> TestSigner:
    """A signer whose certificate begins then, and has these purposes in a critical extended key usage."""
    key = rsa.generate_private_key(65537, 2048)
    more = [(x509.ExtendedKeyUsage(purposes), True)] if purposes else []
    certificate = issue("Người ký thử", key.public_key(), since=since, until=days(30), more=more)
    return TestSigner(key, (certificate, CA))


def sign(who: TestSigner) -> bytes:
    """A CAdES signature over the content."""
    return signed(CadesBaseline(), CONTENT, who, who.parameters(form="CADES"))


def judged(
    data: bytes, trust: TrustMaterial, at: datetime, valid_at: datetime | None = None
) -> SignatureReport:
    """The report on the one signature."""
    service = VerificationService((CmsFormat(),), trust)
    return service.examine(SubmittedDocument(data, CONTENT), at, valid_at).report.signatures[0]


def answer(certificate: bytes, at: datetime, reason: x509.ReasonFlags) -> bytes:
    """An OCSP answer of the CA's own that the certificate is revoked, or on hold."""
    key, ca = authority()
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=x509.load_der_x509_certificate(certificate),
        issuer=ca,
        algorithm=hashes.SHA256(),
        cert_status=ocsp.OCSPCertStatus.REVOKED,
        this_update=at,
        next_update=at + timedelta(days=7),
        revocation_time=at,
        revocation_reason=reason,
    )
    named = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, ca)
    return named.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (x509.ReasonFlags.certificate_hold, Code.CERT_HELD),
        (x509.ReasonFlags.key_compromise, Code.CERT_REVOKED),
    ],
)
def test_what_an_answer_says_is_not_outweighed_by_an_older_list(reason: x509.ReasonFlags, code: Code) -> None:
    who = person()
    told = answer(who.chain[0], days(1), reason)
    trust = TrustMaterial((CA,), (), (stamping.crl(START),), ocsps=(told,))
    report = judged(sign(who), trust, days(1.5))
    assert report.indication is Indication.INDETERMINATE
    assert code in {notice.code for notice in report.notices}


def test_a_later_list_ends_what_an_answer_says_of_a_hold() -> None:
    who = person()
    told = answer(who.chain[0], days(1), x509.ReasonFlags.certificate_hold)
    trust = TrustMaterial((CA,), (), (stamping.crl(days(1.2)),), ocsps=(told,))
    assert judged(sign(who), trust, days(1.5)).indication is Indication.TOTAL_PASSED


def test_a_signature_that_is_proved_older_than_its_certificate_never_passes() -> None:
    who = person(since=days(1))
    data = sign(who)
    over = stamping.imprint(value_of(data))
    stamped = with_token(data, stamping.token(over, DigestAlgorithm.SHA256, START, unit()))
    # Later the certificate is valid, and with it all that is looked at without the time-stamp.
    trust = TrustMaterial((CA,), (), (stamping.crl(days(2)),))
    report = judged(stamped, trust, days(2))
    assert (report.indication, report.sub_indication) == (
        Indication.TOTAL_FAILED,
        SubIndication.NOT_YET_VALID,
    )
    assert judged(data, trust, days(2)).indication is Indication.TOTAL_PASSED


def test_an_old_list_of_the_document_does_not_hide_a_revocation_that_is_known() -> None:
    """The CA has expired since: only what is proved to be from its time may speak for its certificates."""
    root = Authority("Root CA")
    issuing = Authority("Issuing CA", root, not_after=NOW - timedelta(hours=2))
    leaf = issuing.signer().certificate
    week = timedelta(days=7)
    before = issuing.crl(this_update=NOW - timedelta(days=2), next_update=NOW + week)
    after = issuing.crl(
        [(leaf, x509.ReasonFlags.key_compromise)],
        this_update=NOW - timedelta(hours=3),
        next_update=NOW + week,
    )
    end, above = (certificates.load(one.public_bytes(Encoding.DER)) for one in (leaf, issuing.certificate))
    anchor = certificates.load(root.der)
    # The list of the document, the path and the signature are stamped half a day after the revocation.
    stamped = NOW - timedelta(hours=12)
    proofs = Proofs(NOW)
    proofs.add([hashlib.sha256(one).digest() for one in (before, end.der, above.der)], stamped)
    brought = Material((above,), (before,))
    upper = root.crl(this_update=NOW - timedelta(days=2), next_update=NOW + week)
    unaware = ChainJudge((anchor,), (), (upper,))
    assert unaware.judge(end, brought, proofs, stamped, NOW).failure is None
    aware = ChainJudge((anchor,), (), (upper, after))
    assert aware.judge(end, brought, proofs, stamped, NOW).failure is SubIndication.REVOKED_NO_POE
    # What the document brings itself counts as before: for it nobody vouches any more.
    both = Material((above,), (before, after))
    assert unaware.judge(end, both, proofs, stamped, NOW).failure is None


@pytest.mark.parametrize(
    "purposes",
    [
        (ExtendedKeyUsageOID.TIME_STAMPING,),
        (ExtendedKeyUsageOID.OCSP_SIGNING,),
        (ExtendedKeyUsageOID.SERVER_AUTH,),
    ],
)
def test_the_key_of_a_service_signs_no_documents(purposes: tuple[x509.ObjectIdentifier, ...]) -> None:
    trust = TrustMaterial((CA,), (), (stamping.crl(START),))
    report = judged(sign(person(purposes=purposes)), trust, START)
    assert report.sub_indication is SubIndication.CHAIN_CONSTRAINTS_FAILURE
    assert Code.SCOPE in {notice.code for notice in report.notices}
    also = (*purposes, ExtendedKeyUsageOID.CLIENT_AUTH)
    assert judged(sign(person(purposes=also)), trust, START).indication is Indication.TOTAL_PASSED

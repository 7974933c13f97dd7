"""Paths and statuses: each fault of a chain has its own sub-indication."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.domain import Code, SignatureReport, StatusSource, SubIndication
from services.verifier.formats import ber
from services.verifier.ports import TrustMaterial
from tests.unit.verifier.authority import NOW, Authority, Hierarchy, Signer, subject
from tests.unit.verifier.conftest import Verify

CONTENT = b"content"
Judge = Callable[..., SignatureReport]


@pytest.fixture
def judge(verify: Verify) -> Judge:
    """Report on a signature by a signer under given trust."""

    def run(signer: Signer, trust: TrustMaterial) -> SignatureReport:
        return verify(signer.cms(CONTENT), trust=trust).signatures[0]

    return run


def codes(report: SignatureReport) -> set[Code]:
    """Codes of the report's notices."""
    return {notice.code for notice in report.notices}


def test_a_good_status_names_its_source(judge: Judge, hierarchy: Hierarchy) -> None:
    report = judge(hierarchy.signer, hierarchy.trust())
    assert report.sub_indication is None
    assert report.status.source is StatusSource.CRL
    assert report.status.produced_at == NOW - timedelta(hours=1)


def test_without_anchor_there_is_no_chain(judge: Judge, hierarchy: Hierarchy) -> None:
    report = judge(hierarchy.signer, TrustMaterial())
    assert report.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND
    assert {Code.CERT_UNTRUSTED, Code.STATUS_NOT_CHECKED} <= codes(report)


def test_without_the_intermediate_there_is_no_chain(judge: Judge, hierarchy: Hierarchy) -> None:
    report = judge(hierarchy.signer, TrustMaterial((hierarchy.root.der,), (), hierarchy.trust().crls))
    assert report.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND


def test_the_intermediate_may_come_with_the_signature(judge: Judge, hierarchy: Hierarchy) -> None:
    signer = hierarchy.issuing.signer(chain=[hierarchy.issuing.certificate])
    assert (
        judge(signer, TrustMaterial((hierarchy.root.der,), (), hierarchy.trust().crls)).sub_indication is None
    )


def test_revoked_on_hold_and_stale_are_told_apart(judge: Judge, hierarchy: Hierarchy) -> None:
    certificate = hierarchy.signer.certificate
    root = hierarchy.root.crl()
    revoked = hierarchy.issuing.crl([(certificate, x509.ReasonFlags.key_compromise)])
    report = judge(hierarchy.signer, hierarchy.trust(crls=(root, revoked)))
    assert report.sub_indication is SubIndication.REVOKED_NO_POE
    assert Code.CERT_REVOKED in codes(report)
    assert (report.status.reason, report.status.revoked_at) == ("keyCompromise", NOW - timedelta(days=1))

    held = hierarchy.issuing.crl([(certificate, x509.ReasonFlags.certificate_hold)])
    report = judge(hierarchy.signer, hierarchy.trust(crls=(root, held)))
    assert report.sub_indication is SubIndication.TRY_LATER
    assert Code.CERT_HELD in codes(report)

    stale = hierarchy.issuing.crl(this_update=NOW - timedelta(days=9), next_update=NOW - timedelta(days=8))
    report = judge(hierarchy.signer, hierarchy.trust(crls=(root, stale)))
    assert report.sub_indication is SubIndication.TRY_LATER
    assert {Code.STATUS_STALE, Code.STATUS_NOT_CHECKED} <= codes(report)


def test_a_revocation_in_an_old_list_still_stands(judge: Judge, hierarchy: Hierarchy) -> None:
    old = hierarchy.issuing.crl(
        [(hierarchy.signer.certificate, None)],
        this_update=NOW - timedelta(days=9),
        next_update=NOW - timedelta(days=8),
    )
    report = judge(hierarchy.signer, hierarchy.trust(crls=(hierarchy.root.crl(), old)))
    assert report.sub_indication is SubIndication.REVOKED_NO_POE


def test_the_newest_list_decides(judge: Judge, hierarchy: Hierarchy) -> None:
    held = hierarchy.issuing.crl(
        [(hierarchy.signer.certificate, x509.ReasonFlags.certificate_hold)],
        this_update=NOW - timedelta(hours=5),
    )
    released = hierarchy.issuing.crl(this_update=NOW - timedelta(hours=1))
    trust = hierarchy.trust(crls=(released, held, hierarchy.root.crl()))
    assert judge(hierarchy.signer, trust).sub_indication is None


def test_a_status_that_cannot_be_had_is_never_silent(judge: Judge, hierarchy: Hierarchy) -> None:
    report = judge(hierarchy.signer, hierarchy.trust(crls=()))
    assert report.sub_indication is SubIndication.TRY_LATER
    assert Code.STATUS_NOT_CHECKED in codes(report)


@pytest.mark.parametrize("which", ["other_key", "future", "not_for_users", "reasons", "garbage"])
def test_an_unusable_list_counts_for_nothing(judge: Judge, hierarchy: Hierarchy, which: str) -> None:
    def point(**options: Any) -> x509.IssuingDistributionPoint:
        defaults: dict[str, Any] = {
            "full_name": None,
            "relative_name": None,
            "only_contains_user_certs": False,
            "only_contains_ca_certs": False,
            "only_some_reasons": None,
            "indirect_crl": False,
            "only_contains_attribute_certs": False,
        }
        return x509.IssuingDistributionPoint(**(defaults | options))

    lists: dict[str, Callable[[], bytes]] = {
        "other_key": lambda: Authority("Issuing CA").crl(),
        "future": lambda: hierarchy.issuing.crl(this_update=NOW + timedelta(hours=1)),
        "not_for_users": lambda: hierarchy.issuing.crl(
            extensions=[(point(only_contains_ca_certs=True), True)]
        ),
        "reasons": lambda: hierarchy.issuing.crl(
            extensions=[(point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), True)]
        ),
        "garbage": lambda: b"\x30\x03\x02\x01\x01",
    }
    report = judge(hierarchy.signer, hierarchy.trust(crls=(hierarchy.root.crl(), lists[which]())))
    assert report.sub_indication is SubIndication.TRY_LATER


def test_a_revoked_ca_is_named(judge: Judge, hierarchy: Hierarchy) -> None:
    root = hierarchy.root.crl([(hierarchy.issuing.certificate, None)])
    report = judge(hierarchy.signer, hierarchy.trust(crls=(root, hierarchy.issuing.crl())))
    assert report.sub_indication is SubIndication.REVOKED_CA_NO_POE
    assert Code.CA_REVOKED in codes(report)


def test_expired_and_not_yet_valid_are_told_apart(judge: Judge, hierarchy: Hierarchy) -> None:
    expired = hierarchy.issuing.signer(not_after=NOW - timedelta(seconds=1))
    report = judge(expired, hierarchy.trust())
    assert report.sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE
    assert Code.CERT_EXPIRED in codes(report)
    early = hierarchy.issuing.signer(not_before=NOW + timedelta(seconds=1))
    report = judge(early, hierarchy.trust())
    assert report.sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE
    assert Code.CERT_NOT_YET in codes(report)


def test_an_expired_certificate_without_status_is_called_expired(judge: Judge, hierarchy: Hierarchy) -> None:
    expired = hierarchy.issuing.signer(not_after=NOW - timedelta(seconds=1))
    report = judge(expired, hierarchy.trust(crls=()))
    assert report.sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE


def test_a_certificate_that_is_not_for_signing_is_out_of_scope(judge: Judge, hierarchy: Hierarchy) -> None:
    report = judge(hierarchy.issuing.signer(usage=("key_encipherment",)), hierarchy.trust())
    assert report.sub_indication is SubIndication.CHAIN_CONSTRAINTS_FAILURE
    assert Code.SCOPE in codes(report)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"usage": ("crl_sign",)}, "may not sign certificates"),
        ({"extensions": [(x509.BasicConstraints(ca=False, path_length=None), True)]}, "is no CA's"),
        ({"extensions": []}, "no basicConstraints"),
        ({"not_after": NOW - timedelta(seconds=1)}, "outside its validity"),
    ],
)
def test_a_faulty_intermediate_breaks_the_path(
    judge: Judge, hierarchy: Hierarchy, options: dict[str, Any], what: str
) -> None:
    issuing = Authority("Faulty CA", hierarchy.root, **options)
    crls = (hierarchy.root.crl(), issuing.crl())
    report = judge(issuing.signer(), TrustMaterial((hierarchy.root.der,), (issuing.der,), crls))
    assert report.sub_indication is SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE
    assert what in report.detail


def test_path_length_is_counted(judge: Judge, hierarchy: Hierarchy) -> None:
    below = Authority("CA below", hierarchy.issuing)
    crls = (hierarchy.root.crl(), hierarchy.issuing.crl(), below.crl())
    trust = TrustMaterial((hierarchy.root.der,), (hierarchy.issuing.der, below.der), crls)
    report = judge(below.signer(), trust)
    assert report.sub_indication is SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE
    assert "allows 0 CA certificates" in report.detail


@pytest.mark.parametrize(
    "extension",
    [
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"),
        x509.NameConstraints([x509.DNSName("example.vn")], None),
    ],
)
def test_a_critical_extension_that_is_not_processed_breaks_the_path(
    judge: Judge, hierarchy: Hierarchy, extension: x509.ExtensionType
) -> None:
    report = judge(hierarchy.issuing.signer(more=[(extension, True)]), hierarchy.trust())
    assert report.sub_indication is SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE


def _signed_with_sha1(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The same certificate with an ECDSA signature over SHA-1, which no builder makes any more."""
    tbs, _, _ = ber.load(certificate.public_bytes(Encoding.DER))[0].children()
    fields = [f.encoded for f in tbs.children()]
    fields[2] = algorithm = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OID, bytes.fromhex("2a8648ce3d0401")))
    body = ber.tlv(ber.SEQUENCE, b"".join(fields))
    signature = key.sign(body, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - that it is refused is the test
    der = ber.tlv(ber.SEQUENCE, body + algorithm + ber.tlv(ber.BIT_STRING, b"\0" + signature))
    return x509.load_der_x509_certificate(der)


def test_a_link_signed_with_sha1_is_not_allowed(judge: Judge, hierarchy: Hierarchy) -> None:
    good = hierarchy.issuing.signer()
    weak = Signer(good.key, _signed_with_sha1(good.certificate, hierarchy.issuing.key))
    report = judge(weak, hierarchy.trust())
    assert report.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
    assert Code.ALG_SHA1 in codes(report)


def test_a_chain_by_name_but_not_by_key_is_none(judge: Judge, hierarchy: Hierarchy) -> None:
    impostor = Authority("Root CA")
    report = judge(
        hierarchy.signer, TrustMaterial((impostor.der,), (hierarchy.issuing.der,), hierarchy.trust().crls)
    )
    assert report.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND


def test_many_copies_of_a_ca_do_not_multiply_the_search(judge: Judge, hierarchy: Hierarchy) -> None:
    key_twins = [
        hierarchy.root.issue(hierarchy.issuing.name, hierarchy.issuing.key.public_key()) for _ in range(200)
    ]
    pool = tuple(c.public_bytes(Encoding.DER) for c in key_twins)
    report = judge(hierarchy.signer, TrustMaterial((hierarchy.root.der,), pool, hierarchy.trust().crls))
    assert report.sub_indication is SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE


def test_names_differ_in_case_and_spaces_only(judge: Judge, hierarchy: Hierarchy) -> None:
    other = Authority("issuing  CA", hierarchy.root)
    other.key = hierarchy.issuing.key
    signer = hierarchy.issuing.signer(subject(common_name="An"))
    alias = hierarchy.root.issue(
        other.name,
        hierarchy.issuing.key.public_key(),
        extensions=[(x509.BasicConstraints(ca=True, path_length=0), True)],
    )
    pool = (alias.public_bytes(Encoding.DER),)
    report = judge(signer, TrustMaterial((hierarchy.root.der,), pool, hierarchy.trust().crls))
    assert report.sub_indication is None, report.detail

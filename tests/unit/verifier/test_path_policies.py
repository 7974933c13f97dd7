"""Policies, name constraints, anchors' constraints and legacy links: what RFC 5280 6.1 asks of a path."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier import algorithms
from services.verifier.algorithm_policy import Purpose
from services.verifier.algorithms import UNRESTRICTED
from services.verifier.domain import Code, SubIndication, Verdict
from services.verifier.formats import ber
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.procedure.past import ChainJudge, Material
from services.verifier.procedure.poe import Proofs
from services.verifier.service import VerificationService
from services.verifier.workers import wire
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.path import PathResult, PathValidator
from services.verifier.x509.path_rules import LegacyLinks, PathRules
from services.verifier.x509.policy_graph import ANY_POLICY, CertificatePolicy, PolicyError, PolicyGraph
from tests.unit.verifier.authority import NOW, Authority, subject

P1, P2, P3 = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2", "1.3.6.1.4.1.99999.3"
CA = (x509.BasicConstraints(ca=True, path_length=None), True)


def policies(*oids: str) -> CertificatePolicy:
    """A certificate with these policies."""
    return CertificatePolicy(frozenset(oids))


def outcome(
    said: Sequence[CertificatePolicy],
    *,
    accepted: set[str] | None = None,
    explicit: bool = True,
    inhibit_mapping: bool = False,
    inhibit_any: bool = False,
) -> bool:
    """Whether a path of certificates that say this, the last one last, has an acceptable policy."""
    graph = PolicyGraph(
        len(said), explicit=explicit, inhibit_mapping=inhibit_mapping, inhibit_any=inhibit_any
    )
    try:
        for one in said:
            graph.add(one, self_issued=False)
        graph.close(said[-1], accepted)
    except PolicyError:
        return False
    return True


MAPPED = CertificatePolicy(frozenset({P1}), {P1: {P2}})


@pytest.mark.parametrize(
    ("said", "accepted", "holds"),
    [
        ([policies(P1), policies(P1)], None, True),
        ([policies(P1), policies(P1)], {P1}, True),
        ([policies(P1), policies(P1)], {P2}, False),
        ([policies(P1), policies(P2)], None, False),
        ([policies(P1), CertificatePolicy()], None, False),
        ([policies(ANY_POLICY), policies(P1)], {P1}, True),
        ([policies(P1), policies(ANY_POLICY)], {P1}, True),
        ([policies(ANY_POLICY), policies(ANY_POLICY)], {P3}, True),
        ([MAPPED, policies(P2)], {P1}, True),
        ([MAPPED, policies(P2)], {P2}, False),
        ([MAPPED, policies(P1)], None, False),
        ([CertificatePolicy(frozenset({P1}), {ANY_POLICY: {P1}}), policies(P1)], None, False),
        ([CertificatePolicy(frozenset({P1}), {P1: {ANY_POLICY}}), policies(P1)], None, False),
    ],
)
def test_policies_along_a_path(said: list[CertificatePolicy], accepted: set[str] | None, holds: bool) -> None:
    assert outcome(said, accepted=accepted) is holds


def test_a_path_without_policies_holds_where_none_is_required() -> None:
    assert outcome([CertificatePolicy(), CertificatePolicy()], explicit=False)
    assert outcome([policies(P1), policies(P2)], explicit=False, accepted={P3})


def test_a_certificate_can_require_a_policy_of_those_under_it() -> None:
    requires = CertificatePolicy(frozenset({P1}), require_explicit=0)
    assert not outcome([requires, policies(P2)], explicit=False)
    later = CertificatePolicy(frozenset({P1}), require_explicit=2)
    assert outcome([later, policies(P2)], explicit=False)


def test_mapping_and_any_policy_can_be_inhibited() -> None:
    assert not outcome([MAPPED, policies(P2)], inhibit_mapping=True)
    assert not outcome([policies(ANY_POLICY), policies(P1)], inhibit_any=True)
    without = CertificatePolicy(frozenset({P1}), inhibit_any=0)
    assert not outcome([without, policies(ANY_POLICY)])


def test_many_mappings_do_not_grow_the_graph_beyond_its_policies() -> None:
    names = [f"1.3.6.1.4.1.99999.7.{n}" for n in range(40)]
    crossed = CertificatePolicy(frozenset(names), {name: set(names) for name in names})
    assert outcome([crossed] * 12, accepted={names[0]})


def judge(
    extension: x509.ExtensionType | None,
    names: Sequence[x509.GeneralName],
    *,
    rules: PathRules | None = None,
    at_anchor: bool = False,
) -> PathResult:
    """Path of a signer with these alternative names under a CA (or an anchor) with this extension."""
    more = [(extension, True)] if extension is not None else []
    root = Authority("Root CA", extensions=[CA, *(more if at_anchor else [])])
    issuing = Authority("Issuing CA", root, extensions=[CA, *([] if at_anchor else more)])
    alternative = [(x509.SubjectAlternativeName(names), False)] if names else []
    signer = issuing.signer(subject(common_name="An", country_name="VN"), more=alternative)
    leaf = loaded(signer.certificate)
    chosen = rules or PathRules(check_status=False)
    pool = [certificates.load(issuing.der)]
    return PathValidator([certificates.load(root.der)], pool, (), chosen).validate(leaf, (), NOW)


def loaded(certificate: x509.Certificate) -> Certificate:
    """The certificate as the verifier holds it."""
    return certificates.load(certificate.public_bytes(Encoding.DER))


def permitted(*bases: x509.GeneralName) -> x509.NameConstraints:
    """Constraints that permit these subtrees."""
    return x509.NameConstraints(list(bases), None)


def excluded(*bases: x509.GeneralName) -> x509.NameConstraints:
    """Constraints that exclude these subtrees."""
    return x509.NameConstraints(None, list(bases))


DNS, MAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier
NET = x509.IPAddress(ipaddress.ip_network("10.1.0.0/16"))


@pytest.mark.parametrize("at_anchor", [False, True])
@pytest.mark.parametrize(
    ("constraints", "name", "holds"),
    [
        (permitted(DNS("gov.vn")), DNS("a.gov.vn"), True),
        (permitted(DNS("gov.vn")), DNS("notgov.vn"), False),
        (permitted(DNS("gov.vn")), DNS("*.gov.vn"), True),
        (excluded(DNS("a.gov.vn")), DNS("*.gov.vn"), False),
        (excluded(DNS("gov.vn")), DNS("A.GOV.VN"), False),
        (permitted(DNS(".gov.vn")), DNS("a.gov.vn"), False),
        (permitted(DNS("gov.vn")), MAIL("an@other.vn"), True),
        (permitted(MAIL("gov.vn")), MAIL("an@GOV.vn"), True),
        (permitted(MAIL("gov.vn")), MAIL("an@a.gov.vn"), False),
        (permitted(MAIL(".gov.vn")), MAIL("an@a.gov.vn"), True),
        (permitted(MAIL(".gov.vn")), MAIL("an@gov.vn"), False),
        (permitted(MAIL("an@gov.vn")), MAIL("An@gov.vn"), False),
        (permitted(URI(".gov.vn")), URI("https://a.gov.vn:8443/x"), True),
        (permitted(URI("gov.vn")), URI("https://a.gov.vn/"), False),
        (permitted(URI("gov.vn")), URI("https://10.1.2.3/"), False),
        (excluded(URI("gov.vn")), URI("urn:isbn:1"), False),
        (permitted(NET), x509.IPAddress(ipaddress.ip_address("10.1.2.3")), True),
        (permitted(NET), x509.IPAddress(ipaddress.ip_address("10.2.2.3")), False),
        (excluded(NET), x509.IPAddress(ipaddress.ip_address("10.1.2.3")), False),
        (permitted(x509.DirectoryName(subject(common_name="Binh"))), DNS("a.vn"), False),
        (excluded(x509.DirectoryName(subject(common_name="an"))), DNS("a.vn"), False),
        (excluded(x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))), DNS("a.vn"), True),
        (
            excluded(x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.4")),
            False,
        ),
    ],
)
def test_names_must_lie_within_the_constraints(
    constraints: x509.NameConstraints, name: x509.GeneralName, holds: bool, at_anchor: bool
) -> None:
    result = judge(constraints, [name], at_anchor=at_anchor)
    expected = None if holds else SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE
    assert result.failure is expected, result.detail


def test_directory_names_are_compared_as_names() -> None:
    base = x509.DirectoryName(subject(common_name="  AN "))
    assert judge(permitted(base), ()).failure is None


def test_very_many_names_under_very_many_constraints_are_refused_in_time() -> None:
    bases = permitted(*[DNS(f"a{n}.vn") for n in range(400)])
    names = [DNS(f"x.a{399 - n % 2}.vn") for n in range(400)]
    result = judge(bases, names)
    assert "more comparisons than are done" in result.detail


def test_a_required_policy_is_asked_of_documents_paths_too() -> None:
    rules = PathRules(check_status=False, explicit_policy=True)
    result = judge(None, (), rules=rules)
    assert result.failure is SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE
    assert "policy is required" in result.detail


def test_the_length_that_an_anchor_allows_is_counted() -> None:
    root = Authority("Root CA", path_length=0)
    issuing = Authority("Issuing CA", root)
    leaf = loaded(issuing.signer().certificate)
    validator = PathValidator(
        [certificates.load(root.der)], [certificates.load(issuing.der)], (), PathRules(check_status=False)
    )
    assert "allows 0 CA certificates" in validator.validate(leaf, (), NOW).detail


def with_sha1(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    """The certificate with a signature over SHA-1, which no builder makes any more."""
    fields = [f.encoded for f in ber.load(certificate.public_bytes(Encoding.DER))[0].children()[0].children()]
    fields[2] = algorithm = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OID, bytes.fromhex("2a8648ce3d0401")))
    body = ber.tlv(ber.SEQUENCE, b"".join(fields))
    signature = key.sign(body, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - that it is borne or refused is the test
    der = ber.tlv(ber.SEQUENCE, body + algorithm + ber.tlv(ber.BIT_STRING, b"\0" + signature))
    return certificates.load(der)


@pytest.mark.parametrize(
    ("pinned", "cutoff", "weak_leaf", "holds"),
    [
        (True, None, False, True),
        (False, None, False, False),
        (True, None, True, False),
        (True, timedelta(days=1), True, True),
        (True, timedelta(days=-1), True, False),
    ],
)
def test_a_link_signed_with_sha1_is_borne_where_it_is_pinned(
    pinned: bool, cutoff: timedelta | None, weak_leaf: bool, holds: bool
) -> None:
    root = Authority("Root CA")
    issuing = Authority("Issuing CA", root)
    link = with_sha1(issuing.certificate, root.key)
    signer = issuing.signer().certificate
    leaf = with_sha1(signer, issuing.key) if weak_leaf else loaded(signer)
    legacy = LegacyLinks(frozenset({link.sha256} if pinned else ()), None if cutoff is None else NOW + cutoff)
    rules = PathRules(check_status=False, legacy=legacy)
    result = PathValidator([certificates.load(root.der)], [link], (), rules).validate(leaf, (), NOW)
    assert result.failure is (None if holds else SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE)
    assert Code.ALG_SHA1 in {n.code for n in result.notices}


def test_the_policy_allows_what_was_allowed_then() -> None:
    dated = algorithms.default_policy().with_digest("SHA-1", datetime(2012, 8, 1, tzinfo=UTC), set(Purpose))
    assert not algorithms.weaknesses(None, "RSA", "SHA-1", dated, NOW.replace(year=2010))
    assert algorithms.weaknesses(None, "RSA", "SHA-1", dated, NOW)
    assert not algorithms.weaknesses(None, "RSA", "MD5", UNRESTRICTED, NOW)
    assert algorithms.weaknesses(None, "RSA", "SHA-1", at=NOW.replace(year=2010))


def test_documents_are_judged_by_the_links_that_the_settings_name() -> None:
    root = Authority("Root CA")
    issuing = Authority("Issuing CA", root)
    link = with_sha1(issuing.certificate, root.key)
    document = SubmittedDocument(issuing.signer().cms(b"content"))
    plain = TrustMaterial((root.der,), (link.der,), (root.crl(), issuing.crl()))
    named = replace(plain, sha1_links=(link.sha256,), sha1_cutoff=NOW)
    assert wire.read_trust(wire.trust(named)[wire.HEADER.size :]) == named
    assert VerificationService((CmsFormat(),), plain).verify(document, NOW).verdict is Verdict.INDETERMINATE
    report = VerificationService((CmsFormat(),), named).verify(document, NOW)
    assert report.verdict is Verdict.VALID
    assert Code.ALG_SHA1 in {n.code for n in report.signatures[0].notices}


@pytest.mark.parametrize(("cutoff", "proved", "holds"), [(-1, -2, True), (-2, -1, False), (None, -2, False)])
def test_a_leaf_that_sha1_signs_is_borne_where_it_is_proved_to_be_older_than_the_cutoff(
    cutoff: int | None, proved: int, holds: bool
) -> None:
    root = Authority("Root CA")
    issuing = Authority("Issuing CA", root)
    link = with_sha1(issuing.certificate, root.key)
    leaf = with_sha1(issuing.signer().certificate, issuing.key)
    legacy = LegacyLinks(frozenset({link.sha256}), None if cutoff is None else NOW + timedelta(days=cutoff))
    judge = ChainJudge(
        [certificates.load(root.der)], [link], (root.crl(), issuing.crl()), PathRules(legacy=legacy)
    )
    result = judge.judge(leaf, Material(), Proofs(NOW), NOW + timedelta(days=proved), NOW)
    assert result.failure is (None if holds else SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE)
    assert Code.ALG_SHA1 in {n.code for n in result.notices}


@pytest.mark.parametrize("tag", [0x02, 0x03, 0x30])
def test_a_name_whose_value_is_no_string_is_a_certificate_that_cannot_be_read(tag: int) -> None:
    der = Authority("Root CA").der
    value = b"\x0c\x07Root CA"
    assert value in der
    with pytest.raises(certificates.CertificateError):
        certificates.load(der.replace(value, bytes([tag]) + value[1:]))

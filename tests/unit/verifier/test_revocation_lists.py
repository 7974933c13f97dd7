"""Lists of other signers, for some reasons, of distribution points, and deltas (RFC 5280 6.3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.domain import Code, SubIndication
from services.verifier.formats import ber
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.path import PathResult, PathValidator
from services.verifier.x509.path_rules import LegacyLinks, PathRules
from tests.unit.verifier.authority import NOW, Authority, subject

Reason = x509.ReasonFlags
POINT = [x509.UniformResourceIdentifier("http://ca.test/part.crl")]
OTHER = [x509.UniformResourceIdentifier("http://ca.test/other.crl")]
SOME = frozenset({Reason.key_compromise, Reason.ca_compromise})
REST = frozenset(Reason) - SOME - {Reason.unspecified, Reason.remove_from_crl}


def scope(**options: Any) -> tuple[x509.ExtensionType, bool]:
    """An issuing distribution point."""
    defaults: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(defaults | options)), True


def numbered(number: int, base: int | None = None) -> list[tuple[x509.ExtensionType, bool]]:
    """CRL number, and for a delta the number of its base."""
    found: list[tuple[x509.ExtensionType, bool]] = [(x509.CRLNumber(number), False)]
    return found if base is None else [*found, (x509.DeltaCRLIndicator(base), True)]


def points(*stated: x509.DistributionPoint) -> tuple[x509.ExtensionType, bool]:
    """The distribution points of a certificate."""
    return x509.CRLDistributionPoints(stated), False


class World:
    """A root that issues signers directly, and other authorities under it."""

    def __init__(self) -> None:
        """Make the root."""
        self.root = Authority("Root CA")
        self.more: list[Certificate] = []

    def leaf(self, *extensions: tuple[x509.ExtensionType, bool]) -> x509.Certificate:
        """A signer's certificate by the root."""
        return self.root.signer(more=extensions).certificate

    def judge(self, leaf: x509.Certificate, crls: Sequence[bytes], **rules: Any) -> PathResult:
        """The path of the leaf with these lists."""
        validator = PathValidator([certificates.load(self.root.der)], self.more, crls, PathRules(**rules))
        return validator.validate(certificates.load(leaf.public_bytes(Encoding.DER)), (), NOW)


@pytest.fixture
def world() -> World:
    """A hierarchy of one level."""
    return World()


def test_lists_for_some_reasons_together_speak_for_all(world: World) -> None:
    leaf = world.leaf()
    some = world.root.crl(extensions=[scope(only_some_reasons=SOME)])
    rest = world.root.crl(extensions=[scope(only_some_reasons=REST)])
    assert world.judge(leaf, [some]).failure is SubIndication.TRY_LATER
    assert world.judge(leaf, [some, rest]).failure is None
    revoked = world.root.crl([(leaf, Reason.superseded)], extensions=[scope(only_some_reasons=REST)])
    assert world.judge(leaf, [some, revoked]).failure is SubIndication.REVOKED_NO_POE


def test_a_list_of_a_distribution_point_counts_for_its_certificates_only(world: World) -> None:
    own = points(x509.DistributionPoint(POINT, None, None, None))
    part = world.root.crl(extensions=[scope(full_name=POINT)])
    other = world.root.crl(extensions=[scope(full_name=OTHER)])
    assert world.judge(world.leaf(own), [part]).failure is None
    assert world.judge(world.leaf(own), [other]).failure is SubIndication.TRY_LATER
    assert world.judge(world.leaf(), [part]).failure is SubIndication.TRY_LATER


def test_a_name_relative_to_the_issuer_is_the_full_name(world: World) -> None:
    relative = x509.RelativeDistinguishedName([*subject(organizational_unit_name="CRL 1")])
    full = [x509.DirectoryName(x509.Name([*world.root.name.rdns, relative]))]
    leaf = world.leaf(points(x509.DistributionPoint(None, relative, None, None)))
    assert world.judge(leaf, [world.root.crl(extensions=[scope(full_name=full)])]).failure is None


def delta_world(world: World) -> tuple[x509.Certificate, Callable[..., bytes]]:
    """A leaf, and a maker of lists by the root."""

    def make(number: int, base: int | None = None, **options: Any) -> bytes:
        return world.root.crl(options.pop("revoked", ()), extensions=numbered(number, base), **options)

    return world.leaf(), make


def test_a_delta_goes_before_the_list_that_it_builds_on(world: World) -> None:
    leaf, make = delta_world(world)
    held = make(5, revoked=[(leaf, Reason.certificate_hold)], this_update=NOW - timedelta(hours=3))
    released = make(6, 5, revoked=[(leaf, Reason.remove_from_crl)])
    revoked = make(6, 5, revoked=[(leaf, Reason.key_compromise)])
    good = make(5, this_update=NOW - timedelta(hours=3))
    assert Code.CERT_HELD in {n.code for n in world.judge(leaf, [held]).notices}
    assert world.judge(leaf, [held, released]).failure is None
    assert world.judge(leaf, [good, revoked]).failure is SubIndication.REVOKED_NO_POE


@pytest.mark.parametrize(("number", "base"), [(6, 6), (5, 5), (4, 3)])
def test_a_delta_that_does_not_fit_its_base_does_not_count(world: World, number: int, base: int) -> None:
    leaf, make = delta_world(world)
    good = make(5, this_update=NOW - timedelta(hours=3))
    delta = make(number, base, revoked=[(leaf, Reason.key_compromise)])
    assert world.judge(leaf, [good, delta]).failure is None
    assert world.judge(leaf, [delta]).failure is SubIndication.TRY_LATER


def test_a_fresh_delta_keeps_an_old_list_usable(world: World) -> None:
    leaf, make = delta_world(world)
    old = make(5, this_update=NOW - timedelta(days=9), next_update=NOW - timedelta(days=8))
    assert Code.STATUS_STALE in {n.code for n in world.judge(leaf, [old]).notices}
    assert world.judge(leaf, [old, make(6, 5)]).failure is None


def indirect(world: World, signer: Authority, entry: x509.Certificate | None, issuer: x509.Name) -> bytes:
    """An indirect list by another authority, with an entry of the issuer given."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.name)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(days=1))
        .add_extension(*scope(indirect_crl=True))
    )
    if entry is not None:
        revoked = (
            x509.RevokedCertificateBuilder()
            .serial_number(entry.serial_number)
            .revocation_date(NOW - timedelta(days=1))
            .add_extension(x509.CertificateIssuer([x509.DirectoryName(issuer)]), True)
        )
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_an_indirect_list_counts_where_the_certificate_names_its_issuer(world: World) -> None:
    signer = Authority("CRL signer", world.root, usage=("crl_sign",))
    world.more.append(certificates.load(signer.der))
    named = points(x509.DistributionPoint(None, None, None, [x509.DirectoryName(signer.name)]))
    leaf, unnamed = world.leaf(named), world.leaf()
    root = world.root.crl(extensions=[scope(only_contains_ca_certs=True)])
    good = indirect(world, signer, None, world.root.name)
    assert world.judge(leaf, [root, good]).failure is None
    assert world.judge(unnamed, [root, good]).failure is SubIndication.TRY_LATER
    revoked = indirect(world, signer, leaf, world.root.name)
    assert world.judge(leaf, [root, revoked]).failure is SubIndication.REVOKED_NO_POE
    of_another = indirect(world, signer, leaf, signer.name)
    assert world.judge(leaf, [root, of_another]).failure is None


@pytest.mark.parametrize("fault", ["may not sign lists", "revoked", "under another anchor"])
def test_a_signer_of_lists_needs_a_path_of_its_own(world: World, fault: str) -> None:
    above = Authority("Elsewhere") if fault == "under another anchor" else world.root
    usage = ("key_cert_sign",) if fault == "may not sign lists" else ("crl_sign",)
    signer = Authority("CRL signer", above, usage=usage)
    world.more.append(certificates.load(signer.der))
    leaf = world.leaf(points(x509.DistributionPoint(None, None, None, [x509.DirectoryName(signer.name)])))
    revoked = [(signer.certificate, None)] if fault == "revoked" else []
    root = world.root.crl(revoked, extensions=[scope(only_contains_ca_certs=True)])
    crls = [root, indirect(world, signer, None, world.root.name)]
    assert world.judge(leaf, crls).failure is SubIndication.TRY_LATER


@pytest.mark.parametrize("legacy", [False, True])
def test_a_list_signed_with_sha1_counts_under_the_legacy_policy_only(world: World, legacy: bool) -> None:
    tbs, _, _ = ber.load(world.root.crl())[0].children()
    fields = [f.encoded for f in tbs.children()]
    fields[1] = algorithm = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OID, bytes.fromhex("2a8648ce3d0401")))
    body = ber.tlv(ber.SEQUENCE, b"".join(fields))
    signature = world.root.key.sign(body, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - that it is refused is the test
    crl = ber.tlv(ber.SEQUENCE, body + algorithm + ber.tlv(ber.BIT_STRING, b"\0" + signature))
    result = world.judge(world.leaf(), [crl], legacy=LegacyLinks(frozenset()) if legacy else None)
    assert result.failure is (None if legacy else SubIndication.TRY_LATER)


def test_a_list_with_an_unknown_critical_entry_extension_does_not_count(world: World) -> None:
    leaf, other = world.leaf(), world.leaf()
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    revoked = (
        x509.RevokedCertificateBuilder()
        .serial_number(other.serial_number)
        .revocation_date(NOW - timedelta(days=1))
        .add_extension(unknown, True)
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(world.root.name)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(days=1))
        .add_revoked_certificate(revoked.build())
        .sign(world.root.key, hashes.SHA256())
    )
    assert world.judge(leaf, [crl.public_bytes(Encoding.DER)]).failure is SubIndication.TRY_LATER


def test_a_list_without_a_number_does_not_count_where_the_profile_is_demanded(world: World) -> None:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(world.root.key.public_key())
    leaf = world.leaf((identifier, False))
    named = (identifier, False)
    without = world.root.crl(extensions=[named])
    whole = world.root.crl(extensions=[named, *numbered(1)])
    assert world.judge(leaf, [without], strict=True).failure is SubIndication.TRY_LATER
    marked = world.root.crl(extensions=[named, (x509.CRLNumber(1), True)])
    assert world.judge(leaf, [marked], strict=True).failure is SubIndication.TRY_LATER
    assert world.judge(leaf, [whole], strict=True).failure is None
    assert world.judge(leaf, [without]).failure is None

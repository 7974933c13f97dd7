"""Certificates and CRLs outside the profile, a row for each, and that what the registry asks for is within."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kernel.errors import FieldInvalid
from services.signer.authority import Purpose
from tests.support.key_usage import key_usage
from tests.unit.signer.authorities import (
    CA,
    CA_USAGE,
    CLIENT_AUTH,
    ISSUING,
    LEAF,
    LEAF_USAGE,
    NOW,
    ROOT,
    SUB_CA,
    World,
    crl,
    eku,
    hierarchy,
    issuing,
    leaf,
    leaf_for,
    other,
    tbs,
)

Make = Callable[[World], bytes]


@pytest.fixture
async def world() -> World:
    """The whole hierarchy."""
    return await hierarchy()


DAY = timedelta(days=1)


def named(*texts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts])


PRINTABLE = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ISSUING", _type=_ASN1Type.PrintableString)])
OUTSIDE_THE_LEAF_PROFILE: list[tuple[str, Make]] = [
    ("begins in the past", lambda _: leaf(begin=NOW - 2 * DAY)),
    ("was over long ago", lambda _: leaf(begin=datetime(1990, 1, 1, tzinfo=UTC), life=3 * 365 * DAY)),
    ("begins in the far future", lambda _: leaf(begin=datetime(2090, 1, 1, tzinfo=UTC))),
    ("is over already", lambda _: leaf(begin=NOW - DAY, life=DAY / 2)),
    ("no subject", lambda _: leaf(subject=x509.Name([]))),
    ("blank subject", lambda _: leaf(subject=named("  "))),
    ("the issuing CA's name", lambda _: leaf(subject=ISSUING)),
    ("the issuing CA's name in another spelling", lambda _: leaf(subject=named(" iSSuing"))),
    ("the issuing CA's name in another type of string", lambda _: leaf(subject=PRINTABLE)),
    ("the root's name", lambda _: leaf(subject=ROOT)),
    ("no extended key usage", lambda _: tbs(extensions=(LEAF, LEAF_USAGE))),
    ("key agreement", lambda _: tbs(extensions=(LEAF, (key_usage("key_agreement"), True), CLIENT_AUTH))),
    *(
        (f"extended key usage {oid.dotted_string}", partial(leaf_for, oid))
        for oid in (
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CODE_SIGNING,
            ExtendedKeyUsageOID.OCSP_SIGNING,
            ExtendedKeyUsageOID.TIME_STAMPING,
            ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        )
    ),
    ("unknown critical extension", lambda _: leaf(other("1.2.3.4", critical=True))),
    ("unknown extension", lambda _: leaf(other("1.2.3.4"))),
    ("proxy certificate", lambda _: leaf(other("1.3.6.1.5.5.7.1.14", critical=True))),
    ("Netscape certificate type", lambda _: leaf(other("2.16.840.1.113730.1.1", b"\x03\x02\x00\x04"))),
    ("name constraints", lambda _: leaf((x509.NameConstraints([x509.DNSName("vn")], None), True))),
    ("no check of its status", lambda _: leaf((x509.OCSPNoCheck(), False))),
    ("a host's name", lambda _: leaf((x509.SubjectAlternativeName([x509.DNSName("portal.vn")]), False))),
]
OUTSIDE_THE_CA_PROFILE: list[tuple[str, Make]] = [
    ("a CA for OCSP", lambda w: issuing(w, eku(ExtendedKeyUsageOID.OCSP_SIGNING))),
    ("a CA for time stamps", lambda w: issuing(w, eku(ExtendedKeyUsageOID.TIME_STAMPING))),
    ("a CA with an unknown extension", lambda w: issuing(w, other("1.2.3.4"))),
    ("a CA until 2900", lambda w: issuing(w, life=datetime(2900, 1, 1, tzinfo=UTC) - NOW)),
    ("a CA for 21 years", lambda w: issuing(w, life=21 * 366 * DAY)),
    ("a CA of the past", lambda w: issuing(w, begin=NOW - 2 * DAY)),
    ("a CA of the future", lambda w: issuing(w, begin=NOW + 2 * DAY)),
    (
        "a root until 2900",
        lambda w: tbs(ROOT, ROOT, w.public("root"), (CA, CA_USAGE), datetime(2900, 1, 1, tzinfo=UTC) - NOW),
    ),
    ("a CA without name", lambda w: tbs(ROOT, x509.Name([]), w.public("other"), (SUB_CA, CA_USAGE))),
    ("a CA with the root's name", lambda w: tbs(ROOT, ROOT, w.public("other"), (SUB_CA, CA_USAGE))),
]
OUTSIDE_THE_CRL_PROFILE: list[tuple[str, Make]] = [
    ("CRL of last month", lambda _: crl(made=NOW - 30 * DAY, life=60 * DAY)),
    ("CRL of the future", lambda _: crl(made=NOW + 2 * DAY)),
    ("CRL for a year", lambda _: crl(life=365 * DAY)),
    ("delta CRL", lambda _: crl(more=x509.DeltaCRLIndicator(3))),
    (
        "CRL entry of another issuer",
        lambda _: crl(of_entry=x509.CertificateIssuer([x509.DirectoryName(ROOT)])),
    ),
]


@pytest.mark.parametrize(
    ("name", "purpose", "make"),
    [
        *(
            pytest.param("issuing", Purpose.CERTIFICATE, make, id=what)
            for what, make in OUTSIDE_THE_LEAF_PROFILE
        ),
        *(pytest.param("root", Purpose.CERTIFICATE, make, id=what) for what, make in OUTSIDE_THE_CA_PROFILE),
        *(pytest.param("issuing", Purpose.CRL, make, id=what) for what, make in OUTSIDE_THE_CRL_PROFILE),
    ],
)
async def test_what_is_outside_the_profile_is_not_signed(
    world: World, name: str, purpose: Purpose, make: Make
) -> None:
    to_be_signed = make(world)
    before, recorded = world.hsm.signed, len(world.ledger.entries)
    with pytest.raises(FieldInvalid):
        await world.authority.sign(name, purpose, to_be_signed)
    assert (world.hsm.signed, len(world.ledger.entries)) == (before, recorded)


async def test_all_that_the_registry_asks_for_is_in_the_profile(world: World) -> None:
    mailbox = (x509.SubjectAlternativeName([x509.RFC822Name("a@example.gov.vn")]), False)
    policy = x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)
    more = (
        (x509.SubjectKeyIdentifier(b"1" * 20), False),
        (x509.AuthorityKeyIdentifier(b"2" * 20, None, None), False),
        (x509.CertificatePolicies([policy]), False),
        (
            x509.CRLDistributionPoints(
                [x509.DistributionPoint([x509.UniformResourceIdentifier("http://a/b")], None, None, None)]
            ),
            False,
        ),
    )
    usages = (ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SMARTCARD_LOGON)
    all_usages = (key_usage("digital_signature", "content_commitment", "key_encipherment"), True)
    begin = NOW - timedelta(minutes=1)
    await world.sign("issuing", tbs(extensions=(LEAF, all_usages, eku(*usages), mailbox, *more), begin=begin))
    await world.sign("root", issuing(world, *more, begin=begin, life=timedelta(days=7305)))
    reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
    waited = NOW - timedelta(days=3)
    for made in (crl(of_entry=reason), crl(of_entry=x509.InvalidityDate(NOW)), crl(made=waited)):
        await world.authority.sign("issuing", Purpose.CRL, made)

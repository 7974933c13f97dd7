"""The profile of RFC 5280 section 4, one deviation at a time, at the anchor and at the leaf of a path of two."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.algorithms import UNRESTRICTED
from services.verifier.x509 import certificates
from services.verifier.x509.path import PathValidator
from services.verifier.x509.path_rules import PathRules
from tests.support.key_usage import AUTHORITY, key_usage
from tests.unit.verifier.authority import NOW

ROOT, LEAF = "Root", "Leaf"
CA_USAGE = key_usage(*AUTHORITY)
Extensions = dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool]]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Pair:
    """A root and a leaf that conform, until one of them is changed."""

    def __init__(self) -> None:
        """Conforming."""
        self.keys = {who: ec.generate_private_key(ec.SECP256R1()) for who in (ROOT, LEAF)}
        own = {
            who: x509.SubjectKeyIdentifier.from_public_key(key.public_key()) for who, key in self.keys.items()
        }
        named = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.keys[ROOT].public_key())
        self.serial = 2
        """Of the leaf; any, which a builder of certificates would not take."""
        self.root_issuer = ROOT
        self.extensions: dict[str, Extensions] = {
            ROOT: {
                x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True),
                x509.KeyUsage: (CA_USAGE, True),
                x509.SubjectKeyIdentifier: (own[ROOT], False),
            },
            LEAF: {
                x509.AuthorityKeyIdentifier: (named, False),
                x509.SubjectKeyIdentifier: (own[LEAF], False),
            },
        }

    def put(self, who: str, value: Any, *, critical: bool = False) -> None:
        self.extensions[who][type(value)] = (value, critical)

    def _certificate(self, who: str) -> bytes:
        builder = (
            x509.CertificateBuilder(_name(self.root_issuer if who == ROOT else ROOT), _name(who))
            .public_key(self.keys[who].public_key())
            .serial_number(1)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
        )
        for value, critical in self.extensions[who].values():
            builder = builder.add_extension(value, critical)
        signed = builder.sign(self.keys[ROOT], hashes.SHA256())
        if who == ROOT:
            return signed.public_bytes(Encoding.DER)
        taken = asn1.Certificate.load(signed.public_bytes(Encoding.DER))
        taken["tbs_certificate"]["serial_number"] = self.serial
        text = taken["tbs_certificate"].dump(force=True)
        taken["signature_value"] = self.keys[ROOT].sign(text, ec.ECDSA(hashes.SHA256()))
        return bytes(taken.dump(force=True))

    def judge(self, *, strict: bool = True) -> str:
        root, leaf = (certificates.load(self._certificate(who)) for who in (ROOT, LEAF))
        rules = PathRules(algorithms=UNRESTRICTED, strict=strict, check_status=False)
        return PathValidator([root], [], [], rules).validate(leaf, (), NOW).detail


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_what_conforms_passes(pair: Pair) -> None:
    assert pair.judge() == ""


def test_a_root_signed_by_its_own_key_under_another_name_needs_no_key_identifier_of_its_issuer(
    pair: Pair,
) -> None:
    pair.root_issuer = "An older name"
    assert pair.judge() == ""


def _without(who: str, kind: type[x509.ExtensionType]) -> Any:
    return lambda pair: pair.extensions[who].pop(kind)


def _critical(who: str, kind: type[x509.ExtensionType]) -> Any:
    return lambda pair: pair.put(who, pair.extensions[who][kind][0], critical=True)


def _host(name: str) -> Any:
    return lambda pair: pair.put(LEAF, x509.SubjectAlternativeName([x509.DNSName(name)]))


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (_critical(ROOT, x509.SubjectKeyIdentifier), "2.5.29.14, which is not processed"),
        (_critical(LEAF, x509.AuthorityKeyIdentifier), "2.5.29.35, which is not processed"),
        (_without(ROOT, x509.SubjectKeyIdentifier), "4.2.1.2"),
        (_without(LEAF, x509.AuthorityKeyIdentifier), "4.2.1.1"),
        (_without(ROOT, x509.BasicConstraints), "4.2.1.9"),
        (lambda pair: pair.put(ROOT, pair.extensions[ROOT][x509.BasicConstraints][0]), "4.2.1.9"),
        (lambda pair: pair.put(LEAF, CA_USAGE, critical=True), "4.2.1.3"),
        (
            lambda pair: pair.put(ROOT, x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), critical=True),
            "1.2.3.4, which is not processed",
        ),
        (_host("under_score.test"), "4.2.1.6"),
        (_host("192.0.2.1"), "4.2.1.6"),
        (_host("-a.test"), "4.2.1.6"),
        (lambda pair: setattr(pair, "serial", 0), "4.1.2.2"),
        (lambda pair: setattr(pair, "serial", -2), "4.1.2.2"),
        (lambda pair: setattr(pair, "serial", 1 << 160), "4.1.2.2"),
    ],
)  # fmt: skip
def test_a_deviation_is_refused_by_its_clause_where_the_profile_is_demanded(
    pair: Pair, change: Any, clause: str
) -> None:
    assert _host("*.a-1.test")(pair) is None
    assert pair.judge() == ""
    change(pair)
    assert clause in pair.judge()


def test_relying_parties_may_overlook_the_profile(pair: Pair) -> None:
    _without(ROOT, x509.SubjectKeyIdentifier)(pair)
    _without(LEAF, x509.AuthorityKeyIdentifier)(pair)
    _host("under_score.test")(pair)
    assert pair.judge(strict=False) == ""

"""Signers whose certificates end soon, and time-stamp units of every kind, by the CA of the test signers or another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.signer.formats import ber
from services.signer.formats.cms_container import SignedData, SignerInfo
from tests.support import stamping
from tests.support.document_signers import TestSigner, authority
from tests.support.stamping import TimeStampUnit

START = datetime.now(UTC).replace(microsecond=0)
"""When everything is signed and stamped; later times are reached by the verifier's clock alone."""
STAMPING = (ExtendedKeyUsageOID.TIME_STAMPING,)


def days(count: float) -> datetime:
    """So many days after START."""
    return START + timedelta(days=count)


@cache
def brief_signer() -> TestSigner:
    """A signer whose certificate ends two days after START."""
    key = rsa.generate_private_key(65537, 2048)
    ca = authority()[1]
    certificate = issue("Người ký ngắn hạn", key.public_key(), until=days(2))
    return TestSigner(key, (certificate, ca.public_bytes(Encoding.DER)))


def signed_again(data: bytes, kind: bytes, value: bytes) -> bytes:
    """A CMS container of `brief_signer` with one more signed attribute: its type as OBJECT IDENTIFIER, its value."""
    parsed = SignedData.read(data)
    info = SignerInfo.read(parsed.signers[0])
    kept = [child.encoded for child in ber.children(ber.whole(info.signed_attributes))]
    attributes = sorted([*kept, ber.encode(ber.SEQUENCE, kind, ber.encode(ber.SET, value))])
    changed = replace(
        info,
        signed_attributes=ber.encode(ber.CONTEXT_0, *attributes),
        signature=ber.encode(
            ber.OCTET_STRING, brief_signer().sign(stamping.imprint(ber.encode(ber.SET, *attributes)))
        ),
    )
    return parsed.with_signer(0, changed).encode()


@cache
def foreign_authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A CA with the name of the test signers' CA and a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = authority()[1].subject
    builder = _builder(name, name, key.public_key(), days(-1), days(30))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return key, builder.sign(key, hashes.SHA256())


@cache
def unit(
    purposes: tuple[x509.ObjectIdentifier, ...] = STAMPING,
    *,
    critical: bool = True,
    since: datetime = START - timedelta(days=1),
    until: datetime = START + timedelta(days=30),
    foreign: bool = False,
) -> TimeStampUnit:
    """A time-stamp unit; without purposes its certificate has no extended key usage."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [(x509.ExtendedKeyUsage(purposes), critical)] if purposes else []
    issuer = foreign_authority() if foreign else authority()
    certificate = issue(
        "Kyso test TSU 2", key.public_key(), since=since, until=until, more=extensions, issuer=issuer
    )
    return TimeStampUnit(key, certificate)


def issue(
    name: str,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    *,
    since: datetime = START - timedelta(days=1),
    until: datetime,
    more: list[tuple[x509.ExtendedKeyUsage, bool]] | None = None,
    issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None,
) -> bytes:
    """A certificate (DER) of an end entity."""
    ca_key, ca = issuer or authority()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, ca.subject, key, since, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    for extension, critical in more or []:
        builder = builder.add_extension(extension, critical)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.DER)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    since: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )

"""The mesh's own PKI for one machine: who is who between the platform's processes.

Made at run time, valid for this machine only, and no relation of the registry's CAs: a certificate from here says
"this process is the signer", never "this is a citizen".
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.secretfiles import write_private

MEMBERS = ("gateway", "signer", "registry", "verifier", "operator", "nats")
CA_DAYS = 3650
MEMBER_DAYS = 825
RENEW_BEFORE_DAYS = 60
"""A platform that is started at least this often never meets an expired certificate."""
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Identity:
    """Files of one member: its certificate, its private key (0600) and the CA it trusts, all PEM."""

    certificate: Path
    private_key: Path
    ca: Path


def provide_mesh(folder: Path, now: datetime | None = None) -> dict[str, Identity]:
    """Make the mesh CA and a certificate for each of MEMBERS below `folder`; keep those that are still good."""
    at = now or datetime.now(UTC)
    ca_file, ca_key_file = folder / "ca.pem", folder / "ca.key"
    if not _good(ca_file, ca_key_file, at):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(ca_file, _certify_ca(key, at).public_bytes(serialization.Encoding.PEM))
        write_private(ca_key_file, _pem(key))
        for name in MEMBERS:
            (folder / f"{name}.pem").unlink(missing_ok=True)
    members = {name: Identity(folder / f"{name}.pem", folder / f"{name}.key", ca_file) for name in MEMBERS}
    missing = [name for name, files in members.items() if not _good(files.certificate, files.private_key, at)]
    if missing:
        ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
        ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{ca_key_file} does not hold an EC key")
        for name in missing:
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _certify_member(name, key.public_key(), (ca, ca_key), at)
            write_private(members[name].private_key, _pem(key))
            write_private(members[name].certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return members


def _good(certificate: Path, key: Path, at: datetime) -> bool:
    if not (certificate.exists() and key.exists()):
        return False
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends > at + timedelta(days=RENEW_BEFORE_DAYS)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, at: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - CLOCK_SKEW)
        .not_valid_after(at + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _certify_ca(key: ec.EllipticCurvePrivateKey, at: datetime) -> x509.Certificate:
    name = "Kyso mesh of one machine"
    return (
        _builder(name, _name(name), key.public_key(), at, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certify_member(
    name: str,
    key: ec.EllipticCurvePublicKey,
    ca: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    at: datetime,
) -> x509.Certificate:
    certificate, ca_key = ca
    # The name is who the member is in every allow-list, so it has one only. The bus is met by address.
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "nats":
        names += [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        _builder(name, certificate.subject, key, at, MEMBER_DAYS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )

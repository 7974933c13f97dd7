"""An authority with keys in memory, and certificates and CRLs for it to sign or refuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kernel.values import KeyAlgorithm
from services.signer.authority import Authority, AuthorityRule, Purpose
from tests.support.key_usage import key_usage
from tests.unit.signer.memory import MemoryKeys, MemoryStore, SoftwareHsm

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
ISSUING = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing")])
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nguyễn Văn A")])
PERSON = ec.generate_private_key(ec.SECP256R1())
THROW_AWAY = ec.generate_private_key(ec.SECP256R1())


def tbs(
    issuer: x509.Name = ISSUING,
    subject: x509.Name = SUBJECT,
    public: Any = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    life: timedelta = timedelta(days=365),
    begin: datetime = NOW,
    digest: Any = None,
    key: Any = THROW_AWAY,
) -> bytes:
    """Build a TBSCertificate: `cryptography` signs it with a key that nobody uses."""
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public or PERSON.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, digest or hashes.SHA256()).tbs_certificate_bytes


CA = (x509.BasicConstraints(ca=True, path_length=None), True)
SUB_CA = (x509.BasicConstraints(ca=True, path_length=0), True)
CA_USAGE = (key_usage("key_cert_sign", "crl_sign"), True)
LEAF = (x509.BasicConstraints(ca=False, path_length=None), True)
LEAF_USAGE = (key_usage("digital_signature", "content_commitment"), True)
CLIENT_AUTH = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
LEAF_EXTENSIONS = (LEAF, LEAF_USAGE, CLIENT_AUTH)


def leaf(*more: tuple[x509.ExtensionType, bool], **changes: Any) -> bytes:
    """Build a subscriber's TBSCertificate with extensions besides the usual."""
    return tbs(extensions=(*LEAF_EXTENSIONS, *more), **changes)


def other(oid: str, value: bytes = b"\x05\x00", *, critical: bool = False) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical


def crl(
    issuer: x509.Name = ISSUING,
    *,
    number: bool = True,
    made: datetime = NOW,
    life: timedelta = timedelta(days=1),
    more: x509.ExtensionType | None = None,
    of_entry: x509.ExtensionType | None = None,
) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(made)
    builder = builder.next_update(made + life)
    if number:
        builder = builder.add_extension(x509.CRLNumber(7), critical=False)
    if more is not None:
        builder = builder.add_extension(more, critical=False)
    if of_entry is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(made)
        builder = builder.add_revoked_certificate(entry.add_extension(of_entry, critical=False).build())
    return builder.sign(THROW_AWAY, hashes.SHA256()).tbs_certlist_bytes


class World:
    """Root and issuing CA with keys in memory."""

    def __init__(self) -> None:
        self.keys, self.hsm = MemoryKeys(), SoftwareHsm()
        both = frozenset({"certificate", "crl"})
        rules = {
            name: AuthorityRule(name, role, KeyAlgorithm.ECDSA_P256, both, create=True)  # type: ignore[arg-type]
            for name, role in (("root", "root"), ("issuing", "issuing"), ("other", "issuing"))
        }
        rules["crl-only"] = replace(rules["issuing"], name="crl-only", may_sign=frozenset({"crl"}))
        rules["imported"] = replace(rules["issuing"], name="imported", create=False)
        self.ledger = MemoryStore()
        self.authority = Authority(rules, self.keys, self.hsm, "authority", self.ledger, lambda: NOW)

    def public(self, name: str) -> Any:
        return load_der_public_key(self.keys.authorities[name].spki)

    async def sign(self, name: str, to_be_signed: bytes) -> x509.Certificate:
        signed = await self.authority.sign(name, Purpose.CERTIFICATE, to_be_signed)
        certificate = x509.load_der_x509_certificate(signed)
        assert certificate.tbs_certificate_bytes == to_be_signed
        return certificate


def eku(*usages: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(list(usages)), False


def leaf_for(oid: x509.ObjectIdentifier, _: World) -> bytes:
    return tbs(extensions=(LEAF, LEAF_USAGE, eku(ExtendedKeyUsageOID.CLIENT_AUTH, oid)))


def issuing(world: World, *more: tuple[x509.ExtensionType, bool], **changes: Any) -> bytes:
    return tbs(ROOT, ISSUING, world.public("issuing"), (SUB_CA, CA_USAGE, *more), **changes)


async def hierarchy() -> World:
    """Make the whole hierarchy as the registry makes it."""
    made = World()
    for name in ("root", "issuing", "other"):
        await made.authority.generate(name)
    root = await made.sign("root", tbs(ROOT, ROOT, made.public("root"), (CA, CA_USAGE)))
    below = await made.sign("root", tbs(ROOT, ISSUING, made.public("issuing"), (SUB_CA, CA_USAGE)))
    root.verify_directly_issued_by(root)
    below.verify_directly_issued_by(root)
    return made

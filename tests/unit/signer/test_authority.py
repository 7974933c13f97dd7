"""What an authority key signs, and everything that it must not: a row for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kernel.errors import (
    AlgorithmMismatch,
    AlgorithmUnknown,
    Conflict,
    DomainError,
    FieldInvalid,
    Forbidden,
    HsmUnavailable,
    Internal,
    NotFound,
)
from services.kernel.values import KeyAlgorithm
from services.signer import x509_der
from services.signer.authority import Authority, AuthorityRule, Purpose
from services.signer.service.keys import KeyService
from tests.unit.signer.memory import MemoryKeys, SoftwareHsm, utc_now

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
ISSUING = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing")])
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nguyễn Văn A")])
PERSON = ec.generate_private_key(ec.SECP256R1())
THROW_AWAY = ec.generate_private_key(ec.SECP256R1())


def usage(*names: str) -> x509.KeyUsage:
    every = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: name in names for name in every})


def tbs(
    issuer: x509.Name = ISSUING,
    subject: x509.Name = SUBJECT,
    public: Any = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    life: timedelta = timedelta(days=365),
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
        .not_valid_before(NOW)
        .not_valid_after(NOW + life)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, digest or hashes.SHA256()).tbs_certificate_bytes


CA = (x509.BasicConstraints(ca=True, path_length=None), True)
SUB_CA = (x509.BasicConstraints(ca=True, path_length=0), True)
CA_USAGE = (usage("key_cert_sign", "crl_sign"), True)
LEAF = (x509.BasicConstraints(ca=False, path_length=None), True)
LEAF_USAGE = (usage("digital_signature", "content_commitment"), True)


def crl(issuer: x509.Name = ISSUING, *, number: bool = True) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(NOW)
    builder = builder.next_update(NOW + timedelta(days=1))
    if number:
        builder = builder.add_extension(x509.CRLNumber(7), critical=False)
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
        self.authority = Authority(rules, self.keys, self.hsm, "authority", utc_now)

    def public(self, name: str) -> Any:
        return load_der_public_key(self.keys.authorities[name].spki)

    async def sign(self, name: str, to_be_signed: bytes) -> x509.Certificate:
        signed = await self.authority.sign(name, Purpose.CERTIFICATE, to_be_signed)
        certificate = x509.load_der_x509_certificate(signed)
        assert certificate.tbs_certificate_bytes == to_be_signed
        return certificate


@pytest.fixture
async def world() -> World:
    """The whole hierarchy, made as the registry makes it."""
    made = World()
    for name in ("root", "issuing", "other"):
        await made.authority.generate(name)
    root = await made.sign("root", tbs(ROOT, ROOT, made.public("root"), (CA, CA_USAGE)))
    issuing = await made.sign("root", tbs(ROOT, ISSUING, made.public("issuing"), (SUB_CA, CA_USAGE)))
    root.verify_directly_issued_by(root)
    issuing.verify_directly_issued_by(root)
    return made


async def test_the_issuing_ca_signs_end_entities_and_crls(world: World) -> None:
    leaf = await world.sign("issuing", tbs(extensions=(LEAF, LEAF_USAGE)))
    issuer = await world.sign("root", tbs(ROOT, ISSUING, world.public("issuing"), (SUB_CA, CA_USAGE)))
    leaf.verify_directly_issued_by(issuer)
    signed = x509.load_der_x509_crl(await world.authority.sign("issuing", Purpose.CRL, crl()))
    assert signed.is_signature_valid(world.public("issuing"))


async def test_a_key_is_made_once_and_only_where_the_settings_say_so(world: World) -> None:
    assert await world.authority.generate("root") == world.keys.authorities["root"]
    for name in ("imported", "nobody"):
        with pytest.raises(NotFound):
            await world.authority.generate(name)


def _eku(*usages: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(list(usages)), False


def _wrong_der(world: World) -> bytes:
    good = tbs(extensions=(LEAF, LEAF_USAGE))
    return good[:2] + good[2:-1]


def _huge_serial(world: World) -> bytes:
    good = bytearray(tbs(extensions=(LEAF, LEAF_USAGE)))
    at = bytes(good).index(b"\xa0\x03\x02\x01\x02") + 5
    assert good[at] == 0x02
    good[at + 2] |= 0x80
    return bytes(good)


Make = Callable[[World], bytes]
REFUSED: list[tuple[str, str, Purpose, Make, type[DomainError]]] = [
    ("not DER", "issuing", Purpose.CERTIFICATE, lambda _: b"0", FieldInvalid),
    ("empty", "issuing", Purpose.CERTIFICATE, lambda _: b"", FieldInvalid),
    ("cut", "issuing", Purpose.CERTIFICATE, _wrong_der, FieldInvalid),
    ("negative serial", "issuing", Purpose.CERTIFICATE, _huge_serial, FieldInvalid),
    ("too large", "issuing", Purpose.CERTIFICATE, lambda _: b"0" * 70_000, FieldInvalid),
    ("a CRL as certificate", "issuing", Purpose.CERTIFICATE, lambda _: crl(), FieldInvalid),
    (
        "a certificate as CRL",
        "issuing",
        Purpose.CRL,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE)),
        FieldInvalid,
    ),
    ("unknown key", "nobody", Purpose.CERTIFICATE, lambda _: tbs(), NotFound),
    ("key not made", "imported", Purpose.CERTIFICATE, lambda _: tbs(), NotFound),
    ("purpose not allowed", "crl-only", Purpose.CERTIFICATE, lambda _: tbs(), Forbidden),
    (
        "no certificate of its own",
        "other",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE)),
        Conflict,
    ),
    ("CRL before its own certificate", "other", Purpose.CRL, lambda _: crl(), Conflict),
    (
        "foreign issuer",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(ROOT, extensions=(LEAF, LEAF_USAGE)),
        FieldInvalid,
    ),
    ("foreign issuer of a CRL", "issuing", Purpose.CRL, lambda _: crl(ROOT), FieldInvalid),
    ("CRL without number", "issuing", Purpose.CRL, lambda _: crl(number=False), FieldInvalid),
    ("a CA", "issuing", Purpose.CERTIFICATE, lambda _: tbs(extensions=(SUB_CA, LEAF_USAGE)), FieldInvalid),
    ("keyCertSign", "issuing", Purpose.CERTIFICATE, lambda _: tbs(extensions=(LEAF, CA_USAGE)), FieldInvalid),
    ("no key usage", "issuing", Purpose.CERTIFICATE, lambda _: tbs(extensions=(LEAF,)), FieldInvalid),
    (
        "OCSPSigning",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE, _eku(ExtendedKeyUsageOID.OCSP_SIGNING))),
        FieldInvalid,
    ),
    (
        "timeStamping",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE, _eku(ExtendedKeyUsageOID.TIME_STAMPING))),
        FieldInvalid,
    ),
    (
        "any usage",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE, _eku(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))),
        FieldInvalid,
    ),
    (
        "too long",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE), life=timedelta(days=6 * 366)),
        FieldInvalid,
    ),
    (
        "an authority key as end entity",
        "issuing",
        Purpose.CERTIFICATE,
        lambda w: tbs(public=w.public("other"), extensions=(LEAF, LEAF_USAGE)),
        FieldInvalid,
    ),
    (
        "a curve that is not used",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(
            public=ec.generate_private_key(ec.SECP521R1()).public_key(), extensions=(LEAF, LEAF_USAGE)
        ),
        FieldInvalid,
    ),
    (
        "root signs an end entity",
        "root",
        Purpose.CERTIFICATE,
        lambda _: tbs(ROOT, extensions=(LEAF, LEAF_USAGE)),
        FieldInvalid,
    ),
    (
        "root certifies a foreign CA",
        "root",
        Purpose.CERTIFICATE,
        lambda _: tbs(ROOT, ISSUING, extensions=(SUB_CA, CA_USAGE)),
        FieldInvalid,
    ),
    (
        "root without path length",
        "root",
        Purpose.CERTIFICATE,
        lambda w: tbs(ROOT, ISSUING, w.public("issuing"), (CA, CA_USAGE)),
        FieldInvalid,
    ),
    (
        "root with another usage",
        "root",
        Purpose.CERTIFICATE,
        lambda w: tbs(ROOT, ISSUING, w.public("issuing"), (SUB_CA, LEAF_USAGE)),
        FieldInvalid,
    ),
    (
        "root renames itself",
        "root",
        Purpose.CERTIFICATE,
        lambda w: tbs(ISSUING, ISSUING, w.public("root"), (CA, CA_USAGE)),
        FieldInvalid,
    ),
    (
        "root certifies itself under another issuer",
        "root",
        Purpose.CERTIFICATE,
        lambda w: tbs(ISSUING, ROOT, w.public("root"), (CA, CA_USAGE)),
        FieldInvalid,
    ),
    (
        "issuing certificate in another name",
        "root",
        Purpose.CERTIFICATE,
        lambda w: tbs(ROOT, SUBJECT, w.public("issuing"), (SUB_CA, CA_USAGE)),
        Conflict,
    ),
    (
        "an RSA algorithm for an EC key",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE), key=rsa.generate_private_key(65537, 2048)),
        AlgorithmMismatch,
    ),
    (
        "an algorithm that is not used",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE), digest=hashes.SHA224()),
        AlgorithmUnknown,
    ),
]


@pytest.mark.parametrize(
    ("name", "purpose", "make", "error"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
async def test_what_an_authority_does_not_sign(
    world: World, name: str, purpose: Purpose, make: Make, error: type[DomainError]
) -> None:
    to_be_signed = make(world)
    before = world.hsm.signed
    with pytest.raises(error):
        await world.authority.sign(name, purpose, to_be_signed)
    assert world.hsm.signed == before


async def test_a_failed_or_wrong_signature_is_not_released(world: World) -> None:
    good = tbs(extensions=(LEAF, LEAF_USAGE))
    world.hsm.plan = lambda _: HsmUnavailable("no worker")
    with pytest.raises(HsmUnavailable):
        await world.authority.sign("issuing", Purpose.CERTIFICATE, good)
    world.hsm.plan = lambda _: b"\x30\x06\x02\x01\x01\x02\x01\x01"
    with pytest.raises(Internal):
        await world.authority.sign("issuing", Purpose.CERTIFICATE, good)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ECDSA_P384])
async def test_a_certification_request_is_signed_by_the_key_that_it_names(algorithm: KeyAlgorithm) -> None:
    keys, hsm = MemoryKeys(), SoftwareHsm()
    service = KeyService(keys, hsm, "documents", utc_now)
    key = await service.generate("cr_1", algorithm)
    assert await service.generate("cr_1", algorithm) == key
    with pytest.raises(FieldInvalid):
        await service.generate("cr_1", KeyAlgorithm.RSA_2048)
    own = _request_info(hsm.private[key.cka_id])
    signed = x509.load_der_x509_csr(await service.sign_certification_request(key.id, own))
    assert signed.is_signature_valid
    assert signed.tbs_certrequest_bytes == own
    for wrong in (_request_info(THROW_AWAY), b"", own[:-1], own + b"\x00", b"0" * 70_000):
        with pytest.raises(FieldInvalid):
            await service.sign_certification_request(key.id, wrong)
    with pytest.raises(NotFound):
        await service.sign_certification_request("key_none", own)


def _request_info(private: Any) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(SUBJECT)
    return builder.sign(private, hashes.SHA256()).tbs_certrequest_bytes


@pytest.mark.parametrize(
    "data", [b"0\x81\x05abcde", b"0\x80", b"0\x82\x00\x05abcde", b"0\x85\x01\x00\x00\x00\x00", b"0"]
)
def test_a_length_in_any_but_its_shortest_form_is_no_der(data: bytes) -> None:
    with pytest.raises(FieldInvalid):
        x509_der.read(data, 0, "x")

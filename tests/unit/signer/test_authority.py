"""What an authority key signs, and everything that it must not: a row for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

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
    ServiceUnavailable,
)
from services.kernel.values import KeyAlgorithm
from services.signer import x509_der
from services.signer.authority import Purpose
from services.signer.ledger import Entry
from services.signer.service.keys import KeyService
from tests.unit.signer.authorities import (
    CA,
    CA_USAGE,
    ISSUING,
    LEAF,
    LEAF_EXTENSIONS,
    LEAF_USAGE,
    ROOT,
    SUB_CA,
    SUBJECT,
    THROW_AWAY,
    World,
    crl,
    eku,
    hierarchy,
    leaf,
    tbs,
)
from tests.unit.signer.memory import MemoryKeys, MemoryStore, SoftwareHsm, utc_now


@pytest.fixture
async def world() -> World:
    """The whole hierarchy."""
    return await hierarchy()


async def test_the_issuing_ca_signs_end_entities_and_crls(world: World) -> None:
    made = await world.sign("issuing", tbs(extensions=LEAF_EXTENSIONS))
    issuer = await world.sign("root", tbs(ROOT, ISSUING, world.public("issuing"), (SUB_CA, CA_USAGE)))
    made.verify_directly_issued_by(issuer)
    signed = x509.load_der_x509_crl(await world.authority.sign("issuing", Purpose.CRL, crl()))
    assert signed.is_signature_valid(world.public("issuing"))


async def test_a_key_is_made_once_and_only_where_the_settings_say_so(world: World) -> None:
    assert await world.authority.generate("root") == world.keys.authorities["root"]
    for name in ("imported", "nobody"):
        with pytest.raises(NotFound):
            await world.authority.generate(name)


def _wrong_der(world: World) -> bytes:
    good = tbs(extensions=LEAF_EXTENSIONS)
    return good[:2] + good[2:-1]


def _huge_serial(world: World) -> bytes:
    good = bytearray(tbs(extensions=LEAF_EXTENSIONS))
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
        lambda _: tbs(extensions=LEAF_EXTENSIONS),
        FieldInvalid,
    ),
    ("unknown key", "nobody", Purpose.CERTIFICATE, lambda _: tbs(), NotFound),
    ("key not made", "imported", Purpose.CERTIFICATE, lambda _: tbs(), NotFound),
    ("purpose not allowed", "crl-only", Purpose.CERTIFICATE, lambda _: tbs(), Forbidden),
    (
        "no certificate of its own",
        "other",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=LEAF_EXTENSIONS),
        Conflict,
    ),
    ("CRL before its own certificate", "other", Purpose.CRL, lambda _: crl(), Conflict),
    (
        "foreign issuer",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(ROOT, extensions=LEAF_EXTENSIONS),
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
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE, eku(ExtendedKeyUsageOID.OCSP_SIGNING))),
        FieldInvalid,
    ),
    (
        "timeStamping",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE, eku(ExtendedKeyUsageOID.TIME_STAMPING))),
        FieldInvalid,
    ),
    (
        "any usage",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=(LEAF, LEAF_USAGE, eku(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))),
        FieldInvalid,
    ),
    (
        "too long",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=LEAF_EXTENSIONS, life=timedelta(days=6 * 366)),
        FieldInvalid,
    ),
    (
        "an authority key as end entity",
        "issuing",
        Purpose.CERTIFICATE,
        lambda w: tbs(public=w.public("other"), extensions=LEAF_EXTENSIONS),
        FieldInvalid,
    ),
    (
        "a curve that is not used",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(
            public=ec.generate_private_key(ec.SECP521R1()).public_key(), extensions=LEAF_EXTENSIONS
        ),
        FieldInvalid,
    ),
    (
        "root signs an end entity",
        "root",
        Purpose.CERTIFICATE,
        lambda _: tbs(ROOT, extensions=LEAF_EXTENSIONS),
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
        lambda _: tbs(extensions=LEAF_EXTENSIONS, key=rsa.generate_private_key(65537, 2048)),
        AlgorithmMismatch,
    ),
    (
        "an algorithm that is not used",
        "issuing",
        Purpose.CERTIFICATE,
        lambda _: tbs(extensions=LEAF_EXTENSIONS, digest=hashes.SHA224()),
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
    before, recorded = world.hsm.signed, len(world.ledger.entries)
    with pytest.raises(error):
        await world.authority.sign(name, purpose, to_be_signed)
    assert (world.hsm.signed, len(world.ledger.entries)) == (before, recorded)


async def test_every_signature_is_in_the_ledger_before_it_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_be_signed = leaf()
    made = await world.authority.sign("issuing", Purpose.CERTIFICATE, to_be_signed, "req_1")
    await world.authority.sign("issuing", Purpose.CRL, crl())
    certified, listed = (json.loads(entry.data) for entry in world.ledger.entries[-2:])
    certificate = x509.load_der_x509_certificate(made)
    assert {
        name: certified[name] for name in ("kind", "outcome", "key_id", "document_type", "request_id")
    } == {
        "kind": "authority",
        "outcome": "completed",
        "key_id": "issuing",
        "document_type": "certificate",
        "request_id": "req_1",
    }
    assert certified["serial_number"] == f"{certificate.serial_number:x}"
    assert certified["request_sha256"] == hashlib.sha256(to_be_signed).hexdigest()
    assert certified["signatures_sha256"] == hashlib.sha256(certificate.signature).hexdigest()
    assert (listed["document_type"], listed["reference"], listed["signed_items"]) == ("crl", "7", 1)

    async def away(_: Entry) -> None:
        raise ServiceUnavailable("the database is away")

    monkeypatch.setattr(world.ledger, "note", away)
    with pytest.raises(ServiceUnavailable):
        await world.authority.sign("issuing", Purpose.CERTIFICATE, leaf())


async def test_a_failed_or_wrong_signature_is_not_released(world: World) -> None:
    good = tbs(extensions=LEAF_EXTENSIONS)
    world.hsm.plan = lambda _: HsmUnavailable("no worker")
    with pytest.raises(HsmUnavailable):
        await world.authority.sign("issuing", Purpose.CERTIFICATE, good)
    world.hsm.plan = lambda _: b"\x30\x06\x02\x01\x01\x02\x01\x01"
    with pytest.raises(Internal):
        await world.authority.sign("issuing", Purpose.CERTIFICATE, good)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ECDSA_P384])
async def test_a_certification_request_is_signed_by_the_key_that_it_names(algorithm: KeyAlgorithm) -> None:
    keys, hsm, ledger = MemoryKeys(), SoftwareHsm(), MemoryStore()
    service = KeyService(keys, hsm, "documents", ledger, utc_now)
    key = await service.generate("cr_1", algorithm)
    assert await service.generate("cr_1", algorithm) == key
    with pytest.raises(FieldInvalid):
        await service.generate("cr_1", KeyAlgorithm.RSA_2048)
    own = _request_info(hsm.private[key.cka_id])
    signed = x509.load_der_x509_csr(await service.sign_certification_request(key.id, own))
    assert signed.is_signature_valid
    assert signed.tbs_certrequest_bytes == own
    (entry,) = ledger.entries
    record = json.loads(entry.data)
    assert (record["kind"], record["key_id"], record["credential_id"]) == (
        "certification_request",
        key.id,
        "cr_1",
    )
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

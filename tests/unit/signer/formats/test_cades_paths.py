"""CAdES B-LT where the signer's CA is certified by another CA: every step of the path needs its revocation value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.kernel.errors import EvidenceUnavailable
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import cms_evidence
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.cms_container import SignedData
from services.signer.formats.format import Document, Evidence, EvidenceNeeded, Signed
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import TestSigner, signed

FORM = CadesBaseline()
CONTENT = b"Cong van so 15"
SHA256 = DigestAlgorithm.SHA256
ECDSA = SigningAlgorithm(SignatureScheme.ECDSA, SHA256)
NO_REVOCATION_AVAILABLE = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00")
NAMES = ("Kyso test root", "Kyso test issuing CA", "Kyso test signer")


def certified(
    level: int, keys: list[ec.EllipticCurvePrivateKey], extension: x509.ExtensionType | None
) -> bytes:
    """Certify the key of a level by the one above it; level 0 certifies itself."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in NAMES]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[level])
        .issuer_name(names[max(level - 1, 0)])
        .public_key(keys[level].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=level < 2, path_length=None), critical=True)
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(keys[max(level - 1, 0)], hashes.SHA256()).public_bytes(Encoding.DER)


@cache
def path(extension: x509.ExtensionType | None = None) -> tuple[TestSigner, bytes, tuple[bytes, bytes]]:
    """Return a signer (with the issuing CA in the chain), the root's certificate, the CRLs of root and issuing CA."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in NAMES]
    root, issuing = certified(0, keys, None), certified(1, keys, None)
    crls = tuple(crl(name, key) for name, key in zip(NAMES, keys[:2], strict=False))
    return TestSigner(keys[2], (certified(2, keys, extension), issuing)), root, (crls[0], crls[1])


def crl(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .last_update(now)
        .next_update(now + timedelta(days=7))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def stamped(who: TestSigner) -> Signed:
    """Return a signature at level B-T that has everything for its time-stamp already."""
    container = signed(FORM, CONTENT, who, who.parameters(ECDSA, "CADES"))
    container = stamping.raise_to(FORM, Signed(Document.of(CONTENT), container), Level.B_T)
    given = stamping.evidence((stamping.time_stamp_unit().certificate,))
    return Signed(Document.of(cms_evidence.with_evidence(SignedData.read(container), given).encode()))


def test_a_value_for_the_issuing_ca_is_wanted_too() -> None:
    who, root, (of_root, of_issuing) = path()
    half = cms_evidence.with_evidence(
        SignedData.read(stamped(who).document.read()), Evidence(crls=(of_issuing,))
    )
    at = Signed(Document.of(half.encode()))
    need = FORM.next_need(at, Level.B_LT, SHA256)
    assert isinstance(need, EvidenceNeeded)
    assert set(who.chain) <= set(need.certificates)
    with pytest.raises(EvidenceUnavailable, match="but those that the container has"):
        FORM.add_evidence(at, need, Evidence())
    whole = FORM.add_evidence(at, need, Evidence((root,), (of_root,)))
    assert FORM.next_need(Signed(at.document, whole), Level.B_LT, SHA256) is None
    assert FORM.next_need(Signed(Document.of(whole)), Level.B_LT, SHA256) is None


def test_an_issuing_ca_that_is_trusted_itself_is_asked_about_once() -> None:
    who, _, (_, of_issuing) = path()
    at = stamped(who)
    need = FORM.next_need(at, Level.B_LT, SHA256)
    assert isinstance(need, EvidenceNeeded)
    container = FORM.add_evidence(at, need, Evidence(crls=(of_issuing,)))
    assert FORM.next_need(Signed(at.document, container), Level.B_LT, SHA256) is None


def test_a_certificate_that_says_so_needs_no_value_of_its_own() -> None:
    who, root, (of_root, _) = path(NO_REVOCATION_AVAILABLE)
    at = stamped(who)
    need = FORM.next_need(at, Level.B_LT, SHA256)
    assert isinstance(need, EvidenceNeeded)
    container = FORM.add_evidence(at, need, Evidence((root,), (of_root,)))
    assert FORM.next_need(Signed(at.document, container), Level.B_LT, SHA256) is None

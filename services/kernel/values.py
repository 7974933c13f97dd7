"""Values that cannot be wrong once they exist: digests, algorithms, identifiers. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from dataclasses import dataclass
from enum import Enum

from services.kernel.errors import AlgorithmMismatch, AlgorithmUnknown, DigestLength


class DigestAlgorithm(Enum):
    """The digests that TT 15/2025 Phụ lục I and this project's policy allow for new signatures (FIPS 180-4)."""

    SHA256 = ("SHA-256", "sha256", 32, "2.16.840.1.101.3.4.2.1")
    SHA384 = ("SHA-384", "sha384", 48, "2.16.840.1.101.3.4.2.2")
    SHA512 = ("SHA-512", "sha512", 64, "2.16.840.1.101.3.4.2.3")

    def __init__(self, label: str, hashlib_name: str, size: int, oid: str) -> None:
        """Bind the label that callers use, the name in hashlib, the size in bytes and the object identifier."""
        self.label = label
        self.hashlib_name = hashlib_name
        self.size = size
        self.oid = oid

    @classmethod
    def parse(cls, label: str) -> DigestAlgorithm:
        """Read a label such as "SHA-256"; raise AlgorithmUnknown for any other text."""
        for member in cls:
            if member.label == label:
                return member
        known = ", ".join(member.label for member in cls)
        raise AlgorithmUnknown(
            f"digest algorithm {label[:40]!r} is not one of {known}", field="digest_algorithm"
        )

    def digest(self, data: bytes) -> bytes:
        """Hash data and return the digest."""
        return hashlib.new(self.hashlib_name, data).digest()


class KeyAlgorithm(Enum):
    """Key types that the HSM makes. The value is (label, family)."""

    RSA_2048 = ("RSA-2048", "RSA", 2048)
    RSA_3072 = ("RSA-3072", "RSA", 3072)
    RSA_4096 = ("RSA-4096", "RSA", 4096)
    ECDSA_P256 = ("ECDSA-P256", "EC", 256)
    ECDSA_P384 = ("ECDSA-P384", "EC", 384)

    def __init__(self, label: str, family: str, bits: int) -> None:
        """Bind the label that callers use, the family ("RSA" or "EC") and the size of modulus or field in bits."""
        self.label = label
        self.family = family
        self.bits = bits

    @classmethod
    def parse(cls, label: str) -> KeyAlgorithm:
        """Read a label such as "ECDSA-P256"; raise AlgorithmUnknown for any other text."""
        for member in cls:
            if member.label == label:
                return member
        known = ", ".join(member.label for member in cls)
        raise AlgorithmUnknown(f"key algorithm {label[:40]!r} is not one of {known}", field="key_algorithm")


class SignatureScheme(Enum):
    """RFC 8017 section 8.2, RFC 8017 section 8.1 (salt as long as the digest, MGF1 with the same hash), FIPS 186-5."""

    RSA_PKCS1V15 = ("RSA-PKCS1v1.5", "RSA")
    RSA_PSS = ("RSA-PSS", "RSA")
    ECDSA = ("ECDSA", "EC")

    def __init__(self, label: str, family: str) -> None:
        """Bind the label that callers use and the key family that the scheme needs."""
        self.label = label
        self.family = family

    @classmethod
    def parse(cls, label: str) -> SignatureScheme:
        """Read a label such as "RSA-PSS"; raise AlgorithmUnknown for any other text."""
        for member in cls:
            if member.label == label:
                return member
        known = ", ".join(member.label for member in cls)
        raise AlgorithmUnknown(
            f"signature scheme {label[:40]!r} is not one of {known}", field="signature_scheme"
        )


@dataclass(frozen=True, slots=True)
class SigningAlgorithm:
    """A signature scheme with its digest."""

    scheme: SignatureScheme
    digest: DigestAlgorithm

    @property
    def label(self) -> str:
        """For people and metrics, such as "RSA-PSS/SHA-256"."""
        return f"{self.scheme.label}/{self.digest.label}"

    def require_fit(self, key: KeyAlgorithm) -> None:
        """Raise AlgorithmMismatch where a key of this kind cannot sign so."""
        if self.scheme.family != key.family:
            raise AlgorithmMismatch(
                f"scheme {self.scheme.label} needs an {self.scheme.family} key, the credential has {key.label}",
                field="signature_scheme",
            )


def default_scheme(key: KeyAlgorithm) -> SignatureScheme:
    """Return the scheme used where the caller names none: PKCS#1 v1.5 for RSA, as the field expects, else ECDSA."""
    return SignatureScheme.RSA_PKCS1V15 if key.family == "RSA" else SignatureScheme.ECDSA


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest whose length fits its algorithm."""

    algorithm: DigestAlgorithm
    value: bytes

    def __post_init__(self) -> None:
        """Refuse a wrong length."""
        if len(self.value) != self.algorithm.size:
            raise DigestLength(
                f"{self.algorithm.label} digest must be {self.algorithm.size} bytes, got {len(self.value)}",
                expected=self.algorithm.size,
                got=len(self.value),
            )


_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")


def new_id(prefix: str) -> str:
    """Make an identifier: prefix, underscore, 26 characters (48 bits of milliseconds, 80 random bits; sorts by time)."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    # 26 characters hold 130 bits: two zero bits in front, and six behind up to whole bytes.
    encoded = base64.b32encode((number << 6).to_bytes(17, "big"))[:26]
    return f"{prefix}_{encoded.translate(_CROCKFORD).decode('ascii')}"

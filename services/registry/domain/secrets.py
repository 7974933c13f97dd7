"""Client secrets: made here, shown once, kept as a salted hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from services.registry.domain.parties import SecretHash

SECRET_BYTES = 32
MIN_GIVEN_CHARACTERS = 32
"""Of the operator's secret, which comes from a file instead of from here."""
MAX_CHARACTERS = 256

# Compared where no client was found, so that a wrong id takes as long as a wrong secret.
_NOBODY = SecretHash(os.urandom(16), os.urandom(32))


def make() -> str:
    """Return a new secret: 32 random bytes as base64url."""
    return base64.urlsafe_b64encode(os.urandom(SECRET_BYTES)).rstrip(b"=").decode()


def keep(secret: str) -> SecretHash:
    """Return what is kept of a secret."""
    salt = os.urandom(16)
    return SecretHash(salt, _hash(salt, secret))


def matches(secret: str, kept: SecretHash | None) -> bool:
    """Compare in constant time; False where there is nothing to compare with."""
    against = kept or _NOBODY
    equal = hmac.compare_digest(_hash(against.salt, secret[:MAX_CHARACTERS]), against.hash)
    return equal and kept is not None and len(secret) <= MAX_CHARACTERS


def _hash(salt: bytes, secret: str) -> bytes:
    # One round is enough: the secret has 256 random bits, so there is nothing to guess, and a slow hash would only
    # give everyone who can reach the token endpoint a way to burn our CPU.
    return hashlib.sha256(salt + secret.encode()).digest()

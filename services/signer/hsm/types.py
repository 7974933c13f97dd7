"""What the HSM floor and its callers say to each other. Standard library and kernel errors only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from services.kernel.errors import DomainError, Kind
from services.kernel.values import KeyAlgorithm

CKA_ID_BYTES = 16
"""Length of the random CKA_ID that names a key in its token."""
SPKI_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyLocator:
    """Where a key is, and what it must be: a key found there with another public key is never used.

    `spki_sha256` is the SHA-256 of the DER SubjectPublicKeyInfo (RFC 5280 section 4.1).
    """

    token_group: str
    cka_id: bytes
    spki_sha256: bytes

    def __post_init__(self) -> None:
        """Refuse lengths that cannot be."""
        if len(self.cka_id) != CKA_ID_BYTES or len(self.spki_sha256) != SPKI_HASH_BYTES:
            raise ValueError(
                f"a key locator has {CKA_ID_BYTES} bytes of CKA_ID and {SPKI_HASH_BYTES} of SPKI hash"
            )


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """A key pair just made inside the token. `spki` is the DER SubjectPublicKeyInfo."""

    locator: KeyLocator
    algorithm: KeyAlgorithm
    spki: bytes


ItemOutcome: TypeAlias = bytes | DomainError
"""A signature (RSA: modulus length; ECDSA: DER ECDSA-Sig-Value, RFC 3279 section 2.2.3), or why there is none."""


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """How a token group is. `reason` is None where it signs, else why not, such as "hsm: PIN refused"."""

    workers: int
    """Workers that the settings ask for."""
    ready_workers: int
    queue_length: int
    """Digests that wait for a worker."""
    reason: str | None
    pids: tuple[int, ...]
    """Process ids of the workers alive, for whoever measures their CPU time."""


class HsmKeyMissing(DomainError):
    """The token holds no key with this CKA_ID, or more than one: the key is lost, or the token is another one."""

    code, kind = "HSM_KEY_MISSING", Kind.FAILED_PRECONDITION


class HsmKeyMismatch(DomainError):
    """The token holds another public key under this CKA_ID than the one recorded: it is not used."""

    code, kind = "HSM_KEY_MISMATCH", Kind.FAILED_PRECONDITION


class HsmRefused(DomainError):
    """The token cannot do what was asked with this key (mechanism, key type, data length); `reason` is its CKR name."""

    code, kind = "HSM_REFUSED", Kind.FAILED_PRECONDITION

"""Credentials, their certificates and holds: what they are and what may become of them.

A credential is not a certificate: it is key, current certificate chain, owner, status, activation and policy, and it
survives the certificates that it gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.kernel.errors import (
    CredentialNotFound,
    CredentialRevoked,
    FieldInvalid,
    Forbidden,
)
from services.kernel.values import KeyAlgorithm
from services.registry.domain.parties import Client

MAX_VALIDITY_DAYS = 1826
"""Five years (RG-05)."""
FIRST_RETRY_PAUSE, MAX_RETRY_PAUSE = timedelta(seconds=5), timedelta(minutes=10)


class CredentialStatus(Enum):
    """Where a credential stands; expiry is not among them, it follows from the certificate and the clock."""

    PENDING = "pending"
    ACTIVE = "active"
    HELD = "held"
    REVOKED = "revoked"


class Activation(Enum):
    """What must be shown before a credential signs."""

    CLIENT = "client"


class IssuerKind(Enum):
    """Who issues a credential's certificates."""

    OWN_CA = "own_ca"
    OUTSIDE_CA = "outside_ca"


class HoldReason(Enum):
    """RG-42."""

    DEVICE_LOST = "device_lost"
    SECRET_EXPOSED = "secret_exposed"  # noqa: S105 - the ground's name
    KEY_SUSPECTED = "key_suspected"
    SECRET_FORGOTTEN = "secret_forgotten"  # noqa: S105 - the same
    OTHER = "other"


class RevocationGround(Enum):
    """NĐ 68/2024 Đ17, with the CRL reason (RFC 5280 section 5.3.1) that is derived from it; None: no reason code."""

    KEY_EXPOSED = ("key_exposed", "keyCompromise")
    DEVICE_LOST = ("device_lost", "keyCompromise")
    DEVICE_BROKEN = ("device_broken", "superseded")
    AUTHORITY_REQUEST = ("authority_request", "privilegeWithdrawn")
    MANAGING_BODY = ("managing_body", None)
    POST_CHANGED = ("post_changed", "affiliationChanged")
    LEFT_SERVICE = ("left_service", "cessationOfOperation")
    ORGANIZATION_ENDED = ("organization_ended", "cessationOfOperation")
    SERVICE_STOPPED = ("service_stopped", "cessationOfOperation")

    def __init__(self, label: str, crl_reason: str | None) -> None:
        """Bind the name under which it is kept and the CRL reason."""
        self.label = label
        self.crl_reason = crl_reason

    @classmethod
    def parse(cls, label: str) -> RevocationGround:
        """Read the kept name."""
        return next(ground for ground in cls if ground.label == label)


class CertificateState(Enum):
    """Steps of issuing: serial number and to-be-signed bytes are kept before the CA signs, so a crash leaves a trace."""

    TBS_STORED = "tbs_stored"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of a credential. `chain` is DER, leaf first, without the root; empty until it is issued."""

    id: str
    credential_id: str
    issuer_id: str
    """Name of our CA, or "outside:" and the SHA-256 of the issuer's name."""
    serial_number: str
    """Lower-case hexadecimal."""
    state: CertificateState
    not_before: datetime
    not_after: datetime
    tbs: bytes
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as the register holds it."""

    id: str
    agency_id: str
    subscriber_id: str
    status: CredentialStatus
    version: int
    """The directory's head at its last change."""
    key_algorithm: KeyAlgorithm
    key_id: str
    """Id of the key in the signer; empty until it was made."""
    spki: bytes
    """SubjectPublicKeyInfo, DER; empty until the key was made."""
    activation: Activation
    client_ids: tuple[str, ...]
    issuer: IssuerKind
    profile: str
    validity_days: int
    certificate: Certificate | None
    """The current certificate; None while it waits for the first."""
    request: CreationRequest
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A credential whose making is not done, and how often going on with it failed."""

    credential_id: str
    tries: int


@dataclass(frozen=True, slots=True)
class CreationRequest:
    """By which request a credential was made: unique by client and key, so that it is made once."""

    client_id: str
    idempotency_key: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold (tạm giữ) as one client reported it: the first report holds, later ones of others join it."""

    id: str
    credential_id: str
    client_id: str
    reason: HoldReason
    suspected_since: datetime | None
    reporter: str
    held_at: datetime


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a signer must know of a credential before it signs, read in one statement with the directory's head."""

    credential_id: str
    version: int
    head: int
    status: CredentialStatus
    agency_id: str
    agency_path: tuple[str, ...]
    """The agency and those above it, nearest first."""
    client_ids: tuple[str, ...]
    activation: Activation
    key_id: str
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate of our CA that was revoked, as a CRL lists it."""

    serial_number: str
    at: datetime
    reason: str | None
    not_after: datetime
    listed: bool
    """Whether a published CRL has listed it."""


def retry_pause(tries: int) -> timedelta:
    """Return how long a credential waits after going on with it failed for the `tries`-th time: longer each time."""
    return min(FIRST_RETRY_PAUSE * (1 << min(tries - 1, 20)), MAX_RETRY_PAUSE)


def validity_days(days: int) -> int:
    """Check the days of validity asked for; 0 means the profile's own."""
    if not 0 <= days <= MAX_VALIDITY_DAYS:
        raise FieldInvalid(
            f"validity_days must be 1 to {MAX_VALIDITY_DAYS}, or 0 for the profile's own",
            field="validity_days",
        )
    return days


def require_not_revoked(credential: Credential) -> None:
    """Raise CredentialRevoked where nothing may change any more."""
    if credential.status is CredentialStatus.REVOKED:
        raise CredentialRevoked("the credential is revoked; this is final", id=credential.id)


def require_independent(releaser: Client, holds: Sequence[Hold], credential_id: str) -> None:
    """Raise Forbidden unless the releaser is somebody else than those who hold (RG-43), and none of their making.

    Every client descends from the one that was there from the first start on; a hold of that one would otherwise
    never end, so its own making counts for nothing here. `holds` are oldest first.
    """
    holders = {hold.client_id for hold in holds}
    if releaser.id in holders:
        raise Forbidden("a client that reported a hold cannot release it: another one must", id=credential_id)
    if holders.intersection(releaser.makers[1:]):
        raise Forbidden(
            "a client that made this one holds the credential: another one must release it", id=credential_id
        )
    if releaser.created_at >= holds[0].held_at:
        raise Forbidden(
            "this client was made after the hold was placed: one that was there before must release it",
            id=credential_id,
        )


def status_after_release(credential: Credential) -> CredentialStatus:
    """Return what a held credential goes back to: it may have been held before its certificate came."""
    return CredentialStatus.PENDING if credential.certificate is None else CredentialStatus.ACTIVE


def status_after_certificate(credential: Credential) -> CredentialStatus:
    """Return the status once a certificate came: neither hold nor revocation is lifted by it."""
    if credential.status in (CredentialStatus.HELD, CredentialStatus.REVOKED):
        return credential.status
    return CredentialStatus.ACTIVE


def no_credential(credential_id: str) -> CredentialNotFound:
    """Make the error for a credential that is not there or out of reach."""
    return CredentialNotFound("no such credential, or none that this client may see", id=credential_id[:64])

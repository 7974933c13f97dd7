"""The two-level CA and its CRLs as the register keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.kernel.errors import NotFound
from services.kernel.values import KeyAlgorithm
from services.registry.domain.credentials import Revoked

ROOT = "root"
ISSUING = "issuing"
AUTHORITIES = (ROOT, ISSUING)
"""Names of our CAs, the signing one first: also the names of their keys at the signer."""


class AuthorityState(Enum):
    """Steps of making a CA; each is kept before the next begins."""

    TBS_STORED = "tbs_stored"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Authority:
    """One CA of ours. `certificate` is DER, empty until it is signed."""

    name: str
    algorithm: KeyAlgorithm
    issuer: str
    state: AuthorityState
    serial_number: str
    not_before: datetime
    not_after: datetime
    tbs: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Crl:
    """One CRL. `der` is empty while it is not signed."""

    authority: str
    number: int
    this_update: datetime
    next_update: datetime
    entries: int
    tbs: bytes
    der: bytes


def require_known(name: str) -> None:
    """Raise NotFound for a CA that we do not have."""
    if name not in AUTHORITIES:
        raise NotFound(f"there is no CA of this name; there are {' and '.join(AUTHORITIES)}", id=name[:64])


def due(newest: Crl | None, at: datetime, interval: timedelta) -> bool:
    """Tell whether the next scheduled CRL is due."""
    return newest is None or at >= newest.this_update + interval


def listed(revoked: Iterable[Revoked], previous: Crl | None) -> list[Revoked]:
    """Return what a new CRL must list.

    RFC 5280 section 3.3: an entry stays until it has been on one regular CRL issued beyond the certificate's end, so
    only certificates that had ended before the previous CRL was made leave the list, and none that no CRL has listed.
    """
    if previous is None:
        return list(revoked)
    return [entry for entry in revoked if not entry.listed or entry.not_after >= previous.this_update]

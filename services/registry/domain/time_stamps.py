"""Certificates of our own time-stamp unit, and when the next one is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

ABANDONED_AFTER = timedelta(hours=1)
"""To-be-signed bytes this old are not signed any more: their validity would begin too long before."""
WORTHWHILE = timedelta(days=1)
"""A new certificate must end so much later than the present one: close to the CA's own end it cannot."""


class UnitState(Enum):
    """Steps of issuing; each is kept before the next begins."""

    TBS_STORED = "tbs_stored"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class UnitCertificate:
    """One certificate of a time-stamp key. `certificate` is DER, empty until it is signed."""

    key: str
    """Name of the authority key at the signer."""
    serial_number: str
    state: UnitState
    not_before: datetime
    not_after: datetime
    tbs: bytes
    certificate: bytes
    reserved_at: datetime


def due(newest: UnitCertificate | None, at: datetime, renew_before: timedelta, end: datetime) -> bool:
    """Tell whether a certificate must be issued, which would end at `end`."""
    if newest is None:
        return True
    return at >= newest.not_after - renew_before and end >= newest.not_after + WORTHWHILE


def resumable(reserved: UnitCertificate | None, at: datetime) -> bool:
    """Tell whether what a crash or an absent signer left unsigned can still be signed."""
    return reserved is not None and at < reserved.reserved_at + ABANDONED_AFTER

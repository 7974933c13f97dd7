"""Proofs of existence (ETSI EN 319 102-1 clause 5.6.2.3): by when a value surely existed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime


class Proofs:
    """Times by which values existed, by the SHA-256 of the value. Without a proof: the time of validation."""

    def __init__(self, at: datetime, stated: datetime | None = None) -> None:
        """`at` is the time of validation: what is judged exists then.

        `stated` is the time for which the caller wants the signatures judged; its word is that they existed by then.
        """
        self._at = at
        self.stated = stated if stated is not None and stated < at else None
        self._times: dict[bytes, datetime] = {}

    def add(self, fingerprints: Iterable[bytes], moment: datetime) -> None:
        """What has these fingerprints existed at that moment; an earlier proof stays."""
        for fingerprint in fingerprints:
            known = self._times.get(fingerprint)
            if known is None or moment < known:
                self._times[fingerprint] = moment

    def of(self, value: bytes) -> datetime:
        """Earliest time by which the value is proved to have existed."""
        return self.of_fingerprint(hashlib.sha256(value).digest())

    def of_fingerprint(self, fingerprint: bytes) -> datetime:
        """The same by the value's SHA-256."""
        return min(self._times.get(fingerprint, self._at), self._at)

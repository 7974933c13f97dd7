"""Trust anchors of others, the terms on which they are trusted, and the trust lists that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

OWN, UNSAID, FOREIGN = "own", "outside", "foreign"
SIGNATURE, TIME_STAMP = "signature", "time-stamp"
PURPOSES = frozenset({SIGNATURE, TIME_STAMP})


@dataclass(frozen=True, slots=True)
class Anchor:
    """One certificate, DER, on one term. `scope`: by whom it stands; `trust_list`: the name of the list, or empty.

    What its certificates signed is trusted where it existed at `trusted_from` or later and before `trusted_until`
    (None: no limit).
    """

    certificate: bytes
    scope: str = UNSAID
    trusted_from: datetime | None = None
    trusted_until: datetime | None = None
    purposes: frozenset[str] = PURPOSES
    trust_list: str = ""

    def is_trusted(self, purpose: str, at: datetime) -> bool:
        """Tell whether it may be relied on for something made at that time."""
        began = self.trusted_from is None or self.trusted_from <= at
        ended = self.trusted_until is not None and self.trusted_until <= at
        return purpose in self.purposes and began and not ended


@dataclass(frozen=True, slots=True)
class ListHead:
    """What tells one state of a trust list from another."""

    operator: str
    sequence_number: int
    sha256: str

    def refusal_of(self, newer: ListHead) -> str:
        """Why that list may not take this one's place (ETSI TS 119 612 clause 5.3.2: numbers only grow); "" if it may."""
        if newer.operator != self.operator:
            return f"it is by {newer.operator}, and the one before was by {self.operator}"
        if newer.sequence_number < self.sequence_number:
            return f"no. {newer.sequence_number} is older than no. {self.sequence_number}, which was taken before"
        if newer.sequence_number == self.sequence_number and newer.sha256 != self.sha256:
            return f"another list with no. {self.sequence_number} was taken before"
        return ""


@dataclass(frozen=True, slots=True)
class TrustList:
    """A trust list whose signature was checked. `next_update` None: it is closed."""

    name: str
    head: ListHead
    next_update: datetime | None
    anchors: tuple[Anchor, ...]

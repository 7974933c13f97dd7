"""The signer's ledgers as the audit log takes them in: order, gaps, and the chain of hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

HASH_SIZE = 32
"""Bytes of a ledger hash (SHA-256)."""
GENESIS = bytes(HASH_SIZE)
"""Hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ledger stands: its last sequence number and that entry's hash."""

    sequence: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Facts:
    """What the audit log finds a signing record by."""

    outcome: str
    agency_id: str
    client_id: str
    credential_id: str
    operation_id: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry. `hash` and `previous_hash` are as the signer states them; empty where it stated none."""

    ledger: str
    sequence: int
    event_id: str
    data: bytes
    """The recorded fact, JSON, as it was hashed."""
    facts: Facts
    hash: bytes = b""
    previous_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Linked:
    """An entry in its place. `intact` is False where it does not continue the chain; it is kept all the same."""

    entry: Entry
    hash: bytes
    intact: bool


@dataclass(frozen=True, slots=True)
class Continuation:
    """What of a batch continues the ledger without a gap, and from where the rest waits for what is missing."""

    linked: Sequence[Linked]
    head: Head
    missing_from: int | None
    """First sequence number that is missing although later ones are there; None without a gap."""


def link(previous: bytes, data: bytes) -> bytes:
    """Return the hash of an entry: SHA-256 over the previous entry's hash and this entry's data."""
    return hashlib.sha256(previous + data).digest()


def continue_from(head: Head, entries: Sequence[Entry]) -> Continuation:
    """Put a batch of one ledger (any order, doubles allowed) behind the head, as far as there is no gap."""
    linked: list[Linked] = []
    for entry in sorted(entries, key=lambda candidate: candidate.sequence):
        if entry.sequence <= head.sequence:
            continue
        if entry.sequence > head.sequence + 1:
            return Continuation(linked, head, head.sequence + 1)
        hash_ = link(head.hash, entry.data)
        intact = entry.hash in (b"", hash_) and entry.previous_hash in (b"", head.hash)
        # Go on from what the signer states: one broken link must not make every later one look broken.
        head = Head(entry.sequence, entry.hash or hash_)
        linked.append(Linked(entry, head.hash, intact))
    return Continuation(linked, head, None)

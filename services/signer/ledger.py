"""The signing ledger: what is written of every operation that ended, and how entries hang together.

An entry's data is the canonical JSON of SigningRecord (events.proto): keys sorted, no spaces, UTF-8. Its hash is
SHA-256 over the hash of the entry before and that data, so an entry that was changed, removed or put in shows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from services.kernel.events import Event, event_subject
from services.kernel.values import new_id
from services.signer.domain import ItemFailure

GENESIS = bytes(32)
"""The "hash before" of a ledger's first entry."""
PLATFORM = "platform"
"""Stands in subjects for the agency of clients that belong to none."""


class Outcome(Enum):
    """How an operation ended, by the verb of its event."""

    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Facts:
    """What an entry says about an operation, known before it is signed. Field names are SigningRecord's."""

    operation_id: str
    client_id: str
    agency_id: str
    credential_id: str
    kind: str
    total_items: int
    request_sha256: str
    """SHA-256 over the digests or of the document, hexadecimal."""
    document_type: str = ""
    reference: str = ""
    label: str = ""
    request_id: str = ""
    key_id: str = ""
    serial_number: str = ""
    algorithm: str = ""
    activation: str = ""

    @classmethod
    def of_registry(cls, kind: str, signed: bytes, **known: str) -> Facts:
        """Say what is known of bytes that the registry asked to be signed: no client and no document is behind them."""
        facts = {"operation_id": new_id("op"), "client_id": "", "agency_id": "", "credential_id": ""} | known
        digest = hashlib.sha256(signed).hexdigest()
        return cls(kind=kind, total_items=1, request_sha256=digest, **facts)

    def to_json(self) -> str:
        """Write for the intent's row, from which a crashed operation's entry is made."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Entry:
    """How one operation ended, before it has its place in a ledger."""

    facts: Facts
    outcome: Outcome
    time: datetime
    event_id: str
    signed_items: int = 0
    signatures_sha256: str = ""
    failure: ItemFailure | None = None

    @classmethod
    def signed(cls, facts: Facts, signature: bytes, at: datetime) -> Entry:
        """Say that the one thing asked for was signed."""
        made = hashlib.sha256(signature).hexdigest()
        return cls(
            facts, Outcome.COMPLETED, at, new_id("ev"), signed_items=facts.total_items, signatures_sha256=made
        )


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An entry at its place."""

    ledger: str
    sequence: int
    """From 1, without gaps."""
    hash: bytes
    previous_hash: bytes
    data: bytes
    event_id: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a ledger: 0 and zeros for an empty one."""

    ledger: str
    sequence: int = 0
    hash: bytes = field(default=GENESIS)

    def append(self, entry: Entry) -> tuple[Head, LedgerEntry]:
        """Give the entry the next place; return the new head too."""
        sequence = self.sequence + 1
        data = _record(self.ledger, sequence, entry)
        digest = chained(self.hash, data)
        placed = LedgerEntry(self.ledger, sequence, digest, self.hash, data, entry.event_id)
        return Head(self.ledger, sequence, digest), placed


def chained(previous_hash: bytes, data: bytes) -> bytes:
    """Hash an entry's data onto the entry before."""
    return hashlib.sha256(previous_hash + data).digest()


def _record(ledger: str, sequence: int, entry: Entry) -> bytes:
    facts = entry.facts
    record = {
        "activation": facts.activation,
        "agency_id": facts.agency_id,
        "algorithm": facts.algorithm,
        "client_id": facts.client_id,
        "credential_id": facts.credential_id,
        "document_type": facts.document_type,
        "error_code": entry.failure.code if entry.failure else "",
        "key_id": facts.key_id,
        "kind": facts.kind,
        "label": facts.label,
        "ledger": ledger,
        "operation_id": facts.operation_id,
        "outcome": entry.outcome.value,
        "reference": facts.reference,
        "request_id": facts.request_id,
        "request_sha256": facts.request_sha256,
        "sequence": sequence,
        "serial_number": facts.serial_number,
        "signatures_sha256": entry.signatures_sha256,
        "signed_items": entry.signed_items,
        "time": entry.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "total_items": facts.total_items,
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def event_of(entry: Entry, placed: LedgerEntry) -> Event:
    """Make the event that carries an entry: the payload is the entry's data, the hashes are extensions."""
    verb = entry.outcome.value
    return Event(
        id=placed.event_id,
        type=f"kyso.signature.{verb}",
        source=f"kyso/signer/{placed.ledger}",
        subject=entry.facts.operation_id,
        time=entry.time,
        data=placed.data,
        nats_subject=event_subject("signature", verb, entry.facts.agency_id or PLATFORM),
        extensions=(("ledgerhash", placed.hash.hex()), ("ledgerprevious", placed.previous_hash.hex())),
    )

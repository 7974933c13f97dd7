"""What the audit log keeps, and how the registry's own changes are written down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

PLATFORM = "platform"
"""Stands for the agency in events that concern no single one."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line for the audit log, before it has its position."""

    id: str
    type: str
    agency_id: str
    client_id: str
    credential_id: str
    operation_id: str
    time: datetime
    data: str
    """Canonical JSON."""
    ledger: str | None = None
    ledger_sequence: int | None = None
    entry_hash: bytes | None = None
    intact: bool = True
    """False where the entry does not continue its ledger's chain of hashes."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the audit log in its place."""

    position: int
    row: AuditRow


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines are asked for; empty text and None mean any."""

    credential_id: str = ""
    operation_id: str = ""
    from_time: datetime | None = None


def canonical(fields: dict[str, object]) -> str:
    """Write JSON in the one form that is kept: keys sorted, no spaces, text unescaped."""
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def stamp(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

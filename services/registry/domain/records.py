"""Signing records as they arrive: what the audit log takes out of one for its columns."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from services.kernel.errors import FieldInvalid
from services.registry.domain.audit import AuditRow
from services.registry.domain.ledger import Entry, Facts, Linked

OUTCOMES = frozenset({"completed", "refused", "failed", "unknown"})
MAX_BYTES = 64 * 1024
MAX_ID_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{0,64}")


def entry_of(event_id: str, data: bytes, hash_: bytes = b"", previous_hash: bytes = b"") -> Entry:
    """Read a signing record, parsed once for all that follows; raise FieldInvalid where it is none.

    The hashes are what the signer states beside the record; empty where it stated none.
    """
    fields = _fields(data)
    ledger = _name(fields, "ledger")
    if not ledger or not 1 <= len(event_id) <= MAX_ID_CHARACTERS:
        raise _wrong("ledger")
    facts = Facts(
        outcome=_outcome(fields),
        agency_id=_name(fields, "agency_id"),
        client_id=_name(fields, "client_id"),
        credential_id=_name(fields, "credential_id"),
        operation_id=_name(fields, "operation_id"),
        time=_time(fields),
    )
    return Entry(ledger, _sequence(fields), event_id, data, facts, hash_, previous_hash)


def row_of(linked: Linked) -> AuditRow:
    """Make the audit log's line of a ledger entry."""
    facts = linked.entry.facts
    return AuditRow(
        id=linked.entry.event_id,
        type=f"kyso.signature.{facts.outcome}",
        agency_id=facts.agency_id,
        client_id=facts.client_id,
        credential_id=facts.credential_id,
        operation_id=facts.operation_id,
        time=facts.time,
        data=linked.entry.data.decode(),
        ledger=linked.entry.ledger,
        ledger_sequence=linked.entry.sequence,
        entry_hash=linked.hash,
        intact=linked.intact,
    )


def _fields(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise FieldInvalid(f"a signing record has at most {MAX_BYTES} bytes", field="data")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise _wrong("data") from None
    if not isinstance(fields, dict):
        raise _wrong("data")
    return fields


def _name(fields: dict[str, Any], key: str) -> str:
    # The JSON mapping of proto3 leaves empty fields out.
    value = fields.get(key, "")
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _wrong(key)
    return value


def _sequence(fields: dict[str, Any]) -> int:
    # The JSON mapping of proto3 writes int64 as text, and readers must take numbers too.
    value = fields.get("sequence")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if type(value) is not int or not 1 <= value < 2**62:
        raise _wrong("sequence")
    return value


def _outcome(fields: dict[str, Any]) -> str:
    value = fields.get("outcome")
    if not isinstance(value, str) or value not in OUTCOMES:
        raise _wrong("outcome")
    return value


def _time(fields: dict[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(str(fields["time"]))
    except (ValueError, KeyError):
        raise _wrong("time") from None
    if moment.tzinfo is None:
        raise _wrong("time")
    return moment.astimezone(UTC)


def _wrong(field: str) -> FieldInvalid:
    return FieldInvalid(f"{field} is not what a signing record has there", field=field)

"""The SQL of the hot path, written out: the same text for SQLite and PostgreSQL, prepared once, run for many rows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.errors import ServiceUnavailable
from services.signer.domain import ItemFailure, Kind, State
from services.signer.ledger import Facts, Head, LedgerEntry
from services.signer.ports import Ending, Intent, Recorded
from services.signer.store.tables import ledger, micros, moment, signing

ROWS_A_STATEMENT = 32
"""Intents in one INSERT: each number of rows is a statement of its own to prepare."""

_INTENT_COLUMNS = (
    "id",
    "client_id",
    "idempotency_key",
    "request_sha256",
    "kind",
    "state",
    "credential_id",
    "facts",
    "lease_owner",
    "lease_until",
    "created_at",
)

_END = text(
    "UPDATE signing SET state = :state, ended_at = :ended_at, end_event = :end_event, result = :result,"
    " chain_sha256 = :chain_sha256, algorithm = :algorithm, signing_time = :signing_time, facts = :facts,"
    " error_code = :error_code, error_message = :error_message, error_retryable = :error_retryable"
    " WHERE id = :id AND state IN ('accepted', 'begun') AND lease_owner IN (:owner, '')"
)
_ENDED = text("SELECT 1 FROM signing WHERE id = :id AND end_event = :end_event")
_ENTRY = text(
    "INSERT INTO ledger (ledger, sequence, hash, previous_hash, data, event_id)"
    " VALUES (:ledger, :sequence, :hash, :previous_hash, :data, :event_id)"
)
_CHAIN = text(
    "INSERT INTO certificate_chain (sha256, certificates) VALUES (:sha256, :certificates) ON CONFLICT DO NOTHING"
)
_RESULT_BLOB = text("UPDATE job SET result_blob = :blob WHERE operation_id = :id")


@cache
def _insert_of(rows: int) -> TextClause:
    values = ", ".join(f"({', '.join(f':{name}_{row}' for name in _INTENT_COLUMNS)})" for row in range(rows))
    return text(
        f"INSERT INTO signing ({', '.join(_INTENT_COLUMNS)}) VALUES {values} ON CONFLICT DO NOTHING RETURNING id"  # noqa: S608
    )


def intent_row(intent: Intent, owner: str, state: State) -> tuple[Any, ...]:
    """Return the values of an intent's row, in the order of the columns."""
    return (
        intent.id,
        intent.client_id,
        intent.idempotency_key,
        intent.request_sha256,
        intent.kind.value,
        state.value,
        intent.facts.credential_id,
        intent.facts.to_json(),
        owner,
        micros(intent.lease_until),
        micros(intent.created_at),
    )


async def insert_intents(
    connection: AsyncConnection, intents: Sequence[Intent], owner: str, state: State = State.BEGUN
) -> dict[str, Recorded]:
    """Insert intents; return by intent id the operations that have their idempotency keys already."""
    taken: dict[str, Recorded] = {}
    for start in range(0, len(intents), ROWS_A_STATEMENT):
        part = intents[start : start + ROWS_A_STATEMENT]
        values = {
            f"{name}_{index}": value
            for index, intent in enumerate(part)
            for name, value in zip(_INTENT_COLUMNS, intent_row(intent, owner, state), strict=True)
        }
        rows = (await connection.execute(_insert_of(len(part)), values)).all()
        if len(rows) == len(part):
            continue
        inserted = {row[0] for row in rows}
        for intent in part:
            if intent.id not in inserted:
                taken[intent.id] = await _holder(connection, intent)
    return taken


async def _holder(connection: AsyncConnection, intent: Intent) -> Recorded:
    found = await find(connection, intent.client_id, intent.idempotency_key)
    if found is None:
        # The row in the way was purged between the two statements: the same call succeeds when it is made again.
        raise ServiceUnavailable("the request could not be recorded; ask again with the same key")
    return found


async def end_operations(connection: AsyncConnection, endings: Sequence[Ending], owner: str) -> set[str]:
    """Write outcomes into their rows; return the ids of operations that were not this replica's any more."""
    rows = [_ending_row(ending, owner) for ending in endings]
    result = await connection.execute(_END, rows)
    blobs = [
        {"blob": ending.result_blob, "id": ending.entry.facts.operation_id}
        for ending in endings
        if ending.result_blob
    ]
    if blobs:
        await connection.execute(_RESULT_BLOB, blobs)
    if result.rowcount == len(rows):
        return set()
    lost = set()
    for row in rows:
        if (
            await connection.execute(_ENDED, {"id": row["id"], "end_event": row["end_event"]})
        ).first() is None:
            lost.add(str(row["id"]))
    return lost


def _ending_row(ending: Ending, owner: str) -> dict[str, Any]:
    entry, failure = ending.entry, ending.entry.failure
    return {
        "id": entry.facts.operation_id,
        "owner": owner,
        "state": ending.state.value,
        "ended_at": micros(entry.time),
        "end_event": entry.event_id,
        "facts": entry.facts.to_json(),
        "result": ending.result,
        "chain_sha256": ending.chain.sha256 if ending.chain else None,
        "algorithm": ending.algorithm,
        "signing_time": micros(ending.signing_time) if ending.signing_time else None,
        "error_code": failure.code if failure else None,
        "error_message": failure.message if failure else None,
        "error_retryable": failure.retryable if failure else None,
    }


async def insert_entries(connection: AsyncConnection, entries: Sequence[LedgerEntry]) -> None:
    """Append ledger entries. A place that is taken is an IntegrityError: somebody else writes this ledger."""
    if entries:
        rows = [
            {
                "ledger": entry.ledger,
                "sequence": entry.sequence,
                "hash": entry.hash,
                "previous_hash": entry.previous_hash,
                "data": entry.data,
                "event_id": entry.event_id,
            }
            for entry in entries
        ]
        await connection.execute(_ENTRY, rows)


async def insert_chains(connection: AsyncConnection, chains: dict[bytes, bytes]) -> None:
    """Keep certificate chains, each once."""
    await connection.execute(
        _CHAIN, [{"sha256": sha256, "certificates": packed} for sha256, packed in sorted(chains.items())]
    )


async def ledger_head(connection: AsyncConnection, name: str) -> Head:
    """Return the head of one ledger."""
    newest = (
        select(ledger.c.sequence, ledger.c.hash)
        .where(ledger.c.ledger == name)
        .order_by(ledger.c.sequence.desc())
        .limit(1)
    )
    row = (await connection.execute(newest)).first()
    return Head(name) if row is None else Head(name, row.sequence, bytes(row.hash))


async def find(connection: AsyncConnection, client_id: str, idempotency_key: str) -> Recorded | None:
    """Return the operation that has an idempotency key."""
    query = select(signing).where(
        signing.c.client_id == client_id, signing.c.idempotency_key == idempotency_key
    )
    row = (await connection.execute(query)).first()
    return None if row is None else recorded(row)


def recorded(row: Row[Any]) -> Recorded:
    """Read an operation's row."""
    failure = None
    if row.error_code is not None:
        failure = ItemFailure(row.error_code, row.error_message or "", bool(row.error_retryable))
    return Recorded(
        id=row.id,
        client_id=row.client_id,
        idempotency_key=row.idempotency_key,
        request_sha256=bytes(row.request_sha256),
        kind=Kind(row.kind),
        state=State(row.state),
        credential_id=row.credential_id,
        facts=Facts.from_json(row.facts),
        lease_until=moment(row.lease_until),
        created_at=moment(row.created_at),
        ended_at=None if row.ended_at is None else moment(row.ended_at),
        result=None if row.result is None else bytes(row.result),
        chain_sha256=None if row.chain_sha256 is None else bytes(row.chain_sha256),
        algorithm=row.algorithm or "",
        signing_time=None if row.signing_time is None else moment(row.signing_time),
        failure=failure,
    )


def pack_chain(certificates: Sequence[bytes]) -> bytes:
    """Join certificates, each behind its length."""
    return b"".join(struct.pack(">I", len(der)) + der for der in certificates)


def unpack_chain(packed: bytes) -> tuple[bytes, ...]:
    """Undo `pack_chain`."""
    certificates, at = [], 0
    while at < len(packed):
        (size,) = struct.unpack_from(">I", packed, at)
        certificates.append(packed[at + 4 : at + 4 + size])
        at += 4 + size
    return tuple(certificates)

"""The SQL of the hot path, written out: the same text for SQLite and PostgreSQL, prepared once, run for many rows."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import DBAPIError

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

_END = (
    "UPDATE signing SET state = :state, ended_at = :ended_at, end_event = :end_event, result = :result,"
    " chain_sha256 = :chain_sha256, algorithm = :algorithm, signing_time = :signing_time,"
    " error_code = :error_code, error_message = :error_message, error_retryable = :error_retryable"
    " WHERE id = :id AND state IN ('accepted', 'begun') AND lease_owner IN (:owner, '')"
)
_ENDED = "SELECT end_event FROM signing WHERE id = :id AND end_event = :end_event"
_ENTRY = (
    "INSERT INTO ledger (ledger, sequence, hash, previous_hash, data, event_id)"
    " VALUES (:ledger, :sequence, :hash, :previous_hash, :data, :event_id)"
)
_CHAIN = (
    "INSERT INTO certificate_chain (sha256, certificates) VALUES (:sha256, :certificates)"
    " ON CONFLICT DO NOTHING"
)
_RESULT_BLOB = "UPDATE job SET result_blob = :blob WHERE operation_id = :id"

_NAME = re.compile(r":([a-z_0-9]+)")


@cache
def _insert_of(rows: int) -> str:
    values = ", ".join(f"({', '.join(f':{name}_{row}' for name in _INTENT_COLUMNS)})" for row in range(rows))
    return f"INSERT INTO signing ({', '.join(_INTENT_COLUMNS)}) VALUES {values} ON CONFLICT DO NOTHING RETURNING id"  # noqa: S608


@cache
def _for(sql: str, dialect: str) -> str:
    return sql if dialect == "sqlite" else _NAME.sub(r"%(\1)s", sql)


class _Cursor(Protocol):
    """What both drivers' cursors and SQLAlchemy's own result have in common."""

    @property
    def rowcount(self) -> int: ...
    def fetchall(self) -> Sequence[Any]: ...
    def fetchone(self) -> Any: ...


def _run(connection: Connection, sql: str, values: dict[str, Any] | list[dict[str, Any]]) -> _Cursor:
    # Straight to the driver, which keeps these texts prepared: SQLAlchemy's own path costs more than the statements.
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        # PostgreSQL, or SQLite behind `Database.transaction`, whose driver lives in another thread.
        return connection.exec_driver_sql(_for(sql, connection.dialect.name), values)
    try:
        return driver.executemany(sql, values) if isinstance(values, list) else driver.execute(sql, values)
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, None, error, sqlite3.Error, hide_parameters=True) from error


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


def insert_intents(
    connection: Connection, intents: Sequence[Intent], owner: str, state: State = State.BEGUN
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
        rows = _run(connection, _insert_of(len(part)), values).fetchall()
        if len(rows) == len(part):
            continue
        inserted = {row[0] for row in rows}
        for intent in part:
            if intent.id not in inserted:
                taken[intent.id] = _holder(connection, intent)
    return taken


def _holder(connection: Connection, intent: Intent) -> Recorded:
    found = find(connection, intent.client_id, intent.idempotency_key)
    if found is None:
        # The row in the way was purged between the two statements: the same call succeeds when it is made again.
        raise ServiceUnavailable("the request could not be recorded; ask again with the same key")
    return found


def written_endings(connection: Connection, endings: Sequence[Ending]) -> set[str]:
    """Return the event ids of those endings that are written already, with their ledger entries."""
    found = (
        _run(connection, _ENDED, {"id": entry.facts.operation_id, "end_event": entry.event_id}).fetchone()
        for entry in (ending.entry for ending in endings)
    )
    return {str(row[0]) for row in found if row is not None}


def end_operations(connection: Connection, endings: Sequence[Ending], owner: str) -> set[str]:
    """Write outcomes into their rows; return the ids of operations that were not this replica's any more."""
    rows = sorted((_ending_row(ending, owner) for ending in endings), key=lambda row: str(row["id"]))
    lost: set[str] = set()
    if _run(connection, _END, rows).rowcount != len(rows):
        for row in rows:
            which = {"id": row["id"], "end_event": row["end_event"]}
            if _run(connection, _ENDED, which).fetchone() is None:
                lost.add(str(row["id"]))
    blobs = [
        {"blob": ending.result_blob, "id": ending.entry.facts.operation_id}
        for ending in endings
        if ending.result_blob and ending.entry.facts.operation_id not in lost
    ]
    if blobs:
        _run(connection, _RESULT_BLOB, blobs)
    return lost


def _ending_row(ending: Ending, owner: str) -> dict[str, Any]:
    entry, failure = ending.entry, ending.entry.failure
    return {
        "id": entry.facts.operation_id,
        "owner": owner,
        "state": ending.state.value,
        "ended_at": micros(entry.time),
        "end_event": entry.event_id,
        "result": ending.result,
        "chain_sha256": ending.chain.sha256 if ending.chain else None,
        "algorithm": ending.algorithm,
        "signing_time": micros(ending.signing_time) if ending.signing_time else None,
        "error_code": failure.code if failure else None,
        "error_message": failure.message if failure else None,
        "error_retryable": failure.retryable if failure else None,
    }


def insert_entries(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
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
        _run(connection, _ENTRY, rows)


def insert_chains(connection: Connection, chains: dict[bytes, bytes]) -> None:
    """Keep certificate chains, each once."""
    rows = [{"sha256": sha256, "certificates": packed} for sha256, packed in sorted(chains.items())]
    _run(connection, _CHAIN, rows)


def ledger_head(connection: Connection, name: str) -> Head:
    """Return the head of one ledger."""
    newest = (
        select(ledger.c.sequence, ledger.c.hash)
        .where(ledger.c.ledger == name)
        .order_by(ledger.c.sequence.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    return Head(name) if row is None else Head(name, row.sequence, bytes(row.hash))


def find(connection: Connection, client_id: str, idempotency_key: str) -> Recorded | None:
    """Return the operation that has an idempotency key."""
    query = select(signing).where(
        signing.c.client_id == client_id, signing.c.idempotency_key == idempotency_key
    )
    row = connection.execute(query).first()
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

"""The outbox: an event is written in the transaction that makes it true, and published afterwards until it is acked.

Order: rows leave in the order of their insertion. A row is deleted only after JetStream acknowledged it; whatever was
in doubt is published again with the same `Nats-Msg-Id`, so consumers see every event at least once and are idempotent
by event id. Where an acknowledgement fails in the middle of a batch, the rest of that batch may arrive before the row
that is repeated: consumers that need an order read it from the event (version, sequence), not from its arrival.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from nats.js.errors import APIError
from prometheus_client import Counter, Gauge
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.errors import BodyTooLarge, DomainError, FieldInvalid
from services.kernel.events import Event
from services.kernel.runtime.database import Database
from services.kernel.runtime.telemetry import Telemetry

BATCH = 200
WAKE_SECONDS = 1.0
GATHER_SECONDS = 0.1
"""After each batch that was not full: rows written meanwhile share a reading, a publication and a deletion."""
MAX_BACKOFF_SECONDS = 5.0
MAX_EVENT_BYTES = 512 * 1024
"""Half of NATS' own limit: refused when it is written, because a row that can never leave would block all others."""
MAX_EXTENSION_CHARACTERS = 1024
REFUSED_SECONDS = 5.0
"""A subject that the bus refuses (a client's queue that is full) is left out for so long: it must not hold up the others."""
MAX_REFUSED = 1000
COUNT_LIMIT = 10_000
"""The gauge of pending rows stops counting here; beyond it the exact number tells nothing more."""


class Publisher(Protocol):
    """What the relay needs of the bus."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the bus now."""

    async def publish_many(self, events: Sequence[Event]) -> list[Exception | None]:
        """Publish in this order; return for each event None once it is acknowledged, else what went wrong."""


def outbox_table(metadata: MetaData, name: str = "outbox") -> Table:
    """Define the table; the room's first revision creates it (`outbox_table(...)` on its own metadata does)."""
    return Table(
        name,
        metadata,
        # AUTOINCREMENT on SQLite: without it the number of a deleted last row would be given out again.
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("id", String(64), nullable=False, unique=True),
        Column("type", String(128), nullable=False),
        Column("source", String(128), nullable=False),
        Column("subject", String(128), nullable=False),
        Column("time", DateTime(timezone=True), nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("nats_subject", String(256), nullable=False),
        Column("extensions", String(MAX_EXTENSION_CHARACTERS), nullable=False, server_default=""),
        Column("written_at", Float, nullable=False),
        sqlite_autoincrement=True,
    )


async def put(connection: AsyncConnection, table: Table, event: Event) -> None:
    """Write one event in the present transaction. Raise BodyTooLarge beyond MAX_EVENT_BYTES."""
    await put_many(connection, table, [event])


async def put_many(connection: AsyncConnection, table: Table, events: Sequence[Event]) -> None:
    """Write events in the present transaction, in this order. Raise BodyTooLarge beyond MAX_EVENT_BYTES."""
    if events:
        await connection.execute(insert(table), rows(events))


def rows(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the rows of events, for `insert(table)` within `Database.write`. Raise BodyTooLarge as `put` does."""
    return [_values(event) for event in events]


def write_rows(connection: Connection, table: Table, events: Sequence[Event]) -> None:
    """Write events within `Database.write`, in this order; cheap, for what is done for every call. Raise as `put`."""
    found = rows(events)
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        connection.execute(insert(table), found)
        return
    columns = list(found[0])
    marks = ", ".join(f":{name}" for name in columns)
    try:
        driver.executemany(
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - names of the table's own columns
            # The form in which SQLAlchemy keeps a DateTime in SQLite.
            [row | {"time": row["time"].astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")} for row in found],
        )
    except sqlite3.Error as error:
        raise DBAPIError.instance(table.name, None, error, sqlite3.Error, hide_parameters=True) from error


def _values(event: Event) -> dict[str, Any]:
    if len(event.data) > MAX_EVENT_BYTES:
        raise BodyTooLarge(f"event {event.id} is larger than {MAX_EVENT_BYTES} bytes", limit=MAX_EVENT_BYTES)
    return {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": event.time,
        "data": event.data,
        "nats_subject": event.nats_subject,
        "extensions": _extensions_text(event),
        "written_at": time.time(),
    }


def _extensions_text(event: Event) -> str:
    lines = [f"{name}={value}" for name, value in event.extensions]
    joined = "\n".join(lines)
    if len(joined) > MAX_EXTENSION_CHARACTERS or joined.splitlines() != lines:
        raise FieldInvalid(
            f"the extensions of event {event.id} have a line break or more than {MAX_EXTENSION_CHARACTERS} characters",
            field="extensions",
        )
    return joined


def _extensions(text: str) -> tuple[tuple[str, str], ...]:
    # One "name=value" a line: a CloudEvents name has no equals sign, and a header's value no line break.
    pairs = (line.partition("=") for line in text.splitlines())
    return tuple((name, value) for name, _, value in pairs)


def _event(row: Row[Any]) -> Event:
    moment: datetime = row.time if row.time.tzinfo else row.time.replace(tzinfo=UTC)
    return Event(
        id=row.id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        time=moment,
        data=bytes(row.data),
        nats_subject=row.nats_subject,
        extensions=_extensions(row.extensions),
    )


class Relay:
    """Moves rows from the outbox to the bus, through outages of either. One of several replicas works at a time."""

    def __init__(self, database: Database, table: Table, bus: Publisher, telemetry: Telemetry) -> None:
        """Bind where rows come from and where they go."""
        self._database, self._table, self._bus, self._log = database, table, bus, telemetry.log
        self._wake = asyncio.Event()
        self._refused: dict[str, float] = {}
        self._measured_at = float("-inf")
        self._lag = Gauge(
            "kyso_outbox_lag_seconds", "Age of the oldest unpublished event.", registry=telemetry.registry
        )
        self._pending = Gauge("kyso_outbox_pending", "Events not yet published.", registry=telemetry.registry)
        self._published = Counter(
            "kyso_outbox_published_total", "Events published and acknowledged.", registry=telemetry.registry
        )

    def notify(self) -> None:
        """Say that rows were committed; the relay would find them within a second anyway."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            self._wake.clear()
            now = time.monotonic()
            self._refused = {subject: until for subject, until in self._refused.items() if until > now}
            refused = len(self._refused)
            try:
                moved = await self._step()
                failures = 0
            except DomainError as error:
                failures += 1
                moved = 0
                self._log.warning("outbox_waits", code=error.code, message=error.message, failures=failures)
            if moved == BATCH or len(self._refused) > refused:
                # More is there, or what was in the way is out of it.
                continue
            pause = (
                min(WAKE_SECONDS * 2 ** min(failures, 10), MAX_BACKOFF_SECONDS) if failures else WAKE_SECONDS
            )
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                # The regular look: rows of another replica, or what an outage left behind.
                continue
            await asyncio.sleep(GATHER_SECONDS)

    async def _step(self) -> int:
        """Publish one batch; return how many rows left."""
        await self._measure()
        if not self._bus.connected:
            return 0
        if self._database.dialect == "postgresql":
            return await self._step_exclusive()
        # By `write` also where it only reads: one change of thread instead of one a statement.
        found = await self._database.write(self._oldest)
        if not found:
            return 0
        sent = await self._publish(found)
        await self._database.write(partial(self._remove, sent=sent))
        return len(sent)

    async def _step_exclusive(self) -> int:
        """Do the same while holding a lock, so that two replicas never publish the same rows in turn."""
        async with self._database.transaction() as connection:
            lock = select(func.pg_try_advisory_xact_lock(func.hashtext(text("'kyso outbox'"))))
            if not (await connection.execute(lock)).scalar_one():
                return 0
            found = await connection.run_sync(self._oldest)
            sent = await self._publish(found) if found else []
            await connection.run_sync(self._remove, sent)
        return len(sent)

    def _oldest(self, connection: Connection) -> Sequence[Row[Any]]:
        query = select(self._table).order_by(self._table.c.seq).limit(BATCH)
        if self._refused:
            query = query.where(self._table.c.nats_subject.notin_(list(self._refused)))
        return connection.execute(query).all()

    async def _publish(self, found: Sequence[Row[Any]]) -> list[int]:
        outcomes = await self._bus.publish_many([_event(row) for row in found])
        sent = [row.seq for row, failure in zip(found, outcomes, strict=True) if failure is None]
        for row, failure in zip(found, outcomes, strict=True):
            # An answer of JetStream's own: it is there, and takes no more of this.
            if isinstance(failure, APIError) and len(self._refused) < MAX_REFUSED:
                self._refused[row.nats_subject] = time.monotonic() + REFUSED_SECONDS
        failed = next((failure for failure in outcomes if failure is not None), None)
        if failed is not None:
            self._log.warning(
                "outbox_publish_failed",
                failed=len(found) - len(sent),
                of=len(found),
                error=repr(failed)[:200],
            )
        self._published.inc(len(sent))
        return sent

    def _remove(self, connection: Connection, sent: Sequence[int]) -> None:
        if sent:
            connection.execute(delete(self._table).where(self._table.c.seq.in_(sent)))

    async def _measure(self) -> None:
        if time.monotonic() - self._measured_at < WAKE_SECONDS / 2:
            return
        self._measured_at = time.monotonic()
        some = select(self._table.c.written_at).order_by(self._table.c.seq).limit(COUNT_LIMIT).subquery()
        async with self._database.reading() as connection:
            row = (await connection.execute(select(func.count(), func.min(some.c.written_at)))).one()
        self._pending.set(row[0])
        self._lag.set(max(0.0, time.time() - row[1]) if row[0] else 0.0)

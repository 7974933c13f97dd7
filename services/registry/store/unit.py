"""The store: transactions, and what one of them can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.events import Event
from services.kernel.runtime import outbox
from services.kernel.runtime.database import Database
from services.registry.store import tables
from services.registry.store.audit import SqlAuditRows
from services.registry.store.authorities import SqlAuthorityRows
from services.registry.store.credentials import SqlCredentialRows
from services.registry.store.evidence import SqlEvidenceRows
from services.registry.store.parties import SqlPartyRows
from services.registry.store.time_stamps import SqlTimeStampRows
from services.registry.store.trust_lists import SqlTrustListRows

_DIRECTORY = "directory"


async def take(connection: AsyncConnection, name: str, count: int) -> int:
    """Move a counter by `count`, return its new value; its row stays locked until the transaction ends."""
    counter = tables.counter
    moved = await connection.execute(
        update(counter)
        .where(counter.c.name == name)
        .values(value=counter.c.value + count)
        .returning(counter.c.value)
    )
    value = moved.scalar_one_or_none()
    if value is None:
        # The first revision makes both counters; a missing one is a damaged database, and starting anew would
        # give numbers out twice.
        raise RuntimeError(f"counter {name!r} is missing from the database")
    return int(value)


class SqlUnit:
    """One transaction on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the connection; the groups of rows share it."""
        self._connection = connection
        self.parties = SqlPartyRows(connection)
        self.credentials = SqlCredentialRows(connection)
        self.authorities = SqlAuthorityRows(connection)
        self.time_stamps = SqlTimeStampRows(connection)
        self.evidence = SqlEvidenceRows(connection)
        self.trust_lists = SqlTrustListRows(connection)
        self.audit = SqlAuditRows(connection, take)

    async def alone(self) -> None:
        """Wait for every other transaction that asked for the same, and keep later ones waiting until this one ends."""
        counter = tables.counter
        await self._connection.execute(
            select(counter.c.value).where(counter.c.name == _DIRECTORY).with_for_update()
        )

    async def next_version(self) -> int:
        """Move the directory's head by one and return it."""
        return await take(self._connection, _DIRECTORY, 1)

    async def directory_head(self) -> int:
        """Return the directory's head."""
        counter = tables.counter
        found = await self._connection.execute(select(counter.c.value).where(counter.c.name == _DIRECTORY))
        return int(found.scalar_one())

    async def publish(self, event: Event) -> None:
        """Write an event to the outbox."""
        await outbox.put(self._connection, tables.outbox, event)


class SqlStore:
    """The registry's database as its use cases see it."""

    def __init__(self, database: Database) -> None:
        """Bind an open database whose tables are up to date."""
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlUnit]:
        """Open a transaction for writing."""
        async with self._database.transaction() as connection:
            yield SqlUnit(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlUnit]:
        """Open a transaction for reading."""
        async with self._database.reading() as connection:
            yield SqlUnit(connection)

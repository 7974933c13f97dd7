"""Blocks of serial numbers for time-stamps, in the signer's database: shared by all replicas, never given twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Executable, case
from sqlalchemy.dialects import postgresql, sqlite

from services.kernel.runtime.database import Database
from services.signer.store.tables import micros, moment, time_stamp_serial
from services.signer.tsa.serials import Block

FIRST = 1


class SqlSerialStore:
    """The SerialStore port."""

    def __init__(self, database: Database) -> None:
        """Take blocks from the signer's own database."""
        self._database = database

    async def allocate(self, authority: str, count: int, now: datetime) -> Block:
        """Give a block that nobody was given before; ServiceUnavailable where the database is away.

        Whoever is cancelled here may have used up a block: its numbers are lost, not given again.
        """
        statement = self._statement(authority, count, micros(now))

        def work(connection: Connection) -> Block:
            row = connection.execute(statement).one()
            return Block(row.next_number - count, count, moment(row.newest))

        return await self._database.write(work)

    def _statement(self, authority: str, count: int, now: int) -> Executable:
        # One statement: the row's lock makes replicas wait for each other, and nothing can come between reading and
        # writing.
        table = time_stamp_serial
        row = {"authority": authority, "next_number": FIRST + count, "newest": now}
        if self._database.dialect == "sqlite":
            sqlite_insert = sqlite.insert(table).values(row)
            newer = sqlite_insert.excluded.newest
            return sqlite_insert.on_conflict_do_update(
                index_elements=[table.c.authority],
                set_={
                    "next_number": table.c.next_number + count,
                    "newest": case((table.c.newest > newer, table.c.newest), else_=newer),
                },
            ).returning(table.c.next_number, table.c.newest)
        insert = postgresql.insert(table).values(row)
        newer = insert.excluded.newest
        return insert.on_conflict_do_update(
            index_elements=[table.c.authority],
            set_={
                "next_number": table.c.next_number + count,
                "newest": case((table.c.newest > newer, table.c.newest), else_=newer),
            },
        ).returning(table.c.next_number, table.c.newest)

"""Blocks of serial numbers on SQLite and PostgreSQL: never given twice, over replicas, restarts and many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import inspect

from services.kernel.runtime.config import DatabaseSettings
from services.kernel.runtime.database import Database
from services.kernel.values import DigestAlgorithm
from services.signer.main import MIGRATIONS
from services.signer.store.serials import SqlSerialStore
from services.signer.store.tables import time_stamp_serial
from services.signer.tsa.serials import Serials
from services.signer.tsa.structures import Refusal
from tests.support.tsa_world import ACCURACY, Clock, tsa_world

NOW = datetime(2026, 11, 22, 8, 30, 0, 123456, tzinfo=UTC)
SERIALS = 20_000
"""Of both replicas together; `make faults` does ten times as many, with tokens, kills and processes."""
RESTARTS = 10


@asynccontextmanager
async def opened(settings: DatabaseSettings) -> AsyncIterator[SqlSerialStore]:
    database = await Database.open(settings, MIGRATIONS)
    try:
        yield SqlSerialStore(database)
    finally:
        await database.close()


async def test_blocks_follow_each_other_and_remember_the_newest_time(
    database_settings: DatabaseSettings,
) -> None:
    async with opened(database_settings) as store:
        first = await store.allocate("tsa", 1000, NOW)
        assert (first.first, first.count, first.newest) == (1, 1000, NOW)
        second = await store.allocate("tsa", 5, NOW - timedelta(hours=1))
        assert (second.first, second.count, second.newest) == (1001, 5, NOW)
        later = NOW + timedelta(seconds=1)
        assert (await store.allocate("tsa", 0, later)).newest == later
        third = await store.allocate("tsa", 1, NOW)
        assert (third.first, third.newest) == (1006, later)
        assert (await store.allocate("another", 1, NOW)).first == 1


async def test_two_replicas_with_restarts_never_give_a_number_twice(
    database_settings: DatabaseSettings,
) -> None:
    taken: list[int] = []

    async def replica(number: int) -> None:
        for _ in range(RESTARTS):
            # A restart forgets the block in hand; a stop that is not orderly settles nothing.
            async with opened(database_settings) as store:
                serials = Serials(store, "tsa", 97 + number, ACCURACY, Clock())
                count = SERIALS // RESTARTS // 2
                taken.extend([(await serials.take()).serial >> 64 for _ in range(count)])

    await asyncio.gather(replica(1), replica(2))
    assert len(taken) == len(set(taken)) == SERIALS


async def test_many_at_once_on_many_connections(database_settings: DatabaseSettings) -> None:
    async with opened(database_settings) as one, opened(database_settings) as other:
        blocks = await asyncio.gather(
            *(store.allocate("tsa", 10, NOW) for _ in range(50) for store in (one, other))
        )
    firsts = sorted(block.first for block in blocks)
    assert firsts == list(range(1, 1001, 10))


async def test_tokens_of_two_replicas_over_a_restart(database_settings: DatabaseSettings) -> None:
    seen = []
    for _ in range(2):
        async with opened(database_settings) as one, opened(database_settings) as other:
            for store in (one, other):
                world = await tsa_world(store, block=10)
                for _ in range(25):
                    await world.authority.token(b"i" * 32, DigestAlgorithm.SHA256)
                seen.append(world.outcome("granted"))
    assert seen == [25] * 4


async def test_a_clock_set_back_over_a_restart_is_found(database_settings: DatabaseSettings) -> None:
    clock = Clock()
    async with opened(database_settings) as store:
        clock.moved = timedelta(minutes=1)
        serials = Serials(store, "tsa", 10, ACCURACY, clock)
        await serials.take()
        await serials.settle()
    async with opened(database_settings) as store:
        clock.moved = timedelta()
        with pytest.raises(Refusal) as refused:
            await Serials(store, "tsa", 10, ACCURACY, clock).take()
        assert refused.value.failure.label == "timeNotAvailable"
        clock.moved = timedelta(minutes=2)
        later = await Serials(store, "tsa", 10, ACCURACY, clock).take()
        assert later.serial >> 64 > 10


async def test_the_migration_makes_the_table_of_the_code(database_settings: DatabaseSettings) -> None:
    database = await Database.open(database_settings, MIGRATIONS)
    async with database.reading() as connection:
        columns = await connection.run_sync(lambda sync: inspect(sync).get_columns("time_stamp_serial"))
    await database.close()
    assert [column["name"] for column in columns] == [column.name for column in time_stamp_serial.columns]

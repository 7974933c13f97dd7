"""The same promises on SQLite and on PostgreSQL: transactions, migrations, outages."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime import database as database_module
from services.kernel.runtime.config import DatabaseSettings
from services.kernel.runtime.database import Database, migrate
from services.kernel.runtime.process import StartError
from tests.support.postgres import PostgresServer

ENV = """
from sqlalchemy import MetaData
from services.kernel.runtime.migrations import run_migrations

run_migrations(MetaData())
"""
FIRST = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "0001", None


def upgrade():
    op.create_table("item", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20), unique=True))
"""
SECOND = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("item", sa.Column("size", sa.Integer))
"""
BROKEN = SECOND.replace('"size"', '"early"') + '    op.execute("this is no SQL")\n'


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations 100%"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV, encoding="utf-8")
    (folder / "versions" / "0001_first.py").write_text(FIRST, encoding="utf-8")
    return folder


@asynccontextmanager
async def opened(settings: DatabaseSettings, migrations: Path) -> AsyncIterator[Database]:
    database = await Database.open(settings, migrations)
    try:
        yield database
    finally:
        await database.close()


async def add(database: Database, name: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO item (name) VALUES (:name)"), {"name": name})


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list((await connection.execute(text("SELECT name FROM item ORDER BY id"))).scalars())


async def test_a_transaction_is_kept_whole_or_not_at_all(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    async with opened(database_settings, migrations) as database:
        await add(database, "kept")

        async def fail_after_writing() -> None:
            async with database.transaction() as connection:
                await connection.execute(text("INSERT INTO item (name) VALUES ('lost')"))
                raise KeyError

        with pytest.raises(KeyError):
            await fail_after_writing()
        assert await names(database) == ["kept"]
        assert await database.check() is None
    async with opened(database_settings, migrations) as database:
        assert await names(database) == ["kept"]


async def test_the_statements_own_errors_pass_and_show_no_values(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    async with opened(database_settings, migrations) as database:
        await add(database, "secret-name")
        with pytest.raises(IntegrityError) as caught:
            await add(database, "secret-name")
        assert "parameters hidden" in str(caught.value)
        async with database.transaction() as connection:
            with pytest.raises((OperationalError, ProgrammingError)):
                await connection.execute(text("SELECT * FROM no_such_table"))


async def test_concurrent_writers_lose_no_update(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    async with opened(database_settings, migrations) as database:
        await add(database, "0")

        async def increment() -> None:
            async with database.transaction() as connection:
                lock = " FOR UPDATE" if database.dialect == "postgresql" else ""
                value = (await connection.execute(text(f"SELECT name FROM item{lock}"))).scalar_one()  # noqa: S608
                await connection.execute(text("UPDATE item SET name = :n"), {"n": str(int(value) + 1)})

        await asyncio.gather(*(increment() for _ in range(50)))
        assert await names(database) == ["50"]


async def test_a_function_is_one_transaction_and_waits_its_turn(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    def insert(name: str, connection: Connection) -> str:
        connection.execute(text("INSERT INTO item (name) VALUES (:name)"), {"name": name})
        return name

    def insert_and_fail(connection: Connection) -> None:
        insert("lost", connection)
        raise KeyError

    async with opened(database_settings, migrations) as database:
        assert await database.write(partial(insert, "first")) == "first"
        with pytest.raises(KeyError):
            await database.write(insert_and_fail)
        with pytest.raises(IntegrityError):
            await database.write(partial(insert, "first"))
        await asyncio.gather(
            *(database.write(partial(insert, f"w{n}")) for n in range(20)),
            *(add(database, f"t{n}") for n in range(20)),
        )
        assert len(await names(database)) == 41


async def test_a_reader_waits_for_no_writer(database_settings: DatabaseSettings, migrations: Path) -> None:
    async with opened(database_settings, migrations) as database:
        await add(database, "before")
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO item (name) VALUES ('during')"))
            assert await names(database) == ["before"]
        assert await names(database) == ["before", "during"]


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    async with opened(database_settings, migrations) as database:
        inside = asyncio.Event()

        async def hang() -> None:
            async with database.transaction() as connection:
                await connection.execute(text("INSERT INTO item (name) VALUES ('half')"))
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hang())
        await asyncio.wait_for(inside.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(add(database, "next"), 10)
        assert await names(database) == ["next"]


async def test_a_query_cancelled_in_the_middle_of_a_transaction_keeps_no_lock(
    tmp_path: Path, migrations: Path
) -> None:
    entered, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> int:
        loop.call_soon_threadsafe(entered.set)
        return int(go_on.wait(60))

    settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    async with opened(settings, migrations) as database:
        await add(database, "one")
        await add(database, "two")

        async def ask() -> None:
            async with database.transaction() as connection:
                await connection.execute(text("INSERT INTO item (name) VALUES ('half')"))
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.create_function("hold", 0, hold)
                await connection.execute(text("SELECT name, hold() FROM item"))

        task = asyncio.create_task(ask())
        await asyncio.wait_for(entered.wait(), 10)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        await add(database, "next")
        # Until here its traceback refers to the cursor, as a cycle does until the garbage collector comes by.
        assert caught.tb is not None
        assert await names(database) == ["one", "two", "next"]


async def test_exhausted_connections_are_told_as_a_passing_trouble(
    database_settings: DatabaseSettings, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "POOL_WAIT_SECONDS", 0.1)
    settings = database_settings.model_copy(update={"pool_size": 1})
    async with opened(settings, migrations) as database, database.reading():
        with pytest.raises(ServiceUnavailable, match="connections are in use"):
            await names(database)


async def test_migrations_run_once_though_many_start_them(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    await asyncio.gather(*(migrate(database_settings, migrations) for _ in range(4)))
    (migrations / "versions" / "0002_second.py").write_text(SECOND, encoding="utf-8")
    checking = database_settings.model_copy(update={"migrate_at_start": False})
    with pytest.raises(StartError, match="is at revision 0001, this code needs 0002: run --migrate"):
        await Database.open(checking, migrations)
    await asyncio.gather(*(migrate(database_settings, migrations) for _ in range(4)))
    async with opened(checking, migrations) as database, database.transaction() as connection:
        await connection.execute(text("INSERT INTO item (name, size) VALUES ('a', 1)"))


async def test_processes_that_meet_a_new_sqlite_file_all_start(tmp_path: Path, migrations: Path) -> None:
    """SQLite refuses all but one of those that make the file a WAL at the same moment, and does not let them wait."""
    for number in range(60):
        settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / f'{number}.db'}")
        await asyncio.gather(*(migrate(settings, migrations) for _ in range(4)))


async def test_a_revision_that_fails_half_way_leaves_nothing(
    database_settings: DatabaseSettings, migrations: Path
) -> None:
    await migrate(database_settings, migrations)
    broken = migrations / "versions" / "0002_broken.py"
    broken.write_text(BROKEN, encoding="utf-8")
    with pytest.raises(StartError, match="database"):
        await migrate(database_settings, migrations)
    broken.unlink()
    (migrations / "versions" / "0002_second.py").write_text(
        SECOND.replace('"size"', '"early"'), encoding="utf-8"
    )
    await migrate(database_settings, migrations)


async def test_sqlite_is_durable_strict_and_has_one_writer(tmp_path: Path, migrations: Path) -> None:
    settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'deep' / 'down' / 'a.db'}")
    async with opened(settings, migrations) as database, database.reading() as connection:
        values = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


async def test_a_sqlite_file_locked_by_another_process_is_a_passing_trouble(
    tmp_path: Path, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_MS", 50)
    settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    async with opened(settings, migrations) as database:
        with closing(sqlite3.connect(str(make_url(settings.url).database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ServiceUnavailable, match="cannot be reached or cannot write"):
                await add(database, "x")
            with pytest.raises(ServiceUnavailable, match="cannot be reached or cannot write"):
                await database.write(lambda connection: connection.execute(text("DELETE FROM item")))
        await add(database, "x")


async def test_cut_connections_are_told_and_then_replaced(
    postgres_server: PostgresServer, migrations: Path
) -> None:
    settings = postgres_server.fresh_database()
    async with opened(settings, migrations) as database:

        async def be_cut_off() -> None:
            async with database.transaction() as connection:
                await connection.execute(text("INSERT INTO item (name) VALUES ('half')"))
                await asyncio.to_thread(postgres_server.drop_connections, settings)
                await connection.execute(text("SELECT 1"))

        with pytest.raises(ServiceUnavailable):
            await be_cut_off()
        await add(database, "after")
        assert await names(database) == ["after"]


async def test_a_database_that_is_not_there_stops_the_start_without_showing_the_password(
    migrations: Path, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2\n", encoding="utf-8")
    settings = DatabaseSettings(url="postgresql+psycopg://u@127.0.0.1:1/none", password_file=password)
    with pytest.raises(StartError, match=r"127\.0\.0\.1") as caught:
        await Database.open(settings, migrations)
    assert "hunter2" not in str(caught.value)

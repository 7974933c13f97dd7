"""The service's own database: SQLite on one machine, PostgreSQL where there are replicas. Same code, same tests.

SQLite: WAL, every commit synced to the disk (synchronous=FULL), foreign keys on, and one writer at a time: a write
transaction begins with BEGIN IMMEDIATE, so that it never fails half way for want of the lock.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import create_engine, event, exc, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime import migrations as schema
from services.kernel.runtime.config import DatabaseSettings, read_secret
from services.kernel.runtime.process import StartError

BUSY_MS = 10_000
"""How long SQLite waits for a lock held by another process (a back-up, an operator's shell)."""
LOCKED_PAUSE_SECONDS = 0.05
_LOCKED = "database is locked"
CONNECT_SECONDS = 5
POOL_WAIT_SECONDS = 10
STATEMENT_MS = 30_000
LOCK_MS = 10_000
IDLE_TRANSACTION_MS = 60_000
"""A transaction that a dead client left open gives its locks back after this time."""

T = TypeVar("T")

_READ_ONLY = "kyso_read_only"
_SQLITE_OUTAGES = ("locked", "disk I/O error", "disk is full", "unable to open", "readonly database")


class Database:
    """Connections to one database, and the scope of a transaction. Made by `open`."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Wrap an engine whose tables are up to date."""
        self._engine = engine
        self._writing = asyncio.Lock()
        self._writer = _SqliteWriter(engine.url) if engine.dialect.name == "sqlite" else None
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if engine.dialect.name == "sqlite" else "postgresql"
        )

    @classmethod
    async def open(cls, settings: DatabaseSettings, migrations: Path) -> Database:
        """Connect and bring the tables up to date (or only check them, see `migrate_at_start`).

        `migrations` is the room's folder with env.py and versions/. Raise StartError where the database cannot be
        reached or its tables are not those of this code.
        """
        if settings.migrate_at_start:
            await migrate(settings, migrations)
        else:
            await _in_thread(settings, schema.require_head, migrations)
        return cls(_engine(settings))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a write transaction: committed when the block ends, rolled back when it raises.

        Raise ServiceUnavailable where the database cannot be reached or cannot write; what the statements themselves
        raise (IntegrityError and the like) passes.
        """
        # Waiting here is fair and costs nothing; waiting in SQLite polls.
        alone: AbstractAsyncContextManager[Any] = self._writing if self.dialect == "sqlite" else nullcontext()
        with _outages():
            async with alone, self._engine.begin() as connection:
                yield connection

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a write transaction and return what it returns; for transactions that are made often.

        `work` uses a plain (not asynchronous) connection and may run in another thread, so it touches nothing but its
        arguments and the connection. On SQLite the whole transaction costs one change of thread, where `transaction`
        costs several for each statement: half the CPU for one statement, less for more. Raises as `transaction` does.
        Where the caller is cancelled, the transaction may be committed all the same.
        """
        with _outages():
            if self._writer is None:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            async with self._writing:
                return await self._writer.run(work)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction for reading; it waits for no writer. Raises as `transaction` does."""
        with _outages():
            async with self._engine.connect() as connection:
                connection = await connection.execution_options(**{_READ_ONLY: True})
                yield connection
                await connection.rollback()

    async def check(self) -> str | None:
        """Return None where the database answers, else the reason (for Health.register)."""
        try:
            async with self.reading() as connection:
                await connection.execute(text("SELECT 1"))
        except ServiceUnavailable as error:
            return error.message
        return None

    async def close(self) -> None:
        """Close every connection."""
        if self._writer is not None:
            await self._writer.close()
        await self._engine.dispose()


class _SqliteWriter:
    """One thread with one connection, for whole transactions."""

    def __init__(self, url: URL) -> None:
        self._engine = _sqlite_engine(url)
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        # Kept open: taking it from the pool and giving it back costs as much as a small transaction.
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                return work(self._connection)
        except exc.DBAPIError:
            # What state the connection is in is not worth knowing.
            self._let_go()
            raise

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    async def close(self) -> None:
        # In that thread: a SQLite connection is closed where it was made.
        await asyncio.get_running_loop().run_in_executor(self._thread, self._dispose)
        self._thread.shutdown()

    def _dispose(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url.set(drivername="sqlite"), hide_parameters=True)
    _prepare_sqlite(engine)
    return engine


async def migrate(settings: DatabaseSettings, migrations: Path) -> None:
    """Bring the tables to the newest revision; several processes may do so at once, one does it, the others wait."""
    await _in_thread(settings, schema.upgrade, migrations)


async def _in_thread(settings: DatabaseSettings, work: Any, migrations: Path) -> None:
    over = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            return await asyncio.to_thread(work, make_sync_engine(settings), migrations)
        except exc.DBAPIError as error:
            # Where processes meet a new file, SQLite lets one make it a WAL and refuses the others without waiting.
            if _LOCKED not in str(error.orig) or time.monotonic() > over:
                raise StartError(f"database {_shown(settings)}: {_first_line(error)}") from error
        await asyncio.sleep(LOCKED_PAUSE_SECONDS)


def make_sync_engine(settings: DatabaseSettings) -> Engine:
    """Make the engine that migrations run on (a plain one: Alembic is not asynchronous)."""
    url = _url(settings)
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        return _sqlite_engine(url)
    return create_engine(url, hide_parameters=True, connect_args={"connect_timeout": CONNECT_SECONDS})


def _engine(settings: DatabaseSettings) -> AsyncEngine:
    url = _url(settings)
    common: dict[str, Any] = {
        # Rows must not show up in logs through an error's text.
        "hide_parameters": True,
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_WAIT_SECONDS,
        "poolclass": AsyncAdaptedQueuePool,
    }
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, connect_args={"factory": _YieldingConnection}, **common)
        _prepare_sqlite(engine.sync_engine)
        return engine
    limits = {
        "statement_timeout": STATEMENT_MS,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_MS,
        "timezone": "UTC",
    }
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 10_000,
    }
    return create_async_engine(url, connect_args=arguments, pool_pre_ping=True, **common)


def _url(settings: DatabaseSettings) -> URL:
    url = make_url(settings.url)
    if settings.password_file is not None:
        url = url.set(password=read_secret(settings.password_file).get_secret_value())
    return url


def _shown(settings: DatabaseSettings) -> str:
    return make_url(settings.url).render_as_string(hide_password=True)


def _first_line(error: exc.DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


class _YieldingConnection(sqlite3.Connection):
    """Ends its transaction when it is closed.

    SQLite keeps a closed connection, with its transaction and its lock, for as long as anybody refers to a cursor whose
    rows were not all read. A caller that goes away leaves such a cursor to the garbage collector: until that comes
    by, nobody could write.
    """

    def close(self) -> None:
        # One that is closed already has nothing to give back.
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        # The driver's own "begin before writing" is off: transactions begin where `begin` below says so.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _outages() -> Iterator[None]:
    """Turn the loss of the database into ServiceUnavailable; let every other error pass."""
    try:
        yield
    except exc.TimeoutError as error:
        raise ServiceUnavailable("all database connections are in use; try again shortly") from error
    except exc.DBAPIError as error:
        if not _is_outage(error):
            raise
        raise ServiceUnavailable(
            "the database cannot be reached or cannot write; try again shortly"
        ) from error


def _is_outage(error: exc.DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    if not isinstance(error, (exc.OperationalError, exc.InterfaceError)):
        return False
    message = str(error.orig)
    # SQLite calls a missing table "operational" too, and that is no outage but a mistake of ours.
    is_sqlite = type(error.orig).__module__.startswith(("sqlite3", "aiosqlite"))
    return any(sign in message for sign in _SQLITE_OUTAGES) if is_sqlite else True

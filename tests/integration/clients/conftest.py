"""The gateway with stand-ins behind it, in a thread of its own: the client blocks, as it does in an application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kyso_client import ClientSecret, KysoClient
from tests.integration.gateway.conftest import Door, open_door
from tests.integration.gateway.stand_in_signer import Signer
from tests.integration.gateway.stand_ins import CLIENT, SECRET
from tests.support.pki import MeshCa


@pytest.fixture(scope="session")
def running_door(mesh_ca: MeshCa) -> Iterator[Door]:
    opened: list[Door] = []
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            opened.append(await open_door(stack, mesh_ca))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="gateway")
    thread.start()
    assert ready.wait(20)
    yield opened[0]
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def door(running_door: Door) -> Door:
    running_door.services.signer.__dict__.update(Signer().__dict__)  # type: ignore[abstract]
    return running_door


@pytest.fixture
def kyso(door: Door) -> Iterator[KysoClient]:
    with KysoClient(door.url, ClientSecret(CLIENT, SECRET)) as client:
        yield client


@pytest.fixture
def environment(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of the command in the environment; returns an empty folder to work in."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    for name, value in (
        ("KYSO_URL", door.url),
        ("KYSO_CLIENT_ID", CLIENT),
        ("KYSO_CLIENT_SECRET_FILE", str(secret)),
        ("XDG_CONFIG_HOME", str(tmp_path / "none")),
    ):
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    return work

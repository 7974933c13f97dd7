"""A gateway on a free port with stand-ins behind it, one for each test module."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.config import GatewaySettings
from gateway.main import build
from gateway.server import serve_http
from services.kernel.runtime.config import RpcClientSettings, RpcServerSettings
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from tests.integration.gateway.stand_in_signer import Signer
from tests.integration.gateway.stand_ins import StandIns
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

MAX_DOCUMENT = 2 * 1024 * 1024
MAX_IMAGE = 64 * 1024
MAX_ITEMS = 20


@dataclass
class Door:
    """The gateway's address, a client for it, and what stands behind it."""

    port: int
    http: httpx.AsyncClient
    services: StandIns
    runtime: Runtime
    settings: GatewaySettings

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def figure(self, name: str, **labels: str) -> float:
        """Return the value of a metric; 0 where it has none yet."""
        return self.runtime.telemetry.registry.get_sample_value(name, labels) or 0.0

    def headers(self, scope: str | None = None, **more: str) -> dict[str, str]:
        token = self.services.tokens.token() if scope is None else self.services.tokens.token(scope)
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return {
            "Authorization": f"Bearer {token}",
            **key,
            **{k.replace("_", "-"): v for k, v in more.items()},
        }


def settings_of(mesh_ca: MeshCa, port: int, changes: dict[str, Any]) -> GatewaySettings:
    target = RpcClientSettings(
        target=f"127.0.0.1:{port}", server_name="signer", tls=mesh_ca.tls("gateway"), timeout_seconds=10
    )
    base: dict[str, Any] = {
        "telemetry": {"http_listen": "127.0.0.1:0"},
        "http": {"listen": "127.0.0.1:0", "drain_seconds": 1, "head_seconds": 1},
        "limits": {
            "max_document_bytes": MAX_DOCUMENT, "body_idle_seconds": 1, "body_seconds": 30, "max_files": 5,
            "max_image_bytes": MAX_IMAGE, "max_batch_items": MAX_ITEMS, "max_batch_bytes": 3 * MAX_DOCUMENT,
        },
        "signer": target, "verifier": target, "registry": target,
    }  # fmt: skip
    for section, values in changes.items():
        base[section] = {**base.get(section, {}), **values}
    return GatewaySettings.model_validate(base)


async def open_door(
    stack: AsyncExitStack, mesh_ca: MeshCa, services: StandIns | None = None, **changes: Any
) -> Door:
    """Start stand-ins and gateway; `changes` are laid over the settings, section by section."""
    services = services or StandIns()
    runtime, behind = make_runtime("gateway"), make_runtime("stand-ins")
    listen = RpcServerSettings(listen="127.0.0.1:0", tls=mesh_ca.tls("signer"), drain_seconds=0.5)
    bound = await stack.enter_async_context(serve_rpc(listen, behind, services.add, (), services.allow()))
    settings = settings_of(mesh_ca, bound.port, changes)
    channels = {}
    for name in ("signer", "verifier", "registry"):
        channels[name] = await stack.enter_async_context(open_channel(getattr(settings, name)))
    application = build(settings, runtime, channels)
    port = await stack.enter_async_context(serve_http(settings.http, application))
    http = await stack.enter_async_context(
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20)
    )
    await runtime.health.set_started()
    return Door(port, http, services, runtime, settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_door(mesh_ca: MeshCa) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        yield await open_door(stack, mesh_ca)


@pytest.fixture
def door(shared_door: Door) -> Door:
    """The module's gateway, its stand-ins as good as new."""
    signer = shared_door.services.signer
    fresh = Signer()  # type: ignore[abstract]
    signer.__dict__.update(fresh.__dict__)
    shared_door.services.tokens.asked.clear()
    return shared_door


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; fail after ten seconds."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - what is awaited happens in the gateway, without an event
            await asyncio.sleep(0.01)


async def raw_exchange(port: int, *pieces: bytes) -> bytes:
    """Send bytes as they are and return everything that comes back until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(15):
            return await reader.read()
    finally:
        writer.close()

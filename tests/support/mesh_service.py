"""A service with one method of each kind, served and called over mutual TLS by the chassis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from services.kernel.runtime.channel import MeshChannel
from services.kernel.runtime.config import RpcClientSettings, RpcServerSettings
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

SERVICE = "test.Kinds"
KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
Behave = Callable[[bytes], Awaitable[bytes]]


def add_service(behave: Behave) -> Callable[[grpc.aio.Server], None]:
    """Register one method of each kind; each answers what `behave` makes of its (last) request."""

    async def unary_unary(request: bytes, _context: Any) -> bytes:
        return await behave(request)

    async def unary_stream(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        yield await behave(request)

    async def stream_unary(requests: AsyncIterator[bytes], _context: Any) -> bytes:
        return await behave([item async for item in requests][-1])

    async def stream_stream(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for item in requests:
            yield await behave(item)

    handlers: dict[str, Any] = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(unary_unary),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(unary_stream),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(stream_unary),
        "StreamStream": grpc.stream_stream_rpc_method_handler(stream_stream),
        "Unlisted": grpc.unary_unary_rpc_method_handler(unary_unary),
    }
    return lambda server: server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, handlers),)
    )


class Mesh:
    """A running server, and clients of it under any name."""

    def __init__(self, ca: MeshCa, port: int, runtime: Runtime) -> None:
        self.ca, self.port, self.runtime = ca, port, runtime

    def settings(self, name: str = "gateway", **changes: Any) -> RpcClientSettings:
        fields = {"target": f"127.0.0.1:{self.port}", "server_name": "signer", "tls": self.ca.tls(name)}
        return RpcClientSettings.model_validate(fields | changes)

    @asynccontextmanager
    async def client(self, name: str = "gateway", **changes: Any) -> AsyncIterator[MeshChannel]:
        channel = open_channel(self.settings(name, **changes))
        try:
            yield channel
        finally:
            await channel.close()

    def metric(self, name: str, **labels: str) -> float:
        return self.runtime.telemetry.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def serving(ca: MeshCa, behave: Behave, **changes: Any) -> AsyncIterator[Mesh]:
    runtime = make_runtime("signer")
    fields = {"listen": "127.0.0.1:0", "tls": ca.tls("signer"), "drain_seconds": 20}
    settings = RpcServerSettings.model_validate(fields | changes)
    allow = {f"/{SERVICE}/{kind}": frozenset({"gateway", "registry"}) for kind in KINDS}
    async with serve_rpc(settings, runtime, add_service(behave), [SERVICE], allow) as bound:
        await runtime.health.set_started()
        yield Mesh(ca, bound.port, runtime)


async def call(channel: MeshChannel, kind: str, request: bytes, **options: Any) -> bytes:
    """Call one method and return its last answer."""
    path = f"/{SERVICE}/{kind}"

    async def requests() -> AsyncIterator[bytes]:
        yield request

    match kind:
        case "UnaryStream":
            return bytes([item async for item in channel.unary_stream(path)(request, **options)][-1])
        case "StreamUnary":
            return bytes(await channel.stream_unary(path)(requests(), **options))
        case "StreamStream":
            return bytes([item async for item in channel.stream_stream(path)(requests(), **options)][-1])
    return bytes(await channel.unary_unary(path)(request, **options))


async def echo(request: bytes) -> bytes:
    return request

"""A service has several replicas behind one name: its callers use them all, and lose none of their calls with one."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import grpc

from services.kernel.runtime.config import RpcClientSettings, RpcServerSettings
from services.kernel.runtime.rpc import open_channel, serve_rpc
from tests.support.nats_server import eventually
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

METHOD = "/test.Replicas/Name"


def _add(name: bytes, server: grpc.aio.Server) -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        return name

    handlers: dict[str, Any] = {"Name": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Replicas", handlers),))


async def test_calls_are_spread_over_every_replica_of_a_name(mesh_ca: MeshCa) -> None:
    async with AsyncExitStack() as stack:
        settings = RpcServerSettings(listen="127.0.0.1:0", tls=mesh_ca.tls("signer"), drain_seconds=1)
        ports = []
        for name in (b"one", b"two"):
            bound = await stack.enter_async_context(
                serve_rpc(
                    settings,
                    make_runtime(),
                    lambda server, name=name: _add(name, server),  # type: ignore[misc]
                    ["test.Replicas"],
                    {METHOD: frozenset({"gateway"})},
                )
            )
            ports.append(bound.port)
        client = RpcClientSettings(
            # What the name of a headless service resolves to.
            target=f"ipv4:127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}",
            server_name="signer",
            tls=mesh_ca.tls("gateway"),
        )
        channel = await stack.enter_async_context(open_channel(client))
        call = channel.unary_unary(METHOD)
        seen: Counter[bytes] = Counter()

        async def both_answered() -> bool:
            seen[await call(b"")] += 1
            return len(seen) == 2

        await eventually(both_answered)
        seen.clear()
        for _ in range(20):
            seen[await call(b"")] += 1
        assert seen == {b"one": 10, b"two": 10}

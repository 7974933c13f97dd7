"""The end of a connection to the bus: what is buffered is sent, but no server is waited for without limit."""

from __future__ import annotations

import asyncio

import nats.errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from structlog.typing import FilteringBoundLogger


async def part(client: Client, seconds: float, log: FilteringBoundLogger) -> None:
    """Send what is buffered and close; each of the two takes `seconds` at most, then the connection is broken off."""
    if client.is_closed:
        return
    if not await _flushed(client, seconds, log):
        _cut(client)
    # The server may become silent only now.
    cutting = asyncio.get_running_loop().call_later(seconds, _cut, client)
    try:
        await client.close()
    finally:
        cutting.cancel()


async def _flushed(client: Client, seconds: float, log: FilteringBoundLogger) -> bool:
    if not client.is_connected:
        return False
    try:
        async with asyncio.timeout(seconds):
            # The library counts in whole seconds, and not what it needs to hand the question over.
            await client.flush(timeout=max(1, round(seconds)))
    except (nats.errors.Error, OSError) as error:
        log.warning("bus_flush_failed", error=repr(error)[:200])
        return False
    return True


def _cut(client: Client) -> None:
    """Break the connection off, with what is unsent.

    The library's own way to close waits for as long as the server takes nothing: without limit for what is unsent,
    half a minute for the end of TLS. Nothing public drops what is unsent, or reaches the socket; a test closes a bus
    that takes nothing any more, and fails where the library's insides change.
    """
    client._pending, client._pending_data_size = [], 0  # noqa: SLF001
    transport = client._transport  # noqa: SLF001
    if isinstance(transport, TcpTransport) and transport._io_writer is not None:  # noqa: SLF001
        transport._io_writer.transport.abort()  # noqa: SLF001

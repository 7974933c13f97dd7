"""A host outside, on loopback: an HTTP server whose answers a test writes byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


Handler = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class OutsideServer:
    """What each path does, and what came."""

    port: int = 0
    handlers: dict[str, Handler] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str, host: str = HOST) -> str:
        """Address of a path."""
        return f"http://{host}:{self.port}{path}"

    def answer(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Answer a path with this; return its address."""
        self.handlers[path] = replying(lambda _: body, status, **headers)
        return self.url(path)

    def compute(self, path: str, make: Callable[[Received], bytes]) -> str:
        """Answer a path with what `make` makes of each request; return its address."""
        self.handlers[path] = replying(make)
        return self.url(path)

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(one.path == path for one in self.received)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and answer it."""
        self.connections += 1
        try:
            request = await _read(reader)
            self.received.append(request)
            handler = self.handlers.get(request.path, replying(lambda _: b"nothing here", 404))
            await handler(request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            # The client had enough: that is what some tests are about.
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


def replying(make: Callable[[Received], bytes], status: int = 200, **headers: str) -> Handler:
    """Answer with a body of a stated length."""

    async def handler(request: Received, writer: asyncio.StreamWriter) -> None:
        body = make(request)
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}"]
        # A type that says nothing, as many servers send it.
        lines += [
            "Content-Type: text/html",
            *(f"{name.replace('_', '-')}: {v}" for name, v in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return handler


async def stalling(_: Received, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client goes away."""
    await writer.wait_closed()


async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
    """Send a body that never ends."""
    writer.write(b"HTTP/1.1 200 x\r\n\r\n")
    while True:
        writer.write(b"\x30" * 65536)
        await writer.drain()


async def dripping(_: Received, writer: asyncio.StreamWriter) -> None:
    """Send a byte a turn: never silent for long, and never done."""
    writer.write(b"HTTP/1.1 200 x\r\nContent-Length: 60000\r\n\r\n")
    while True:
        writer.write(b"\x30")
        await writer.drain()
        # This pause is the misbehaviour itself; nobody waits for it.
        await asyncio.sleep(0.02)


async def hanging_up(_: Received, writer: asyncio.StreamWriter) -> None:
    """Close without an answer."""
    writer.close()


@asynccontextmanager
async def outside_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[OutsideServer]:
    """Run one until the block ends."""
    outside = OutsideServer()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(outside.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, HOST, 0, limit=MAX_HEAD_BYTES, ssl=tls)
    outside.port = server.sockets[0].getsockname()[1]
    try:
        yield outside
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

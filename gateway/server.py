"""uvicorn inside our own event loop and process life, with the limits that it leaves to a proxy before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from asyncio import TimerHandle, Transport
from collections.abc import AsyncIterator, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.config import HttpSettings
from gateway.problems import PROBLEM_JSON, HeadersTooLarge, HttpMalformed, problem_document
from services.kernel.runtime.config import ConfigError, split_address
from services.kernel.values import new_id

MAX_HEAD_BYTES = 32 * 1024
"""Request line and headers together; a token takes at most 8 KiB of it."""
BACKLOG = 1024


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _LimitedProtocol(HttpToolsProtocol):
    """Limits the head of a request in bytes and in time, and the connections in number."""

    door: HttpSettings
    _timer: TimerHandle | None = None
    _in_head = True
    _head_bytes = 0
    _head_too_large = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.door.max_connections:
            transport.close()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            # The parser itself would collect one endless header for ever.
            self._head_too_large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._arm()

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._head_too_large = True
            raise ValueError("head too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        del msg
        cycle = getattr(self, "cycle", None)
        if cycle is not None and not cycle.response_complete:
            # An answer is under way (or its head was refused): a second one would corrupt it.
            self.transport.close()
            return
        self._refuse()

    def _refuse(self) -> None:
        error = (
            HeadersTooLarge(f"request line and headers are larger than {MAX_HEAD_BYTES} bytes")
            if self._head_too_large
            else HttpMalformed("the bytes are not an HTTP/1.1 request")
        )
        identifier = new_id("req")
        document = problem_document(error, identifier)
        body = json.dumps(document).encode()
        head = (
            f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {identifier}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[document["status"]] + head.encode("ascii") + body)
        self.transport.close()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.door.head_seconds, self._head_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def _protocol(settings: HttpSettings) -> type[HttpToolsProtocol]:
    """Make the protocol class with this door's limits; uvicorn constructs it for each connection, with no more to say."""
    return type("LimitedProtocol", (_LimitedProtocol,), {"door": settings})


def _ssl_files(settings: HttpSettings) -> dict[str, Any]:
    if settings.tls is None:
        return {}
    return {
        "ssl_certfile": str(settings.tls.certificate_file),
        "ssl_keyfile": str(settings.tls.private_key_file),
        "ssl_ciphers": "ECDHE+AESGCM:ECDHE+CHACHA20",
    }


def _bind(listen: str) -> socket.socket:
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {listen}: {error.strerror}") from None
    return listener


@contextlib.asynccontextmanager
async def serve_http(settings: HttpSettings, application: ASGIApp) -> AsyncIterator[int]:
    """Serve until the block ends, then let requests under way end (`drain_seconds`); yield the bound port."""
    try:
        config = uvicorn.Config(
            application,
            http=_protocol(settings),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=int(settings.drain_seconds),
            backlog=BACKLOG,
            **_ssl_files(settings),
        )
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"http.tls: {error.strerror or error}"]) from error
    listener = _bind(settings.listen)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        while not server.started:
            if task.done():
                await task
                raise OSError("the HTTP server ended while it started")
            await asyncio.sleep(0.005)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task

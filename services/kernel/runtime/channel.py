"""The client's side of every RPC: request id, deadline and error map, round a plain gRPC channel.

grpc.aio's own client interceptors start a task for each call; wrapping the channel costs a function call. A stub made
on this channel is awaited and iterated as usual, and raises DomainError subclasses instead of AioRpcError.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from services.kernel.runtime.errormap import from_rpc_error
from services.kernel.runtime.interceptors import REQUEST_ID, REQUEST_ID_HEADER
from services.kernel.runtime.telemetry import call_deadline, request_id
from services.kernel.values import new_id

Metadata = tuple[tuple[str, str | bytes], ...]

STATUS_SECONDS = 1.0
"""How long after a failed write the status that made it fail may take to arrive."""


class _StatusKeeper:
    """Stands before grpc's own call object so that a refusal of the server is not lost.

    Where a server ends a call while the client still streams, the next write fails, and grpc.aio then overwrites the
    server's status by INTERNAL (grpc issue 36066, open with grpcio 1.85). Here the failed write waits for the status
    instead; only if none comes is it INTERNAL.
    """

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def set_internal_error(self, text: str) -> None:
        """Take grpc.aio's own verdict, but only after a while and only where there is none by then."""
        if not self._inner.done():
            asyncio.get_running_loop().call_later(STATUS_SECONDS, self._set_if_open, text)

    def _set_if_open(self, text: str) -> None:
        if not self._inner.done():
            self._inner.set_internal_error(text)


class MeshCall:
    """One call under way: await it, iterate it, or read and write it; errors arrive as DomainError."""

    __slots__ = ("_call", "_items", "_service")

    def __init__(self, call: Any, service: str) -> None:
        """Wrap a call of grpc.aio to `service`."""
        self._call = call
        self._service = service
        self._items: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the one answer."""
        try:
            return (yield from self._call.__await__())
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._service) from error

    def __aiter__(self) -> Self:
        """Iterate over the answers."""
        self._items = self._call.__aiter__()
        return self

    async def __anext__(self) -> Any:
        """Return the next answer."""
        try:
            return await self._items.__anext__()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._service) from error

    async def read(self) -> Any:
        """Return the next answer, or `grpc.aio.EOF`."""
        try:
            return await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._service) from error

    async def write(self, request: Any) -> None:
        """Send one more request."""
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._service) from error
        except asyncio.InvalidStateError:
            await self._raise_outcome()

    async def done_writing(self) -> None:
        """Say that no more requests come."""
        try:
            await self._call.done_writing()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._service) from error

    async def _raise_outcome(self) -> NoReturn:
        """Raise the status that ended the call before all was written: it says why, "finished" does not."""
        error = grpc.aio.AioRpcError(
            await self._call.code(),
            await self._call.initial_metadata(),
            await self._call.trailing_metadata(),
            details=await self._call.details(),
        )
        raise from_rpc_error(error, self._service) from error

    def cancel(self) -> bool:
        """Give the call up; return whether it was still under way."""
        return bool(self._call.cancel())

    def __getattr__(self, name: str) -> Any:
        """Reach the rest of the call: code(), initial_metadata(), done() and the like."""
        return getattr(self._call, name)


class _MeshCallable:
    """One method of a stub."""

    __slots__ = ("_inner", "_service", "_streams", "_timeout")

    def __init__(self, inner: Any, service: str, timeout_seconds: float, *, streams: bool) -> None:
        self._inner, self._service, self._timeout = inner, service, timeout_seconds
        self._streams = streams

    def __call__(
        self,
        request: Any = None,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        **options: Any,
    ) -> MeshCall:
        """Start the call; `timeout` in seconds, `metadata` beside the request id."""
        identifier = request_id.get()
        if not REQUEST_ID.fullmatch(identifier):
            identifier = new_id("req")
        carried = (*(metadata or ()), (REQUEST_ID_HEADER, identifier))
        limit = self._timeout if timeout is None else timeout
        deadline = call_deadline.get()
        if deadline is not None:
            # A call made for another call is of no use after that one has ended.
            limit = max(0.0, min(limit, deadline - time.monotonic()))
        call = self._inner(request, timeout=limit, metadata=carried, **options)
        if self._streams:
            call._cython_call = _StatusKeeper(call._cython_call)  # noqa: SLF001  (see _StatusKeeper)
        return MeshCall(call, self._service)


class MeshChannel(grpc.aio.Channel):
    """A channel to one service of the mesh; made by `rpc.open_channel`."""

    def __init__(self, inner: grpc.aio.Channel, service: str, timeout_seconds: float) -> None:
        """Wrap a channel; `timeout_seconds` is for calls that set none."""
        self._inner = inner
        self._service = service
        self._timeout = timeout_seconds

    def _wrap(self, inner: Any, *, streams: bool = False) -> Any:
        return _MeshCallable(inner, self._service, self._timeout, streams=streams)

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make the callable of a method with one request and one answer."""
        return self._wrap(self._inner.unary_unary(method, *arguments, **options))

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make the callable of a method with one request and many answers."""
        return self._wrap(self._inner.unary_stream(method, *arguments, **options))

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make the callable of a method with many requests and one answer."""
        return self._wrap(self._inner.stream_unary(method, *arguments, **options), streams=True)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make the callable of a method with many requests and many answers."""
        return self._wrap(self._inner.stream_stream(method, *arguments, **options), streams=True)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the connection; connect if asked to."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another than the one given."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        await self._inner.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close; calls under way get `grace` seconds."""
        await self._inner.close(grace)

    async def __aenter__(self) -> Self:
        """Return itself."""
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Close at once."""
        await self._inner.close()

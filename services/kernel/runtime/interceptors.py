"""What happens round every RPC on the server's side, in one written order.

    request id > metrics > errors > authorization > deadline > handler

All of it is one interceptor: a chain of six would cost six awaits and six objects for each call.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeAlias

import grpc
from grpc_status import rpc_status
from prometheus_client import Counter, Gauge, Histogram
from structlog.typing import FilteringBoundLogger

from services.kernel.errors import CallerNotAllowed, DeadlineExceeded, DomainError, Internal, Kind
from services.kernel.runtime.errormap import to_status
from services.kernel.runtime.telemetry import LATENCY_BUCKETS, Telemetry, call_deadline, caller, request_id
from services.kernel.values import new_id

REQUEST_ID_HEADER = "x-request-id"
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
OPEN_SERVICES = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
"""Open to every caller with a certificate of the mesh, and not counted: probes would drown the figures."""

# Text, because these classes are generic for the type checker only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class _Method:
    """What is known of one RPC: looked up once, not at every call."""

    __slots__ = ("allowed", "counts", "name", "requests", "running", "seconds")

    def __init__(self, name: str, allowed: frozenset[str], requests: Counter, seconds: Histogram) -> None:
        self.name, self.allowed, self.requests = name, allowed, requests
        self.seconds = seconds.labels(name)
        self.counts: dict[str, Counter] = {}
        self.running = 0

    def count(self, outcome: str) -> None:
        """Count one call; outcomes are error codes, so there are not many."""
        child = self.counts.get(outcome)
        if child is None:
            child = self.counts[outcome] = self.requests.labels(self.name, outcome)
        child.inc()


class _Call:
    """One call, from its arrival to its answer: `async with` it round the handler. The numbered steps are the order."""

    __slots__ = ("_context", "_limit", "_log", "_method", "_seconds", "_started")

    def __init__(
        self, method: _Method, context: Context, max_seconds: float, log: FilteringBoundLogger
    ) -> None:
        self._method, self._context, self._seconds, self._log = method, context, max_seconds, log
        self._limit: asyncio.Timeout | None = None
        self._started = 0.0

    async def __aenter__(self) -> None:
        # 1. Request id: taken over from the caller, or made here, so that every line of log has it.
        request_id.set(_request_id(self._context.invocation_metadata() or ()))
        # 2. Metrics: they count refusals too.
        self._started = time.perf_counter()
        self._method.running += 1
        # 3. Errors: what leaves from here on is a status with a code, never a trace (see __aexit__).
        try:
            # 4. Authorization: the caller's certificate must be on the list of this very RPC.
            self._authorize()
            # 5. Deadline: the caller's own, else ours; calls made on the way may not outlive it.
            await self._limit_time()
        except BaseException as error:
            await self._leave(error)
            raise
        # 6. The handler runs in the body of the `async with`.

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._limit is not None:
            try:
                await self._limit.__aexit__(_kind, error, _trace)
            except TimeoutError:
                error = DeadlineExceeded(f"the call took longer than {self._seconds:g} s")
        await self._leave(error)

    def _authorize(self) -> None:
        method, names = self._method, peer_names(self._context)
        name = next((name for name in names if name in method.allowed), None)
        caller.set(name or ",".join(names)[:200])
        if name is None:
            raise CallerNotAllowed(
                f"the calling service may not call {method.name}; add its certificate's name to the allow-list",
                method=method.name,
            )

    async def _limit_time(self) -> None:
        remaining = _time_remaining(self._context)
        if remaining is None:
            remaining = self._seconds
            self._limit = asyncio.timeout(remaining)
            await self._limit.__aenter__()
        # Where the caller set a deadline, gRPC itself cancels the handler when it is over.
        call_deadline.set(time.monotonic() + remaining)

    async def _leave(self, error: BaseException | None) -> None:
        """Count the call; where it failed, answer with its status (which raises), or let a cancellation pass."""
        method = self._method
        method.running -= 1
        method.seconds.observe(time.perf_counter() - self._started)
        if error is None:
            method.count("OK")
        elif isinstance(error, grpc.aio.AbortError):
            # Already an answer: it must pass untouched.
            method.count("ABORTED")
        elif isinstance(error, DomainError):
            method.count(error.code)
            self._log_refusal(error)
            await self._context.abort_with_status(rpc_status.to_status(to_status(error)))
        elif isinstance(error, Exception):
            # Whatever else a handler raises is our fault: the log gets all of it, the caller an id to quote.
            method.count("INTERNAL")
            self._log.error("rpc_failed", method=method.name, exc_info=error)
            identifier = request_id.get()
            internal = Internal(
                f"an internal error occurred; quote request id {identifier}", request_id=identifier
            )
            await self._context.abort_with_status(rpc_status.to_status(to_status(internal)))
        else:
            method.count("DEADLINE_EXCEEDED" if _is_over(self._context) else "CANCELLED")

    def _log_refusal(self, error: DomainError) -> None:
        if error.kind is Kind.INTERNAL:
            self._log.error("rpc_failed", method=self._method.name, code=error.code, exc_info=error)
        elif isinstance(error, CallerNotAllowed):
            self._log.warning("rpc_caller_refused", method=self._method.name, code=error.code)
        else:
            self._log.info("rpc_refused", method=self._method.name, code=error.code, message=error.message)


class ServerChain(grpc.aio.ServerInterceptor):
    """Wraps every handler; refuses each RPC whose allow-list does not name the caller's certificate."""

    def __init__(
        self, telemetry: Telemetry, allow: Mapping[str, frozenset[str]], max_call_seconds: float
    ) -> None:
        """Take the callers allowed for each full method name, and the deadline for callers that set none."""
        self._log = telemetry.log
        self._allow = dict(allow)
        self._max_call_seconds = max_call_seconds
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}
        self._requests = Counter(
            "kyso_rpc_requests_total",
            "RPCs answered, by method and outcome: OK, an error code of docs/errors.md, or CANCELLED.",
            ["method", "code"],
            registry=telemetry.registry,
        )
        self._seconds = Histogram(
            "kyso_rpc_seconds",
            "Time from the arrival of an RPC to the end of its answer.",
            ["method"],
            buckets=LATENCY_BUCKETS,
            registry=telemetry.registry,
        )
        self._running = Gauge(
            "kyso_rpc_in_progress", "RPCs being worked on.", ["method"], registry=telemetry.registry
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the wrapped handler; it is made once for each method."""
        name = handler_call_details.method
        handler = await continuation(handler_call_details)
        # No handler: the answer is UNIMPLEMENTED, and the name is the caller's invention, so nothing is kept of it.
        if handler is None or name.startswith(OPEN_SERVICES):
            return handler
        kept = self._wrapped.get(name)
        if kept is None or kept[0] is not handler:
            kept = self._wrapped[name] = (handler, self._wrap(name, handler))
        return kept[1]

    def _wrap(self, name: str, handler: Handler) -> Handler:
        method = _Method(name, self._allow.get(name, frozenset()), self._requests, self._seconds)
        self._running.labels(name).set_function(lambda: method.running)
        if handler.request_streaming and handler.response_streaming:
            behavior, make = handler.stream_stream, grpc.stream_stream_rpc_method_handler
        elif handler.request_streaming:
            behavior, make = handler.stream_unary, grpc.stream_unary_rpc_method_handler
        elif handler.response_streaming:
            behavior, make = handler.unary_stream, grpc.unary_stream_rpc_method_handler
        else:
            behavior, make = handler.unary_unary, grpc.unary_unary_rpc_method_handler
        wrapped = self._generator(method, behavior) if inspect.isasyncgenfunction(behavior) else None
        # The sync and the aio server share these makers; their types only know the sync server's behaviours.
        return make(
            wrapped or self._coroutine(method, behavior),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _coroutine(self, method: _Method, behavior: Any) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:
            async with _Call(method, context, self._max_call_seconds, self._log):
                return await behavior(request, context)

        return answer

    def _generator(self, method: _Method, behavior: Any) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answers(request: Any, context: Context) -> AsyncIterator[Any]:
            async with (
                _Call(method, context, self._max_call_seconds, self._log),
                aclosing(behavior(request, context)) as items,
            ):
                async for item in items:
                    yield item

        return answers


def peer_names(context: Context) -> list[str]:
    """Return the DNS names of the peer's certificate, as the TLS handshake proved them; empty where it has none."""
    return [name.decode("ascii", "replace") for name in context.auth_context().get("peer_dns", ())]


def _request_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == REQUEST_ID_HEADER and isinstance(value, str) and REQUEST_ID.fullmatch(value):
            return value
    return new_id("req")


def _time_remaining(context: Context) -> float | None:
    # The types say float; the aio server answers None where the caller set no deadline.
    remaining: float | None = context.time_remaining()
    return remaining


def _is_over(context: Context) -> bool:
    remaining = _time_remaining(context)
    return remaining is not None and remaining <= 0

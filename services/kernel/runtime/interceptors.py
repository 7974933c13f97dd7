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
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc
from grpc_status import rpc_status
from prometheus_client import Counter, Gauge, Histogram

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
    """Figures and callers of one RPC, looked up once instead of at every call."""

    __slots__ = ("allowed", "name", "running", "seconds")

    def __init__(self, name: str, allowed: frozenset[str], seconds: Any, running: Any) -> None:
        self.name, self.allowed, self.seconds, self.running = name, allowed, seconds, running


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

    @asynccontextmanager
    async def _around(self, method: _Method, context: Context) -> AsyncIterator[None]:
        """Do everything round one call; the numbered steps are the order."""
        # 1. Request id: taken over from the caller, or made here, so that every line of log has it.
        identifier = _request_id(context.invocation_metadata() or ())
        request_id.set(identifier)
        # 2. Metrics: they count refusals too.
        started, outcome = time.perf_counter(), "OK"
        method.running.inc()
        try:
            # 3. Errors: what leaves from here on is a status with a code, never a trace.
            try:
                # 4. Authorization: the caller's certificate must be on the list of this very RPC.
                self._authorize(method, context)
                # 5. Deadline: the caller's own, else ours; calls made on the way may not outlive it.
                async with self._deadline(context):
                    # 6. The handler.
                    yield
            except grpc.aio.AbortError:
                # Already an answer: it must pass untouched.
                outcome = "ABORTED"
                raise
            except DomainError as error:
                outcome = error.code
                self._log_refusal(method, error)
                await context.abort_with_status(rpc_status.to_status(to_status(error)))
            except asyncio.CancelledError:
                outcome = "DEADLINE_EXCEEDED" if _is_over(context) else "CANCELLED"
                raise
            except Exception:  # noqa: BLE001
                # Whatever else a handler raises is our fault: the log gets all of it, the caller an id to quote.
                outcome = "INTERNAL"
                self._log.exception("rpc_failed", method=method.name)
                internal = Internal(
                    f"an internal error occurred; quote request id {identifier}", request_id=identifier
                )
                await context.abort_with_status(rpc_status.to_status(to_status(internal)))
        finally:
            method.running.dec()
            method.seconds.observe(time.perf_counter() - started)
            self._requests.labels(method.name, outcome).inc()

    def _authorize(self, method: _Method, context: Context) -> None:
        names = peer_names(context)
        name = next((name for name in names if name in method.allowed), None)
        caller.set(name or ",".join(names)[:200])
        if name is None:
            raise CallerNotAllowed(
                f"the calling service may not call {method.name}; add its certificate's name to the allow-list",
                method=method.name,
            )

    @asynccontextmanager
    async def _deadline(self, context: Context) -> AsyncIterator[None]:
        remaining = _time_remaining(context)
        if remaining is not None:
            # gRPC itself cancels the handler when this time is over.
            call_deadline.set(time.monotonic() + remaining)
            yield
            return
        call_deadline.set(time.monotonic() + self._max_call_seconds)
        try:
            async with asyncio.timeout(self._max_call_seconds) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"the call took longer than {self._max_call_seconds:g} s") from None

    def _log_refusal(self, method: _Method, error: DomainError) -> None:
        if error.kind is Kind.INTERNAL:
            self._log.error("rpc_failed", method=method.name, code=error.code, exc_info=error)
        elif isinstance(error, CallerNotAllowed):
            self._log.warning("rpc_caller_refused", method=method.name, code=error.code)
        else:
            self._log.info("rpc_refused", method=method.name, code=error.code, message=error.message)

    def _wrap(self, name: str, handler: Handler) -> Handler:
        method = _Method(
            name,
            self._allow.get(name, frozenset()),
            self._seconds.labels(name),
            self._running.labels(name),
        )
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
            async with self._around(method, context):
                return await behavior(request, context)

        return answer

    def _generator(self, method: _Method, behavior: Any) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answers(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._around(method, context), aclosing(behavior(request, context)) as items:
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

"""The outermost layer of the ASGI application: what happens round every request, in one written order.

    request id > figures and access log > problems > endpoint > token, rate, scope > room for one more > handler

Room is given by what is known of the caller: a place among those with a token is taken once the token is verified, so
that nobody without one can fill them.

All of it is one callable: a chain of middlewares would cost a call and a wrapped `send` each.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from gateway import problems
from gateway.auth import ANONYMOUS, Caller, TokenVerifier
from gateway.config import GatewaySettings
from gateway.endpoint import Endpoint, Table
from gateway.rates import Places, RateLimit
from services.kernel.errors import DomainError, Kind
from services.kernel.runtime.telemetry import LATENCY_BUCKETS, caller, request_id
from services.kernel.values import new_id

REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
UNMATCHED = "unmatched"
LINGER_SECONDS = 3.0
LINGER_IDLE_SECONDS = 1.0
LINGER_BYTES = 16 * 1024 * 1024
"""How long, and how much of a refused body, is thrown away so that its sender can read the refusal."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Other words are counted as OTHER, so that callers cannot make up labels."""


@dataclass(frozen=True, slots=True)
class GatewayMetrics:
    """Figures of the public door. Labels come from the table of endpoints, never from callers."""

    requests: Counter
    seconds: Histogram
    in_flight: Gauge
    received: Counter
    sent: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry) -> GatewayMetrics:
        """Make the metrics in this registry."""
        return cls(
            requests=Counter(
                "kyso_gateway_requests_total",
                "HTTP requests answered, by route, method and status.",
                ["route", "method", "status"],
                registry=registry,
            ),
            seconds=Histogram(
                "kyso_gateway_seconds",
                "Time from a request's headers to the end of its answer.",
                ["route"],
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ),
            in_flight=Gauge("kyso_gateway_in_flight", "HTTP requests being worked on.", registry=registry),
            received=Counter(
                "kyso_gateway_received_bytes_total", "Bytes of request bodies.", registry=registry
            ),
            sent=Counter("kyso_gateway_sent_bytes_total", "Bytes of answer bodies.", registry=registry),
        )


class DocumentBroken(Exception):
    """An answer that streams broke off after its head was sent: the connection must end with it."""


class _Exchange:
    """One request and its answer: counts bytes, adds headers, knows whether the body was read to its end."""

    __slots__ = (
        "_id",
        "_receive",
        "_send",
        "_unfinished",
        "body_left",
        "received",
        "route",
        "sent",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, identifier: str) -> None:
        self._receive, self._send, self._id = receive, send, identifier.encode("ascii")
        self._unfinished = False
        self.route = UNMATCHED
        self.status = 0
        self.received = self.sent = 0
        self.body_left = any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in scope["headers"]
        )

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self.body_left = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self._id), *_SAFETY]
            if self.body_left:
                # Nobody will read the rest of that body: the connection ends with this answer.
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        else:
            self.sent += len(message.get("body", b""))
            if self.body_left and not message.get("more_body", False):
                # All of the answer goes out now; its end, with which the server closes, waits for `linger`.
                self._unfinished = True
                message = {**message, "more_body": True}
        await self._send(message)

    async def linger(self) -> None:
        """Throw away a part of the body that nobody reads, then end the answer and the connection.

        Closing at once would make the system reset the connection, and the caller, still sending, would lose the
        answer that says why (RFC 9112 section 9.6).
        """
        if not self._unfinished:
            return
        dropped = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self.body_left and dropped < LINGER_BYTES:
                    async with asyncio.timeout(LINGER_IDLE_SECONDS):
                        message = await self._receive()
                    if message["type"] != "http.request":
                        return
                    dropped += len(message.get("body", b""))
                    self.body_left = message.get("more_body", False)
        except TimeoutError:
            # Whoever is not done by now has had its time to read the answer.
            pass
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


_SAFETY = ((b"x-content-type-options", b"nosniff"),)


class Gateway:
    """The ASGI application."""

    def __init__(
        self,
        table: Table,
        tokens: TokenVerifier,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        log: FilteringBoundLogger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the endpoints and what stands before them."""
        self._table = table
        self._tokens = tokens
        door = settings.http
        self._places = Places(door.max_in_flight)
        self._open_places = Places(door.max_open_in_flight, door.max_open_per_address)
        self._metrics = metrics
        self._log = log
        rates = settings.rates
        self._client_rate = RateLimit(rates.client_per_second, rates.client_burst, monotonic)
        self._open_rate = RateLimit(rates.open_per_second, rates.open_burst, monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        identifier = _request_id(scope)
        request_id.set(identifier)
        caller.set("")
        exchange = _Exchange(scope, receive, send, identifier)
        self._metrics.in_flight.inc()
        try:
            await self._answer(scope, exchange, identifier)
        finally:
            self._metrics.in_flight.dec()
            self._record(scope["method"], exchange, time.perf_counter() - started)
        await exchange.linger()

    async def _answer(self, scope: Scope, exchange: _Exchange, identifier: str) -> None:
        try:
            await self._respond(scope, exchange)
        except ClientDisconnect:
            # Nobody is there to read an answer; 499 is what proxies call it in their figures.
            exchange.status = 499
        except DomainError as error:
            await self._problem(error, scope, exchange, identifier)
        except DocumentBroken as error:
            # Returning without the end of the answer makes the server cut the connection: no caller can take the
            # part for the whole.
            self._log.error("answer_broke_off", route=exchange.route, exc_info=error.__cause__)
        except Exception:  # noqa: BLE001
            # Whatever else a handler raises is our fault: the log gets all of it, the caller an id to quote.
            self._log.exception("request_failed", route=exchange.route)
            if not exchange.status:
                await self._problem(problems.internal(identifier), scope, exchange, identifier)

    async def _problem(self, error: DomainError, scope: Scope, exchange: _Exchange, identifier: str) -> None:
        if error.kind is Kind.INTERNAL and error.__cause__ is not None:
            self._log.error("service_failed", route=exchange.route, code=error.code, exc_info=error.__cause__)
        if exchange.status:
            self._log.error("answer_broke_off", route=exchange.route, code=error.code)
            return
        await problems.problem_response(error, identifier)(scope, exchange.receive, exchange.send)

    async def _respond(self, scope: Scope, exchange: _Exchange) -> None:
        endpoint, scope["path_params"] = self._table.find(scope["method"], scope["path"])
        exchange.route = endpoint.path
        request = Request(scope, exchange.receive)
        client = await self._admit(endpoint, request)
        with self._room(endpoint, request):
            # The answer is sent within: a caller who reads it slowly holds its place.
            response = await endpoint.handler(request, client)
            await response(scope, exchange.receive, exchange.send)

    def _room(self, endpoint: Endpoint, request: Request) -> AbstractContextManager[None]:
        if endpoint.path in _ALWAYS:
            return nullcontext()
        if endpoint.scopes is None:
            return self._open_places.taken(_address(request))
        return self._places.taken("")

    async def _admit(self, endpoint: Endpoint, request: Request) -> Caller:
        if endpoint.scopes is None:
            if endpoint.path not in _ALWAYS:
                self._open_rate.take(_address(request))
            return ANONYMOUS
        client = await self._tokens.verify(request.headers.get("authorization"))
        caller.set(client.client_id)
        self._client_rate.take(client.client_id)
        client.require_any(endpoint.scopes)
        return client

    def _record(self, method: str, exchange: _Exchange, seconds: float) -> None:
        metrics, route = self._metrics, exchange.route
        method = method if method in METHODS else "OTHER"
        metrics.requests.labels(route, method, str(exchange.status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        if exchange.received:
            metrics.received.inc(exchange.received)
        if exchange.sent:
            metrics.sent.inc(exchange.sent)
        if route not in _ALWAYS:
            # The route, never the address: a query may hold what does not belong in a log.
            self._log.info(
                "http_request",
                route=route,
                method=method,
                status=exchange.status,
                ms=round(seconds * 1000, 1),
                bytes_in=exchange.received,
                bytes_out=exchange.sent,
            )


_ALWAYS = frozenset({"/livez", "/readyz"})
"""Probes: answered under every load, and not logged."""


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            text: str = value.decode("ascii")
            return text
    return new_id("req")

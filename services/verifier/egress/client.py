"""The only way out: HTTP to hosts on the list, within limits of time and size.

The transport of httpx is used without its client: no cookies, no redirects, no proxies of the environment, no decoding
of what a server compressed, no `.netrc`. Each request is made to an address that was looked at (`hosts`), with the
host's name in `Host` and in TLS; connections are not kept, for a kept one is known by its address alone.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum

import httpx
from structlog.typing import FilteringBoundLogger

from services.kernel.runtime.config import ConfigError, read_pem
from services.verifier.config import EgressSettings
from services.verifier.egress.hosts import (
    EgressError,
    Gates,
    Reason,
    Resolve,
    Target,
    resolve,
    target_of,
    usable,
)
from services.verifier.egress.metrics import EgressMetrics

MAX_CONNECTIONS = 256
_BUSY = {429, 500, 502, 503, 504}
"""Answers of a server that may do better the next time."""
_AWAY = {502, 503, 504}
"""Those of a host that is not there; any other status is the answer to one address, and no failure of the host."""


class Kind(StrEnum):
    """What is asked for."""

    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP = "ocsp"
    TIME_STAMP = "time_stamp"


@dataclass(frozen=True, slots=True)
class Question:
    """One request: a GET, or a POST where there is a body."""

    kind: Kind
    url: str
    max_bytes: int
    """Largest answer."""
    body: bytes | None = None
    media_type: str = ""
    """Of the body."""
    authorization: str = ""
    """Value of the Authorization header; empty: none."""

    @property
    def repeatable(self) -> bool:
        """True where asking twice does no more than asking once: a time-stamp may cost money and is counted."""
        return self.kind is not Kind.TIME_STAMP


class Egress:
    """Asks outside hosts. Safe for many callers in one event loop."""

    def __init__(
        self,
        settings: EgressSettings,
        transport: httpx.AsyncBaseTransport,
        gates: Gates,
        metrics: EgressMetrics,
        log: FilteringBoundLogger,
        resolve_host: Resolve = resolve,
    ) -> None:
        """`transport` is what `transport_of` makes; closing it is the caller's."""
        self._settings, self._transport, self._gates = settings, transport, gates
        self._metrics, self._log, self._resolve = metrics, log, resolve_host

    async def ask(self, question: Question) -> bytes:
        """Return the body of an answer with status 200. Raises EgressError."""
        kind, started, outcome = question.kind.value, time.perf_counter(), "ok"
        try:
            answer = await self._ask(question)
            self._metrics.received.labels(kind).inc(len(answer))
            return answer
        except EgressError as error:
            outcome = error.reason.lower()
            if error.reason is Reason.NOT_ALLOWED:
                self._log.info("egress_refused", kind=kind, detail=error.detail)
            else:
                self._log.warning("egress_failed", kind=kind, reason=error.reason.value, detail=error.detail)
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._metrics.requests.labels(kind, outcome).inc()
            self._metrics.seconds.labels(kind).observe(time.perf_counter() - started)

    async def _ask(self, question: Question) -> bytes:
        target = target_of(question.url, self._settings.hosts)
        gate = self._gates.of(target, question.kind.value)
        limit = asyncio.timeout(self._settings.total_seconds)
        try:
            async with limit, gate.turn(target.host):
                try:
                    answer = await self._repeated(question, target)
                except EgressError as error:
                    if error.answered or error.reason is not Reason.UNREACHABLE:
                        gate.answered()
                    elif gate.failed():
                        self._log_pause(question, target)
                    raise
                except asyncio.CancelledError:
                    # By the limit above: the host had its time. By a caller that went away: nobody's fault.
                    if limit.expired() and gate.failed():
                        self._log_pause(question, target)
                    raise
                gate.answered()
                return answer
        except TimeoutError as error:
            seconds = self._settings.total_seconds
            raise EgressError(Reason.UNREACHABLE, f"{target.host} took longer than {seconds:g} s") from error

    def _log_pause(self, question: Question, target: Target) -> None:
        self._log.warning("egress_host_paused", host=target.host, port=target.port, kind=question.kind.value)

    async def _repeated(self, question: Question, target: Target) -> bytes:
        tries = 1 + (self._settings.retries if question.repeatable else 0)
        for number in range(tries - 1):
            try:
                return await self._exchange(question, target, number)
            except EgressError as error:
                if error.reason is not Reason.UNREACHABLE:
                    raise
            pause = self._settings.backoff_seconds * 2**number
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, hides nothing
        return await self._exchange(question, target, tries - 1)

    async def _exchange(self, question: Question, target: Target, number: int) -> bytes:
        """Ask once; each further try takes the next address."""
        try:
            addresses = usable(await self._resolve(target.host, target.port), target)
        except OSError as error:
            raise EgressError(Reason.UNREACHABLE, f"{target.host} has no address") from error
        request = self._request(question, target, addresses[number % len(addresses)])
        try:
            response = await self._transport.handle_async_request(request)
            try:
                return await _body(response, question, target)
            finally:
                await response.aclose()
        except httpx.TimeoutException as error:
            raise EgressError(Reason.UNREACHABLE, f"{target.host} did not answer in time") from error
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise EgressError(Reason.UNREACHABLE, f"{target.host} cannot be reached ({kind})") from error

    def _request(self, question: Question, target: Target, address: str) -> httpx.Request:
        settings = self._settings
        headers = {"Host": target.authority, "User-Agent": "kyso-verifier", "Accept-Encoding": "identity"}
        headers["Connection"] = "close"
        if question.media_type:
            headers["Content-Type"] = question.media_type
        if question.authorization:
            headers["Authorization"] = question.authorization
        seconds = {"connect": settings.connect_seconds, "pool": settings.connect_seconds}
        seconds |= {"read": settings.read_seconds, "write": settings.read_seconds}
        return httpx.Request(
            "GET" if question.body is None else "POST",
            target.url.copy_with(host=address),
            headers=headers,
            content=question.body,
            # The certificate is checked against the name, not against the address.
            extensions={"timeout": seconds, "sni_hostname": target.host},
        )


async def _body(response: httpx.Response, question: Question, target: Target) -> bytes:
    """Read an answer up to its limit. What type it says it is, is not looked at: what it is will be."""
    if response.status_code != httpx.codes.OK:
        busy = response.status_code in _BUSY
        word = "redirects are not followed" if response.is_redirect else "expected 200"
        detail = f"{target.host} answered with HTTP status {response.status_code} ({word})"
        answered = response.status_code not in _AWAY
        raise EgressError(Reason.UNREACHABLE if busy else Reason.BAD_ANSWER, detail, answered=answered)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise EgressError(Reason.BAD_ANSWER, f"{target.host} compressed its answer, which was not asked for")
    received = bytearray()
    async for chunk in response.aiter_raw():
        if len(received) + len(chunk) > question.max_bytes:
            detail = f"{target.host} answered with more than {question.max_bytes} bytes"
            raise EgressError(Reason.TOO_LARGE, detail)
        received += chunk
    if not received:
        raise EgressError(Reason.BAD_ANSWER, f"{target.host} answered with nothing")
    return bytes(received)


def transport_of(settings: EgressSettings) -> httpx.AsyncHTTPTransport:
    """Make the connections' side. Raises ConfigError where `ca_file` cannot be used."""
    # No proxies and no CA paths of the environment: only the settings say whom to trust and where to go.
    tls = httpx.create_ssl_context(trust_env=False)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file is not None:
        try:
            tls.load_verify_locations(cadata=read_pem(settings.ca_file, "CA certificates").decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ConfigError([f"egress.ca_file {settings.ca_file}: no PEM certificates"]) from error
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)

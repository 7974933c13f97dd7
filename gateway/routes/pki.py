"""/pki: CRLs and CA certificates for everyone (RFC 5280 sections 4.2.1.13 and 4.2.2.1), plain HTTP allowed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from starlette.requests import Request
from starlette.responses import Response

from gateway import openapi
from gateway.auth import Caller
from gateway.endpoint import Endpoint, query
from kyso.v1 import registry_pb2 as messages
from services.kernel.errors import DomainError, Kind, NotFound, ServiceUnavailable

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import PkiServiceAsyncStub

KEPT_SECONDS = 5.0
"""An answer of the registry is given again for so long: these doors are open to everyone."""
FAILURE_SECONDS = 1.0
"""For so long after a failed question it is not asked again: callers must not queue up behind a dead registry."""
ASK_SECONDS = 5.0
"""A registry that hangs is waited for so long, no longer."""
CRL_MAX_AGE = 300
"""Seconds that others may keep a CRL without asking again, if its nextUpdate is not sooner."""
CERTIFICATE_MAX_AGE = 86_400
CAS = ("root", "issuing")
"""The CAs there are: no other name is asked for or remembered."""


@dataclass(frozen=True, slots=True)
class _Published:
    """What a CA published. `next_update` is None where it does not end by itself."""

    content: bytes
    tag: str
    media_type: str
    max_age: int
    this_update: datetime | None = None
    next_update: datetime | None = None

    def usable(self, now: datetime) -> bool:
        return self.next_update is None or now < self.next_update

    def headers(self, now: datetime) -> dict[str, str]:
        age, headers = self.max_age, {"ETag": self.tag}
        if self.this_update is not None:
            headers["Last-Modified"] = format_datetime(self.this_update, usegmt=True)
        if self.next_update is not None:
            age = min(age, max(0, int((self.next_update - now).total_seconds())))
            headers["Expires"] = format_datetime(self.next_update, usegmt=True)
        return {"Cache-Control": f"public, max-age={age}", **headers}


class _Shelf:
    """One publication of one CA: asked for by one caller at a time, and given on without the registry while it is good."""

    def __init__(self, fetch: Callable[[], Awaitable[_Published]], clock: Callable[[], datetime]) -> None:
        self._fetch, self._clock = fetch, clock
        self._asking = asyncio.Lock()
        self._kept: _Published | None = None
        self._fresh_until = self._failed_until = float("-inf")
        self._generation = 0

    def outdate(self) -> None:
        """Ask anew at the next call; what is kept stays for when the registry does not answer."""
        self._generation += 1
        self._fresh_until = self._failed_until = float("-inf")

    async def get(self) -> _Published:
        """Return the newest; while the registry does not answer, what it answered last, if that still holds."""
        kept = self._fresh()
        if kept is None:
            # A thousand relying parties after a cache's end are one question.
            async with self._asking:
                kept = self._fresh() or await self._ask()
        return kept

    def _fresh(self) -> _Published | None:
        return self._kept if asyncio.get_running_loop().time() < self._fresh_until else None

    async def _ask(self) -> _Published:
        loop, generation = asyncio.get_running_loop(), self._generation
        if loop.time() < self._failed_until:
            return self._last() or _raise_away()
        try:
            kept = await self._fetch()
        except DomainError as error:
            if error.kind not in _PASSING:
                raise
            last = self._last()
            # Those who wait behind this question are not to wait for an answer of their own.
            self._failed_until = loop.time() + (KEPT_SECONDS if last else FAILURE_SECONDS)
            if last is None:
                raise
            return last
        self._kept = kept
        if generation == self._generation:
            # Else something was revoked meanwhile: the next call asks again.
            self._fresh_until = loop.time() + KEPT_SECONDS
        return kept

    def _last(self) -> _Published | None:
        return self._kept if self._kept is not None and self._kept.usable(self._clock()) else None


def _raise_away() -> NoReturn:
    raise ServiceUnavailable("the registry does not answer now; try again shortly", service="registry")


_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.EXHAUSTED, Kind.INTERNAL})
"""What says nothing about the CA, only about the registry now."""


class Pki:
    """Publishes what the registry's CAs publish."""

    def __init__(self, pki: PkiServiceAsyncStub, clock: Callable[[], datetime]) -> None:
        """Take the registry's PKI service and the clock (aware UTC)."""
        self._pki = pki
        self._clock = clock
        self._crls = {ca: _Shelf(partial(self._fetch_crl, ca), clock) for ca in CAS}
        self._certificates = {ca: _Shelf(partial(self._fetch_certificate, ca), clock) for ca in CAS}

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (
            Endpoint("GET", "/pki/crl/{ca}.crl", self.crl, _CRL),
            Endpoint("GET", "/pki/aia/{ca}.cer", self.certificate, _CERTIFICATE),
        )

    def forget(self) -> None:
        """Ask the registry anew: something was revoked."""
        for shelf in self._crls.values():
            shelf.outdate()

    async def crl(self, request: Request, _: Caller) -> Response:
        """Answer the newest CRL of a CA, DER; without the registry the last one, until its nextUpdate."""
        return await self._answer(request, self._crls)

    async def certificate(self, request: Request, _: Caller) -> Response:
        """Answer the certificate of a CA, DER."""
        return await self._answer(request, self._certificates)

    async def _answer(self, request: Request, shelves: Mapping[str, _Shelf]) -> Response:
        query(request)
        shelf = shelves.get(request.path_params["ca"])
        if shelf is None:
            raise NotFound(f"there is no such CA; there are {' and '.join(CAS)}")
        published = await shelf.get()
        headers = published.headers(self._clock())
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(None, 304, headers)
        return Response(published.content, 200, headers, media_type=published.media_type)

    async def _fetch_crl(self, ca: str) -> _Published:
        answer = await self._pki.GetCrl(messages.GetCrlRequest(ca=ca), timeout=ASK_SECONDS)
        return _Published(
            answer.crl,
            _tag(answer.crl),
            "application/pkix-crl",
            CRL_MAX_AGE,
            answer.this_update.ToDatetime(tzinfo=UTC),
            answer.next_update.ToDatetime(tzinfo=UTC),
        )

    async def _fetch_certificate(self, ca: str) -> _Published:
        answer = await self._pki.GetCaCertificate(
            messages.GetCaCertificateRequest(ca=ca), timeout=ASK_SECONDS
        )
        content = answer.certificate
        return _Published(content, _tag(content), "application/pkix-cert", CERTIFICATE_MAX_AGE)


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


_CRL = openapi.operation(
    "pki",
    "Get a CA's CRL",
    {"200": openapi.binary_answer("CertificateList, DER.", "application/pkix-crl")},
)
_CERTIFICATE = openapi.operation(
    "pki",
    "Get a CA's certificate",
    {"200": openapi.binary_answer("Certificate, DER.", "application/pkix-cert")},
)

"""/pki: CRLs and CA certificates for everyone (RFC 5280 sections 4.2.1.13 and 4.2.2.1), plain HTTP allowed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import openapi
from gateway.auth import Caller
from gateway.endpoint import Endpoint, query
from kyso.v1 import registry_pb2 as messages

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import PkiServiceAsyncStub

KEPT_SECONDS = 5.0
"""An answer of the registry is given again for so long: these doors are open to everyone."""
CRL_MAX_AGE = 300
"""Seconds that others may keep a CRL without asking again, if its nextUpdate is not sooner."""
CERTIFICATE_MAX_AGE = 86_400
MAX_KEPT = 32


@dataclass(frozen=True, slots=True)
class _Kept:
    content: bytes
    headers: dict[str, str]
    media_type: str
    until: float


class Pki:
    """Publishes what the registry's CAs publish."""

    def __init__(self, pki: PkiServiceAsyncStub, clock: Callable[[], datetime]) -> None:
        """Take the registry's PKI service and the clock (aware UTC)."""
        self._pki = pki
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._asking = asyncio.Lock()
        self._generation = 0

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (
            Endpoint("GET", "/pki/crl/{ca}.crl", self.crl, _CRL),
            Endpoint("GET", "/pki/aia/{ca}.cer", self.certificate, _CERTIFICATE),
        )

    def forget(self) -> None:
        """Ask the registry anew: something was revoked."""
        self._generation += 1
        self._kept.clear()

    async def crl(self, request: Request, _: Caller) -> Response:
        """Answer the newest CRL of a CA, DER."""
        return await self._answer(request, "crl", self._fetch_crl)

    async def certificate(self, request: Request, _: Caller) -> Response:
        """Answer the certificate of a CA, DER."""
        return await self._answer(request, "aia", self._fetch_certificate)

    async def _answer(
        self, request: Request, kind: str, fetch: Callable[[str], Awaitable[_Kept]]
    ) -> Response:
        query(request)
        name = (kind, request.path_params["ca"])
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(name)
        if kept is None or kept.until <= now:
            # One question at a time: a thousand relying parties after a cache's end are one of them.
            async with self._asking:
                kept = self._kept.get(name)
                if kept is None or kept.until <= now:
                    generation = self._generation
                    kept = await fetch(name[1])
                    if generation == self._generation and len(self._kept) < MAX_KEPT:
                        self._kept[name] = kept
        if request.headers.get("if-none-match") == kept.headers["ETag"]:
            return Response(None, 304, kept.headers)
        return Response(kept.content, 200, kept.headers, media_type=kept.media_type)

    async def _fetch_crl(self, ca: str) -> _Kept:
        answer = await self._pki.GetCrl(messages.GetCrlRequest(ca=ca))
        this_update = answer.this_update.ToDatetime(tzinfo=UTC)
        next_update = answer.next_update.ToDatetime(tzinfo=UTC)
        left = max(0, int((next_update - self._clock()).total_seconds()))
        headers = {
            "Last-Modified": format_datetime(this_update, usegmt=True),
            "Expires": format_datetime(next_update, usegmt=True),
        }
        return _kept(answer.crl, "application/pkix-crl", min(CRL_MAX_AGE, left), headers)

    async def _fetch_certificate(self, ca: str) -> _Kept:
        answer = await self._pki.GetCaCertificate(messages.GetCaCertificateRequest(ca=ca))
        return _kept(answer.certificate, "application/pkix-cert", CERTIFICATE_MAX_AGE, {})


def _kept(content: bytes, media_type: str, max_age: int, headers: dict[str, str]) -> _Kept:
    tag = hashlib.sha256(content).hexdigest()[:32]
    return _Kept(
        content,
        {"Cache-Control": f"public, max-age={max_age}", "ETag": f'"{tag}"', **headers},
        media_type,
        asyncio.get_running_loop().time() + KEPT_SECONDS,
    )


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

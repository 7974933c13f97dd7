"""POST /pki/tsa: time-stamps for everyone (RFC 3161 section 3.4), plain HTTP allowed: requests and answers carry no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.endpoint import Endpoint, query
from kyso.v1 import signer_pb2 as messages

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.signer_pb2_grpc import SignerServiceAsyncStub

PATH = "/pki/tsa"
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
MAX_QUERY_BYTES = 16 * 1024
STAMP_SECONDS = 10.0
"""A signer that hangs is waited for so long, no longer."""


class TimeStamps:
    """Hands requests to the signer, and its answers back; refusals are answers too."""

    def __init__(self, signer: SignerServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the signer and the limits on slow callers."""
        self._signer, self._limits = signer, limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (Endpoint("POST", PATH, self.stamp, _STAMP),)

    async def stamp(self, request: Request, _: Caller) -> Response:
        """Answer a TimeStampReq, DER, with a TimeStampResp, DER."""
        query(request)
        body.require_media_type(request, QUERY)
        asked = await body.read(request, MAX_QUERY_BYTES, self._limits)
        answer = await self._signer.TimeStamp(messages.TimeStampRequest(request=asked), timeout=STAMP_SECONDS)
        return Response(answer.response, 200, {"Cache-Control": "no-store"}, media_type=REPLY)


_STAMP = openapi.operation(
    "pki",
    "Get a time-stamp",
    {
        "200": openapi.binary_answer(
            "TimeStampResp, DER: the token, or the failInfo that says why there is none.", REPLY
        )
    },
    body={"required": True, "content": {QUERY: {}}},
    description="RFC 3161 over HTTP. The body is a TimeStampReq, DER, of at most 16 KiB. `docs/time-stamps.md` says"
    " which policy, accuracy and digests there are.",
)

"""The RPC TimeStamp: whoever asks needs no access token, for the service is public."""

from __future__ import annotations

from kyso.v1 import signer_pb2
from services.signer.time_stamps import TimeStampService


async def answer(
    time_stamps: TimeStampService, request: signer_pb2.TimeStampRequest
) -> signer_pb2.TimeStampResponse:
    """Answer a TimeStampReq, DER; TimeStampUnavailable where this platform has no authority of its own."""
    return signer_pb2.TimeStampResponse(response=await time_stamps.respond(request.request))

"""The door for time-stamps: what goes through it, and what never reaches the signer."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth import ANONYMOUS
from gateway.config import LimitSettings
from gateway.problems import UnsupportedMediaType
from gateway.routes.timestamp import MAX_QUERY_BYTES, QUERY, TimeStamps
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import BodyTooLarge, DomainError, FieldInvalid, TimeStampUnavailable


class Signer:
    """Answers what it was sent, turned round."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.failure: DomainError | None = None

    async def TimeStamp(self, request: Any, timeout: float) -> Any:
        self.asked.append(request.request)
        if self.failure is not None:
            raise self.failure
        return messages.TimeStampResponse(response=request.request[::-1])


async def post(signer: Signer, content: bytes, media_type: str = QUERY, query: bytes = b"") -> Response:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    headers = [(b"content-type", media_type.encode())] if media_type else []
    scope = {"type": "http", "method": "POST", "path": "/pki/tsa", "query_string": query, "headers": headers}
    door = TimeStamps(signer, LimitSettings())  # type: ignore[arg-type]
    return await door.stamp(Request(scope, receive), ANONYMOUS)


async def test_request_and_answer_pass_as_they_are() -> None:
    signer = Signer()
    answer = await post(signer, b"\x30\x03abc")
    assert (answer.status_code, bytes(answer.body)) == (200, b"cba\x03\x30")
    assert answer.headers["content-type"] == "application/timestamp-reply"
    assert answer.headers["cache-control"] == "no-store"
    spelt = await post(signer, b"", media_type="Application/Timestamp-Query; charset=binary")
    assert spelt.status_code == 200


@pytest.mark.parametrize(
    ("content", "media_type", "query", "error"),
    [
        (b"x", "application/json", b"", UnsupportedMediaType),
        (b"x", "", b"", UnsupportedMediaType),
        (b"x", "application/timestamp-reply", b"", UnsupportedMediaType),
        (b"x" * (MAX_QUERY_BYTES + 1), QUERY, b"", BodyTooLarge),
        (b"x", QUERY, b"a=b", FieldInvalid),
    ],
)
async def test_what_never_reaches_the_signer(
    content: bytes, media_type: str, query: bytes, error: type[DomainError]
) -> None:
    signer = Signer()
    with pytest.raises(error):
        await post(signer, content, media_type, query)
    assert not signer.asked


async def test_the_longest_request_passes_and_the_signers_absence_is_told() -> None:
    signer = Signer()
    assert (await post(signer, b"x" * MAX_QUERY_BYTES)).status_code == 200
    signer.failure = TimeStampUnavailable("this platform has no time-stamp authority of its own")
    with pytest.raises(TimeStampUnavailable):
        await post(signer, b"x")

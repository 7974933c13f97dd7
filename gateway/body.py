"""Reading a request's body: in pieces, never past the limit, never slower than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from gateway.config import LimitSettings
from gateway.problems import BodyTimeout, UnsupportedMediaType
from services.kernel.errors import BodyTooLarge

PIECE_BYTES = 64 * 1024
"""Size of the pieces in which a document goes on to the services."""


def media_type(request: Request) -> str:
    """Return the body's media type in lower case, without parameters; "" where none is given."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_media_type(request: Request, *allowed: str) -> str:
    """Return the media type; raise UnsupportedMediaType where it is not one of `allowed`."""
    given = media_type(request)
    if given not in allowed:
        shown = "".join(c for c in given[:60] if " " < c <= "~") or "none"
        raise UnsupportedMediaType(
            f"the Content-Type is {shown}; this path takes {' or '.join(allowed)}", content_type=shown
        )
    return given


def too_large(limit: int) -> BodyTooLarge:
    """Make the error for a body that crossed `limit` bytes."""
    return BodyTooLarge(f"the body is larger than {limit} bytes; reading stopped there", limit=limit)


def require_declared_size(request: Request, limit: int) -> None:
    """Refuse a Content-Length beyond the limit before a byte of the body is read."""
    declared = request.headers.get("content-length")
    # The HTTP parser has checked that it is a number, and that Transfer-Encoding does not stand beside it.
    if declared is not None and int(declared) > limit:
        raise too_large(limit)


async def pieces(
    request: Request, limit: int, limits: LimitSettings, seconds: float | None = None
) -> AsyncIterator[bytes]:
    """Yield the body in pieces of at most 64 KiB; raise BodyTooLarge at the byte that crosses `limit`.

    All of it must come in `seconds`, by default those of a document. Raises BodyTimeout where the caller pauses or
    dawdles, ClientDisconnect where it goes away.
    """
    seconds = limits.body_seconds if seconds is None else seconds
    require_declared_size(request, limit)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    received = 0
    more = True
    while more:
        # The limits are on the caller's slowness only: the wait for the service behind is none of it.
        left = end - loop.time()
        if left <= 0:
            raise _too_slow(seconds)
        try:
            async with asyncio.timeout(min(left, limits.body_idle_seconds)):
                message = await request.receive()
        except TimeoutError:
            if left <= limits.body_idle_seconds:
                raise _too_slow(seconds) from None
            raise BodyTimeout(
                f"nothing more of the body came for {limits.body_idle_seconds:g} s; send it again"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        data = message.get("body", b"")
        received += len(data)
        if received > limit:
            raise too_large(limit)
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]


def _too_slow(seconds: float) -> BodyTimeout:
    return BodyTimeout(f"the body took longer than {seconds:g} s; send it again")


async def read(request: Request, limit: int, limits: LimitSettings) -> bytes:
    """Read a small body whole, at most `limit` bytes, within `small_body_seconds`."""
    parts = [piece async for piece in pieces(request, limit, limits, limits.small_body_seconds)]
    return parts[0] if len(parts) == 1 else b"".join(parts)

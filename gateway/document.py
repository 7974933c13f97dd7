"""Documents on their way through: in pieces from the caller to a service, in pieces from a service to the caller."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator
from typing import Any, Protocol
from urllib.parse import quote

from grpc.aio import EOF
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import translate
from gateway.edge import DocumentBroken
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import DomainError, ServiceUnavailable

SEND_SECONDS = 60.0
"""A caller that takes nothing of its document for this long is given up."""


class Upstream(Protocol):
    """The part of a streaming call that is used here (`services.kernel.runtime.channel.MeshCall`)."""

    async def write(self, request: Any, /) -> None: ...
    async def done_writing(self) -> None: ...
    async def read(self) -> Any: ...
    def cancel(self) -> bool: ...


async def forward(call: Upstream, requests: AsyncIterator[Any]) -> None:
    """Write every request, each after the one before was taken, then end them; cancel the call if anything fails.

    `requests` must raise where the body proves malformed: the service acts only once it is told that this was all.
    """
    try:
        async for request in requests:
            await call.write(request)
        await call.done_writing()
    except BaseException:
        # Also when this request is cancelled: half a document must never look like a whole one.
        call.cancel()
        raise


class DocumentResponse(Response):
    """An answer whose bytes come from a streaming call: the first message told type and size, the rest follows."""

    def __init__(self, call: Upstream, size: int, media_type: str, headers: dict[str, str]) -> None:
        """Take the call behind its first message, and the size in bytes as that message told it."""
        self._call = call
        self._size = size
        super().__init__(
            None,
            headers={"Content-Length": str(size), "Cache-Control": "no-store", **headers},
            media_type=media_type,
        )

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send head and bytes; raise DocumentBroken where the stream ends early or runs over."""
        left = self._size
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (answer := await self._call.read()) is not EOF:
                left -= len(answer.chunk)
                if left < 0:
                    break
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": answer.chunk, "more_body": True})
        except (DomainError, TimeoutError) as error:
            raise DocumentBroken from error
        finally:
            self._call.cancel()
        if left != 0:
            raise DocumentBroken from ServiceUnavailable("the document's size is not the one announced")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def first_message(call: Upstream) -> Any:
    """Return the result that opens an answer stream; raise what the service raised instead."""
    answer = await call.read()
    if answer is EOF or not answer.HasField("result"):
        call.cancel()
        raise ServiceUnavailable("the signer ended its answer before it began; ask again with the same key")
    return answer.result


def content_disposition(file_name: str) -> str:
    """Return Content-Disposition: attachment with an ASCII fall-back and the name in UTF-8 (RFC 6266, RFC 8187)."""
    decomposed = unicodedata.normalize("NFKD", file_name.replace("đ", "d").replace("Đ", "D"))
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "", decomposed).strip() or "document"
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(file_name, safe='')}"


EXTENSIONS = {
    "application/pdf": ".pdf",
    "application/pkcs7-signature": ".p7s",
    "application/pkcs7-mime": ".p7m",
    "application/xml": ".xml",
    "application/jose": ".jws",
    "application/jose+json": ".json",
    "application/vnd.etsi.asic-s+zip": ".asics",
    "application/vnd.etsi.asic-e+zip": ".asice",
    "message/rfc822": ".eml",
}
"""Media type of a signed document -> the extension of its file name."""
_CMS = (".p7s", ".p7m")


def signed_name(file_name: str, media_type: str, mark: str = "signed") -> str:
    """Return the name of the signed document: "letter.pdf" becomes "letter-signed.pdf" or "letter.pdf.p7s"."""
    extension = EXTENSIONS.get(media_type, ".p7s")
    if extension in _CMS:
        # What was a signature apart stays one, whatever else is known of it.
        extension = next((known for known in _CMS if file_name.lower().endswith(known)), extension)
    if file_name.lower().endswith(extension):
        return f"{file_name[: -len(extension)] or 'document'}-{mark}{extension}"
    if media_type == "application/pdf":
        return f"{file_name or 'document'}-{mark}.pdf"
    return f"{file_name or 'document'}{extension}"


_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,60}")


def document_headers(result: messages.SignDocumentResult, file_name: str) -> dict[str, str]:
    """Return what stands beside a signed document: receipt, name, the level reached, and what to know about it."""
    headers = {"Content-Disposition": content_disposition(file_name)}
    if result.operation_id:
        headers["X-Kyso-Operation-Id"] = result.operation_id
    level = translate.level(result.level)
    if level is not None:
        headers["X-Kyso-Level"] = level
    if result.HasField("level_missed"):
        missed = _CODE.match(result.level_missed.code)
        headers["X-Kyso-Level-Missed"] = missed[0] if missed else "LEVEL_NOT_REACHED"
    # Codes alone: their sentences hold Vietnamese, and header values are ASCII.
    codes = [found[0] for warning in result.warnings if (found := _CODE.match(warning))]
    if codes:
        headers["X-Kyso-Warning"] = ", ".join(dict.fromkeys(codes))
    return headers


async def answer_document(
    call: Upstream, requests: AsyncIterator[Any], file_name: str, mark: str = "signed"
) -> DocumentResponse:
    """Write the requests, then answer what the service streams back under a name made of `file_name`."""
    await forward(call, requests)
    result = await first_message(call)
    name = signed_name(file_name, result.media_type, mark)
    return DocumentResponse(call, result.size, result.media_type, document_headers(result, name))

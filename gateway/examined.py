"""Answers made of what the verifier streams: the report with its evidence, and the originals of a signed document.

Nothing is held but one chunk: evidence is written into the JSON as it comes, and so is an archive of several originals.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

from grpc.aio import EOF
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.document import SEND_SECONDS, Upstream
from gateway.edge import DocumentBroken
from gateway.verdicts import EVIDENCE_KINDS
from kyso.v1 import verifier_pb2 as messages
from services.kernel.errors import DomainError, ServiceUnavailable

_TRIPLE = 3
"""Octets that base64 writes as four characters without padding."""


class ExaminedFiles:
    """The files behind a report, one after the other, as the stream brings them."""

    def __init__(self, call: Upstream) -> None:
        """Take the call behind its report."""
        self._call = call
        self._left = 0

    async def next_file(self) -> messages.ExaminationFile | None:
        """Return the next file, whose bytes then have to be read to their end; None after the last."""
        answer = await self._call.read()
        if answer is EOF:
            return None
        if not answer.HasField("file"):
            raise ServiceUnavailable("the verifier's answer is not in order; ask again")
        file: messages.ExaminationFile = answer.file
        self._left = file.size
        return file

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file; raise ServiceUnavailable where they are not as many as announced."""
        while self._left:
            answer = await self._call.read()
            if answer is EOF or not answer.chunk or len(answer.chunk) > self._left:
                raise ServiceUnavailable(
                    "a file of the verifier's answer is not as long as announced; ask again"
                )
            self._left -= len(answer.chunk)
            yield answer.chunk


class StreamedResponse(Response):
    """An answer of unknown length that is written piece by piece; cut off where it cannot be ended well."""

    def __init__(
        self, call: Upstream, pieces: AsyncIterator[bytes], media_type: str, headers: dict[str, str]
    ) -> None:
        """Take what is written, and the call that it comes from."""
        self._call, self._pieces = call, pieces
        super().__init__(None, headers={"Cache-Control": "no-store", **headers}, media_type=media_type)
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send head and pieces; raise DocumentBroken where the stream ends early."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for piece in self._pieces:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except (DomainError, TimeoutError) as error:
            raise DocumentBroken from error
        finally:
            self._call.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def with_evidence(report: dict[str, Any], files: ExaminedFiles) -> AsyncIterator[bytes]:
    """Yield the report as JSON with a last member `evidence`: a list of kind, media type, SHA-256 and base64."""
    head = json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    yield head[:-1] + b',"evidence":['
    first = True
    while (file := await files.next_file()) is not None:
        about = {
            "kind": EVIDENCE_KINDS.get(file.kind, "other"),
            "media_type": file.media_type,
            "sha256": file.sha256.hex(),
        }
        yield (b"" if first else b",") + json.dumps(about, separators=(",", ":")).encode()[:-1] + b',"data":"'
        first = False
        rest = b""
        async for chunk in files.chunks():
            rest += chunk
            whole = len(rest) - len(rest) % _TRIPLE
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest) + b'"}'
    yield b"]}"


class _Sink:
    """What `zipfile` writes into; it cannot seek, so sizes and checksums follow each member."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._written = 0

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Do nothing: `take` empties it."""

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = bytes(self._waiting)
        self._waiting.clear()
        return data


async def as_archive(first: messages.ExaminationFile, files: ExaminedFiles) -> AsyncIterator[bytes]:
    """Yield a ZIP file of the originals, stored as they are, under the names that the verifier made safe."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        file: messages.ExaminationFile | None = first
        while file is not None:
            with archive.open(zipfile.ZipInfo(file.name), "w") as member:
                async for chunk in files.chunks():
                    member.write(chunk)
                    yield sink.take()
            yield sink.take()
            file = await files.next_file()
    yield sink.take()

"""Reading and writing the document streams of the contract: a header first, then chunks, then the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from kyso.v1 import signer_pb2
from services.kernel.errors import FieldInvalid, PartOrder
from services.signer.formats.format import FileStart
from services.signer.ports import Piece
from services.signer.service.documents import DocumentAnswer
from services.signer.service.levels import Reached
from services.signer.servicer import envelopes, translate

MAX_CHUNK_BYTES = 256 * 1024


async def read_header(requests: AsyncIterator[Any]) -> Any:
    """Return the header that a stream begins with; raise PartOrder."""
    async for message in requests:
        if message.WhichOneof("part") == "header":
            return message.header
        break
    raise PartOrder("the stream must begin with the header", field="part")


async def read_pieces(requests: AsyncIterator[Any], name: str) -> AsyncIterator[Piece]:
    """Give beginnings of files and chunks that follow the header, up to the end; raise PartOrder, FieldInvalid.

    `name` is the header's: the first file's where its beginning is not sent. A caller that goes away ends the stream just as one that has said everything: only the end tells them apart.
    """
    size, named = 0, False
    async for message in requests:
        part = message.WhichOneof("part")
        if part == "end":
            if message.end.size != size:
                raise FieldInvalid(
                    f"the document has {size} bytes, its end says {message.end.size}", field="end"
                )
            return
        if part == "next":
            named = True
            yield envelopes.file_start(message.next)
            continue
        if part != "chunk":
            raise PartOrder("only files, their chunks and the end may follow the header", field="part")
        if not 1 <= len(message.chunk) <= MAX_CHUNK_BYTES:
            raise FieldInvalid(f"a chunk has 1 to {MAX_CHUNK_BYTES} bytes", field="chunk")
        if not named:
            named = True
            yield FileStart(name=name)
        size += len(message.chunk)
        yield message.chunk
    raise PartOrder("the stream broke off before the end of the document: nothing was done", field="end")


async def read_chunks(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """Give the chunks that follow the header, of a stream that has no place for a second file."""
    async for piece in read_pieces(requests, ""):
        if isinstance(piece, bytes):
            yield piece


def result_of(answer: DocumentAnswer) -> signer_pb2.SignDocumentResult:
    """Write what comes first on an answer stream."""
    result = signer_pb2.SignDocumentResult(
        operation_id=answer.operation_id,
        media_type=answer.media_type,
        size=answer.size,
        signing_time=translate.timestamp(answer.signing_time),
        replayed=answer.replayed,
    )
    fill_reached(result, answer.reached)
    return result


def fill_reached(
    message: signer_pb2.SignDocumentResult | signer_pb2.GetOperationResponse, reached: Reached | None
) -> None:
    """Write which level a document has, and why it is lower than asked."""
    if reached is None:
        return
    message.level = envelopes.LEVEL_NUMBERS[reached.level]
    message.warnings.extend(reached.warnings)
    if reached.missed is not None:
        message.level_missed.CopyFrom(translate.item_error(reached.missed))

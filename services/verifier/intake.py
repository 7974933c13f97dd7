"""Documents on their way in: within the limits of each and of all together, in the order that the contract names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kyso.v1 import verifier_pb2
from services.kernel.errors import BodyTooLarge, FieldInvalid, Overloaded, PartOrder
from services.verifier.config import LimitSettings
from services.verifier.ports import SubmittedDocument

MAX_CHUNK_BYTES = 256 * 1024
MAX_NAME = 255
"""Characters of a content's file name."""


@dataclass(slots=True)
class Received:
    """The stream's parts as they come in. `reserved` are the bytes that count against all documents under way."""

    header: verifier_pb2.VerifyDocumentHeader | None = None
    document: bytearray = field(default_factory=bytearray)
    contents: list[tuple[str, bytearray]] = field(default_factory=list)
    reserved: int = 0

    def submitted(self) -> SubmittedDocument:
        """The document, once the stream has ended. Raises PartOrder, FieldInvalid."""
        if self.header is None:
            raise PartOrder("the stream was empty; send the header first, then the document")
        if not self.document:
            raise FieldInvalid("the document is empty", field="chunk")
        whole = [(name, bytes(data)) for name, data in self.contents]
        if not whole and self.header.detached:
            whole.append(("", b""))
        return SubmittedDocument(
            bytes(self.document), whole[0][1] if whole else None, {name: data for name, data in whole if name}
        )


class Intake:
    """Receives the streams of all calls; safe within one event loop."""

    def __init__(self, limits: LimitSettings) -> None:
        """Start with nothing under way."""
        self._limits = limits
        self._buffered = 0

    @contextmanager
    def document(self) -> Iterator[Received]:
        """One document; what it takes is free again at the end of the block."""
        received = Received()
        try:
            yield received
        finally:
            self._buffered -= received.reserved

    def reserve(self, received: Received, size: int) -> None:
        """Count bytes that an answer takes beside its document."""
        self._buffered += size
        received.reserved += size

    def take(self, received: Received, message: verifier_pb2.VerifyDocumentRequest) -> None:
        """Take the next message in. Raises PartOrder, FieldInvalid, BodyTooLarge, Overloaded."""
        part = message.WhichOneof("part")
        if part == "header":
            if received.header is not None:
                raise PartOrder("the header came twice; send it once, first")
            received.header = message.header
            return
        if received.header is None:
            raise PartOrder("the header must come first")
        if part == "chunk":
            if received.contents:
                raise PartOrder("the document must come before the detached content")
            self._append(received, received.document, message.chunk, "chunk")
        elif part == "content":
            self._begin(received, message.content.name)
        elif part == "detached_chunk":
            if not received.contents:
                if not received.header.detached:
                    raise PartOrder(
                        "detached content came, but neither the header nor `content` announces it"
                    )
                received.contents.append(("", bytearray()))
            self._append(received, received.contents[-1][1], message.detached_chunk, "detached_chunk")
        else:
            raise FieldInvalid("a message of the stream is empty", field="part")

    def _begin(self, received: Received, name: str) -> None:
        if not received.document:
            raise PartOrder("the document must come before the detached content")
        if len(received.contents) >= self._limits.max_contents:
            most = self._limits.max_contents
            raise FieldInvalid(f"there are more than {most} detached contents", field="content", limit=most)
        if len(name) > MAX_NAME:
            raise FieldInvalid(f"a content's name has more than {MAX_NAME} characters", field="content.name")
        if name in {known for known, _ in received.contents}:
            raise FieldInvalid(
                "two detached contents have the same name; a signature finds them by it", field="content.name"
            )
        received.contents.append((name, bytearray()))

    def _append(self, received: Received, target: bytearray, chunk: bytes, name: str) -> None:
        if not 0 < len(chunk) <= MAX_CHUNK_BYTES:
            raise FieldInvalid(f"a chunk must have 1 to {MAX_CHUNK_BYTES} bytes", field=name)
        limit = self._limits.max_document_bytes
        before = len(target) if name == "chunk" else sum(len(data) for _, data in received.contents)
        if before + len(chunk) > limit:
            what = "the document is" if name == "chunk" else "the detached contents together are"
            raise BodyTooLarge(f"{what} larger than {limit} bytes", limit=limit)
        if self._buffered + len(chunk) > self._limits.max_buffered_bytes:
            raise Overloaded("too many documents are under way; try again in a few seconds")
        target += chunk
        self.reserve(received, len(chunk))

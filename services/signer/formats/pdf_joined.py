"""A document and what was added to it, as one stream: nothing is copied of a document that lies in a file."""

from __future__ import annotations

import os
from io import BufferedReader, BytesIO, RawIOBase
from typing import TYPE_CHECKING, Any

from services.signer.formats.format import Document

if TYPE_CHECKING:
    from typing import BinaryIO

    from services.signer.formats.format import Signed

_BUFFER_BYTES = 1 << 16


def joined(signed: Signed) -> Document:
    """Return the signed file as it would be stored."""
    document, addition = signed.document, signed.addition
    if not addition:
        return document
    size = document.size + len(addition)
    if isinstance(document.stream, BytesIO):
        return Document(BytesIO(document.stream.getvalue() + addition), size)
    return Document(BufferedReader(_Joined(document.stream, document.size, addition), _BUFFER_BYTES), size)


class _Joined(RawIOBase):
    """Reads the stream up to its size, then the addition."""

    def __init__(self, stream: BinaryIO, size: int, addition: bytes) -> None:
        self._stream, self._size, self._addition, self._at = stream, size, addition, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size + len(self._addition)}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            at = self._at - self._size
            piece = self._addition[at : at + len(buffer)]
        else:
            self._stream.seek(self._at)
            piece = self._stream.read(min(len(buffer), self._size - self._at))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

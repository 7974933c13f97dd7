"""Documents as seekable streams: a part of a file, and a document with what was added to it. Nothing is copied."""

from __future__ import annotations

import os
from io import RawIOBase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO


class PositionedStream(RawIOBase):
    """A stream of a known size that keeps its own position; a kind of it says how bytes are read there."""

    def __init__(self, size: int) -> None:
        """Begin at the beginning of `size` bytes."""
        self._size, self._at = size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; past the end nothing is read. Raises ValueError before the beginning."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Say where we are."""
        return self._at


class FileWindow(PositionedStream):
    """A part of a file: reads where it is told, so that several windows share a descriptor."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        """Show `size` bytes of the file from `offset` on."""
        super().__init__(size)
        self.descriptor, self.offset = descriptor, offset

    def readinto(self, buffer: Any) -> int:
        """Read what fits."""
        wanted = min(len(buffer), max(0, self._size - self._at))
        count = os.preadv(self.descriptor, [memoryview(buffer)[:wanted]], self.offset + self._at)
        self._at += count
        return count


class JoinedStream(PositionedStream):
    """A stream of `size` bytes, and bytes after it."""

    def __init__(self, stream: BinaryIO, size: int, addition: bytes) -> None:
        """Join them."""
        super().__init__(size + len(addition))
        self._stream, self._first, self._addition = stream, size, addition

    def readinto(self, buffer: Any) -> int:
        """Read what one of the two has."""
        if self._at >= self._first:
            at = self._at - self._first
            piece = self._addition[at : at + len(buffer)]
        else:
            self._stream.seek(self._at)
            piece = self._stream.read(min(len(buffer), self._first - self._at))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

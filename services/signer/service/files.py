"""The files of an asynchronous request: they lie one after the other in one payload, and the job's row says where."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from services.kernel.errors import BodyTooLarge
from services.signer.domain import DocumentRequest
from services.signer.formats.format import FileStart
from services.signer.ports import DocumentSession, Piece
from services.signer.service.requests import Accepted


class FileList:
    """Notes where files begin while their bytes go by."""

    def __init__(self) -> None:
        """Begin with no file."""
        self._files: list[tuple[FileStart, int]] = []

    @classmethod
    def of(cls, size: int, name: str) -> FileList:
        """List one file of that size and name."""
        files = cls()
        files._files.append((FileStart(name=name), size))
        return files

    async def bytes_of(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        """Give the bytes of all files."""
        async for piece in pieces:
            if isinstance(piece, FileStart):
                self._files.append((piece, 0))
                continue
            start, size = self._files.pop() if self._files else (FileStart(), 0)
            self._files.append((start, size + len(piece)))
            yield piece

    def accepted(self, request: DocumentRequest) -> Accepted:
        """Join a request with the files that went by."""
        return Accepted(request, tuple(self._files))


async def files_of(accepted: Accepted, chunks: AsyncIterator[bytes]) -> AsyncIterator[Piece]:
    """Cut a payload into its files again."""
    files = iter(accepted.files)
    left = 0
    async for chunk in chunks:
        rest = chunk
        while rest:
            while not left:
                start, left = next(files)
                yield start
            yield rest[:left]
            left, rest = max(0, left - len(rest)), rest[left:]
    for start, _ in files:
        yield start


async def fill(session: DocumentSession, accepted: Accepted, chunks: AsyncIterator[bytes]) -> bytes:
    """Give a session the files of a payload, and the digest of what stays away; return the payload's SHA-256."""
    sha256 = hashlib.sha256()
    async for piece in files_of(accepted, chunks):
        if isinstance(piece, bytes):
            sha256.update(piece)
        await session.take(piece)
    if accepted.request.content_digest is not None:
        session.know(accepted.request.content_digest)
    return sha256.digest()


async def limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Give the chunks; raise BodyTooLarge at the crossing byte."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"the document is larger than {limit} bytes", limit=limit)
        yield chunk

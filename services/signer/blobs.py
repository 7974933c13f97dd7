"""Payloads of asynchronous jobs as encrypted files.

Each object has an AES-256 key of its own, which lies in its row and nowhere else: a file without its row tells nothing,
and deleting the row deletes the content. A file is a row of frames, each with its length before it and sealed by
AES-256-GCM; the nonce is the frame's number (the key is used for this object only) and the associated data names the
object and says which frame is the last, so that frames cannot be cut off, swapped or moved to another object.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.signer.domain import BlobLost
from services.signer.ports import Blob

FRAME_BYTES = 256 * 1024
_TAG_BYTES = 16
_LENGTH = struct.Struct(">I")
_NAME = re.compile(r"[a-z]{1,8}_[0-9a-z]{26}")


class FileBlobStore:
    """The BlobStore port in a folder of this machine, or of a volume that all replicas share."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; it is made where it is missing."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    async def write(
        self, blob_id: str, content_key: bytes, chunks: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Write an object durably; return size and SHA-256 of the plain bytes. Nothing is left where `chunks` raises."""
        path = self._path(blob_id)
        new = path.with_suffix(".new")
        running, size = hashlib.sha256(), 0
        try:
            with new.open("xb") as file:
                sealer = _Sealer(blob_id, content_key, file)
                async for chunk in chunks:
                    running.update(chunk)
                    size += len(chunk)
                    if sealer.take(chunk):
                        await asyncio.to_thread(sealer.seal_full)
                await asyncio.to_thread(sealer.finish)
            await asyncio.to_thread(_rename_durably, new, path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return size, running.digest()

    async def read(self, blob: Blob) -> AsyncIterator[bytes]:
        """Read an object back in chunks of at most 256 KiB; raise BlobLost where it is gone or damaged."""
        try:
            file = await asyncio.to_thread(self._path(blob.id).open, "rb")
        except OSError as error:
            raise BlobLost(f"the payload {blob.id} is not there any more", blob_id=blob.id) from error
        with file:
            frames = _opened(blob, file)
            while (chunk := await asyncio.to_thread(next, frames, None)) is not None:
                yield chunk

    async def delete(self, blob_id: str) -> None:
        """Delete an object; no error where it is gone."""
        with suppress(FileNotFoundError):
            await asyncio.to_thread(self._path(blob_id).unlink)

    async def names_older_than(self, seconds: float) -> list[str]:
        """Return objects whose file is older, for finding those whose row was never written."""
        return await asyncio.to_thread(self._older, time.time() - seconds)

    def _older(self, before: float) -> list[str]:
        names = []
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < before:
                    names.append(entry.name.removesuffix(".new"))
        return [name for name in names if _NAME.fullmatch(name)]

    def _path(self, blob_id: str) -> Path:
        if not _NAME.fullmatch(blob_id):
            raise BlobLost("that is no payload's name")
        return self._folder / blob_id


class _Sealer:
    """Cuts plain bytes into frames and writes them sealed."""

    def __init__(self, blob_id: str, content_key: bytes, file: BinaryIO) -> None:
        self._name, self._cipher, self._file = blob_id, AESGCM(content_key), file
        self._waiting = bytearray()
        self._number = 0

    def take(self, chunk: bytes) -> bool:
        """Take plain bytes; return whether a frame is full. The last frame is held back until `finish`."""
        self._waiting += chunk
        return len(self._waiting) > FRAME_BYTES

    def seal_full(self) -> None:
        while len(self._waiting) > FRAME_BYTES:
            self._write(bytes(self._waiting[:FRAME_BYTES]), last=False)
            del self._waiting[:FRAME_BYTES]

    def finish(self) -> None:
        self.seal_full()
        self._write(bytes(self._waiting), last=True)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, plain: bytes, *, last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number), plain, _associated(self._name, last=last))
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)
        self._number += 1


def _opened(blob: Blob, file: BinaryIO) -> Iterator[bytes]:
    cipher, number, ended = AESGCM(blob.content_key), 0, False
    while head := file.read(_LENGTH.size):
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        if ended or not _TAG_BYTES <= size <= FRAME_BYTES + _TAG_BYTES:
            raise _damaged(blob)
        sealed = file.read(size)
        plain, ended = _open_frame(cipher, blob, number, sealed)
        number += 1
        if plain:
            yield plain
    if not ended:
        raise _damaged(blob)


def _open_frame(cipher: AESGCM, blob: Blob, number: int, sealed: bytes) -> tuple[bytes, bool]:
    for last in (False, True):
        with suppress(InvalidTag):
            return cipher.decrypt(_nonce(number), sealed, _associated(blob.id, last=last)), last
    raise _damaged(blob)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _associated(name: str, *, last: bool) -> bytes:
    return name.encode() + (b"/last" if last else b"/more")


def _damaged(blob: Blob) -> BlobLost:
    return BlobLost(f"the payload {blob.id} is damaged", blob_id=blob.id)


def _rename_durably(new: Path, path: Path) -> None:
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The name is durable only when its directory is.
        os.fsync(folder)
    finally:
        os.close(folder)

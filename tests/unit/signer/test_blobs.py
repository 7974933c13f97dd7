"""Payloads on disk: what is written comes back, and nothing else ever does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.kernel.values import new_id
from services.signer.blobs import FRAME_BYTES, FileBlobStore
from services.signer.domain import BlobLost
from services.signer.ports import Blob


async def chunks(data: bytes, step: int = 70_000) -> AsyncIterator[bytes]:
    for offset in range(0, len(data), step):
        yield data[offset : offset + step]


async def write(store: FileBlobStore, data: bytes) -> Blob:
    blob_id, key = new_id("blob"), os.urandom(32)
    size, sha256 = await store.write(blob_id, key, chunks(data))
    return Blob(blob_id, "cl_1", "", key, size, sha256, datetime.now(UTC))


async def read(store: FileBlobStore, blob: Blob) -> bytes:
    return b"".join([chunk async for chunk in store.read(blob)])


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES])
async def test_what_is_written_comes_back(tmp_path: Path, size: int) -> None:
    store, data = FileBlobStore(tmp_path), os.urandom(size)
    blob = await write(store, data)
    assert blob.size == size
    assert await read(store, blob) == data
    assert size < 16 or data[:16] not in (tmp_path / blob.id).read_bytes()


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def swap_frames(content: bytes) -> bytes:
    size = 4 + FRAME_BYTES + 16
    return content[size : 2 * size] + content[:size] + content[2 * size :]


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        swap_frames,
        lambda content: content[:-1],
        lambda content: content[: 4 + FRAME_BYTES + 16],
        lambda content: content + content[-20:],
        lambda content: b"",
        lambda content: b"\xff\xff\xff\xff" + content,
    ],
)
async def test_damage_is_found(tmp_path: Path, damage: object) -> None:
    store = FileBlobStore(tmp_path)
    blob = await write(store, os.urandom(2 * FRAME_BYTES + 5))
    path = tmp_path / blob.id
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(BlobLost):
        await read(store, blob)


async def test_a_file_under_another_name_or_key_is_no_payload(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    one, other = await write(store, b"one"), await write(store, b"other")
    (tmp_path / one.id).replace(tmp_path / other.id)
    for wrong in (other, replace(other, content_key=one.content_key), one, replace(one, id="../x")):
        with pytest.raises(BlobLost):
            await read(store, wrong)


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * FRAME_BYTES * 2
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await FileBlobStore(tmp_path).write(new_id("blob"), os.urandom(32), broken())
    assert list(tmp_path.iterdir()) == []


async def test_deleting_twice_is_no_error_and_old_files_are_found(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    blob = await write(store, b"x")
    (tmp_path / "README").write_text("not ours")
    os.utime(tmp_path / blob.id, (1, 1))
    os.utime(tmp_path / "README", (1, 1))
    assert await store.names_older_than(60) == [blob.id]
    await store.delete(blob.id)
    await store.delete(blob.id)
    assert await store.names_older_than(60) == []

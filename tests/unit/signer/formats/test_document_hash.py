"""A document's digest is the same however the document lies there: in memory, in a file, in a part of a file."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING

import pytest

from services.kernel.values import DigestAlgorithm
from services.signer.formats import format as module
from services.signer.formats.format import Document
from services.signer.formats.streams import FileWindow

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(251)) * 1000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAPPED_BYTES", 65536)


def digest_of(document: Document) -> bytes:
    return document.hash(DigestAlgorithm.SHA256).digest()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, len(DATA)])
def test_memory_and_file_give_the_same_digest(size: int, tmp_path: Path) -> None:
    expected = hashlib.sha256(DATA[:size]).digest()
    path = tmp_path / "document"
    path.write_bytes(DATA[:size])
    assert digest_of(Document.of(DATA[:size])) == expected
    with path.open("rb") as stream:
        assert digest_of(Document(stream, size)) == expected
    with path.open("rb", buffering=0) as raw:
        assert digest_of(Document(raw, size)) == expected


@pytest.mark.parametrize("offset", [0, 1, 4095, 4096, 70000])
@pytest.mark.parametrize("size", [1, 65536, 100_000])
def test_a_part_of_a_file_gives_its_own_digest(offset: int, size: int, tmp_path: Path) -> None:
    path = tmp_path / "documents"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with io.BufferedReader(FileWindow(descriptor, offset, size)) as stream:
            expected = hashlib.sha256(DATA[offset : offset + size]).digest()
            assert digest_of(Document(stream, size)) == expected
            assert stream.read(3) == DATA[offset : offset + 3][:size]
    finally:
        os.close(descriptor)


def test_a_file_shorter_than_it_is_said_to_be_is_not_read_behind_its_end(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(DATA)
    with path.open("rb") as stream:
        assert digest_of(Document(stream, len(DATA) + 100_000)) == hashlib.sha256(DATA).digest()

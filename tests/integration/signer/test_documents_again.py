"""A document's idempotency key names its files too: other names, roles or borders between files are another request."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from typing import Any

import pytest

from kyso.v1 import signer_pb2
from services.kernel.errors import IdempotencyConflict
from tests.integration.signer.test_documents import header, sign
from tests.support.signer_world import SignerWorld

CONTENT = signer_pb2.PART_ROLE_CONTENT
ASIC_E = signer_pb2.SIGNATURE_FORMAT_ASIC_E
JADES = signer_pb2.SIGNATURE_FORMAT_JADES

Files = list[tuple[str, bytes]]


def files(first: signer_pb2.SignDocumentHeader, listed: Files) -> Iterable[Any]:
    yield signer_pb2.SignDocumentRequest(header=first)
    for name, data in listed:
        yield signer_pb2.SignDocumentRequest(next=signer_pb2.DocumentPart(role=CONTENT, name=name))
        if data:
            yield signer_pb2.SignDocumentRequest(chunk=data)
    size = sum(len(data) for _, data in listed)
    yield signer_pb2.SignDocumentRequest(end=signer_pb2.DocumentEnd(size=size))


def names(container: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(container)).namelist())


async def test_a_container_of_a_file_of_another_name_is_another_request(world: SignerWorld) -> None:
    first = header(await world.credential(), format=ASIC_E)
    _, container = await sign(world, files(first, [("a.txt", b"one")]))
    assert "a.txt" in names(container)
    again, repeated = await sign(world, files(first, [("a.txt", b"one")]))
    assert again.replayed
    assert repeated == container
    with pytest.raises(IdempotencyConflict):
        await sign(world, files(first, [("b.txt", b"one")]))


@pytest.mark.parametrize(
    "others",
    [
        [("c.txt", b"one"), ("b.txt", b"two")],
        [("a.txt", b"one"), ("c.txt", b"two")],
        [("a.txt", b"onet"), ("b.txt", b"wo")],
        [("a.txt", b"one"), ("b.txt", b"two"), ("c.txt", b"")],
        [("b.txt", b"two"), ("a.txt", b"one")],
        # What once stood between two files in what was hashed, as bytes of one file.
        [("a.txt", b"one\x003\x00content\x00b.txt\x00\x00two")],
        [("a.txt", b"one\x003\x00CONTENT\x00b.txt\x00\x00two")],
    ],
)
async def test_several_files_are_the_same_request_only_where_all_is_the_same(
    world: SignerWorld, others: Files
) -> None:
    first = header(await world.credential(), format=ASIC_E)
    listed = [("a.txt", b"one"), ("b.txt", b"two")]
    _, container = await sign(world, files(first, listed))
    again, repeated = await sign(world, files(first, listed))
    assert again.replayed
    assert repeated == container
    with pytest.raises(IdempotencyConflict):
        await sign(world, files(first, others))

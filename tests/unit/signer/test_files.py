"""Several files lie in one payload: they come out of it as they went in, whatever the chunks were."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable

import pytest

from services.kernel.errors import BodyTooLarge, FieldInvalid
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.domain import Declaration, DocumentRequest
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import Envelope, Level, Place, Visible
from services.signer.ports import Piece
from services.signer.service.files import FileList, files_of, limited
from services.signer.service.requests import accepted_from_json, accepted_to_json

CONTENT = FileStart(Role.CONTENT, "tờ trình.pdf", "application/pdf")
IMAGE = FileStart(Role.IMAGE, "chữ ký.png", "image/png")
EMPTY = FileStart(Role.CONTENT, "rỗng.txt")


def request(content_digest: Digest | None = None) -> DocumentRequest:
    visible = Visible("free", Place(10.0, 10.0, page=1), lines=("{time}",))
    envelope = Envelope("PADES", Level.B_LT, reason="Phê duyệt", visible=visible)
    if content_digest is not None:
        envelope = Envelope("CADES")
    return DocumentRequest(
        "cr_1", "key", envelope, DigestAlgorithm.SHA256, None, Declaration(), "tờ trình.pdf", content_digest
    )


async def stream(pieces: Iterable[Piece]) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece


async def cut(data: bytes, size: int) -> AsyncIterator[bytes]:
    for offset in range(0, len(data), size):
        yield data[offset : offset + size]


def joined(pieces: Iterable[Piece]) -> list[tuple[FileStart, bytes]]:
    files: list[tuple[FileStart, bytes]] = []
    for piece in pieces:
        if isinstance(piece, FileStart):
            files.append((piece, b""))
        else:
            start, data = files.pop()
            files.append((start, data + piece))
    return files


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize(
    "pieces",
    [
        [b"only bytes", b" and more"],
        [CONTENT, b"first", b" file", IMAGE, b"second"],
        [EMPTY, CONTENT, b"x" * 20, EMPTY, IMAGE, b"y", EMPTY],
    ],
)
async def test_files_come_out_as_they_went_in(pieces: list[Piece], size: int) -> None:
    files = FileList()
    payload = b"".join([chunk async for chunk in files.bytes_of(stream(pieces))])
    accepted = accepted_from_json(accepted_to_json(files.accepted(request())))
    assert accepted.request == request()
    out = joined([piece async for piece in files_of(accepted, cut(payload, size))])
    went_in = pieces if isinstance(pieces[0], FileStart) else [FileStart(), *pieces]
    assert out == joined(went_in)


def test_the_content_is_named_by_its_bytes_and_by_what_stands_round_them() -> None:
    plain = FileList.of(5, "").accepted(request())
    payload = hashlib.sha256(b"bytes").digest()
    assert plain.content_sha256(payload) == payload
    digest = Digest(DigestAlgorithm.SHA256, bytes(32))
    others = [
        FileList().accepted(request(digest)),
        FileList().accepted(request(Digest(DigestAlgorithm.SHA256, bytes(31) + b"1"))),
    ]
    names = {accepted.content_sha256(payload) for accepted in others}
    assert len(names | {payload}) == 3


async def test_a_stream_is_cut_off_at_the_crossing_byte() -> None:
    chunks = limited(cut(bytes(10), 4), 9)
    assert [len(await anext(chunks)), len(await anext(chunks))] == [4, 4]
    with pytest.raises(BodyTooLarge):
        await anext(chunks)


def test_only_a_detached_signature_is_made_of_a_digest() -> None:
    digest = Digest(DigestAlgorithm.SHA256, bytes(32))
    with pytest.raises(FieldInvalid, match="detached"):
        DocumentRequest(
            "cr_1", "key", Envelope("XADES"), DigestAlgorithm.SHA256, None, Declaration(), "", digest
        )
    envelope = Envelope("PADES", packaging="DETACHED")
    of_bytes = DocumentRequest("cr_1", "key", envelope, DigestAlgorithm.SHA256, None, Declaration())
    with pytest.raises(FieldInvalid, match="byte range"):
        of_bytes.require_digest()

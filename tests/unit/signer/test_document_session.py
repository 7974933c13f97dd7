"""What a document worker says is only believed where it can be: one that a document took over may say anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.kernel.errors import FieldInvalid, Internal
from services.kernel.values import Digest, DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.documents.session import DocumentSession
from services.signer.documents.spool import Spool
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import Envelope, Level, SignatureParameters
from tests.support.document_signers import SIGNING_TIME

SHA256 = DigestAlgorithm.SHA256
PARAMETERS = SignatureParameters(
    (b"certificate",), SigningAlgorithm(SignatureScheme.ECDSA, SHA256), SIGNING_TIME, Envelope("CADES")
)

Answer = tuple[dict[str, Any], bytes]


@pytest.fixture
def spool() -> Iterator[Spool]:
    made = Spool()
    yield made
    made.close()


def session(spool: Spool, *answers: Answer) -> DocumentSession:
    """A session whose worker gives these answers."""
    left = iter(answers)

    async def run(_meta: dict[str, Any], _body: bytes, _spool: Spool) -> Answer:
        return next(left)

    return DocumentSession(run, 1 << 20, spool)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"digest": 1},
        {"digest": "no hexadecimal"},
        {"digest": "00"},
        {"digest": "00" * 32, "warnings": {}},
        {"digest": "00" * 32, "warnings": 7},
    ],
)
async def test_a_digest_that_is_none_is_an_error_of_ours(spool: Spool, answer: dict[str, Any]) -> None:
    with pytest.raises(Internal):
        await session(spool, (answer, b"")).prepare(PARAMETERS)


@pytest.mark.parametrize("answer", [{}, {"format": "DOCX"}, {"format": 1}, {"format": ["PADES"]}])
async def test_a_format_that_is_none_is_an_error_of_ours(spool: Spool, answer: dict[str, Any]) -> None:
    with pytest.raises(Internal):
        await session(spool, (answer, b"")).recognise()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"need": "money"},
        {"need": "time_stamp"},
        {"need": "time_stamp", "imprint": "00"},
        {"need": "time_stamp", "imprint": None},
        {"need": "evidence"},
        {"need": "evidence", "lengths": []},
        {"need": "evidence", "lengths": [4]},
        {"need": "evidence", "lengths": ["5"]},
        {"need": "evidence", "lengths": [6, -1]},
        {"need": "evidence", "lengths": {"state": 5}},
    ],
)
async def test_a_need_that_is_none_is_an_error_of_ours(spool: Spool, answer: dict[str, Any]) -> None:
    recognised = ({"format": "CADES"}, b"")
    raising = session(spool, recognised, (answer, b"state"))
    await raising.recognise()
    with pytest.raises(Internal):
        await raising.next_need(Level.B_LTA, SHA256)


async def test_the_digest_of_one_file_is_its_own_and_of_several_tells_them_apart(spool: Spool) -> None:
    async def digest(*pieces: FileStart | bytes, known: Digest | None = None) -> bytes:
        taken = Spool()
        try:
            fed = session(taken)
            for piece in pieces:
                await fed.take(piece)
            if known is not None:
                fed.know(known)
            return fed.document_digest
        finally:
            taken.close()

    one, two = FileStart(name="a"), FileStart(name="b")
    assert await digest(b"bytes") == SHA256.digest(b"bytes")
    assert await digest(one, b"by", b"tes") == SHA256.digest(b"bytes")
    assert await digest() == SHA256.digest(b"")
    several = [
        await digest(one, b"by", two, b"tes"),
        await digest(one, b"byt", two, b"es"),
        await digest(two, b"by", one, b"tes"),
        await digest(two, b"by", two, b"tes"),
        await digest(one, b"by", FileStart(Role.IMAGE, "b"), b"tes"),
        await digest(one, b"bytes", two),
        await digest(one, b"bytes"),
        await digest(one, known=Digest(SHA256, bytes(32))),
        await digest(one, known=Digest(DigestAlgorithm.SHA384, bytes(48))),
        await digest(FileStart(Role.SIGNATURE, "b"), b"bytes", known=Digest(SHA256, bytes(32))),
    ]
    assert len(set(several)) == len(several)


async def test_a_content_and_the_digest_of_one_are_not_signed_together(spool: Spool) -> None:
    both = session(spool, ({"digest": "00" * 32}, b""))
    await both.take(b"content")
    both.know(Digest(SHA256, bytes(32)))
    with pytest.raises(FieldInvalid, match="one of the two"):
        await both.prepare(PARAMETERS)

"""JSON signatures and ASiC containers through real worker processes, which can reach no file and no network."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from services.kernel.errors import BodyTooLarge, DocumentDamaged
from services.kernel.values import DigestAlgorithm
from services.signer.documents.documents import DocumentWorkers
from services.signer.formats.format import FileStart, Role, TimeStampNeeded
from services.signer.formats.jades import MAX_PAYLOAD_BYTES
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.signer.documents.session import DocumentSession
    from services.signer.formats.parameters import FormatName

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = "Hồ sơ một cửa\n".encode() * 100
STEPS = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncIterator[DocumentWorkers]:
    async with DocumentWorkers.open(workers=1, timeout_seconds=30) as pool:
        yield pool


async def raise_to(session: DocumentSession, level: Level) -> None:
    for _ in range(STEPS):
        need = await session.next_need(level, DigestAlgorithm.SHA256)
        if need is None:
            return
        if isinstance(need, TimeStampNeeded):
            await session.add_time_stamp(need, stamping.token(need.imprint, DigestAlgorithm.SHA256))
        else:
            await session.add_evidence(need, stamping.evidence(need.certificates))
    raise AssertionError("the format still asks")


async def result(session: DocumentSession) -> bytes:
    return b"".join([piece async for piece in session.result()])


@pytest.mark.parametrize(
    ("form", "options", "level"),
    [
        ("JADES", {}, Level.B_LT),
        ("ASIC_S", {"asic_signature": "CADES"}, Level.B_LTA),
        ("ASIC_S", {"asic_signature": "XADES"}, Level.B_LTA),
        ("ASIC_E", {"asic_signature": "CADES"}, Level.B_LTA),
        ("ASIC_E", {"asic_signature": "XADES"}, Level.B_LTA),
    ],
)
async def test_a_signature_is_made_raised_and_extended(
    workers: DocumentWorkers, form: FormatName, options: dict[str, Any], level: Level
) -> None:
    who = signer()
    async with workers.session() as session:
        session.begin_file(FileStart(name="Hồ sơ: 1.txt", media_type="text/plain"))
        await session.feed(CONTENT)
        if form == "ASIC_E":
            session.begin_file(FileStart(name="phụ lục/2.txt"))
            await session.feed(CONTENT)
        prepared = await session.prepare(who.parameters(form=form, level=level, **options))
        await session.complete(who.sign(prepared.digest))
        made = await result(session)
        await raise_to(session, level)
        raised = await result(session)
    assert len(raised) > len(made)
    async with workers.session() as session:
        session.begin_file(FileStart(role=Role.SIGNATURE, name="again"))
        await session.feed(made)
        assert await session.recognise() == form
        await raise_to(session, level)
        extended = await result(session)
    if form == "JADES":
        assert json.loads(extended)["payload"] == json.loads(raised)["payload"]
        return
    with zipfile.ZipFile(BytesIO(extended)) as one, zipfile.ZipFile(BytesIO(raised)) as other:
        assert one.namelist() == other.namelist()
        assert one.read("Hồ sơ: 1.txt") == CONTENT


async def test_limits_and_hostile_files_come_back_typed(workers: DocumentWorkers) -> None:
    async with workers.session() as session:
        for _ in range(MAX_PAYLOAD_BYTES >> 20):
            await session.feed(bytes(1 << 20))
        await session.feed(b"x")
        with pytest.raises(BodyTooLarge, match="16777216 bytes") as refused:
            await session.prepare(signer().parameters(form="JADES"))
        assert refused.value.data == {"limit": MAX_PAYLOAD_BYTES}
    for hostile in (b"PK\x03\x04" + bytes(100), b'{"payload":' + b"[" * 100_000, b"eyJ.e.e"):
        async with workers.session() as session:
            await session.feed(hostile)
            await session.recognise()
            with pytest.raises(DocumentDamaged):
                await session.next_need(Level.B_T, DigestAlgorithm.SHA256)

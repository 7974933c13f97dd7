"""XML through real, confined worker processes: signed, raised, extended; hostile documents refused, and nobody harmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from services.kernel.errors import DocumentDamaged, DomainError, TargetInvalid
from services.kernel.values import DigestAlgorithm
from services.signer.documents.documents import DocumentWorkers
from services.signer.formats.format import FileStart, Role, TimeStampNeeded
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import signer
from tests.support.xml_tools import DECLARATION, xmlsec_verify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.signer.documents.session import DocumentSession

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHA256 = DigestAlgorithm.SHA256


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncIterator[DocumentWorkers]:
    async with DocumentWorkers.open(workers=2, timeout_seconds=30, max_document_bytes=64 << 20) as pool:
        yield pool


async def read(session: DocumentSession) -> bytes:
    return b"".join([piece async for piece in session.result()])


async def raise_to(session: DocumentSession, level: Level) -> None:
    for _ in range(stamping.MAX_STEPS):
        need = await session.next_need(level, SHA256)
        if need is None:
            return
        if isinstance(need, TimeStampNeeded):
            await session.add_time_stamp(need, stamping.token(need.imprint, SHA256))
        else:
            await session.add_evidence(need, stamping.evidence(need.certificates))


async def test_a_declaration_is_signed_raised_and_later_extended(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    who = signer()
    async with workers.session() as session:
        await session.feed(DECLARATION)
        prepared = await session.prepare(who.parameters(form="XADES", xml_target_id="ID_1"))
        await session.complete(who.sign(prepared.digest))
        await raise_to(session, Level.B_T)
        at_t = await read(session)
    ids = ("id http://kekhaithue.gdt.gov.vn/TKhaiThue:HSoKhaiThue",)
    assert xmlsec_verify(tmp_path, at_t, ids=ids) == ""
    async with workers.session() as session:
        session.begin_file(FileStart(Role.SIGNATURE, "to-khai.xml", "text/xml"))
        await session.feed(at_t)
        assert await session.recognise() == "XADES"
        await raise_to(session, Level.B_LTA)
        at_lta = await read(session)
    assert xmlsec_verify(tmp_path, at_lta, ids=ids) == ""
    assert at_lta.count(b"<xades141:ArchiveTimeStamp") == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', DocumentDamaged),
        (b"<a>" * 9_000_000, DocumentDamaged),
        (b"<a" + b"".join(b" a%d=''" % number for number in range(900_000)) + b"/>", DomainError),
        (b"<a/>" * 2, DocumentDamaged),
        (DECLARATION.replace(b'"ID_1"', b'"ID_2"'), TargetInvalid),
        (b"%PDF-1.7", DocumentDamaged),
    ],
    ids=["external entity", "deep", "many attributes", "two roots", "no target", "PDF"],
)
async def test_a_hostile_document_is_refused_and_the_workers_live_on(
    workers: DocumentWorkers, data: bytes, error: type[DomainError]
) -> None:
    who = signer()
    async with workers.session() as session:
        for offset in range(0, len(data), 1 << 20):
            await session.feed(data[offset : offset + (1 << 20)])
        with pytest.raises(error):
            await session.prepare(who.parameters(form="XMLDSIG", xml_target_id="ID_1"))
    async with workers.session() as session:
        await session.feed(DECLARATION)
        prepared = await session.prepare(who.parameters(form="XMLDSIG"))
        await session.complete(who.sign(prepared.digest))

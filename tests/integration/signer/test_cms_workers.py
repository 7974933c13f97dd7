"""CAdES and S/MIME through real worker processes, which have no network, no files, and only what they loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from services.kernel.errors import BodyTooLarge, DomainError, EvidenceUnavailable, SenderMismatch
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.documents.documents import DocumentWorkers
from services.signer.formats.format import Evidence, EvidenceNeeded, FileStart, Role, TimeStampNeeded
from services.signer.formats.parameters import Level
from tests.support import cades_reference as reference
from tests.support import mail, stamping
from tests.support.document_signers import TestSigner, signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.signer.documents.session import DocumentSession
    from services.signer.formats.parameters import SignatureParameters

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = b"Cong van so 15\n" * 100
SHA256 = DigestAlgorithm.SHA256


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncIterator[DocumentWorkers]:
    async with DocumentWorkers.open(workers=1, timeout_seconds=30, max_document_bytes=64 << 20) as pool:
        yield pool


async def signed(session: DocumentSession, who: TestSigner, parameters: SignatureParameters) -> bytes:
    prepared = await session.prepare(parameters)
    await session.complete(who.sign(prepared.digest, parameters.algorithm))
    return b"".join([piece async for piece in session.result()])


async def raised(session: DocumentSession, level: Level) -> bytes:
    while (need := await session.next_need(level, SHA256)) is not None:
        if isinstance(need, TimeStampNeeded):
            await session.add_time_stamp(need, stamping.token(need.imprint, SHA256))
        else:
            await session.add_evidence(need, stamping.evidence(need.certificates))
    return b"".join([piece async for piece in session.result()])


async def test_a_container_is_signed_in_parallel_and_archived(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    who, other = signer(), signer(name="Trần Thị Ký")
    async with workers.session() as session:
        session.know(Digest(SHA256, stamping.imprint(CONTENT)))
        first = await signed(session, who, who.parameters(form="CADES"))
    async with workers.session() as session:
        for start, data in ((FileStart(), CONTENT), (FileStart(Role.SIGNATURE), first)):
            await session.take(start)
            await session.take(data)
        parameters = other.parameters(form="CADES", cms_relation="PARALLEL", level=Level.B_LTA)
        await signed(session, other, parameters)
        both = await raised(session, Level.B_LTA)
    assert reference.openssl_verify(tmp_path, both, CONTENT)[0] == ""
    async with workers.session() as session:
        for start, data in ((FileStart(Role.SIGNATURE), both), (FileStart(), CONTENT)):
            await session.take(start)
            await session.take(data)
        assert await session.recognise() == "CADES"
        extended = await raised(session, Level.B_LTA)
    assert reference.openssl_verify(tmp_path, extended, CONTENT)[0] == ""
    stamps = [stamp for index in (0, 1) for stamp in reference.archive_stamps(extended, CONTENT, index)]
    assert len(stamps) == 3
    for stamp in stamps:
        assert stamping.openssl_ts_verify(tmp_path, stamp.token, stamp.imprint) == ""


async def test_a_message_is_signed(workers: DocumentWorkers, tmp_path: Path) -> None:
    who = mail.sender()
    async with workers.session() as session:
        await session.feed(mail.message(mail.VIETNAMESE.encode()))
        finished = await signed(session, who, who.parameters(form="SMIME"))
    complaint, content = mail.openssl_verify(tmp_path, finished)
    assert complaint == ""
    assert mail.parsed(content).get_content().splitlines() == mail.VIETNAMESE.splitlines()


async def refused(workers: DocumentWorkers, data: bytes, parameters: SignatureParameters) -> DomainError:
    async with workers.session() as session:
        await session.feed(data)
        with pytest.raises(DomainError) as caught:
            await session.prepare(parameters)
    return caught.value


async def test_refusals_keep_their_type_on_the_way_out_of_a_worker(workers: DocumentWorkers) -> None:
    parameters = mail.sender().parameters(form="SMIME")
    assert isinstance(await refused(workers, mail.message(b"", address="a@b.vn"), parameters), SenderMismatch)
    assert isinstance(await refused(workers, bytes((25 << 20) + 1), parameters), BodyTooLarge)
    inside = signer().parameters(form="CADES", packaging="ENVELOPING")
    assert isinstance(await refused(workers, bytes((16 << 20) + 1), inside), BodyTooLarge)
    who = signer()
    async with workers.session() as session:
        await session.feed(CONTENT)
        await signed(session, who, who.parameters(form="CADES", level=Level.B_LT))
        stamp = await session.next_need(Level.B_LT, SHA256)
        assert isinstance(stamp, TimeStampNeeded)
        await session.add_time_stamp(stamp, stamping.token(stamp.imprint, SHA256))
        need = await session.next_need(Level.B_LT, SHA256)
        assert isinstance(need, EvidenceNeeded)
        with pytest.raises(EvidenceUnavailable, match="no revocation value"):
            await session.add_evidence(need, Evidence())

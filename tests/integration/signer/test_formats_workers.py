"""Documents through real worker processes: what comes out, what is refused, and what happens when a worker fails."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from services.kernel.errors import (
    BodyTooLarge,
    DocumentDamaged,
    DocumentEncrypted,
    DocumentNotPdf,
    DomainError,
    EvidenceUnavailable,
    IdempotencyConflict,
    Overloaded,
)
from services.kernel.values import DigestAlgorithm
from services.signer.documents.documents import DocumentMetrics, DocumentWorkers
from services.signer.documents.session import CHUNK_BYTES, DocumentSession
from services.signer.documents.spool import MEMORY_SPOOL_BYTES
from services.signer.documents.wire import MAX_BODY_BYTES
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import TimeStampNeeded
from services.signer.formats.parameters import Level
from tests.support import pdfs, stamping
from tests.support.cades_reference import openssl_sign
from tests.support.document_signers import openssl_cms_verify, pdfsig, signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.signer.formats.parameters import FormatName

MAX_STEPS = 8
pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 32 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncIterator[DocumentWorkers]:
    async with DocumentWorkers.open(workers=2, timeout_seconds=30, max_document_bytes=LIMIT) as pool:
        yield pool


async def feed(session: DocumentSession, data: bytes, step: int = 50_000) -> None:
    for offset in range(0, len(data), step):
        await session.feed(data[offset : offset + step])


async def read(session: DocumentSession) -> bytes:
    pieces = [piece async for piece in session.result()]
    assert all(len(piece) <= CHUNK_BYTES for piece in pieces)
    return b"".join(pieces)


async def sign(
    workers: DocumentWorkers, data: bytes, form: FormatName = "PADES"
) -> tuple[bytes, bytes, bytes]:
    """Return what came out, what was added, and the digest of what went in."""
    who = signer()
    async with workers.session() as session:
        await feed(session, data)
        reason = "Duyệt" if form == "PADES" else None
        prepared = await session.prepare(who.parameters(form=form, reason=reason))
        await session.complete(who.sign(prepared.digest))
        return await read(session), await session.increment(), session.document_digest


async def test_a_pdf_comes_back_signed_and_pdfsig_finds_it_valid(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    data = pdfs.one_page_pdf()
    out, increment, digest = await sign(workers, data)
    assert out == data + increment
    assert digest == DigestAlgorithm.SHA256.digest(data)
    (tmp_path / "signed.pdf").write_bytes(out)
    assert pdfsig(tmp_path / "signed.pdf")[0]["Signature Validation"] == "Signature is Valid."


async def test_any_bytes_get_a_detached_container_that_openssl_verifies(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    data = "Dữ liệu bất kỳ".encode() * 1000
    out, increment, _ = await sign(workers, data, "CADES")
    assert out == increment
    assert openssl_cms_verify(tmp_path, out, data) == ""


async def test_a_document_larger_than_the_memory_spool_is_signed(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    objects = pdfs.page_objects()
    filler = os.urandom(1 << 20) * (2 * MEMORY_SPOOL_BYTES // (1 << 20) + 1)
    objects[20] = b"<</Length %d>>\nstream\n%s\nendstream" % (len(filler), filler)
    data = pdfs.assemble(objects)
    out, increment, digest = await sign(workers, data)
    assert out == data + increment
    assert digest == DigestAlgorithm.SHA256.digest(data)
    (tmp_path / "signed.pdf").write_bytes(out)
    assert pdfsig(tmp_path / "signed.pdf")[0]["Signature Validation"] == "Signature is Valid."


async def test_the_same_document_and_the_stored_increment_give_the_same_bytes(
    workers: DocumentWorkers,
) -> None:
    for form in ("PADES", "CADES"):
        data = pdfs.one_page_pdf()
        out, increment, digest = await sign(workers, data, form)
        async with workers.session() as session:
            await feed(session, data)
            session.restore(form, increment, digest)
            assert await read(session) == out


async def test_another_document_is_not_given_the_stored_increment(workers: DocumentWorkers) -> None:
    _, increment, digest = await sign(workers, pdfs.one_page_pdf("one"))
    async with workers.session() as session:
        await feed(session, pdfs.one_page_pdf("two"))
        with pytest.raises(IdempotencyConflict):
            session.restore("PADES", increment, digest)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DocumentNotPdf),
        (b"PK\x03\x04", DocumentNotPdf),
        (pdfs.encrypted_pdf(), DocumentEncrypted),
        (pdfs.one_page_pdf()[:-100], DocumentDamaged),
        (pdfs.one_page_pdf().replace(b"/Kids [3 0 R]", b"/Kids [8 0 R]"), DocumentDamaged),
        (
            pdfs.one_page_pdf().replace(b"/Type /Catalog /Pages 2 0 R", b"/Type /Catalog /Pages " + b"[" * 5),
            DocumentDamaged,
        ),
        (pdfs.assemble(pdfs.page_objects() | {1: b"[" * 30_000}), DocumentDamaged),
        (pdfs.assemble({1: b"null"}), DocumentDamaged),
    ],
    ids=[
        "empty",
        "zip",
        "encrypted",
        "cut off",
        "no such page",
        "broken catalog",
        "deep nesting",
        "no catalog",
    ],
)
async def test_a_bad_document_is_refused_and_the_worker_lives_on(
    workers: DocumentWorkers, data: bytes, error: type[Exception]
) -> None:
    async with workers.session() as session:
        await feed(session, data)
        with pytest.raises(error):
            await session.prepare(signer().parameters())
    assert await sign(workers, pdfs.one_page_pdf())


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change some places as damage and attackers do: flipped bits, lost bytes, tokens, other numbers."""
    out = bytearray(data)
    tokens = (b"<<", b">>", b"[", b"]", b" 0 R", b"99999999999", b"(", b"-1", b"/Kids", b"null", b"\x00")
    for _ in range(chance.choice((1, 1, 2, 5, 30))):
        place = chance.randrange(len(out))
        match chance.randrange(4):
            case 0:
                out[place] ^= 1 << chance.randrange(8)
            case 1:
                del out[place : place + chance.randrange(1, 20)]
            case 2:
                out[place:place] = chance.choice(tokens)
            case _:
                digits = [index for index, byte in enumerate(out) if 48 <= byte <= 57]
                out[chance.choice(digits)] = 48 + chance.randrange(10)
    return bytes(out)


async def test_a_mutated_file_is_signed_validly_or_refused_with_a_document_error(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    chance = random.Random(20261122)  # noqa: S311 - the same mutations in every run
    originals = (
        pdfs.one_page_pdf(),
        pdfs.assemble_with_streams(pdfs.page_objects(), frozenset({1, 2, 3, 4})),
        pdfs.hybrid_pdf(),
        pdfs.form_pdf(b"/FT /Sig /T (Leader)", b"/FT /Tx /T (Note)"),
    )
    signed, refusals = 0, []
    for number in range(200):
        data = mutated(originals[number % len(originals)], chance)
        try:
            out, _, _ = await sign(workers, data)
        except DomainError as error:
            refusals.append(error.code)
            continue
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(out)
        assert pdfsig(path)[-1]["Signature Validation"] == "Signature is Valid.", number
        signed += 1
    codes = {"DOCUMENT_NOT_PDF", "DOCUMENT_DAMAGED", "DOCUMENT_ENCRYPTED", "DOCUMENT_LOCKED"}
    assert set(refusals) <= codes
    assert min(signed, len(refusals)) > 10


async def test_a_stream_bomb_is_refused_within_the_memory_limit(workers: DocumentWorkers) -> None:
    import zlib

    bomb = zlib.compress(bytes(300 << 20))
    data = b"%PDF-1.5\n1 0 obj\n<</Type /XRef /W [1 8 8] /Size 20000000 /Root 1 0 R /Filter /FlateDecode "
    data += b"/Length %d>>\nstream\n%s\nendstream\nendobj\nstartxref\n9\n%%%%EOF\n" % (len(bomb), bomb)
    async with workers.session() as session:
        await feed(session, data)
        with pytest.raises(DocumentDamaged):
            await session.prepare(signer().parameters())
    assert await sign(workers, pdfs.one_page_pdf())


async def raise_to_the_end(session: DocumentSession) -> None:
    for _ in range(MAX_STEPS):
        need = await session.next_need(Level.B_LTA, DigestAlgorithm.SHA256)
        if isinstance(need, TimeStampNeeded):
            await session.add_time_stamp(need, stamping.token(need.imprint, DigestAlgorithm.SHA256))
        elif need is not None:
            await session.add_evidence(need, stamping.evidence(need.certificates))


async def test_what_does_not_fit_into_an_answer_is_refused_and_harms_no_worker(
    workers: DocumentWorkers, tmp_path: Path
) -> None:
    """A container made elsewhere may be larger than any of ours."""
    (tmp_path / "content").write_bytes(os.urandom(LIMIT - 3000))
    who = signer()
    container = openssl_sign(tmp_path, who, (tmp_path / "content").read_bytes(), "-nodetach")
    running = {worker.process.pid for worker in workers._running}
    async with workers.session() as session:
        await feed(session, container)
        assert await session.recognise() == "CADES"
        with pytest.raises(EvidenceUnavailable) as caught:
            await raise_to_the_end(session)
    assert caught.value.data["limit"] == MAX_BODY_BYTES
    assert {worker.process.pid for worker in workers._running} == running


async def test_a_document_over_the_limit_is_refused_at_the_crossing_byte(workers: DocumentWorkers) -> None:
    async with workers.session() as session:
        for _ in range(LIMIT >> 20):
            await session.feed(bytes(1 << 20))
        with pytest.raises(BodyTooLarge) as caught:
            await session.feed(b"x")
        assert caught.value.data["limit"] == LIMIT
        assert session.size == LIMIT


async def test_a_wrong_signature_value_is_not_released(workers: DocumentWorkers) -> None:
    who, other = signer(), signer(name="Người Khác")
    async with workers.session() as session:
        await feed(session, pdfs.one_page_pdf())
        digest = (await session.prepare(who.parameters())).digest
        with pytest.raises(SelfCheckFailed):
            await session.complete(other.sign(digest))
        with pytest.raises(RuntimeError):
            await session.increment()


async def test_signing_goes_on_when_every_worker_is_killed() -> None:
    metrics = CollectorRegistry()
    async with DocumentWorkers.open(workers=2, timeout_seconds=30) as pool:
        pool._metrics = DocumentMetrics(metrics)
        for worker in list(pool._running):
            worker.process.send_signal(signal.SIGKILL)
        assert await sign(pool, pdfs.one_page_pdf())
        assert await pool.check() is None
    replaced = metrics.get_sample_value("kyso_signer_document_worker_replacements_total", {"reason": "death"})
    assert replaced is not None
    assert replaced >= 1


async def test_a_worker_that_dies_between_the_steps_does_not_lose_the_document() -> None:
    who = signer()
    async with DocumentWorkers.open(workers=1, timeout_seconds=30) as pool, pool.session() as session:
        await feed(session, pdfs.one_page_pdf())
        digest = (await session.prepare(who.parameters())).digest
        for worker in list(pool._running):
            worker.process.send_signal(signal.SIGKILL)
        await session.complete(who.sign(digest))
        assert (await read(session)).startswith(pdfs.one_page_pdf())


async def test_a_worker_that_hangs_is_killed_at_the_deadline_and_replaced() -> None:
    async with DocumentWorkers.open(workers=1, timeout_seconds=0.5) as pool:
        (hung,) = pool._running
        hung.process.send_signal(signal.SIGSTOP)
        async with pool.session() as session:
            await feed(session, pdfs.one_page_pdf())
            with pytest.raises(DocumentDamaged, match=r"within 0\.5 seconds"):
                await session.prepare(signer().parameters())
        await hung.process.wait()
        pool.timeout_seconds = 30
        assert await sign(pool, pdfs.one_page_pdf())
        assert hung not in pool._running


async def test_a_caller_that_goes_away_leaves_the_pool_whole() -> None:
    async with DocumentWorkers.open(workers=1, timeout_seconds=30) as pool:
        (stopped,) = pool._running
        stopped.process.send_signal(signal.SIGSTOP)
        task = asyncio.create_task(sign(pool, pdfs.one_page_pdf()))
        while not pool._idle.empty():  # noqa: ASYNC110 - a yield, until the step has taken the worker
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await sign(pool, pdfs.one_page_pdf())


async def test_a_step_that_finds_no_free_worker_in_time_is_told_to_retry() -> None:
    async with DocumentWorkers.open(workers=0, timeout_seconds=0.05) as pool, pool.session() as session:
        await feed(session, pdfs.one_page_pdf())
        with pytest.raises(Overloaded):
            await session.prepare(signer().parameters())
        assert await pool.check() == "no document worker is running"


async def test_workers_hold_no_secret_of_the_parent_and_end_with_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KYSO_TEST_SECRET", "0123")
    async with DocumentWorkers.open(workers=1) as pool:
        (worker,) = pool._running
        with open(f"/proc/{worker.process.pid}/environ", "rb") as environment:
            assert b"KYSO_TEST_SECRET" not in environment.read()
    assert worker.process.returncode == -signal.SIGKILL


async def test_sixty_four_documents_at_once_over_two_workers(workers: DocumentWorkers) -> None:
    documents = [pdfs.one_page_pdf(f"document {number}") for number in range(64)]
    results = await asyncio.gather(*(sign(workers, data) for data in documents))
    assert [out.startswith(data) for (out, _, _), data in zip(results, documents, strict=True)] == [True] * 64

"""The verifier over gRPC, with real worker processes; the registry is one RPC that answers what the test says."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from kyso.v1 import verifier_pb2
from services.kernel.errors import (
    BodyTooLarge,
    CallerNotAllowed,
    DomainError,
    FieldInvalid,
    Overloaded,
    PartOrder,
    ServiceUnavailable,
)
from services.verifier.config import LimitSettings
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.workers.pool import WorkerPool
from tests.support.pki import MeshCa
from tests.support.verifier_world import (
    FRESH,
    NOW,
    Platform,
    messages,
    present_hierarchy,
    reached,
    running,
)
from tests.unit.verifier.authority import Hierarchy

PASSED = verifier_pb2.INDICATION_TOTAL_PASSED


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """A hierarchy that is valid now."""
    return present_hierarchy()


@pytest.fixture(scope="module")
def signed_pdf(hierarchy: Hierarchy) -> bytes:
    """A signed PDF; made outside the event loop, because the library that makes it runs its own."""
    return hierarchy.signer.pdf()


@pytest.fixture
async def platform(mesh_ca: MeshCa, hierarchy: Hierarchy) -> AsyncIterator[Platform]:
    """A verifier with one worker."""
    async with running(mesh_ca, hierarchy) as platform:
        yield platform


async def test_a_document_comes_back_passed_with_all_that_people_need(
    platform: Platform, signed_pdf: bytes
) -> None:
    answer = await platform.verify(signed_pdf)
    (signature,) = answer.signatures
    assert answer.verdict == verifier_pb2.VERDICT_VALID
    assert answer.clean
    assert signature.indication == PASSED
    assert signature.sub_indication == ""
    assert signature.format == "PAdES-B-B"
    assert signature.coverage.kind == "whole_document"
    assert {(i.type, i.value) for i in signature.signer.identifiers} == {
        ("tax", "0106793535"),
        ("citizen", "012345678901"),
    }
    assert [c.common_name for c in signature.path] == ["Nguyễn Văn An", "Issuing CA", "Root CA"]
    assert signature.status_source.kind == "crl"
    assert signature.sentence_vi.startswith("Chữ ký hợp lệ")
    assert len(answer.document_sha256) == 32
    assert platform.metrics()["kyso_verifier_signatures_total{TOTAL-PASSED}{}"] == 1
    assert platform.metrics()["kyso_verifier_seconds_count"] == 1
    assert platform.metrics()["kyso_verifier_trust_age_seconds"] < 600


async def test_a_worker_judges_what_came_after_a_signature(
    platform: Platform, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    twice = await asyncio.to_thread(hierarchy.signer.pdf, signed_pdf, "Second")
    first, second = (await platform.verify(twice)).signatures
    assert first.indication == second.indication == PASSED
    assert [change.kind for change in first.later_changes] == ["signature"]
    assert first.clean


async def test_a_revocation_bites_with_the_next_document(
    platform: Platform, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    assert (await platform.verify(signed_pdf)).signatures[0].indication == PASSED
    revoked = hierarchy.issuing.crl([(hierarchy.signer.certificate, None)], **FRESH)
    platform.registry.crls[1] = revoked
    assert (await platform.verify(signed_pdf)).signatures[0].sub_indication == "REVOKED_NO_POE"


async def test_detached_content_travels_after_the_signature(platform: Platform, hierarchy: Hierarchy) -> None:
    content = os.urandom(200_000)
    container = hierarchy.signer.cms(content, detached=True)
    assert (await platform.verify(container, content)).verdict == verifier_pb2.VERDICT_VALID
    other = await platform.verify(container, content[:-1])
    assert other.signatures[0].sub_indication == "HASH_FAILURE"


async def test_integrity_needs_no_registry(platform: Platform, signed_pdf: bytes) -> None:
    platform.registry.failure = ServiceUnavailable("away")
    answer = await platform.verify(signed_pdf, integrity_only=True)
    assert answer.verdict == verifier_pb2.VERDICT_VALID
    assert answer.integrity_only
    assert answer.signatures[0].path == []


async def test_hostile_bytes_are_a_verdict_and_not_an_error(platform: Platform) -> None:
    for data in (b"%PDF-1.7\n", b"\x30\x80" * 9, os.urandom(3000)):
        answer = await platform.verify(data)
        assert answer.verdict in (verifier_pb2.VERDICT_MALFORMED, verifier_pb2.VERDICT_INDETERMINATE)
        assert not answer.clean


async def test_bad_streams_get_typed_errors(platform: Platform) -> None:
    header = verifier_pb2.VerifyDocumentRequest(header=verifier_pb2.VerifyDocumentHeader())
    chunk = verifier_pb2.VerifyDocumentRequest(chunk=b"x")
    detached = verifier_pb2.VerifyDocumentRequest(detached_chunk=b"x")
    rows: list[tuple[type[DomainError], list[verifier_pb2.VerifyDocumentRequest]]] = [
        (PartOrder, []),
        (PartOrder, [chunk]),
        (PartOrder, [header, header]),
        (PartOrder, [header, chunk, detached]),
        (FieldInvalid, [header]),
        (FieldInvalid, [header, verifier_pb2.VerifyDocumentRequest()]),
        (FieldInvalid, [header, verifier_pb2.VerifyDocumentRequest(chunk=b"")]),
    ]
    for expected, parts in rows:
        with pytest.raises(expected):
            await platform.stub.VerifyDocument(messages(*parts))


async def test_a_document_is_refused_at_the_crossing_byte(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    async with running(mesh_ca, hierarchy, max_document_bytes=100_000) as platform:
        with pytest.raises(BodyTooLarge):
            await platform.verify(bytes(100_001))
        assert (await platform.verify(bytes(100_000))).verdict == verifier_pb2.VERDICT_INDETERMINATE
    async with running(mesh_ca, hierarchy, max_buffered_bytes=50_000) as platform:
        with pytest.raises(Overloaded):
            await platform.verify(bytes(60_000))
        assert (await platform.verify(bytes(40_000))).verdict == verifier_pb2.VERDICT_INDETERMINATE


async def test_the_signer_may_ask_too_and_nobody_else(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    async with running(mesh_ca, hierarchy, caller="signer") as platform:
        assert (await platform.verify(b"%PDF-1.7\n")).verdict == verifier_pb2.VERDICT_MALFORMED
    async with running(mesh_ca, hierarchy, caller="registry") as platform:
        with pytest.raises(CallerNotAllowed):
            await platform.verify(b"%PDF-1.7\n")


async def test_only_the_signer_has_hosts_outside_asked(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    async with running(mesh_ca, hierarchy) as platform:
        with pytest.raises(CallerNotAllowed):
            await platform.stub.CollectEvidence(verifier_pb2.CollectEvidenceRequest())
        with pytest.raises(CallerNotAllowed):
            await platform.stub.RequestTimeStamp(verifier_pb2.RequestTimeStampRequest())


async def test_readiness_names_trust(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    async with running(mesh_ca, hierarchy) as platform:
        await platform.runtime.health.refresh(force=True)
        assert platform.runtime.health.reasons == {}


def _pool_job(data: bytes = b"%PDF-1.7\n") -> tuple[SubmittedDocument, TrustMaterial, datetime]:
    return SubmittedDocument(data), TrustMaterial(), NOW


async def test_a_worker_that_is_late_is_killed_and_replaced() -> None:
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        (worker,) = pool._workers
        assert (await pool.judge(*_pool_job(), integrity_only=True))["verdict"] == "malformed"
        os.kill(worker.process.pid, signal.SIGSTOP)
        pool._limits = LimitSettings(workers=1, timeout_seconds=0.2)
        report = await pool.judge(*_pool_job(), integrity_only=True)
        assert report["verdict"] == "indeterminate"
        assert report["warnings"][0]["code"] == "LIMIT_REACHED"
        assert worker.process.returncode is not None
        pool._limits = LimitSettings(workers=1)
        assert (await pool.judge(*_pool_job(), integrity_only=True))["verdict"] == "malformed"
        assert pool.lost == 1


async def test_a_worker_that_dies_costs_one_document_only() -> None:
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        (worker,) = pool._workers
        os.kill(worker.process.pid, signal.SIGKILL)
        await worker.process.wait()
        assert (await pool.judge(*_pool_job(), integrity_only=True))["verdict"] == "indeterminate"
        assert (await pool.judge(*_pool_job(), integrity_only=True))["verdict"] == "malformed"


async def test_workers_are_replaced_after_their_number_of_documents() -> None:
    async with WorkerPool.open(LimitSettings(workers=1, documents_per_worker=1)) as pool:
        for _ in range(2):
            await pool.judge(*_pool_job(), integrity_only=True)
            assert not pool._workers


async def test_a_caller_that_goes_away_leaves_no_half_document_behind(signed_pdf: bytes) -> None:
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        (worker,) = pool._workers
        os.kill(worker.process.pid, signal.SIGSTOP)
        call = asyncio.create_task(pool.judge(*_pool_job(bytes(5_000_000)), integrity_only=True))
        await reached(lambda: worker.documents > 0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        report = await pool.judge(*_pool_job(signed_pdf), integrity_only=True)
        assert report["verdict"] == "valid"


async def test_too_many_waiting_documents_are_refused() -> None:
    async with WorkerPool.open(LimitSettings(workers=1, max_waiting=0)) as pool:
        (worker,) = pool._workers
        os.kill(worker.process.pid, signal.SIGSTOP)
        call = asyncio.create_task(pool.judge(*_pool_job(), integrity_only=True))
        await reached(lambda: worker.documents > 0)
        with pytest.raises(Overloaded):
            await pool.judge(*_pool_job(), integrity_only=True)
        os.kill(worker.process.pid, signal.SIGCONT)
        assert (await call)["verdict"] == "malformed"


async def test_a_memory_bomb_stays_in_its_worker() -> None:
    limits = LimitSettings(workers=1, worker_memory_bytes=256 * 1024 * 1024, timeout_seconds=60)
    async with WorkerPool.open(limits) as pool:
        report = await pool.judge(*_pool_job(b"%PDF-1.7\n" + bytes(200 * 1024 * 1024)), integrity_only=True)
        assert report["verdict"] in ("indeterminate", "malformed")
        assert (await pool.judge(*_pool_job(), integrity_only=True))["verdict"] == "malformed"

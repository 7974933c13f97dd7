"""The verifier's workers are confined as a process can be here, and where that is required none starts otherwise."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime import confinement
from services.kernel.runtime.confinement import FILES, NETWORK, TCP, Unconfined
from services.verifier.config import LimitSettings
from services.verifier.metrics import VerifierMetrics
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.workers import pool as workers
from services.verifier.workers.pool import WorkerPool
from tests.support.confinement import probe


async def test_workers_give_up_what_a_process_can_here_and_the_gauge_shows_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0000")
    given_up, _ = await asyncio.to_thread(probe, tmp_path / "secret", 9)
    registry = CollectorRegistry()
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        assert pool.given_up == given_up
        VerifierMetrics.register(registry, lambda: 0.0, lambda: 0.0, lambda: pool.given_up)
        for what in (FILES, NETWORK, TCP):
            shown = registry.get_sample_value("kyso_verifier_workers_confined", {"what": what})
            assert shown == (what in given_up)
        (worker,) = pool._workers
        if NETWORK in given_up:
            ours, theirs = (Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", worker.process.pid))
            assert ours != theirs
        if FILES in given_up:
            status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="ascii")
            assert "NoNewPrivs:\t1" in status


def _without_files(given_up: frozenset[str]) -> None:
    confinement.require_confined(given_up - {FILES})


async def test_where_it_is_required_no_unconfined_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "require_confined", _without_files)
    with pytest.raises(Unconfined, match="files"):
        async with WorkerPool.open(LimitSettings(workers=1, require_confinement=True)):
            pass


async def test_a_worker_that_cannot_be_started_is_no_verdict_on_the_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = SubmittedDocument(b"%PDF-1.7\n"), TrustMaterial(), datetime.now(UTC)
    limits = LimitSettings(workers=1, documents_per_worker=1)
    async with WorkerPool.open(limits) as pool:
        await pool.judge(*job, integrity_only=True)
        pool._limits = limits.model_copy(update={"require_confinement": True})
        monkeypatch.setattr(workers, "require_confined", _without_files)
        with pytest.raises(ServiceUnavailable):
            await pool.judge(*job, integrity_only=True)
        assert not pool._workers
        monkeypatch.undo()
        pool._limits = limits
        assert (await pool.judge(*job, integrity_only=True))["verdict"] == "malformed"
        assert pool.lost == 0

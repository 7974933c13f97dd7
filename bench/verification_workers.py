"""How many documents a second two worker processes judge, against one: the same pool, documents and callers.

The callers run in this process and share the machine's cores with the workers: the time for which a worker was ready to
run and they, or anything else, had its core is taken off, as the kernel counts it. Rounds of one and of two workers
alternate; the best of each counts. Run with `python -m bench.verification_workers`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from bench.formats import Row
from bench.verification_pdf import with_signatures
from services.verifier.config import LimitSettings
from services.verifier.inquiry import Inquiry
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.workers.pool import WorkerPool
from tests.support import stamping
from tests.support.document_signers import authority

SIGNATURES = 50
"""Of each document: enough that judging, and not handing over, is what is measured."""
DOCUMENTS = 16
"""In each round."""
CALLERS = 4
"""Documents that are handed in at once: no worker waits for one."""
ROUNDS = 4


def _kept_waiting(pool: WorkerPool) -> float:
    """Seconds for which the pool's workers were ready to run and others had the cores (the kernel's own count)."""
    waited = 0.0
    for pid in pool.pids:
        _, nanoseconds, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
        waited += int(nanoseconds) / 1e9
    return waited


async def _per_second(
    pool: WorkerPool, document: SubmittedDocument, trust: TrustMaterial, workers: int
) -> float:
    """Documents for each second in which the workers had the cores, or could have had them."""
    left = iter(range(DOCUMENTS))

    async def caller() -> None:
        for _ in left:
            answer = await pool.examine(document, trust, Inquiry(datetime.now(UTC)))
            if answer.report["verdict"] != "valid":
                raise ValueError(f"a document that was to be timed is {answer.report['verdict']}")

    waited, began = _kept_waiting(pool), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    wall, waited = time.perf_counter() - began, _kept_waiting(pool) - waited
    return DOCUMENTS / (wall - waited / workers)


async def _best(document: SubmittedDocument, trust: TrustMaterial) -> dict[int, float]:
    best = {1: 0.0, 2: 0.0}
    async with (
        WorkerPool.open(LimitSettings(workers=1, timeout_seconds=120)) as one,
        WorkerPool.open(LimitSettings(workers=2, timeout_seconds=120)) as two,
    ):
        pools = {1: one, 2: two}
        for turn in range(ROUNDS + 1):
            for workers, pool in pools.items():
                rate = await _per_second(pool, document, trust, workers)
                # The first round warms the workers up, and starts the second one.
                best[workers] = max(best[workers], rate if turn else 0.0)
    return best


def rows() -> list[Row]:
    """Measure both; the row is the ratio."""
    trust = TrustMaterial((authority()[1].public_bytes(Encoding.DER),), (), (stamping.crl(),))
    best = asyncio.run(_best(SubmittedDocument(with_signatures(SIGNATURES)), trust))
    one = ("verify_throughput_one_worker", best[1])
    return [
        Row(one[0], best[1], "documents/s"),
        Row("verify_throughput_two_workers", best[2] / best[1], "of one worker's", ("one worker", 1.0)),
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)

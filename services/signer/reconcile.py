"""What crashes leave behind, put in order; what is kept no longer than promised, deleted.

An operation in state BEGUN whose replica is gone may have been signed in the HSM: its intent was durable before the HSM
was asked, and nothing durable was written in between. So it ends OUTCOME_UNKNOWN, with a ledger entry, and is never
signed again by itself. One that is only ACCEPTED never reached the HSM: it is queued again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kernel.errors import DomainError, OutcomeUnknown
from services.kernel.events import Event
from services.kernel.runtime.telemetry import Telemetry
from services.kernel.values import new_id
from services.signer.blobs import FileBlobStore
from services.signer.domain import ItemFailure, State
from services.signer.ledger import Entry, Outcome
from services.signer.metrics import SignerMetrics
from services.signer.ports import Clock, Ending, Recorded
from services.signer.service.jobs import LOOK_AGAIN
from services.signer.service.messages import Ended, ended_events, job_event
from services.signer.store.jobs import SqlJobStore
from services.signer.store.signings import SqlSigningStore

BATCH = 100
LOOK_SECONDS = 2.0
SWEEP_SECONDS = 60.0
ORPHAN_SECONDS = 3600.0
"""A payload's file without a record is deleted when it is older: its row would have come at once."""
UNKNOWN = ItemFailure(
    OutcomeUnknown.code,
    "the signer stopped while it was signing; a signature may have been made, none was released and none will be",
    retryable=False,
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Names and times."""

    replica: str
    operations: timedelta
    """How long an operation and its answer are kept from its end on (the idempotency window)."""


class Reconciler:
    """Ends what dead replicas had begun, queues again what nobody took, deletes what is over."""

    def __init__(
        self,
        signings: SqlSigningStore,
        jobs: SqlJobStore,
        blobs: FileBlobStore,
        keeping: Keeping,
        clock: Clock,
        seen: tuple[Telemetry, SignerMetrics],
    ) -> None:
        """Bind the stores; `seen` is where it shows what it did."""
        self._signings, self._jobs, self._blobs = signings, jobs, blobs
        self._keeping, self._clock = keeping, clock
        self._log, self._metrics = seen[0].log, seen[1]

    async def at_start(self) -> int:
        """End everything that this replica had begun before it stopped; return how many there were.

        Called before the first call is taken, so nothing of this replica is under way.
        """
        return await self._end_left_behind(own=True)

    async def run(self) -> None:
        """Look every few seconds, sweep every minute, until cancelled."""
        loop = asyncio.get_running_loop()
        swept_at = loop.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.settle_doubtful()
                await self._end_left_behind(own=False)
                if loop.time() - swept_at >= SWEEP_SECONDS:
                    swept_at = loop.time()
                    await self.sweep()
            except (DomainError, OSError) as error:
                # The database or the payloads' volume is away: it is looked at again in a moment.
                why = error.code if isinstance(error, DomainError) else type(error).__name__
                self._log.warning("reconcile_waits", code=why)

    async def settle_doubtful(self) -> None:
        """End what was recorded as begun though its commit seemed to fail; nothing was signed under it."""
        if settled := await self._signings.settle_doubtful(self._clock(), BATCH):
            self._log.info("doubtful_intents_ended", operations=settled)

    async def sweep(self) -> None:
        """Queue again what waits too long, forget old operations, delete payloads whose time is over."""
        now = self._clock()
        waiting = await self._jobs.waiting(now, now + LOOK_AGAIN, BATCH)
        await self._jobs.publish([job_event(one.facts, self._keeping.replica, now) for one in waiting])
        before = now - self._keeping.operations
        before_id = _id_at(before)
        while await self._signings.purge(before_id, before, BATCH) == BATCH:
            continue
        await self._jobs.purge(before_id)
        while expired := await self._jobs.expired_blobs(now, BATCH):
            await self._delete(expired)
        old = await self._blobs.names_older_than(ORPHAN_SECONDS)
        for start in range(0, len(old), BATCH):
            part = old[start : start + BATCH]
            known = await self._jobs.known_blobs(part)
            for name in part:
                if name not in known:
                    await self._blobs.delete(name)

    async def _delete(self, blob_ids: Sequence[str]) -> None:
        # The file first: a record without a file says that the payload is lost, a file without a record says nothing.
        for blob_id in blob_ids:
            await self._blobs.delete(blob_id)
        await self._jobs.forget_blobs(blob_ids)

    async def _end_left_behind(self, *, own: bool) -> int:
        ended = 0
        while left := await self._signings.take_over(self._clock(), own=own, limit=BATCH):
            for operation in left:
                ended += await self._end_unknown(operation)
        return ended

    async def _end_unknown(self, operation: Recorded) -> int:
        now = self._clock()
        entry = Entry(operation.facts, Outcome.UNKNOWN, now, new_id("ev"), failure=UNKNOWN)
        events = await self._events(operation, now)
        if not await self._signings.end(Ending(entry=entry, state=State.OUTCOME_UNKNOWN, events=events)):
            # Its own replica was slow, not dead, and has ended it in this moment.
            return 0
        self._metrics.outcome_unknown.inc()
        self._metrics.signatures.labels(operation.kind.value, "unknown").inc(operation.facts.total_items)
        self._log.warning("operation_outcome_unknown", operation_id=operation.id)
        return 1

    async def _events(self, operation: Recorded, now: datetime) -> tuple[Event, ...]:
        job = await self._jobs.job(operation.id)
        if job is None:
            return ()
        ended = Ended(operation.facts, State.OUTCOME_UNKNOWN, now, UNKNOWN, job_id=job.job_id)
        return ended_events(ended, self._keeping.replica)


def _id_at(time: datetime) -> str:
    """Return the lowest operation id of a moment (`values.new_id`: 48 bits of milliseconds first)."""
    number = int(time.timestamp() * 1000) << 80
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "op_" + "".join(alphabet[number >> shift & 31] for shift in range(125, -1, -5))

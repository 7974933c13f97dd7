"""Group commit: whatever waits while one durable transaction runs goes together into the next.

Nothing is delayed for company. Two kinds of writes share a transaction: intents (an operation may begin) and endings
(its outcome, its ledger entry and the events, all or nothing). Where a transaction fails, its intents fail with it:
their callers may ask again. Its endings do not: what the HSM made is written again, without company that could fail.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from services.kernel.errors import DomainError, ServiceUnavailable
from services.kernel.events import Event
from services.kernel.runtime.database import Database
from services.kernel.runtime.outbox import write_rows
from services.kernel.runtime.telemetry import Telemetry
from services.signer.ledger import Entry, Head, LedgerEntry, event_of
from services.signer.metrics import SignerMetrics
from services.signer.ports import Ending, Intent, Recorded
from services.signer.store import statements
from services.signer.store.doubtful import Doubtful
from services.signer.store.tables import outbox

MAX_BATCH = 256
MAX_WAITING = 8192
"""Beyond this many waiting writes the database cannot keep up, and new ones are refused."""
PATIENCE_SECONDS = 90.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0


class _Company(Enum):
    """With what a write may share a transaction."""

    ANY = "any"
    RETRIED = "retried"
    """With other endings that are written again."""
    NONE = "none"
    """With nothing: it may be what the database refuses."""


@dataclass(slots=True)
class _Write:
    what: Intent | Ending | Entry
    answer: asyncio.Future[Any]
    company: _Company = _Company.ANY


class Committer:
    """The one writer of a replica's signing operations and ledger."""

    def __init__(
        self,
        database: Database,
        replica: str,
        telemetry: Telemetry,
        metrics: SignerMetrics,
        published: Callable[[], None],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """`replica` names ledger and leases; `published` is called after each commit that wrote events.

        `patience_seconds`: how long an ending is written again and again; nearly as long as its lease lasts.
        """
        self.doubtful = Doubtful()
        self._patience = patience_seconds
        self._endings: set[str] = set()
        self._stopped = False
        self._database, self._replica, self._log, self._metrics = database, replica, telemetry.log, metrics
        self._published = published
        self._waiting: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._head: Head | None = None
        self._known_chains: set[bytes] = set()

    async def write(self, what: Intent | Ending | Entry) -> Any:
        """Wait until it is durable. Intent: None or the Recorded in its way. Ending: whether the row was ours still.

        Raise ServiceUnavailable; an ending only where the database was away for as long as the patience lasts.
        """
        if isinstance(what, Ending):
            return await self._write_ending(what)
        if len(self._waiting) >= MAX_WAITING:
            raise ServiceUnavailable("the database cannot keep up; try again shortly")
        return await self._put(what, _Company.ANY)

    def is_unsettled(self, operation_id: str) -> bool:
        """Whether a write of this operation is under way or in doubt: it may not be begun again now."""
        return operation_id in self._endings or operation_id in self.doubtful

    async def _write_ending(self, ending: Ending) -> bool:
        operation_id, loop = ending.entry.facts.operation_id, asyncio.get_running_loop()
        until, pause, company = loop.time() + self._patience, FIRST_PAUSE_SECONDS, _Company.ANY
        self._endings.add(operation_id)
        try:
            while True:
                try:
                    ours: bool = await self._put(ending, company)
                except ServiceUnavailable as error:
                    is_outage = isinstance(error.__cause__, ServiceUnavailable)
                    refused = company is _Company.NONE and not is_outage
                    if self._stopped or refused or loop.time() + pause > until:
                        raise
                    company = _Company.RETRIED if is_outage else _Company.NONE
                else:
                    return ours
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            self._endings.discard(operation_id)

    async def _put(self, what: Intent | Ending | Entry, company: _Company) -> Any:
        if self._stopped:
            raise _stopping()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(what, answer, company))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Commit until cancelled; then what still waits is answered with ServiceUnavailable."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._commit(self._next_batch())
        finally:
            # Before any waiting ending can go on: it is not written again.
            self._stopped = True
            _fail(self._waiting, _stopping())

    def _next_batch(self) -> list[_Write]:
        batch = [self._waiting.popleft()]
        company = batch[0].company
        most = 1 if company is _Company.NONE else MAX_BATCH
        while self._waiting and len(batch) < most and self._waiting[0].company is company:
            batch.append(self._waiting.popleft())
        return batch

    async def _commit(self, batch: list[_Write]) -> None:
        started = time.perf_counter()
        try:
            answers = await self._transact([write.what for write in batch], batch[0].company)
        except (DomainError, DBAPIError) as error:
            self._note_failure(batch, error)
            return
        except BaseException:
            # Cancelled, or a mistake of ours that ends the process: nobody may wait for ever.
            _fail(batch, _stopping())
            raise
        self._metrics.commit_seconds.observe(time.perf_counter() - started)
        self._metrics.commit_batch_size.observe(len(batch))
        for write, answer in zip(batch, answers, strict=True):
            if not write.answer.done():
                write.answer.set_result(answer)

    def _note_failure(self, batch: list[_Write], error: Exception) -> None:
        # The commit may have reached the disk or not: the head of the ledger is read anew before the next.
        self._head = None
        self._known_chains.clear()
        self._log.warning("ledger_commit_failed", writes=len(batch), error=type(error).__name__)
        for write in batch:
            if isinstance(write.what, Intent):
                self.doubtful.add(write.what, None)
        unavailable = ServiceUnavailable(
            "the signer's database could not record this; ask again with the same key"
        )
        unavailable.__cause__ = error
        _fail(batch, unavailable)

    async def _transact(self, batch: Sequence[Intent | Ending | Entry], company: _Company) -> list[Any]:
        again = company is not _Company.ANY
        work = _Batch(self._replica, batch, self._head, frozenset(self._known_chains), again)
        committed = await self._database.write(work)
        self._head = committed.head
        self._known_chains.update(committed.chains)
        if committed.entries:
            self._metrics.ledger_sequence.labels(self._replica).set(committed.head.sequence)
            self._published()
        return [_answer(what, committed) for what in batch]


@dataclass(frozen=True, slots=True)
class _Committed:
    """What one transaction did."""

    head: Head
    entries: int
    chains: frozenset[bytes]
    taken: dict[str, Recorded]
    """Intents whose idempotency key another operation has."""
    lost: set[str]
    """Operations that were not this replica's any more."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """One transaction; called in the thread that writes, so it touches nothing but its own values."""

    replica: str
    batch: Sequence[Intent | Ending | Entry]
    head: Head | None
    known_chains: frozenset[bytes]
    again: bool
    """Endings whose first transaction failed: it may have been committed all the same."""

    def __call__(self, connection: Connection) -> _Committed:
        """Write everything."""
        # One order for all replicas: the same keys in another order would make two transactions wait for each other.
        intents = sorted((what for what in self.batch if isinstance(what, Intent)), key=_key_of)
        endings = [what for what in self.batch if isinstance(what, Ending)]
        if self.again:
            written = statements.written_endings(connection, endings)
            endings = [ending for ending in endings if ending.entry.event_id not in written]
        noted = [what for what in self.batch if isinstance(what, Entry)]
        head = self.head or statements.ledger_head(connection, self.replica)
        taken = statements.insert_intents(connection, intents, self.replica) if intents else {}
        chains: dict[bytes, bytes] = {}
        lost: set[str] = set()
        if endings:
            chains = self._add_chains(connection, endings)
            lost = statements.end_operations(connection, endings, self.replica)
        won = [ending for ending in endings if ending.entry.facts.operation_id not in lost]
        head, placed, events = _append(head, [*(ending.entry for ending in won), *noted])
        events += [event for ending in won for event in ending.events]
        if placed:
            statements.insert_entries(connection, placed)
            write_rows(connection, outbox, events)
        return _Committed(head, len(placed), frozenset(chains), taken, lost)

    def _add_chains(self, connection: Connection, endings: Sequence[Ending]) -> dict[bytes, bytes]:
        new = {
            ending.chain.sha256: statements.pack_chain(ending.chain.der)
            for ending in endings
            if ending.chain is not None and ending.chain.sha256 not in self.known_chains
        }
        if new:
            statements.insert_chains(connection, new)
        return new


def _key_of(intent: Intent) -> tuple[str, str]:
    return intent.client_id, intent.idempotency_key


def _stopping() -> ServiceUnavailable:
    return ServiceUnavailable("the signer is stopping; ask again with the same key")


def _fail(writes: Iterable[_Write], error: DomainError) -> None:
    for write in writes:
        if not write.answer.done():
            write.answer.set_exception(error)


def _append(head: Head, entries: Sequence[Entry]) -> tuple[Head, list[LedgerEntry], list[Event]]:
    placed, events = [], []
    for entry in entries:
        head, at_its_place = head.append(entry)
        placed.append(at_its_place)
        events.append(event_of(entry, at_its_place))
    return head, placed, events


def _answer(what: Intent | Ending | Entry, committed: _Committed) -> Any:
    match what:
        case Intent():
            return committed.taken.get(what.id)
        case Ending():
            return what.entry.facts.operation_id not in committed.lost
    return None

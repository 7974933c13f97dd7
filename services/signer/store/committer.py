"""Group commit: whatever waits while one durable transaction runs goes together into the next.

Nothing is delayed for company. Two kinds of writes share a transaction: intents (an operation may begin) and endings
(its outcome, its ledger entry and the events, all or nothing).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from services.kernel.errors import DomainError, ServiceUnavailable
from services.kernel.events import Event
from services.kernel.runtime.database import Database
from services.kernel.runtime.outbox import rows
from services.kernel.runtime.telemetry import Telemetry
from services.signer.ledger import Entry, Head, LedgerEntry, event_of
from services.signer.metrics import SignerMetrics
from services.signer.ports import Ending, Intent, Recorded
from services.signer.store import statements
from services.signer.store.tables import outbox

_OUTBOX = insert(outbox)

MAX_BATCH = 256
MAX_WAITING = 8192
"""Beyond this many waiting writes the database cannot keep up, and new ones are refused."""


@dataclass(slots=True)
class _Write:
    what: Intent | Ending | Entry
    answer: asyncio.Future[Any]


class Committer:
    """The one writer of a replica's signing operations and ledger."""

    def __init__(
        self,
        database: Database,
        replica: str,
        telemetry: Telemetry,
        metrics: SignerMetrics,
        published: Callable[[], None],
    ) -> None:
        """`replica` names ledger and leases; `published` is called after each commit that wrote events."""
        self._database, self._replica, self._log, self._metrics = database, replica, telemetry.log, metrics
        self._published = published
        self._waiting: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._head: Head | None = None
        self._known_chains: set[bytes] = set()

    async def write(self, what: Intent | Ending | Entry) -> Any:
        """Wait until it is durable. Intent: None or the Recorded in its way. Ending: whether the row was ours still."""
        if len(self._waiting) >= MAX_WAITING:
            raise ServiceUnavailable("the database cannot keep up; try again shortly")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(what, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Commit until cancelled; then what still waits is answered with ServiceUnavailable."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
                    await self._commit(batch)
        finally:
            for write in self._waiting:
                if not write.answer.done():
                    write.answer.set_exception(
                        ServiceUnavailable("the signer is stopping; try again shortly")
                    )

    async def _commit(self, batch: list[_Write]) -> None:
        started = time.perf_counter()
        try:
            answers = await self._transact([write.what for write in batch])
        except (DomainError, DBAPIError) as error:
            # The commit may have reached the disk or not: the head of the ledger is read anew before the next.
            self._head = None
            self._known_chains.clear()
            self._log.warning("ledger_commit_failed", writes=len(batch), error=type(error).__name__)
            unavailable = ServiceUnavailable(
                "the signer's database could not record this; ask again with the same key"
            )
            unavailable.__cause__ = error
            _fail(batch, unavailable)
            return
        except BaseException:
            # Cancelled, or a mistake of ours that ends the process: nobody may wait for ever.
            _fail(batch, ServiceUnavailable("the signer is stopping; ask again with the same key"))
            raise
        self._metrics.commit_seconds.observe(time.perf_counter() - started)
        self._metrics.commit_batch_size.observe(len(batch))
        for write, answer in zip(batch, answers, strict=True):
            if not write.answer.done():
                write.answer.set_result(answer)

    async def _transact(self, batch: Sequence[Intent | Ending | Entry]) -> list[Any]:
        work = _Batch(self._replica, batch, self._head, frozenset(self._known_chains))
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

    def __call__(self, connection: Connection) -> _Committed:
        """Write everything."""
        intents = [what for what in self.batch if isinstance(what, Intent)]
        endings = [what for what in self.batch if isinstance(what, Ending)]
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
            connection.execute(_OUTBOX, rows(events))
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

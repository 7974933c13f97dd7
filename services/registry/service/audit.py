"""The audit log: every entry of every signing ledger, in order, without a gap, and the register's own changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError
from services.registry.domain.access import Caller
from services.registry.domain.audit import AuditEvent, AuditFilter
from services.registry.domain.ledger import Continuation, Entry, Head, continue_from
from services.registry.domain.paging import Page, Rows
from services.registry.domain.records import row_of
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Ledgers, Store
from services.registry.service.admission import asking
from services.registry.service.parties import reached_agency

FETCH_ENTRIES = 500


class AuditService:
    """Takes ledger entries in, fetches what is missing, and shows the log. It judges no signature."""

    def __init__(
        self, store: Store, ledgers: Ledgers, metrics: RegistryMetrics, log: FilteringBoundLogger
    ) -> None:
        """Bind the store, and the signer's ledgers for what the bus did not bring."""
        self._store, self._ledgers, self._metrics, self._log = store, ledgers, metrics, log
        self._seen_heads: Mapping[str, Head] = {}
        self._reported: set[tuple[str, int]] = set()

    async def take(self, entries: Sequence[Entry]) -> Mapping[str, int]:
        """Append entries of any ledgers, in any order, seen before or not, as far as each ledger has no gap.

        Return for each ledger the sequence number up to which the log holds it now: what is above must come again.
        """
        by_ledger: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_ledger[entry.ledger].append(entry)
        async with self._store.transaction() as unit:
            heads = await unit.audit.heads(list(by_ledger), lock=True)
            parts = {
                ledger: continue_from(heads[ledger], group) for ledger, group in sorted(by_ledger.items())
            }
            await unit.audit.append([row_of(linked) for part in parts.values() for linked in part.linked])
            await unit.audit.set_heads({ledger: part.head for ledger, part in parts.items() if part.linked})
        for ledger, part in parts.items():
            self._observe(ledger, part)
        return {ledger: part.head.sequence for ledger, part in parts.items()}

    def _observe(self, ledger: str, part: Continuation) -> None:
        self._metrics.audit_ledger_sequence.labels(ledger).set(part.head.sequence)
        for linked in part.linked:
            if not linked.intact:
                self._report(ledger, linked.entry.sequence, "entry does not continue the chain")

    def _report(self, ledger: str, sequence: int, what: str) -> None:
        if (ledger, sequence) not in self._reported:
            self._reported.add((ledger, sequence))
            self._metrics.audit_breaks.inc()
            self._log.error("audit_chain_broken", ledger=ledger, sequence=sequence, what=what)

    async def fetch(self, ledger: str, up_to: int) -> int:
        """Fetch what is missing of a ledger from the signer; return the sequence number reached."""
        async with self._store.reading() as unit:
            reached = (await unit.audit.heads([ledger]))[ledger].sequence
        if reached >= up_to:
            return reached
        self._metrics.audit_gaps.inc()
        self._log.warning("audit_gap", ledger=ledger, after=reached, up_to=up_to)
        while reached < up_to:
            entries = await self._ledgers.read(ledger, reached + 1, FETCH_ENTRIES)
            before, reached = reached, (await self.take(entries)).get(ledger, reached)
            if reached == before:
                self._report(ledger, reached + 1, "the signer's ledger has a gap")
                break
        return reached

    async def reconcile(self) -> None:
        """Compare with the signer's heads: fetch what was there a while ago and is still missing here.

        What came since the last comparison may still be on its way; what did not come until the next is lost.
        """
        heads = await self._ledgers.heads()
        async with self._store.reading() as unit:
            ours = await unit.audit.heads(list(heads))
        for ledger, head in heads.items():
            mine = ours[ledger]
            if head.sequence < mine.sequence:
                self._report(ledger, mine.sequence, "the signer's ledger is shorter than the audit log")
            elif head.sequence == mine.sequence and head.hash != mine.hash:
                self._report(ledger, mine.sequence, "the signer's hash is another than the audit log's")
            overdue = self._seen_heads.get(ledger, Head()).sequence
            if overdue > mine.sequence:
                await self.fetch(ledger, overdue)
            else:
                self._metrics.audit_ledger_sequence.labels(ledger).set(mine.sequence)
        self._seen_heads = heads

    async def run(self, every_seconds: float) -> None:
        """Reconcile until cancelled; an absent signer is asked again."""
        while True:
            try:
                await self.reconcile()
            except DomainError as error:
                self._log.info("audit_reconciliation_waits", code=error.code, message=error.message)
            await asyncio.sleep(every_seconds)

    async def events(self, caller: Caller, wanted: AuditFilter, page: Page) -> Rows[AuditEvent]:
        """List lines that concern agencies which the caller reaches, oldest first."""
        caller.require("audit:read")
        async with asking(self._store, caller) as unit:
            own = await reached_agency(unit, caller, caller.agency_id)
            below = None if own.parent_id is None else own.id
            found = await unit.audit.list_below(below, wanted, page)
        return Rows.cut(found, page, lambda event: str(event.position))


def above(reached: Mapping[str, int], entries: Collection[Entry]) -> Mapping[str, int]:
    """Return the ledgers of which entries still wait for what is missing, with the highest number waiting."""
    waiting: dict[str, int] = {}
    for entry in entries:
        if entry.sequence > reached[entry.ledger]:
            waiting[entry.ledger] = max(waiting.get(entry.ledger, 0), entry.sequence)
    return waiting

"""SQL over the audit log. Batches go in as one statement: it lies on the road of every signature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.domain.audit import AuditEvent, AuditFilter, AuditRow
from services.registry.domain.ledger import Head
from services.registry.domain.paging import Page
from services.registry.store import tables
from services.registry.store.parties import under

_event, _ledger = tables.audit_event, tables.audit_ledger
_COUNTER = "audit"


class SqlAuditRows:
    """Rows of the audit log."""

    def __init__(
        self, connection: AsyncConnection, take: Callable[[AsyncConnection, str, int], Awaitable[int]]
    ) -> None:
        """Bind the transaction's connection and the counter that gives positions."""
        self._connection, self._take = connection, take

    async def append(self, rows: Sequence[AuditRow]) -> None:
        """Insert behind the last line; the counter's lock keeps positions in the order of commits."""
        if not rows:
            return
        first = await self._take(self._connection, _COUNTER, len(rows)) - len(rows) + 1
        await self._connection.execute(
            insert(_event),
            [
                {
                    "position": position,
                    "id": row.id,
                    "type": row.type,
                    "agency_id": row.agency_id,
                    "client_id": row.client_id,
                    "credential_id": row.credential_id,
                    "operation_id": row.operation_id,
                    "time": row.time,
                    "ledger": row.ledger,
                    "ledger_sequence": row.ledger_sequence,
                    "entry_hash": row.entry_hash,
                    "intact": row.intact,
                    "data": row.data,
                }
                for position, row in enumerate(rows, first)
            ],
        )

    async def heads(self, ledgers: Sequence[str], *, lock: bool = False) -> Mapping[str, Head]:
        """Return how far each ledger is taken in; `lock` keeps other transactions from moving them."""
        found = await self._heads(ledgers, lock=lock)
        missing = sorted(set(ledgers) - found.keys())
        if lock and missing:
            # A row must be there to be locked.
            make = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
            await self._connection.execute(
                make(_ledger).on_conflict_do_nothing(index_elements=["ledger"]),
                [{"ledger": name, "sequence": Head().sequence, "hash": Head().hash} for name in missing],
            )
            found = await self._heads(ledgers, lock=True)
        return {name: found.get(name, Head()) for name in ledgers}

    async def _heads(self, ledgers: Sequence[str], *, lock: bool) -> dict[str, Head]:
        wanted = select(_ledger).where(_ledger.c.ledger.in_(ledgers)).order_by(_ledger.c.ledger)
        if lock:
            wanted = wanted.with_for_update()
        return {
            row.ledger: Head(row.sequence, bytes(row.hash)) for row in await self._connection.execute(wanted)
        }

    async def set_heads(self, heads: Mapping[str, Head]) -> None:
        """Write how far ledgers are taken in."""
        if not heads:
            return
        make = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = make(_ledger)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["ledger"],
                set_={"sequence": statement.excluded.sequence, "hash": statement.excluded.hash},
            ),
            [{"ledger": name, "sequence": head.sequence, "hash": head.hash} for name, head in heads.items()],
        )

    async def list_below(self, below: str | None, wanted: AuditFilter, page: Page) -> list[AuditEvent]:
        """List lines that concern agencies at or under `below`; None: every line, the platform's own too."""
        found = select(_event).where(_event.c.position > page.number())
        if below is not None:
            visible = select(tables.agency.c.id).where(under(below))
            found = found.where(_event.c.agency_id.in_(visible))
        if wanted.credential_id:
            found = found.where(_event.c.credential_id == wanted.credential_id)
        if wanted.operation_id:
            found = found.where(_event.c.operation_id == wanted.operation_id)
        if wanted.from_time is not None:
            found = found.where(_event.c.time >= wanted.from_time)
        rows = await self._connection.execute(found.order_by(_event.c.position).limit(page.size + 1))
        return [
            AuditEvent(
                row.position,
                AuditRow(
                    row.id,
                    row.type,
                    row.agency_id,
                    row.client_id,
                    row.credential_id,
                    row.operation_id,
                    row.time,
                    row.data,
                    row.ledger,
                    row.ledger_sequence,
                    None if row.entry_hash is None else bytes(row.entry_hash),
                    row.intact,
                ),
            )
            for row in rows
        ]

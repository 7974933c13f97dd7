"""Signing operations and the ledger in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.exc import DBAPIError

from services.kernel.errors import DomainError, ServiceUnavailable
from services.kernel.runtime.database import Database
from services.kernel.values import new_id
from services.signer.domain import ItemFailure, State
from services.signer.ledger import Entry, Head, LedgerEntry, Outcome
from services.signer.ports import Ending, Intent, Recorded
from services.signer.store import statements
from services.signer.store.committer import Committer
from services.signer.store.doubtful import Doubt
from services.signer.store.tables import certificate_chain, ledger, micros, signing

RENEWED_AT_ONCE = 500
NOT_BEGUN = ItemFailure(
    ServiceUnavailable.code,
    "the database was away when this was to begin; nothing was signed, ask again with the same key",
    retryable=True,
)


class SqlSigningStore:
    """The SigningStore port on SQLite and PostgreSQL. Hot writes go through the committer, the rest by itself."""

    def __init__(self, database: Database, committer: Committer, replica: str) -> None:
        """`replica` owns the leases of what it begins."""
        self._database, self._committer, self._replica = database, committer, replica

    async def begin(self, intent: Intent) -> Recorded | None:
        """Record an intent, or return the operation that has its idempotency key."""
        taken: Recorded | None = await self._committer.write(intent)
        return taken

    async def begin_again(self, intent: Intent, state: State) -> bool:
        """Make the intent of an operation that is in `state`; False where it is not any more, or not settled yet."""
        if self._committer.is_unsettled(intent.id):
            return False
        change = (
            update(signing)
            .where(signing.c.id == intent.id, signing.c.state == state.value)
            .values(
                state=State.BEGUN.value,
                facts=intent.facts.to_json(),
                lease_owner=self._replica,
                lease_until=micros(intent.lease_until),
                ended_at=None,
                end_event=None,
                error_code=None,
                error_message=None,
                error_retryable=None,
            )
        )
        if state is State.FAILED:
            change = change.where(signing.c.error_retryable)
        try:
            async with self._database.transaction() as connection:
                return (await connection.execute(change)).rowcount == 1
        except (DomainError, DBAPIError):
            self._committer.doubtful.add(intent, state)
            raise

    async def renew(self, operation_ids: Sequence[str], until: datetime) -> None:
        """Let the leases of operations that are under way here end at `until`."""
        for start in range(0, len(operation_ids), RENEWED_AT_ONCE):
            part = sorted(operation_ids)[start : start + RENEWED_AT_ONCE]
            change = update(signing).where(self._ours_begun(part)).values(lease_until=micros(until))
            async with self._database.transaction() as connection:
                await connection.execute(change)

    def _ours_begun(self, operation_ids: Sequence[str]) -> ColumnElement[bool]:
        return and_(
            signing.c.id.in_(operation_ids),
            signing.c.state == State.BEGUN.value,
            signing.c.lease_owner == self._replica,
        )

    async def end(self, ending: Ending) -> bool:
        """Record outcome, ledger entry and events at once; False where the operation is no longer this replica's."""
        ours: bool = await self._committer.write(ending)
        return ours

    async def note(self, entry: Entry) -> None:
        """Record the ledger entry of a refusal that has no row."""
        await self._committer.write(entry)

    async def find(self, client_id: str, idempotency_key: str) -> Recorded | None:
        """Return the operation that has this idempotency key."""
        async with self._database.reading() as connection:
            return await connection.run_sync(statements.find, client_id, idempotency_key)

    async def operation(self, operation_id: str) -> Recorded | None:
        """Return an operation."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(signing).where(signing.c.id == operation_id))).first()
        return None if row is None else statements.recorded(row)

    async def chain(self, sha256: bytes) -> tuple[bytes, ...]:
        """Return the certificates of a chain that an ending named."""
        query = select(certificate_chain.c.certificates).where(certificate_chain.c.sha256 == sha256)
        async with self._database.reading() as connection:
            packed = (await connection.execute(query)).scalar_one()
        return statements.unpack_chain(bytes(packed))

    async def ledger_entries(self, name: str, first: int, limit: int) -> list[LedgerEntry]:
        """Return entries of one ledger in order from `first` on."""
        query = (
            select(ledger)
            .where(ledger.c.ledger == name, ledger.c.sequence >= first)
            .order_by(ledger.c.sequence)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            LedgerEntry(
                row.ledger,
                row.sequence,
                bytes(row.hash),
                bytes(row.previous_hash),
                bytes(row.data),
                row.event_id,
            )
            for row in rows
        ]

    async def ledger_heads(self) -> list[Head]:
        """Return the head of every ledger of this database."""
        newest = (
            select(ledger.c.ledger, func.max(ledger.c.sequence).label("sequence"))
            .group_by(ledger.c.ledger)
            .subquery()
        )
        query = (
            select(ledger.c.ledger, ledger.c.sequence, ledger.c.hash)
            .join(newest, and_(ledger.c.ledger == newest.c.ledger, ledger.c.sequence == newest.c.sequence))
            .order_by(ledger.c.ledger)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [Head(row.ledger, row.sequence, bytes(row.hash)) for row in rows]

    # --- what a crash left behind ---

    async def take_over(self, at: datetime, *, own: bool, limit: int) -> list[Recorded]:
        """Take begun operations whose replica died over them, and own their leases from now on.

        `own`: every one of this replica (it has just started, so none is under way). Otherwise those whose lease is
        over, of whatever replica; two replicas never take the same.
        """
        expired = signing.c.lease_until < micros(at)
        mine = signing.c.lease_owner == self._replica
        which = and_(signing.c.state == State.BEGUN.value, or_(mine, expired) if own else expired)
        query = select(signing).where(which).order_by(signing.c.id).limit(limit)
        async with self._database.transaction() as connection:
            if self._database.dialect == "postgresql":
                query = query.with_for_update(skip_locked=True)
            rows = (await connection.execute(query)).all()
            if rows:
                owned = update(signing).where(signing.c.id.in_([row.id for row in rows]))
                await connection.execute(owned.values(lease_owner=self._replica))
        return [statements.recorded(row) for row in rows]

    async def settle_doubtful(self, at: datetime, limit: int) -> int:
        """End operations whose intent was recorded though its commit seemed to fail; return how many there were.

        Nothing reached the HSM under them: they failed and may be taken up again, an accepted one by the queue.
        """
        doubtful = self._committer.doubtful
        doubts = doubtful.oldest(limit)
        if not doubts:
            return 0
        query = select(signing.c.id).where(self._ours_begun([doubt.intent.id for doubt in doubts]))
        async with self._database.reading() as connection:
            begun = set((await connection.execute(query)).scalars())
        for doubt in doubts:
            if doubt.intent.id in begun:
                await self._settle(doubt, at)
                doubtful.settled(doubt.intent.id)
            else:
                doubtful.absent(doubt.intent.id)
        return len(begun)

    async def _settle(self, doubt: Doubt, at: datetime) -> None:
        if doubt.before is State.ACCEPTED:
            change = update(signing).where(self._ours_begun([doubt.intent.id]))
            async with self._database.transaction() as connection:
                await connection.execute(change.values(state=State.ACCEPTED.value, lease_owner=""))
            return
        entry = Entry(doubt.intent.facts, Outcome.FAILED, at, new_id("ev"), failure=NOT_BEGUN)
        await self._committer.write(Ending(entry=entry, state=State.FAILED))

    async def purge(self, before_id: str, ended_before: datetime, limit: int) -> int:
        """Forget operations that ended before; their ledger entries stay. Return how many.

        `before_id`: the lowest operation id of that moment. Ids sort by time and none ends before it is made, so only
        what lies below is read.
        """
        old = (
            select(signing.c.id)
            .where(
                signing.c.id < before_id,
                signing.c.state.not_in([State.ACCEPTED.value, State.BEGUN.value]),
                signing.c.ended_at < micros(ended_before),
            )
            .order_by(signing.c.id)
            .limit(limit)
        )
        async with self._database.transaction() as connection:
            result = await connection.execute(signing.delete().where(signing.c.id.in_(old.scalar_subquery())))
            return result.rowcount

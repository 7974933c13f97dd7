"""Asynchronous operations and the records of their payloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from services.kernel.events import Event
from services.kernel.runtime.database import Database
from services.kernel.runtime.outbox import put, put_many
from services.signer.domain import State
from services.signer.ports import Blob, Intent, Job, Recorded
from services.signer.store import statements
from services.signer.store.tables import blob, job, micros, moment, outbox, signing


class SqlJobStore:
    """The JobStore port."""

    def __init__(self, database: Database, published: Callable[[], None]) -> None:
        """`published` is called after each commit that wrote events."""
        self._database, self._published = database, published

    async def accept(self, intent: Intent, new: Job, event: Event | None) -> Recorded | None:
        """Record an accepted operation with its job and the event that queues it; or return what has its key."""
        async with self._database.transaction() as connection:
            taken = await connection.run_sync(statements.insert_intents, [intent], "", State.ACCEPTED)
            if taken:
                return taken[intent.id]
            await connection.execute(
                job.insert(),
                {
                    "operation_id": new.operation_id,
                    "client_id": new.client_id,
                    "agency_id": new.agency_id,
                    "request": new.request,
                    "job_id": new.job_id,
                    "file_name": new.file_name,
                    "document_blob": new.document_blob,
                    "result_blob": new.result_blob,
                    "expires_at": micros(new.expires_at),
                },
            )
            if event is not None:
                await put(connection, outbox, event)
        self._published()
        return None

    async def release(self, operation_id: str) -> bool:
        """Give a begun operation back to the queue: the HSM was provably not asked. False where it is not begun."""
        change = update(signing).where(signing.c.id == operation_id, signing.c.state == State.BEGUN.value)
        async with self._database.transaction() as connection:
            result = await connection.execute(change.values(state=State.ACCEPTED.value, lease_owner=""))
            return result.rowcount == 1

    async def job(self, operation_id: str) -> Job | None:
        """Return the job of an operation."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(job).where(job.c.operation_id == operation_id))).first()
        if row is None:
            return None
        return Job(
            operation_id=row.operation_id,
            client_id=row.client_id,
            agency_id=row.agency_id,
            request=row.request,
            job_id=row.job_id,
            file_name=row.file_name,
            document_blob=row.document_blob,
            result_blob=row.result_blob,
            expires_at=moment(row.expires_at),
        )

    async def publish(self, events: Sequence[Event]) -> None:
        """Put events into the outbox; those that wait there already are not put twice."""
        try:
            async with self._database.transaction() as connection:
                await put_many(connection, outbox, events)
        except IntegrityError:
            # A repeated job makes the same events with the same ids: they are on their way.
            return
        self._published()

    async def waiting(self, before: datetime, next_look: datetime, limit: int) -> list[Recorded]:
        """Return accepted operations that nobody has taken up until `before`; they are looked at again at `next_look`."""
        which = (
            select(signing)
            .where(signing.c.state == State.ACCEPTED.value, signing.c.lease_until < micros(before))
            .order_by(signing.c.id)
            .limit(limit)
        )
        async with self._database.transaction() as connection:
            if self._database.dialect == "postgresql":
                which = which.with_for_update(skip_locked=True)
            rows = (await connection.execute(which)).all()
            ids = [row.id for row in rows]
            await connection.execute(
                update(signing).where(signing.c.id.in_(ids)).values(lease_until=micros(next_look))
            )
        return [statements.recorded(row) for row in rows]

    async def add_blob(self, new: Blob) -> None:
        """Record a payload that is written."""
        row = {
            "id": new.id,
            "client_id": new.client_id,
            "file_name": new.file_name,
            "content_key": new.content_key,
            "size": new.size,
            "sha256": new.sha256,
            "expires_at": micros(new.expires_at),
        }
        async with self._database.transaction() as connection:
            await connection.execute(blob.insert(), row)

    async def blob(self, blob_id: str) -> Blob | None:
        """Return a payload's record."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(blob).where(blob.c.id == blob_id))).first()
        if row is None:
            return None
        return Blob(
            id=row.id,
            client_id=row.client_id,
            file_name=row.file_name,
            content_key=bytes(row.content_key),
            size=row.size,
            sha256=bytes(row.sha256),
            expires_at=moment(row.expires_at),
        )

    async def known_blobs(self, blob_ids: Sequence[str]) -> set[str]:
        """Return which of these payloads have a record."""
        async with self._database.reading() as connection:
            return set((await connection.execute(select(blob.c.id).where(blob.c.id.in_(blob_ids)))).scalars())

    async def expired_blobs(self, at: datetime, limit: int) -> list[str]:
        """Return payloads whose time is over."""
        query = (
            select(blob.c.id).where(blob.c.expires_at < micros(at)).order_by(blob.c.expires_at).limit(limit)
        )
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())

    async def forget_blobs(self, blob_ids: Sequence[str]) -> None:
        """Remove the records of payloads that were deleted."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(blob).where(blob.c.id.in_(blob_ids)))

    async def purge(self, before_id: str) -> None:
        """Forget jobs whose operation's id is below and whose operation is forgotten."""
        gone = select(signing.c.id).where(signing.c.id == job.c.operation_id).exists()
        async with self._database.transaction() as connection:
            await connection.execute(delete(job).where(job.c.operation_id < before_id, ~gone))

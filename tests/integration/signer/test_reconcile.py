"""What crashes leave behind: ended, queued again, or deleted."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kyso.v1 import signer_pb2
from services.kernel.runtime.config import DatabaseSettings
from services.kernel.values import new_id
from services.signer import reconcile
from services.signer.blobs import FileBlobStore
from services.signer.domain import State
from services.signer.ports import Blob, Job
from services.signer.reconcile import Keeping, Reconciler
from services.signer.store.jobs import SqlJobStore
from services.signer.store.tables import outbox
from tests.integration.signer.test_store import NOW, Real, ending, intent, opened
from tests.support.nats_server import eventually
from tests.support.signer_world import WorldParts, running_register, running_signer


@dataclass
class World:
    """A reconciler over real stores, at a time that the test sets."""

    real: Real
    folder: Path
    time: datetime = NOW
    published: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs = SqlJobStore(self.real.database, lambda: None)
        self.blobs = FileBlobStore(self.folder)
        keeping = Keeping("signer-1", timedelta(hours=24))
        seen = (self.real.telemetry, self.real.metrics)
        self.reconciler = Reconciler(self.real.store, self.jobs, self.blobs, keeping, lambda: self.time, seen)

    async def blob(self, expires_at: datetime) -> Blob:
        async def content() -> AsyncIterator[bytes]:
            yield b"document"

        blob_id, key = new_id("blob"), os.urandom(32)
        size, sha256 = await self.blobs.write(blob_id, key, content())
        blob = Blob(blob_id, "cl_1", "a.pdf", key, size, sha256, expires_at)
        await self.jobs.add_blob(blob)
        return blob

    async def waiting(self) -> list[Any]:
        async with self.real.database.reading() as connection:
            return list((await connection.execute(select(outbox).order_by(outbox.c.seq))).all())


@pytest.fixture
async def world(database_settings: DatabaseSettings, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(database_settings) as real:
        yield World(real, tmp_path / "blobs")


def job_of(begun: Any, payload: Blob) -> Job:
    return Job(begun.id, "cl_1", "ag_1", "{}", "mine", "a.pdf", payload.id, None, NOW + timedelta(days=1))


async def test_at_its_start_a_replica_ends_what_it_had_begun(world: World) -> None:
    begun = intent(lease_until=NOW + timedelta(hours=1))
    await world.real.store.begin(begun)
    assert await world.reconciler.at_start() == 1
    assert await world.reconciler.at_start() == 0
    left = await world.real.store.operation(begun.id)
    assert left is not None
    assert left.state is State.OUTCOME_UNKNOWN
    (row,) = await world.waiting()
    assert row.nats_subject == "kyso.event.signature.unknown.ag_1"


async def test_an_asynchronous_operation_that_was_begun_tells_its_client_too(world: World) -> None:
    begun = intent()
    assert await world.jobs.accept(begun, job_of(begun, await world.blob(NOW)), None) is None
    assert await world.real.store.begin_again(begun, State.ACCEPTED)
    assert await world.reconciler.at_start() == 1
    subjects = {row.nats_subject for row in await world.waiting()}
    assert subjects == {
        "kyso.event.signature.unknown.ag_1",
        "kyso.event.operation.failed.ag_1",
        f"kyso.result.cl_1.{begun.id}",
    }


async def test_an_accepted_operation_that_nobody_took_is_queued_again(world: World) -> None:
    begun = intent(lease_until=NOW + timedelta(minutes=10))
    await world.jobs.accept(begun, job_of(begun, await world.blob(NOW + timedelta(days=1))), None)
    await world.reconciler.sweep()
    assert await world.waiting() == []
    world.time = NOW + timedelta(minutes=11)
    await world.reconciler.sweep()
    await world.reconciler.sweep()
    (row,) = await world.waiting()
    assert row.nats_subject == "kyso.job.cl_1.sign.normal"
    assert await world.reconciler.at_start() == 0


async def test_a_begun_operation_given_back_is_taken_again(world: World) -> None:
    begun = intent()
    await world.jobs.accept(begun, job_of(begun, await world.blob(NOW)), None)
    assert await world.real.store.begin_again(begun, State.ACCEPTED)
    assert await world.jobs.release(begun.id)
    assert not await world.jobs.release(begun.id)
    assert await world.real.store.begin_again(begun, State.ACCEPTED)
    assert await world.real.store.end(ending(begun))


async def test_what_is_over_is_deleted_and_nothing_else(world: World) -> None:
    old, fresh = await world.blob(NOW - timedelta(seconds=1)), await world.blob(NOW + timedelta(hours=1))
    orphan = world.folder / new_id("blob")
    orphan.write_bytes(b"left by a crash")
    os.utime(orphan, (1, 1))
    os.utime(world.folder / fresh.id, (1, 1))
    await world.reconciler.sweep()
    assert await world.jobs.blob(old.id) is None
    assert await world.jobs.blob(fresh.id) == fresh
    assert [path.name for path in world.folder.iterdir()] == [fresh.id]


async def test_operations_are_forgotten_after_the_window(world: World) -> None:
    begun = intent()
    await world.real.store.begin(begun)
    world.time = datetime.now(NOW.tzinfo) + timedelta(hours=30)
    ended = ending(begun)
    await world.real.store.end(replace(ended, entry=replace(ended.entry, time=world.time)))
    # The window is counted from the end: the answer of what took long is kept as long as any.
    world.time += timedelta(hours=23)
    await world.reconciler.sweep()
    assert await world.real.store.operation(begun.id) is not None
    world.time += timedelta(hours=2)
    await world.reconciler.sweep()
    assert await world.real.store.operation(begun.id) is None


async def test_a_restarted_signer_answers_unknown_and_takes_over_what_another_left(
    parts: WorldParts, tmp_path: Path
) -> None:
    database = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'signer.sqlite'}")
    now = datetime.now(NOW.tzinfo)
    own = intent(client_id="cl_portal", lease_until=now + timedelta(hours=1))
    foreign = intent(client_id="cl_portal", lease_until=now - timedelta(seconds=1))
    async with opened(database) as before, opened(database, "signer-9") as other:
        await before.store.begin(own)
        await other.store.begin(foreign)
    settings = parts.settings(database)
    async with (
        running_register(settings, parts) as register,
        running_signer(settings, parts, register) as world,
    ):
        for begun in (own, foreign):
            request = signer_pb2.GetOperationRequest(operation_id=begun.id)

            async def is_unknown(asked: signer_pb2.GetOperationRequest = request) -> bool:
                answer = await world.as_gateway.GetOperation(asked, metadata=world.metadata())
                return bool(answer.state == signer_pb2.OPERATION_STATE_OUTCOME_UNKNOWN)

            await eventually(is_unknown, what="the end of what was left behind")
        outcomes = [(record["outcome"], record["operation_id"]) for record in await world.ledger()]
        assert sorted(outcomes) == sorted([("unknown", own.id), ("unknown", foreign.id)])
        assert world.sample("kyso_signer_outcome_unknown_total") == 2


async def test_a_volume_that_is_away_does_not_end_the_sweeping(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    async def stale(_seconds: float) -> list[str]:
        looked.append("again")
        raise OSError(errno.ESTALE, "stale file handle")

    monkeypatch.setattr(reconcile, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reconcile, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(world.blobs, "names_older_than", stale)
    running = asyncio.create_task(world.reconciler.run())
    try:
        await eventually(lambda: len(looked) > 1 or running.done(), what="a second sweep")
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

"""The outbox on both databases, with a real bus: nothing is lost, nothing is early, order is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, func, select, text
from sqlalchemy.exc import IntegrityError

from services.kernel.errors import BodyTooLarge, FieldInvalid, ServiceUnavailable
from services.kernel.events import STREAM_EVENTS, STREAM_JOBS, Event, event_subject, job_subject
from services.kernel.runtime import outbox
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import DatabaseSettings, StreamSettings
from services.kernel.runtime.consumer import Disposition, Message, PullConsumer
from services.kernel.runtime.database import Database
from services.kernel.runtime.ending import end
from services.kernel.runtime.outbox import Relay, outbox_table, put, put_many, write_rows
from services.kernel.runtime.streams import make_streams
from services.kernel.values import new_id
from tests.support.bus import event_from
from tests.support.nats_server import NatsServer, eventually
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

ENV = """
from sqlalchemy import MetaData
from services.kernel.runtime.migrations import run_migrations

run_migrations(MetaData())
"""
FIRST = """
from alembic import op
from sqlalchemy import MetaData
from services.kernel.runtime.outbox import outbox_table

revision, down_revision = "0001", None


def upgrade():
    metadata = MetaData()
    outbox_table(metadata)
    metadata.create_all(op.get_bind())
"""
TABLE = outbox_table(MetaData())


@pytest.fixture
async def database(database_settings: DatabaseSettings, tmp_path: Path) -> AsyncIterator[Database]:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV, encoding="utf-8")
    (folder / "versions" / "0001_outbox.py").write_text(FIRST, encoding="utf-8")
    opened = await Database.open(database_settings, folder)
    yield opened
    await opened.close()


def event(agency: str, number: int, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": new_id("ev"),
        "type": "kyso.signature.completed",
        "source": "kyso/signer/test",
        "subject": f"op_{number}",
        "time": datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC),
        "data": b'{"t":"c\xc3\xb4ng v\xc4\x83n"}',
        "nats_subject": event_subject("signature", "completed", agency),
        "extensions": (("ledger", "a=b"), ("sequence", str(number))),
    }
    return Event(**(fields | changes))


async def pending(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(TABLE))).scalar_one())


class Recorder:
    """A bus in memory: keeps the order of what it took; can be away, and can refuse by number."""

    def __init__(self) -> None:
        self.connected = True
        self.taken: list[str] = []
        self.refuse: set[str] = set()

    async def publish_many(self, events: Sequence[Event]) -> list[Exception | None]:
        """Take all but the refused."""
        outcomes: list[Exception | None] = []
        for item in events:
            refused = item.subject in self.refuse
            outcomes.append(TimeoutError() if refused else None)
            if not refused:
                self.taken.append(item.subject)
        return outcomes


@asynccontextmanager
async def relaying(database: Database, bus: Any) -> AsyncIterator[tuple[Relay, Any]]:
    runtime = make_runtime()
    relay = Relay(database, TABLE, bus, runtime.telemetry)
    async with runtime.background("relay", relay.run()):
        yield relay, runtime.telemetry.registry.get_sample_value


@asynccontextmanager
async def collecting(bus: Bus, agency: str) -> AsyncIterator[list[Event]]:
    """Consume the events of one agency."""
    got: list[Event] = []

    async def handle(messages: Sequence[Message]) -> list[Disposition]:
        got.extend(event_from(message) for message in messages)
        return [Disposition.ACK] * len(messages)

    consumer = PullConsumer(bus, STREAM_EVENTS, f"test-{agency}", f"kyso.event.*.*.{agency}", handle)
    task = asyncio.create_task(consumer.run())
    try:
        yield got
    finally:
        await end(task)


async def test_an_event_arrives_as_it_was_written_and_its_row_goes(
    database: Database, nats_server: NatsServer
) -> None:
    agency = new_id("ag")
    written = [event(agency, number) for number in range(3)]
    async with (
        Bus.opened(nats_server.settings(), make_runtime()) as bus,
        collecting(bus, agency) as got,
        relaying(database, bus) as (relay, metric),
    ):
        async with database.transaction() as connection:
            await put_many(connection, TABLE, written)
        relay.notify()
        await eventually(lambda: len(got) == 3)
        assert got == written
        await eventually(lambda: pending_is_zero(database))
        await eventually(lambda: metric("kyso_outbox_pending") == 0)
        assert metric("kyso_outbox_lag_seconds") == 0
        assert metric("kyso_outbox_published_total") == 3


async def pending_is_zero(database: Database) -> bool:
    return await pending(database) == 0


async def test_what_was_rolled_back_is_never_published(database: Database) -> None:
    bus = Recorder()

    async def fail_after_putting() -> None:
        async with database.transaction() as connection:
            await put(connection, TABLE, event("ag_1", 1))
            raise KeyError

    async with relaying(database, bus) as (relay, _):
        with pytest.raises(KeyError):
            await fail_after_putting()
        async with database.transaction() as connection:
            await put(connection, TABLE, event("ag_1", 2))
        relay.notify()
        await eventually(lambda: pending_is_zero(database))
    assert bus.taken == ["op_2"]


async def test_more_than_a_batch_leaves_in_the_order_of_insertion(database: Database) -> None:
    bus = Recorder()
    for start in range(0, 450, 50):
        async with database.transaction() as connection:
            await put_many(connection, TABLE, [event("ag_1", number) for number in range(start, start + 50)])
    async with relaying(database, bus):
        await eventually(lambda: pending_is_zero(database))
    assert bus.taken == [f"op_{number}" for number in range(450)]


async def test_a_row_without_acknowledgement_stays_and_is_tried_again(database: Database) -> None:
    bus = Recorder()
    bus.refuse = {"op_1"}
    async with database.transaction() as connection:
        await put_many(connection, TABLE, [event("ag_1", number) for number in range(3)])
    async with relaying(database, bus) as (_, metric):
        await eventually(lambda: "op_2" in bus.taken)
        await eventually(lambda: metric("kyso_outbox_pending") == 1)
        assert metric("kyso_outbox_lag_seconds") > 0
        assert await pending(database) == 1
        bus.refuse = set()
        await eventually(lambda: pending_is_zero(database))
    assert bus.taken == ["op_0", "op_2", "op_1"]


async def test_a_queue_that_is_full_holds_up_no_other(
    database: Database, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 5)
    monkeypatch.setattr(outbox, "REFUSED_SECONDS", 0.5)
    greedy, other = new_id("cl"), new_id("cl")
    server = nats_server.settings()
    settings = server.model_copy(update={"streams": StreamSettings(jobs_per_subject=2)})
    async with Bus.opened(settings, make_runtime()) as bus:
        try:
            async with database.transaction() as connection:
                jobs = [event("ag_1", number, nats_subject=job_subject(greedy)) for number in range(12)]
                await put_many(connection, TABLE, [*jobs, event("ag_1", 12, nats_subject=job_subject(other))])
            relay = asyncio.create_task(Relay(database, TABLE, bus, make_runtime().telemetry).run())
            await eventually(lambda: left(database, 10))
            async with database.reading() as connection:
                rows = (await connection.execute(select(TABLE.c.nats_subject))).scalars().all()
            assert set(rows) == {job_subject(greedy)}

            async def handle(messages: Sequence[Message]) -> list[Disposition]:
                return [Disposition.ACK] * len(messages)

            consumer = PullConsumer(bus, STREAM_JOBS, greedy, job_subject(greedy), handle)
            working = asyncio.create_task(consumer.run())
            # The queue empties, and the rest of it comes.
            await eventually(lambda: left(database, 0))
            await end(working, relay)
        finally:
            # The server is shared.
            await make_streams(await bus.until_connected(), server, bus.telemetry.log)


async def left(database: Database, number: int) -> bool:
    return await pending(database) == number


async def test_rows_wait_for_a_bus_that_is_away(database: Database) -> None:
    bus = Recorder()
    bus.connected = False
    async with relaying(database, bus) as (relay, metric):
        async with database.transaction() as connection:
            await put(connection, TABLE, event("ag_1", 1))
        relay.notify()
        await eventually(lambda: metric("kyso_outbox_pending") == 1)
        assert bus.taken == []
        bus.connected = True
        await eventually(lambda: pending_is_zero(database))


async def test_the_relay_outlives_an_outage_of_its_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, real, failures = Recorder(), database.reading, iter(range(2))

    @asynccontextmanager
    async def sometimes() -> AsyncIterator[Any]:
        if next(failures, None) is not None:
            raise ServiceUnavailable("the database is away")
        async with real() as connection:
            yield connection

    monkeypatch.setattr(database, "reading", sometimes)
    monkeypatch.setattr(outbox, "WAKE_SECONDS", 0.05)
    async with database.transaction() as connection:
        await put(connection, TABLE, event("ag_1", 1))
    async with relaying(database, bus):
        await eventually(lambda: bus.taken == ["op_1"])


async def test_two_relays_on_postgresql_publish_each_row_in_turn(database: Database) -> None:
    if database.dialect == "sqlite":
        # One process writes a SQLite file, and it has one relay.
        return
    bus = Recorder()
    async with database.transaction() as connection:
        await put_many(connection, TABLE, [event("ag_1", number) for number in range(1000)])
    async with relaying(database, bus), relaying(database, bus):
        await eventually(lambda: pending_is_zero(database))
    assert bus.taken == [f"op_{number}" for number in range(1000)]


async def test_a_bus_killed_over_and_over_loses_nothing_and_doubles_nothing(
    database: Database, tmp_path: Path, mesh_ca: MeshCa
) -> None:
    server = NatsServer(tmp_path / "nats", tls=mesh_ca.tls("nats"), sync_always=True).start()
    agency, total = new_id("ag"), 300
    try:
        async with (
            Bus.opened(server.settings(), make_runtime()) as bus,
            relaying(database, bus) as (relay, _),
        ):

            async def write() -> None:
                for number in range(total):
                    async with database.transaction() as connection:
                        await put(connection, TABLE, event(agency, number))
                    relay.notify()

            writing = asyncio.create_task(write())
            for _ in range(3):
                await eventually(lambda: bus.connected)
                server.kill()
                await eventually(lambda: not bus.connected)
                server.start()
            await writing
            await eventually(lambda: pending_is_zero(database), seconds=60)
            async with collecting(bus, agency) as got:
                await eventually(lambda: len(got) >= total, seconds=60)
                assert sorted(int(item.subject.removeprefix("op_")) for item in got) == list(range(total))
    finally:
        server.stop()


async def test_an_event_that_could_never_leave_is_refused_at_once(database: Database) -> None:
    async with database.transaction() as connection:
        with pytest.raises(BodyTooLarge):
            await put(connection, TABLE, event("ag_1", 1, data=b"x" * (outbox.MAX_EVENT_BYTES + 1)))
        for value in ("line\nbreak", "x" * 2000):
            with pytest.raises(FieldInvalid):
                await put(connection, TABLE, event("ag_1", 1, extensions=(("ledger", value),)))
        assert (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one() == 0


async def test_both_ways_of_writing_leave_the_same_row(database: Database) -> None:
    first, second = event("ag_1", 1), event("ag_1", 1)
    async with database.transaction() as connection:
        await put(connection, TABLE, first)
    await database.write(lambda connection: write_rows(connection, TABLE, [second]))
    wanted = [column for column in TABLE.c if column.name not in {"seq", "id", "written_at"}]
    async with database.reading() as connection:
        one, other = (await connection.execute(select(*wanted).order_by(TABLE.c.seq))).all()
    assert one == other


async def test_a_refused_row_is_an_integrity_error_and_the_writer_goes_on(database: Database) -> None:
    twice = event("ag_1", 1)
    await database.write(lambda connection: write_rows(connection, TABLE, [twice]))
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: write_rows(connection, TABLE, [event("ag_1", 2), twice]))
    assert await pending(database) == 1
    await database.write(lambda connection: write_rows(connection, TABLE, [event("ag_1", 3)]))
    assert await pending(database) == 2

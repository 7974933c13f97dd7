"""The platform's streams on a real nats-server: their limits, who makes them, and that old ones get them too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import RetentionPolicy, StreamConfig
from nats.js.errors import APIError, NotFoundError

from services.kernel import events
from services.kernel.errors import ServiceUnavailable
from services.kernel.events import job_subject
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import StreamSettings
from services.kernel.runtime.streams import MAX_JOB_BYTES
from tests.support.bus import event
from tests.support.nats_server import NatsServer
from tests.support.rpc import make_runtime

STREAMS = (events.STREAM_JOBS, events.STREAM_EVENTS, events.STREAM_RESULTS, events.STREAM_PARKED)
SMALL = {"events_bytes": 2**20, "results_bytes": 2**20, "parked_bytes": 2**20}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    running = NatsServer(tmp_path / "nats").start()
    yield running
    running.kill()


@asynccontextmanager
async def opened(server: NatsServer, **streams: Any) -> AsyncIterator[Bus]:
    settings = server.settings().model_copy(update={"streams": StreamSettings(**streams)})
    async with Bus.opened(settings, make_runtime()) as bus:
        yield bus


async def taken(bus: Bus, subject: str, number: int) -> list[bool]:
    outcomes = await bus.publish_many([event(subject) for _ in range(number)])
    return [failure is None for failure in outcomes]


async def stores(bus: Bus, subject: str, data: bytes) -> bool:
    try:
        await bus.publish_raw(subject, data, {})
    except ServiceUnavailable:
        return False
    return True


async def test_a_client_that_fills_its_queue_fills_no_other(server: NatsServer) -> None:
    async with opened(server, jobs_per_subject=3) as bus:
        assert await taken(bus, job_subject("cl_greedy"), 5) == [True, True, True, False, False]
        (refusal,) = await bus.publish_many([event(job_subject("cl_greedy"))])
        assert isinstance(refusal, APIError), "the server's own word, not a time-out"
        assert await taken(bus, job_subject("cl_greedy", "high"), 1) == [True]
        assert await taken(bus, job_subject("cl_other"), 1) == [True]
        info = await (await bus.until_connected()).stream_info(events.STREAM_JOBS)
    # What was accepted is still there: a full queue refuses, it does not drop.
    assert info.state.messages == 5


async def test_a_stream_that_is_full_leaves_room_for_the_others(server: NatsServer) -> None:
    async with opened(server, jobs_bytes=2**20) as bus:
        data = bytes(MAX_JOB_BYTES - 1024)
        stored = 0
        while await stores(bus, job_subject(f"cl_{stored % 3}"), data):
            stored += 1
        assert 0 < stored < 10
        await bus.publish(event(events.event_subject("signature", "completed", "ag_1")))


async def test_a_job_that_is_too_large_is_refused(server: NatsServer) -> None:
    async with opened(server) as bus:
        with pytest.raises(ServiceUnavailable):
            await bus.publish_raw(job_subject("cl_1"), bytes(MAX_JOB_BYTES + 1), {})


async def test_streams_without_limits_get_them(server: NatsServer) -> None:
    async with opened(server, made_here=()) as bus:
        jetstream = await bus.until_connected()
        for name, subject in zip(STREAMS, ("job", "event", "result", "parked"), strict=True):
            retention = RetentionPolicy.WORK_QUEUE if name == events.STREAM_JOBS else RetentionPolicy.LIMITS
            await jetstream.add_stream(
                StreamConfig(name=name, subjects=[f"kyso.{subject}.>"], retention=retention)
            )
        await bus.publish(event(job_subject("cl_1")))
    async with opened(server, jobs_per_subject=1, jobs_bytes=3 * 2**20, **SMALL) as bus:
        jetstream = await bus.until_connected()
        limits = {name: (await jetstream.stream_info(name)).config.max_bytes for name in STREAMS}
        assert limits == dict.fromkeys(STREAMS, 2**20) | {events.STREAM_JOBS: 3 * 2**20}
        assert await taken(bus, job_subject("cl_1"), 1) == [False]
        before = {name: (await jetstream.stream_info(name)).created for name in STREAMS}
        assert (await jetstream.stream_info(events.STREAM_JOBS)).state.messages == 1
    async with opened(server, jobs_per_subject=2, jobs_bytes=2**20, **SMALL) as bus:
        jetstream = await bus.until_connected()
        assert await taken(bus, job_subject("cl_1"), 2) == [True, False]
        assert {name: (await jetstream.stream_info(name)).created for name in STREAMS} == before


async def test_a_process_makes_the_streams_that_are_its_own(server: NatsServer) -> None:
    async with opened(server, made_here=(events.STREAM_JOBS, events.STREAM_RESULTS)) as bus:
        jetstream = await bus.until_connected()

        async def is_there(name: str) -> bool:
            try:
                await jetstream.stream_info(name)
            except NotFoundError:
                return False
            return True

        assert await asyncio.gather(*(is_there(name) for name in STREAMS)) == [True, False, True, False]

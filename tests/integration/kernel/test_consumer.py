"""Pull consumers against a real nats-server: what becomes of each message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from nats.aio.client import Client

from services.kernel.errors import DocumentNotPdf, HsmUnavailable
from services.kernel.events import (
    STREAM_JOBS,
    job_subject,
)
from services.kernel.runtime import consumer as consumer_module
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.consumer import (
    ConsumerLimits,
    Disposition,
    HandleBatch,
    Message,
    Park,
    PullConsumer,
    Verdict,
)
from services.kernel.runtime.ending import end
from services.kernel.values import new_id
from tests.support.bus import consuming, event, event_from, parked
from tests.support.nats_server import NatsServer, eventually
from tests.support.rpc import make_runtime


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.opened(nats_server.settings(), make_runtime()) as opened:
        yield opened


async def test_each_message_of_a_batch_gets_its_own_decision(bus: Bus) -> None:
    client = new_id("cl")
    seen: list[str] = []
    wanted: dict[str, list[Verdict]] = {
        "done": [Disposition.ACK],
        "again": [Disposition.RETRY, Disposition.ACK],
        "odd": [Park("FIELD_INVALID: line one\nline two")],
        "plain": [Disposition.PARK],
    }

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        names = [event_from(message).subject for message in messages]
        seen.extend(names)
        return [wanted[name].pop(0) for name in names]

    subject = job_subject(client)
    assert await bus.publish_many([event(subject, name) for name in wanted]) == [None] * 4
    async with parked(bus, client) as aside, consuming(bus, STREAM_JOBS, client, subject, handle):
        await eventually(lambda: len(seen) == 5 and len(aside) == 2)
    assert sorted(seen) == ["again", "again", "done", "odd", "plain"]
    reasons = {event_from(message).subject: message.headers["kyso-reason"] for message in aside}
    assert reasons == {"odd": "FIELD_INVALID: line one line two", "plain": "parked by its handler"}
    assert {message.headers["kyso-subject"] for message in aside} == {subject}


async def test_one_bad_message_takes_no_other_along(bus: Bus) -> None:
    client = new_id("cl")
    done: list[str] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        names = [event_from(message).subject for message in messages]
        if "bad" in names:
            raise DocumentNotPdf("not a PDF")
        done.extend(names)
        return [Disposition.ACK] * len(names)

    subject = job_subject(client)
    await bus.publish_many([event(subject, name) for name in ("a", "bad", "b")])
    async with parked(bus, client) as aside, consuming(bus, STREAM_JOBS, client, subject, handle):
        await eventually(lambda: len(done) == 2 and len(aside) == 1)
    assert done == ["a", "b"]
    assert aside[0].headers["kyso-reason"] == "DOCUMENT_NOT_PDF: not a PDF"


async def _dies(messages: Sequence[Message]) -> list[Verdict]:
    raise ZeroDivisionError


async def _parks(messages: Sequence[Message]) -> list[Verdict]:
    return [Park("FIELD_INVALID")] * len(messages)


@pytest.mark.parametrize("handle", [_parks, _dies])
@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (
            b'{"access_token": "eyJ", "reference": "s\xe1\xbb\x91"}',
            b'{"access_token":"","reference":"s\xe1\xbb\x91"}',
        ),
        (
            b'{"access_token": "eyJ", "access\\u005ftoken": "eyJ", "n": "\\ud800"}',
            b'{"access_token":"","n":"?"}',
        ),
        (b'{"access_token": "eyJ",', b""),
        (b'["eyJ"]', b""),
        (b'{"reference": 1}', b'{"reference": 1}'),
    ],
)
async def test_a_secret_does_not_outlive_its_message(
    bus: Bus, handle: HandleBatch, data: bytes, kept: bytes
) -> None:
    client = new_id("cl")
    subject = job_subject(client)
    limits = ConsumerLimits(attempts=1, secret_fields=frozenset({"access_token"}))
    await bus.publish_raw(subject, data, {})
    async with parked(bus, client) as aside, consuming(bus, STREAM_JOBS, client, subject, handle, limits):
        await eventually(lambda: len(aside) == 1)
    assert aside[0].data == kept


@pytest.mark.parametrize("failure", [HsmUnavailable("no worker"), ZeroDivisionError("secret text")])
async def test_what_never_succeeds_is_parked_after_its_attempts(bus: Bus, failure: Exception) -> None:
    client = new_id("cl")
    deliveries: list[int] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        deliveries.extend(message.deliveries for message in messages)
        raise failure

    subject = job_subject(client)
    await bus.publish(event(subject))
    limits = ConsumerLimits(attempts=2)
    async with parked(bus, client) as aside, consuming(bus, STREAM_JOBS, client, subject, handle, limits):
        await eventually(lambda: len(aside) == 1)
    assert deliveries == [1, 2]
    assert aside[0].headers["kyso-reason"] == f"failed 2 times, at last with {type(failure).__name__}"


async def test_a_message_that_kills_its_consumers_is_parked_without_another_try(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "FETCH_SECONDS", 0.5)
    client = new_id("cl")
    deliveries: list[int] = []
    taken = asyncio.Event()

    async def die(messages: Sequence[Message]) -> list[Verdict]:
        deliveries.extend(message.deliveries for message in messages)
        taken.set()
        await asyncio.Event().wait()
        return []

    subject, limits = job_subject(client), ConsumerLimits(attempts=2, ack_wait_seconds=0.5)
    await bus.publish(event(subject))
    for _ in range(2):
        taken.clear()
        async with consuming(bus, STREAM_JOBS, client, subject, die, limits):
            await asyncio.wait_for(taken.wait(), 20)
    async with parked(bus, client) as aside, consuming(bus, STREAM_JOBS, client, subject, die, limits):
        await eventually(lambda: len(aside) == 1)
    assert deliveries == [1, 2]
    assert aside[0].headers["kyso-reason"] == "not finished in 2 deliveries"


async def test_long_work_is_not_delivered_again_meanwhile(bus: Bus) -> None:
    client = new_id("cl")
    deliveries: list[tuple[str, int]] = []
    quick = event(job_subject(client), "probe")

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        deliveries.extend((event_from(message).subject, message.deliveries) for message in messages)
        if len(deliveries) == 1:
            # Longer than ack_wait several times over; the loop's clock is the thing under test.
            await asyncio.sleep(2.0)
        return [Disposition.ACK] * len(messages)

    limits = ConsumerLimits(batch=1, ack_wait_seconds=0.5)
    await bus.publish(event(job_subject(client), "long"))
    async with consuming(bus, STREAM_JOBS, client, job_subject(client), handle, limits):
        await eventually(lambda: len(deliveries) == 1)
        await bus.publish(quick)
        await eventually(lambda: ("probe", 1) in deliveries)
    assert deliveries == [("long", 1), ("probe", 1)]


async def test_lag_and_outcomes_are_measured(nats_server: NatsServer) -> None:
    runtime, client = make_runtime(), new_id("cl")

    def metric(name: str, **labels: str) -> float | None:
        labels |= {"stream": STREAM_JOBS, "consumer": client}
        return runtime.telemetry.registry.get_sample_value(name, labels)

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        return [Disposition.ACK] * len(messages)

    async with Bus.opened(nats_server.settings(), runtime) as bus:
        assert runtime.telemetry.registry.get_sample_value("kyso_bus_connected") == 1
        await bus.publish_many([event(job_subject(client)) for _ in range(3)])
        async with consuming(bus, STREAM_JOBS, client, job_subject(client), handle):
            await eventually(lambda: metric("kyso_consumer_lag") == 3)
            await eventually(lambda: metric("kyso_consumer_messages_total", outcome="ack") == 3)


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_that_comes_together_with_a_message_ends_the_consumer(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """From the message's arrival to the fetch's end it takes some turns of the loop; in one the library is deaf."""
    client = new_id("cl")
    loop, process = asyncio.get_running_loop(), Client._process_msg
    ends: list[asyncio.Task[None]] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        return [Disposition.ACK] * len(messages)

    consumer = PullConsumer(bus, STREAM_JOBS, client, job_subject(client), handle)
    running = asyncio.create_task(consumer.run())

    def stop_after(left: int) -> None:
        if left:
            loop.call_soon(stop_after, left - 1)
        else:
            ends.append(loop.create_task(end(running)))

    async def arrives(self: Client, sid: int, subject: bytes, *rest: Any) -> None:
        await process(self, sid, subject, *rest)
        if subject.decode() == job_subject(client) and not ends:
            stop_after(turns)

    monkeypatch.setattr(Client, "_process_msg", arrives)
    await bus.publish(event(job_subject(client)))
    await eventually(lambda: ends, what="the message's arrival")
    async with asyncio.timeout(20):
        await ends[0]
    assert running.done()

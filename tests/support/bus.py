"""Events to publish, and consumers to look with, for tests that use a real bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from services.kernel.events import STREAM_JOBS, STREAM_PARKED, Event
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.consumer import (
    ConsumerLimits,
    Disposition,
    HandleBatch,
    Message,
    PullConsumer,
    Verdict,
)
from services.kernel.runtime.ending import end
from services.kernel.values import new_id


def event(subject: str, about: str = "op_1") -> Event:
    return Event(
        id=new_id("ev"),
        type="kyso.test",
        source="kyso/test",
        subject=about,
        time=datetime.now(UTC),
        data=json.dumps({"about": about}).encode(),
        nats_subject=subject,
    )


def event_from(message: Message) -> Event:
    """The event whose CloudEvents headers (NATS binding, binary mode) the message has."""
    envelope = {
        name.removeprefix("ce-"): text for name, text in message.headers.items() if name.startswith("ce-")
    }
    assert envelope.pop("specversion") == "1.0"
    return Event(
        id=envelope.pop("id"),
        type=envelope.pop("type"),
        source=envelope.pop("source"),
        subject=envelope.pop("subject"),
        time=datetime.fromisoformat(envelope.pop("time")),
        data=message.data,
        nats_subject=message.subject,
        extensions=tuple(envelope.items()),
    )


@asynccontextmanager
async def consuming(
    bus: Bus,
    stream: str,
    durable: str,
    subject: str,
    handle: HandleBatch,
    limits: ConsumerLimits | None = None,
) -> AsyncIterator[None]:
    task = asyncio.create_task(PullConsumer(bus, stream, durable, subject, handle, limits).run())
    try:
        yield
    finally:
        await end(task)


@asynccontextmanager
async def parked(bus: Bus, durable: str, stream: str = STREAM_JOBS) -> AsyncIterator[list[Message]]:
    """Collect what one consumer parked."""
    got: list[Message] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        got.extend(messages)
        return [Disposition.ACK] * len(messages)

    subject = f"kyso.parked.{stream}.{durable}"
    async with consuming(bus, STREAM_PARKED, f"look-{durable}", subject, handle):
        yield got

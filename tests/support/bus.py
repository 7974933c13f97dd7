"""Events to publish, and consumers to look with, for tests that use a real bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from services.kernel.events import STREAM_JOBS, STREAM_PARKED, Event
from services.kernel.runtime.bus import Bus, Disposition, Message, PullConsumer
from services.kernel.runtime.consumer import ConsumerLimits, HandleBatch, Verdict
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

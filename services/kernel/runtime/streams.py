"""The four streams of the platform, made or brought up to date by whichever service comes first."""

from __future__ import annotations

from typing import Any

import nats
from nats.js import JetStreamContext
from nats.js import api as js
from structlog.typing import FilteringBoundLogger

from services.kernel import events

DUPLICATE_WINDOW_SECONDS = 120.0
MAX_MESSAGE_BYTES = 768 * 1024
"""Below NATS' own limit of 1 MiB, so that a parked message fits with the headers that say why."""
DAY = 24 * 3600.0

_COMPARED = ("subjects", "num_replicas", "duplicate_window", "max_age", "max_msg_size", "discard")


def _streams(replicas: int) -> list[js.StreamConfig]:
    def stream(name: str, subject: str, **rest: Any) -> js.StreamConfig:
        return js.StreamConfig(
            name=name,
            subjects=[subject],
            storage=js.StorageType.FILE,
            num_replicas=replicas,
            duplicate_window=DUPLICATE_WINDOW_SECONDS,
            max_msg_size=MAX_MESSAGE_BYTES,
            **rest,
        )

    return [
        # A full queue refuses new jobs; it never drops one that was accepted.
        stream(
            events.STREAM_JOBS,
            "kyso.job.>",
            retention=js.RetentionPolicy.WORK_QUEUE,
            discard=js.DiscardPolicy.NEW,
            max_msgs=1_000_000,
        ),
        stream(events.STREAM_EVENTS, "kyso.event.>", retention=js.RetentionPolicy.LIMITS, max_age=30 * DAY),
        stream(events.STREAM_RESULTS, "kyso.result.>", retention=js.RetentionPolicy.LIMITS, max_age=7 * DAY),
        stream(events.STREAM_PARKED, "kyso.parked.>", retention=js.RetentionPolicy.LIMITS, max_age=365 * DAY),
    ]


async def make_streams(jetstream: JetStreamContext, replicas: int, log: FilteringBoundLogger) -> None:
    """Make what is missing and update what differs; raise nats.errors.Error where the server does not do it."""
    for wanted in _streams(replicas):
        try:
            present = (await jetstream.stream_info(str(wanted.name))).config
        except nats.js.errors.NotFoundError:
            await jetstream.add_stream(wanted)
            log.info("stream_made", stream=wanted.name)
            continue
        if any(getattr(present, field) != getattr(wanted, field) for field in _COMPARED):
            await jetstream.update_stream(wanted)
            log.info("stream_updated", stream=wanted.name)

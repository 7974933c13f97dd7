"""The four streams of the platform: each is made and brought up to date by the process whose settings name it.

Every stream has an end of its own (`max_bytes`), so that none fills the store and takes the others along. The queue of
jobs has one for each subject too, that is for each client and priority: a client that publishes more than is done is
refused, and the others are not.
"""

from __future__ import annotations

from typing import Any

import nats
from nats.js import JetStreamContext
from nats.js import api as js
from structlog.typing import FilteringBoundLogger

from services.kernel import events
from services.kernel.runtime.config import BusSettings

DUPLICATE_WINDOW_SECONDS = 120.0
MAX_MESSAGE_BYTES = 768 * 1024
MAX_JOB_BYTES = 128 * 1024
"""1,000 digests in base64 take 92 kB, an access token at most 8 KiB. Documents do not travel in jobs."""
MAX_PARKED_BYTES = 1024 * 1024
"""NATS' own limit: a parked message has more headers than it had before."""
MAX_JOBS = 1_000_000
DAY = 24 * 3600.0

_COMPARED = (
    "subjects", "num_replicas", "duplicate_window", "max_age", "max_msg_size", "max_bytes", "max_msgs",
    "max_msgs_per_subject", "discard", "discard_new_per_subject",
)  # fmt: skip


def _streams(settings: BusSettings) -> list[js.StreamConfig]:
    limits = settings.streams

    def stream(name: str, subject: str, max_bytes: int, **rest: Any) -> js.StreamConfig:
        fields: dict[str, Any] = {
            "name": name,
            "subjects": [subject],
            "storage": js.StorageType.FILE,
            "num_replicas": settings.replicas,
            "duplicate_window": DUPLICATE_WINDOW_SECONDS,
            "retention": js.RetentionPolicy.LIMITS,
            "max_bytes": max_bytes,
            "max_msgs": -1,
            "max_msg_size": MAX_MESSAGE_BYTES,
        }
        return js.StreamConfig(**(fields | rest))

    return [
        # A full queue refuses new jobs; it never drops one that was accepted.
        stream(
            events.STREAM_JOBS,
            "kyso.job.>",
            limits.jobs_bytes,
            retention=js.RetentionPolicy.WORK_QUEUE,
            discard=js.DiscardPolicy.NEW,
            max_msgs=MAX_JOBS,
            max_msgs_per_subject=limits.jobs_per_subject,
            discard_new_per_subject=True,
            max_msg_size=MAX_JOB_BYTES,
        ),
        stream(events.STREAM_EVENTS, "kyso.event.>", limits.events_bytes, max_age=30 * DAY),
        stream(events.STREAM_RESULTS, "kyso.result.>", limits.results_bytes, max_age=7 * DAY),
        stream(
            events.STREAM_PARKED,
            "kyso.parked.>",
            limits.parked_bytes,
            max_age=365 * DAY,
            max_msg_size=MAX_PARKED_BYTES,
        ),
    ]


async def make_streams(jetstream: JetStreamContext, settings: BusSettings, log: FilteringBoundLogger) -> None:
    """Make what is missing and update what differs, of the streams that this process makes.

    Raises nats.errors.Error where the server does not do it.
    """
    for wanted in _streams(settings):
        if wanted.name not in settings.streams.made_here:
            continue
        try:
            present = (await jetstream.stream_info(str(wanted.name))).config
        except nats.js.errors.NotFoundError:
            await jetstream.add_stream(wanted)
            log.info("stream_made", stream=wanted.name)
            continue
        if any(getattr(present, field) != getattr(wanted, field) for field in _COMPARED):
            await jetstream.update_stream(wanted)
            log.info("stream_updated", stream=wanted.name)

"""Event envelope (CloudEvents 1.0) and every NATS subject. proto/kyso/v1/events.proto documents the payloads.

Standard library only: `runtime/bus.py` moves these, this module knows no client library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from services.kernel.errors import FieldInvalid

STREAM_JOBS = "KYSO_JOBS"
STREAM_EVENTS = "KYSO_EVENTS"
STREAM_RESULTS = "KYSO_RESULTS"
STREAM_PARKED = "KYSO_PARKED"

DIRECTORY_CHANGED = "kyso.directory.changed"
"""Core message of the registry at once after a commit: credential, version, status."""
DIRECTORY_HEARTBEAT = "kyso.directory.heartbeat"
"""Core message of the registry every second: head version and the time of sending."""
DIRECTORY_CONFIRMED = "kyso.directory.confirmed"
"""Core message of a signer that dropped an entry and has no signature under way by it."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact that happened, as CloudEvents 1.0 names its attributes."""

    id: str
    """`id`: unique, also the Nats-Msg-Id and the key by which consumers are idempotent."""
    type: str
    """`type`, such as "kyso.signature.completed"."""
    source: str
    """`source`: "kyso/<service>/<replica>"."""
    subject: str
    """`subject`: the id of the aggregate (credential, signing operation)."""
    time: datetime
    """`time`: when it happened, aware UTC."""
    data: bytes
    """`data`: one JSON object, UTF-8 (`datacontenttype` application/json)."""
    nats_subject: str
    """Where it is published."""
    extensions: tuple[tuple[str, str], ...] = ()
    """CloudEvents extension attributes: (name of lower-case letters and digits, text); sent as headers `ce-<name>`."""


def _token(value: str, what: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise FieldInvalid(f"{what} cannot be part of a NATS subject", field=what)
    return value


def event_subject(aggregate: str, verb: str, agency_id: str) -> str:
    """Return `kyso.event.<aggregate>.<verb>.<agency id>`."""
    return (
        f"kyso.event.{_token(aggregate, 'aggregate')}.{_token(verb, 'verb')}.{_token(agency_id, 'agency_id')}"
    )


def job_subject(client_id: str, priority: str = "normal") -> str:
    """Return `kyso.job.<client id>.sign.<priority>`; a client's own NATS user may publish to its own only."""
    return f"kyso.job.{_token(client_id, 'client_id')}.sign.{_token(priority, 'priority')}"


def client_of_job(subject: str) -> str:
    """Return the client id that a job subject names; raise FieldInvalid for any other subject."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[:2] != ["kyso", "job"] or parts[3] != "sign":
        raise FieldInvalid("not a job subject", field="subject")
    return parts[2]


def result_subject(client_id: str, operation_id: str) -> str:
    """Return `kyso.result.<client id>.<operation id>`; a client's own NATS user may read its own only."""
    return f"kyso.result.{_token(client_id, 'client_id')}.{_token(operation_id, 'operation_id')}"


def parked_subject(stream: str, durable: str) -> str:
    """Return `kyso.parked.<stream>.<durable>`."""
    return f"kyso.parked.{_token(stream, 'stream')}.{_token(durable, 'durable')}"

"""What the signer publishes about asynchronous operations (SigningJob and OperationEnded in events.proto)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.kernel.errors import BatchTooLarge
from services.kernel.events import Event, event_subject, job_subject, result_subject
from services.kernel.values import KeyAlgorithm, new_id
from services.signer.domain import ItemFailure, State
from services.signer.ledger import PLATFORM, Facts
from services.signer.service.levels import Reached
from services.signer.service.outcomes import ItemOutcome
from services.signer.service.steps import Selected

MAX_RESULT_BYTES = 512 * 1024
"""Of one result, as JSON: a larger message never leaves the outbox."""
_FRAME_BYTES = 1024
"""Of it for everything but the signatures."""


def job_event(facts: Facts, replica: str, at: datetime) -> Event:
    """Make the message that queues an accepted operation."""
    return Event(
        id=new_id("ev"),
        type="kyso.job.sign",
        source=f"kyso/signer/{replica}",
        subject=facts.operation_id,
        time=at,
        data=_json({"operation_id": facts.operation_id}),
        nats_subject=job_subject(facts.client_id),
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How an asynchronous operation ended."""

    facts: Facts
    state: State
    at: datetime
    failure: ItemFailure | None = None
    outcomes: Sequence[ItemOutcome] = ()
    """Of a job with digests; empty for documents."""
    job_id: str = ""
    reached: Reached | None = None
    """Of a signed document."""


def ended_events(ended: Ended, replica: str) -> tuple[Event, ...]:
    """Make the event for systems with a permission and the result for the client that asked.

    Their ids follow from what they tell: a job that is done again after a crash tells the same thing once, and an
    operation that first failed and then signed tells both.
    """
    facts, is_signed = ended.facts, ended.state is State.SIGNED
    word: dict[str, Any] = {
        "operation_id": facts.operation_id,
        "state": ended.state.value,
        "client_id": facts.client_id,
        "error_code": ended.failure.code if ended.failure else "",
        "error_message": ended.failure.message if ended.failure else "",
        "job_id": ended.job_id,
        "level": ended.reached.level.value if ended.reached else "",
        "level_missed": ended.reached.missed.code if ended.reached and ended.reached.missed else "",
    }
    told = hashlib.sha256(_json(word)).hexdigest()[:8]
    word["time"] = ended.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    verb = "completed" if is_signed else "failed"
    result = dict(word)
    if ended.outcomes:
        result["signatures"] = [
            base64.b64encode(outcome).decode() if isinstance(outcome, bytes) else ""
            for outcome in ended.outcomes
        ]

    def event(suffix: str, data: dict[str, Any], nats_subject: str) -> Event:
        return Event(
            id=f"{facts.operation_id}_{ended.state.value}_{told}_{suffix}",
            type=f"kyso.operation.{verb}",
            source=f"kyso/signer/{replica}",
            subject=facts.operation_id,
            time=ended.at,
            data=_json(data),
            nats_subject=nats_subject,
        )

    return (
        event("ended", word, event_subject("operation", verb, facts.agency_id or PLATFORM)),
        event("result", result, result_subject(facts.client_id, facts.operation_id)),
    )


def require_result_fits(selected: Selected, signatures: int) -> None:
    """Raise BatchTooLarge where so many signatures of this key are more than one result takes."""
    algorithm = selected.key.algorithm
    most = (MAX_RESULT_BYTES - _FRAME_BYTES) // (4 * -(-_signature_bytes(algorithm) // 3) + len('"",'))
    if signatures > most:
        raise BatchTooLarge(
            f"{signatures} signatures by a key {algorithm.label} are more than one result message takes; "
            f"send jobs of at most {most} digests",
            field="digests",
            limit=most,
        )


def _signature_bytes(algorithm: KeyAlgorithm) -> int:
    if algorithm.family == "RSA":
        return algorithm.bits // 8
    # ECDSA-Sig-Value, DER: two integers with a byte before a set highest bit, and three heads.
    return 2 * (algorithm.bits // 8 + 1) + 3 * 2 + 1


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

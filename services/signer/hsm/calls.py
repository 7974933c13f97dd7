"""What waits for a token and what is at a worker: the calls, the commands, the frames sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.kernel.errors import DomainError, HsmOutcomeUnknown, HsmTimeout, HsmUnavailable
from services.signer.hsm.process import WorkerProcess
from services.signer.hsm.types import HsmKeyMismatch, HsmKeyMissing, HsmRefused, ItemOutcome
from services.signer.hsm.wire import FrameKind, Status

PIN_REFUSED = "hsm: PIN refused"


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """How a group is to be run: the HELLO fields for its workers, and its numbers."""

    name: str
    hello: Mapping[str, Any]
    environment: Mapping[str, str]
    workers: int
    sessions: int
    timeout: float
    generate_timeout: float
    start_timeout: float
    queue_limit: int


Admit = Callable[[], float | None]
"""Asked just before a part of a call is handed over: raises the DomainError that forbids it, or returns the moment of
`time.monotonic()` from which on nothing of the part may begin in the token; None where there is no such moment."""


@dataclass(slots=True, eq=False)
class Call:
    """The digests of one caller under one key. `head` is the packed key and algorithm."""

    head: bytes
    mechanism: str
    digests: Sequence[bytes]
    admit: Admit | None
    done: asyncio.Future[None]
    waiting_since: float
    outcomes: list[ItemOutcome | None] = field(default_factory=list)
    next: int = 0
    unfinished: int = 0
    late: list[int] = field(default_factory=list)
    """Items that were handed over and came back untouched, because their deadline had passed."""

    def settle(self, start: int, outcomes: Sequence[ItemOutcome]) -> None:
        """Note the outcomes of items start, start + 1, ...; wake the caller after the last."""
        self.outcomes[start : start + len(outcomes)] = outcomes
        self.unfinished -= len(outcomes)
        if self.unfinished == 0 and not self.done.done():
            self.done.set_result(None)

    def settle_rest(self, error: DomainError) -> None:
        """Give all items that were not handed over the same outcome."""
        start, self.next = self.next, len(self.digests)
        self.settle(start, [error] * (len(self.digests) - start))


@dataclass(slots=True, eq=False)
class Command:
    """Anything but signing. `alone`: nothing else may run in the worker meanwhile."""

    kind: FrameKind
    fields: dict[str, Any]
    alone: bool
    timeout: float
    done: asyncio.Future[dict[str, Any]]
    waiting_since: float


@dataclass(slots=True, eq=False)
class Sent:
    """A frame at a worker: (call, first item, items) of each job, or one command; and its deadline's length."""

    jobs: list[tuple[Call, int, int]]
    command: Command | None
    at: float
    timeout: float


def send_command(worker: WorkerProcess, command: Command, now: float) -> None:
    """Send a command to a worker and note that it is there."""
    frame_id = worker.new_frame_id()
    worker.outstanding[frame_id] = Sent([], command, now, command.timeout)
    worker.send_command(frame_id, command.kind, command.fields)


def failure(name: str, status: Status, reason: str) -> DomainError:
    """Make the error of an item or command from what the worker says of it; `name` is the token group's."""
    match status:
        case Status.KEY_MISSING:
            return HsmKeyMissing(
                f"the token group {name!r} does not hold this key once ({reason})", reason=reason
            )
        case Status.KEY_MISMATCH:
            return HsmKeyMismatch(f"the key in token group {name!r} is not the one recorded: it is not used")
        case Status.REFUSED:
            return HsmRefused(f"the token group {name!r} refuses this operation ({reason})", reason=reason)
        case Status.UNKNOWN:
            return HsmOutcomeUnknown(
                f"the token failed during the operation ({reason}): it may have signed, nothing was released",
                reason=reason,
            )
        case Status.PIN:
            return HsmUnavailable(f"the token group {name!r} refused its PIN", reason=PIN_REFUSED)
        case Status.LATE:
            return HsmTimeout(
                f"the token group {name!r} was busy for longer than the check before signing holds: "
                "nothing was signed, retry later",
                reason=reason,
            )
        case _:
            return HsmUnavailable(
                f"the token group {name!r} lost its token ({reason}): nothing was signed, retry",
                reason=reason,
            )

"""Intents of which nobody knows whether they were recorded: the answer to their commit never came.

Nothing reached the HSM under such an intent, because its call ended with an error. Where the row is there all the same
it is ended as a failure that may be taken up again, instead of blocking its key until the lease is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.signer.domain import State
from services.signer.ports import Intent

MAX_DOUBTFUL = 8192
"""Beyond this many the lease decides, as it does where this process dies."""
LATE_SECONDS = 15.0
"""A commit may still arrive at a database that was cut off; it gives up a dead client sooner than this."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One such intent."""

    intent: Intent
    before: State | None
    """What the row was before; None: there was none."""
    since: float
    """Monotonic, seconds."""


class Doubtful:
    """What is in doubt in this process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` tells seconds."""
        self._monotonic = monotonic
        self._doubts: dict[str, Doubt] = {}

    def __contains__(self, operation_id: object) -> bool:
        """Whether this operation may not be begun again yet."""
        return operation_id in self._doubts

    def add(self, intent: Intent, before: State | None) -> None:
        """Remember an intent whose commit failed."""
        if len(self._doubts) < MAX_DOUBTFUL:
            self._doubts[intent.id] = Doubt(intent, before, self._monotonic())

    def oldest(self, limit: int) -> list[Doubt]:
        """Return some, the oldest first."""
        return [doubt for doubt, _ in zip(self._doubts.values(), range(limit), strict=False)]

    def settled(self, operation_id: str) -> None:
        """Forget one whose row was put in order."""
        self._doubts.pop(operation_id, None)

    def absent(self, operation_id: str) -> None:
        """Take the word that its row is not begun; forget it once no late commit can come any more."""
        doubt = self._doubts.pop(operation_id, None)
        if doubt is not None and self._monotonic() - doubt.since < LATE_SECONDS:
            self._doubts[operation_id] = doubt

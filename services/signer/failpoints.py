"""Failpoints for fault tests: the process kills itself at the edge of a numbered step, as a power cut would.

They exist only where the settings say `development = true` (config.py refuses them elsewhere).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from services.kernel.events import Event

if TYPE_CHECKING:
    # The steps reach failpoints, and must not reach the database through them.
    from services.kernel.runtime.outbox import Publisher

FailpointName = Literal[
    "intent_recorded",
    "before_hsm",
    "after_hsm",
    "before_outcome",
    "after_outcome",
    "before_answer",
    "before_publish",
]


class Failpoint:
    """Kills the process (SIGKILL) when the named point is reached for the given time; does nothing without a name."""

    def __init__(self, name: FailpointName | None = None, after: int = 1) -> None:
        """`after`: at which reaching, from 1."""
        self._name = name
        self._left = after

    def reach(self, name: FailpointName) -> None:
        """Be at a point."""
        if name != self._name:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class BeforePublish:
    """A publisher that reaches its failpoint before each batch."""

    def __init__(self, bus: Publisher, failpoint: Failpoint) -> None:
        """Stand before the bus."""
        self._bus, self._failpoint = bus, failpoint

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the bus now."""
        return self._bus.connected

    async def publish_many(self, events: Sequence[Event]) -> list[Exception | None]:
        """Publish, unless the process is to die before."""
        self._failpoint.reach("before_publish")
        return await self._bus.publish_many(events)

"""Serial numbers that never come twice, and a time that never runs back.

Numbers are taken from the database in blocks, one durable statement a block; what a stop leaves of a block is lost.
Each block carries the newest time that was known to any replica, so that a clock that was set back is found after a
restart too, and on another machine.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from services.kernel.errors import DomainError
from services.signer.tsa.structures import FailInfo, Refusal

BLOCK_SECONDS = 10.0
"""A block ends after this time even if numbers are left: so old may be the newest durable time."""
FAILURE_SECONDS = 1.0
"""For so long after the database failed it is not asked again: requests must not queue up behind it."""
RANDOM_BYTES = 8
"""Behind each number. They keep serial numbers apart even after the database was restored from an old back-up."""


@dataclass(frozen=True, slots=True)
class Block:
    """Numbers `first` to `first + count - 1`, and the newest time known when they were given."""

    first: int
    count: int
    newest: datetime


class SerialStore(Protocol):
    """Where blocks come from (store/serials.py)."""

    async def allocate(self, authority: str, count: int, now: datetime) -> Block:
        """Give a block that nobody was given before, durably; remember `now` if nothing newer is known."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What makes a token unique: serial number (at most 127 bits) and genTime (whole milliseconds, UTC)."""

    serial: int
    time: datetime


class Serials:
    """The serial numbers of one authority on one replica."""

    def __init__(
        self,
        store: SerialStore,
        authority: str,
        count: int,
        accuracy: timedelta,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`count` is the size of a block; a clock more than `accuracy` behind the newest time is not believed."""
        self._store, self._authority, self._count = store, authority, count
        self._accuracy, self._clock, self._monotonic = accuracy, clock, monotonic
        self._filling = asyncio.Lock()
        self._next = self._end = 0
        self._until = self._failed_until = float("-inf")
        self._failure: DomainError | None = None
        self._newest = datetime.min.replace(tzinfo=UTC)
        self.blocks = 0
        """Blocks taken since the start."""

    @property
    def left(self) -> int:
        """Numbers left of the block in hand."""
        return self._end - self._next

    async def take(self) -> Moment:
        """Give the next serial number and the time.

        Raise Refusal (timeNotAvailable) where the clock ran back, ServiceUnavailable where no block can be had.
        """
        while not self._usable():
            async with self._filling:
                if not self._usable():
                    await self._fill()
        # Nothing waits from here on: number and time belong together, and no other request comes between.
        now = self._clock()
        if now < self._newest - self._accuracy:
            raise Refusal(FailInfo.TIME_NOT_AVAILABLE, "the clock is behind an earlier time-stamp; try later")
        self._newest = max(self._newest, now)
        number, self._next = self._next, self._next + 1
        serial = number << 8 * RANDOM_BYTES | int.from_bytes(os.urandom(RANDOM_BYTES), "big")
        return Moment(serial, now.replace(microsecond=now.microsecond // 1000 * 1000))

    async def settle(self) -> None:
        """Make the newest time durable, before a stop."""
        if self.blocks:
            await self._store.allocate(self._authority, 0, self._newest)

    def _usable(self) -> bool:
        return self._next < self._end and self._monotonic() < self._until

    async def _fill(self) -> None:
        if self._failure is not None and self._monotonic() < self._failed_until:
            raise self._failure
        # What this replica has stamped since its last block becomes durable with the next one.
        now = max(self._clock(), self._newest)
        try:
            block = await self._store.allocate(self._authority, self._count, now)
        except DomainError as error:
            self._failure, self._failed_until = error, self._monotonic() + FAILURE_SECONDS
            raise
        self._failure = None
        self._next, self._end = block.first, block.first + block.count
        self._newest = max(self._newest, block.newest)
        self._until = self._monotonic() + BLOCK_SECONDS
        self.blocks += 1

"""Values from outside, kept in memory for as long as they say, and fetched once however many ask at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.verifier.egress.hosts import EgressError

FAILURE_SECONDS = 2.0
"""How long a failure is answered again without asking: it spares a host the rest of a burst, and nothing more."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A value, its size in bytes, and the seconds for which it may be kept; 0 or less: not at all."""

    value: T
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    outcome: T | EgressError
    size: int
    until: float


class ValueCache(Generic[T]):
    """Bounded by entries and by bytes; what was used longest ago goes first."""

    def __init__(self, max_entries: int, max_bytes: int, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._max_entries, self._max_bytes, self._clock = max_entries, max_bytes, clock
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()
        self._fetching: dict[Hashable, asyncio.Task[T]] = {}
        self.bytes = 0
        """Size of what is kept."""

    async def get(
        self, key: Hashable, fetch: Callable[[], Awaitable[Kept[T]]], on_hit: Callable[[], None]
    ) -> T:
        """Return what is kept under the key, else what `fetch` gives; whoever comes meanwhile gets the same.

        Raises the EgressError of `fetch`. A caller that gives up does not end the fetch: others may wait for it, and it
        has a time limit of its own.
        """
        entry = self._fresh(key)
        if entry is not None:
            on_hit()
            if isinstance(entry.outcome, EgressError):
                raise EgressError(entry.outcome.reason, entry.outcome.detail)
            return entry.outcome
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._fetch(key, fetch))
            task.add_done_callback(_look_at)
        else:
            on_hit()
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End what is being fetched."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fresh(self, key: Hashable) -> _Entry[T] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry.until:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    async def _fetch(self, key: Hashable, fetch: Callable[[], Awaitable[Kept[T]]]) -> T:
        try:
            kept = await fetch()
        except EgressError as error:
            self._keep(key, _Entry(error, 0, self._clock() + FAILURE_SECONDS))
            raise
        else:
            self._keep(key, _Entry(kept.value, kept.size, self._clock() + kept.seconds))
            return kept.value
        finally:
            del self._fetching[key]

    def _keep(self, key: Hashable, entry: _Entry[T]) -> None:
        self._drop(key)
        if entry.until <= self._clock() or entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self.bytes += entry.size
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        with contextlib.suppress(KeyError):
            self.bytes -= self._entries.pop(key).size


def _look_at(task: asyncio.Task[T]) -> None:
    # A failure that nobody waited for to the end is no unforeseen one.
    if not task.cancelled():
        task.exception()

"""How often a client, or an address, may ask (token buckets), and how much at once. Each replica counts for itself."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.kernel.errors import Overloaded, RateLimited

MAX_BUCKETS = 10_000


class RateLimit:
    """One limit: `per_second` on average, `burst` at once. A rate of 0 lets everything pass."""

    def __init__(self, per_second: float, burst: int, monotonic: Callable[[], float]) -> None:
        """Take the rate, the burst and the clock in seconds."""
        self._rate = per_second
        self._burst = float(burst)
        self._monotonic = monotonic
        # Least recently used first: whoever is thrown out has been full again for longest.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> None:
        """Count one request; raise RateLimited, with the seconds to wait, where there are too many."""
        if self._rate <= 0:
            return
        now = self._monotonic()
        tokens, at = self._buckets.pop(who, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        if tokens < 1:
            self._buckets[who] = (tokens, now)
            wait = max(1, math.ceil((1 - tokens) / self._rate))
            raise RateLimited(f"too many requests; try again in {wait} s", retry_after=wait)
        self._buckets[who] = (tokens - 1, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)


class Places:
    """How many requests are worked on at once: `maximum` in all, `each` of one address (0: no such limit)."""

    def __init__(self, maximum: int, each: int = 0) -> None:
        """Take the two limits."""
        self._maximum, self._each = maximum, each
        self._taken = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Hold a place for the length of a block; raise RateLimited where `who` has its share, Overloaded at the end of all."""
        if self._each and self._of[who] >= self._each:
            raise RateLimited(
                f"this address has {self._each} requests under way; wait for one to end", retry_after=1
            )
        if self._taken >= self._maximum:
            raise Overloaded("the gateway is working on as many requests as it can; try again shortly")
        self._taken += 1
        self._of[who] += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._of[who] -= 1
            if not self._of[who]:
                # Addresses come and go: what is not under way is not remembered.
                del self._of[who]

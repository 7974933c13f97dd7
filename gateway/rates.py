"""Token buckets in memory: how often a client, or an address, may ask. Each replica counts for itself."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from services.kernel.errors import RateLimited

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

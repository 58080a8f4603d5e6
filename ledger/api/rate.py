"""How often a caller may ask: a token bucket for each, in this process's memory, known by the hash of its token.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371): each
request moves it on by `1 / per second`, and is refused where it lies more than `BURST_SECONDS` ahead.
"""

import math
import time
from collections.abc import Callable

from ledger.errors import TooOften

BURST_SECONDS = 1.0
"""A caller that was silent may ask so many seconds' worth at once."""

MAX_CALLERS = 10_000
"""Buckets kept, about 200 bytes each; over it the oldest goes. Strangers' tokens have one too, and are not trusted."""


class RateLimit:
    """Counts requests by caller, of which each may make 1 a second or more. For one event loop: not thread-safe."""

    def __init__(self, per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._clock = per_second, clock
        self._full_at: dict[str, float] = {}

    def count(self, caller: str) -> None:
        """Count one request. Raises TooOften, and counts nothing, where it is one too many."""
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now)
        ahead = full_at - now + 1 / self._per_second - BURST_SECONDS
        if ahead > 0:
            raise TooOften(self._per_second, retry_after=math.ceil(ahead))
        if caller not in self._full_at and len(self._full_at) >= MAX_CALLERS:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[caller] = full_at + 1 / self._per_second

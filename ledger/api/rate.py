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
        self._interval = 1 / per_second
        self._full_at: dict[str, float] = {}

    def count(self, caller: str) -> None:
        """Count one request. Raises TooOften, and counts nothing, where it is one too many."""
        now, known = self._clock(), self._full_at.get(caller)
        full_at = self._interval + (now if known is None or known < now else known)
        if full_at - now > BURST_SECONDS:
            raise TooOften(self._per_second, retry_after=math.ceil(full_at - now - BURST_SECONDS))
        if known is None and len(self._full_at) >= MAX_CALLERS:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[caller] = full_at

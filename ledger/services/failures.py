"""The record of authentication failures: enough to notice an attack, too little for strangers to fill the ledger.

A process records one failure in `EACH` of a client, and one of all whom it does not know, and no more than
`MOST_IN_AN_HOUR` in all; how many it did not record, the next entry says. An entry says the rule that was broken and
the client, and nothing of the token. An opaque token that is unknown says nothing of anyone, and is not recorded.
"""

import threading
from datetime import datetime, timedelta

EACH = timedelta(minutes=10)
"""An attack goes on for longer; a partner whose clock is wrong sends a failure a second."""

HOUR = timedelta(hours=1)
MOST_IN_AN_HOUR = 30
"""About 15 kB of the ledger, for each process."""


class FailureRecord:
    """Which failures are to be recorded. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorded: list[tuple[datetime, str]] = []
        self._unrecorded = 0

    def take(self, client: str, *, now: datetime) -> int | None:
        """Count a failure. Where it is to be recorded, gives how many were not since the last that was; else None."""
        with self._lock:
            self._recorded = [(at, name) for at, name in self._recorded if now - at < HOUR]
            if len(self._recorded) >= MOST_IN_AN_HOUR or self._is_recent(client, now):
                self._unrecorded += 1
                return None
            self._recorded.append((now, client))
            unrecorded, self._unrecorded = self._unrecorded, 0
        return unrecorded

    def _is_recent(self, client: str, now: datetime) -> bool:
        return any(name == client and now - at < EACH for at, name in self._recorded)

"""Time-stamps (RFC 3161) over checkpoints, now and then, from each authority that is configured."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from ledger.errors import OblikError
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import parse_note
from ledger.remote.timestamps import request_timestamp
from ledger.storage.publication import Timestamp, add_timestamp

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 20.0


class Stamping:
    """Has a checkpoint stamped by each authority, at most once in `interval`."""

    def __init__(
        self, engine: sa.Engine, authorities: Sequence[str], *, interval: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._engine, self._authorities, self._interval, self._clock = engine, authorities, interval, clock
        self._last: datetime | None = None

    def is_due(self) -> bool:
        """Tell whether the interval has passed, or the clock was set back, so that nobody knows."""
        return self._last is None or not timedelta(0) <= self._clock() - self._last < self._interval

    def __call__(self, note: bytes) -> None:
        """Ask every authority. One that fails is logged, and asked again with a later checkpoint."""
        if not self.is_due():
            return
        text = parse_note(note)[0]
        stamped = [self._ask(authority, note, text) for authority in self._authorities]
        if all(stamped):
            self._last = self._clock()

    def _ask(self, authority: str, note: bytes, text: bytes) -> bool:
        try:
            token = request_timestamp(authority, text, TIMEOUT_SECONDS)
        except OblikError as error:
            log.warning("no time-stamp from %s: %s", authority, error)
            return False
        size = parse_checkpoint(text).size
        add_timestamp(self._engine, Timestamp(size=size, authority=authority, note=note, token=token))
        return True

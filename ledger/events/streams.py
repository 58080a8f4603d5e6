"""Sealing the streams: from time to time, the heads of all of them under one hash."""

from ledger.events.catalogue import Event, event
from ledger.log.streams import SEALED_KIND


@event(SEALED_KIND, changes_state=False)
class StreamsSealed(Event, frozen=True, kw_only=True):
    """The heads of all streams, as `ledger.log.streams` puts them under one root. It belongs to no stream itself."""

    size: int
    """Of the ledger that it speaks of: its own index."""
    count: int
    """Of the streams."""
    root: str

"""What becomes of the values behind sealed fields (I9): shown to one reader, or erased for good."""

from typing import Literal

from ledger.events.catalogue import Event, event


@event("field.disclosed", changes_state=False)
class FieldDisclosed(Event, frozen=True, kw_only=True):
    """An official named one reader, who may from here on see the entry and the value of its sealed field."""

    entry: int
    """Index of the entry that committed to the value."""
    field: str
    concerns: tuple[str, ...]
    """Streams of that entry: whoever it concerns sees who was shown it."""
    org: str
    reader: str
    reader_type: Literal["person", "system"]
    reason: str

    def streams(self) -> tuple[str, ...]:
        return tuple(sorted({*self.concerns, f"org:{self.org}"}))


@event("field.erased", changes_state=False)
class FieldErased(Event, frozen=True, kw_only=True):
    """An official had the value behind a sealed field deleted; the commitment stays, and opens nothing any more."""

    entry: int
    """Index of the entry that committed to the value."""
    field: str
    concerns: tuple[str, ...]
    """Streams of that entry."""
    reason: str

    def streams(self) -> tuple[str, ...]:
        return self.concerns

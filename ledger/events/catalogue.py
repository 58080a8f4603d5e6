"""The base of every event, and the registry by kind and version.

@event("grant.revoked")
class GrantRevoked(Event, frozen=True, kw_only=True):
    \"\"\"An approver ended a grant.\"\"\"

    grant: str
    org: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct

from ledger.errors import BadEntry, show
from ledger.log.entry import Entry


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happened. Fields are what the entry's body holds, under the same names."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int]
    CHANGES_STATE: ClassVar[bool]
    """Whether anything that a decision depends on changes with it: if so, `state_seq` moves (DESIGN §4)."""
    SEALABLE: ClassVar[frozenset[str]]
    """Names of fields that are sensitive: they go into the entry as salted commitments, never into the body."""

    def streams(self) -> tuple[str, ...]:
        """Name each organisation, dataset, model and run that this concerns (`org:acme`, `dataset:uav`)."""
        return ()


E = TypeVar("E", bound=type[Event])

_catalogue: dict[tuple[str, int], type[Event]] = {}
CATALOGUE: Mapping[tuple[str, int], type[Event]] = _catalogue
"""Every event by (kind, version)."""


def event(
    kind: str, *, version: int = 1, changes_state: bool = True, sealable: tuple[str, ...] = ()
) -> Callable[[E], E]:
    """Enter the class into the catalogue under `kind` and `version`."""

    def enter(cls: E) -> E:
        cls.KIND, cls.VERSION, cls.CHANGES_STATE, cls.SEALABLE = kind, version, changes_state, frozenset(sealable)
        _catalogue[kind, version] = cls
        return cls

    return enter


def replayable(entry: Entry) -> bool:
    """Tell whether this catalogue knows the entry's kind and version; one it does not know replays as a no-op."""
    return (entry.kind, entry.v) in _catalogue


def event_of(entry: Entry) -> Event:
    """Read the event back from an entry that is `replayable`. Raises BadEntry where the body is not of its kind."""
    cls = _catalogue[entry.kind, entry.v]
    body: dict[str, Any] = entry.body
    try:
        return msgspec.convert(body, cls)
    except msgspec.ValidationError as error:
        raise BadEntry(entry.seq, f"the body is not one of kind {show(entry.kind)}: {error}") from error

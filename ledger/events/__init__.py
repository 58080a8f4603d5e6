"""The catalogue: one struct per kind of entry, with its version, what may be sealed, and whom it concerns.

An event is the `body` of an entry (`ledger.log.entry`). Its projector, which folds it into tables, lies in
`ledger.storage.projectors`. A kind is never changed in place: a new version gets a new struct, and the old one stays
readable for ever. No body holds a float, an enum by number, or a local time.

    catalogue     the base class, the registry, reading a body back
    registry      organisations, members, credentials
    rules         purposes, policies, security policies of labels
    data          datasets, versions, weights, runs
    sharing       agreements, access requests, grants
    decisions     decisions and the use made of them
    assurances    authorisations of purposes, attestations of environments
    promotion     what moves weights towards deployment
    restraints    pauses, and incidents that block
    sealing       sealed fields shown to a reader, or erased
    streams       the heads of all streams, sealed
    keys          the log's own keys; `key_history` folds them
"""

from ledger.events import (
    assurances,
    data,
    decisions,
    keys,
    promotion,
    registry,
    restraints,
    rules,
    sealing,
    sharing,
    streams,
)
from ledger.events.catalogue import CATALOGUE, Event, event_of, replayable

__all__ = [
    "CATALOGUE",
    "Event",
    "assurances",
    "data",
    "decisions",
    "event_of",
    "keys",
    "promotion",
    "registry",
    "replayable",
    "restraints",
    "rules",
    "sealing",
    "sharing",
    "streams",
]

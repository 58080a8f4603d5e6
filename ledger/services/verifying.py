"""Offline verification, replay and export: nothing here talks to a service."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import BadEntry
from ledger.events import CATALOGUE, event_of, replayable
from ledger.events.key_history import KeyHistory
from ledger.events.registry import LedgerOpened
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import Entry
from ledger.log.export import Header, format_export
from ledger.log.note import parse_note
from ledger.log.verify import Replica
from ledger.services.replay import Replay, Replayed
from ledger.services.setup import read_opening
from ledger.services.sources import Attachment, End, Source
from ledger.storage.engine import snapshot
from ledger.storage.reading import count_attachments, read_attachments, read_entries
from ledger.storage.tail import NO_ENTRY

Progress = Callable[[int], None]


class Verified(Struct, frozen=True, kw_only=True):
    """A ledger whose bytes, chain and tree hold together, up to `size`."""

    size: int
    root: bytes
    origin: str
    signed: bool
    """Whether a checkpoint signed by every key then in force commits to this root."""


def verify(
    source: Source, *, progress: Progress | None = None, each: Callable[[Entry], None] | None = None
) -> tuple[Verified, Sequence[Attachment]]:
    """Verify a ledger, entry by entry. Raises BadEntry, BadCheckpoint or Unverified at the first that does not hold.

    Gives `each` entry to whoever wants to read along. Keys are those that the first entry names, and whom they
    introduced: that the first are the right ones is for the auditor to know from elsewhere.
    """
    end = _read_entries(source, progress, each)
    attachments = list(source.attachments())
    signed = source.check(end)
    found = Verified(size=end.replica.size, root=end.replica.root(), origin=end.opening.origin, signed=signed)
    return found, attachments


def _read_entries(source: Source, progress: Progress | None, each: Callable[[Entry], None] | None) -> End:
    keys = KeyHistory()
    replica, opening, state_seqs, size = Replica(), None, frozenset({NO_ENTRY}), source.size
    for index, data, leaf in source.entries():
        if index != replica.size:
            raise BadEntry(replica.size, f"is missing: the next that is stored is entry {index}")
        if index >= size:
            raise BadEntry(index, f"stands past the head, which counts {size:,} entries")
        entry = replica.add(data, leaf)
        state_seqs = _state_after(state_seqs, entry)
        if index == 0:
            opening = _opening(entry)
        keys.add(entry)
        if each is not None:
            each(entry)
        if progress is not None:
            progress(1)
    if opening is None:
        raise BadEntry(0, "is missing: the ledger is empty")
    if replica.size != size:
        raise BadEntry(replica.size, f"is missing: {size:,} entries were promised")
    return End(replica=replica, opening=opening, vkeys=keys.in_force, state_seqs=state_seqs)


def _state_after(state_seqs: frozenset[int], entry: Entry) -> frozenset[int]:
    """Give where `state_seq` may stand after an entry: an unknown kind may have moved it, or not."""
    kind = CATALOGUE.get((entry.kind, entry.v))
    if kind is None:
        return state_seqs | {entry.seq}
    return frozenset({entry.seq}) if kind.CHANGES_STATE else state_seqs


def _opening(entry: Entry) -> LedgerOpened:
    event = event_of(entry) if replayable(entry) else None
    if not isinstance(event, LedgerOpened):
        raise BadEntry(0, "is not `ledger.opened`")
    return event


def replay(source: Callable[[], Source], *, progress: Progress | None = None) -> tuple[Verified, Replayed]:
    """Verify a ledger, then derive every decision again. Opens `source` twice: attachments come last in a file."""
    verified, attachments = verify(source())
    replayed = Replay(attachments)
    verify(source(), each=replayed.add, progress=progress)
    return verified, replayed.finish()


@contextmanager
def export(engine: sa.Engine, *, note: bytes) -> Iterator[Iterator[bytes]]:
    """Give the lines of an export of the ledger as far as a signed checkpoint covers it, all from one snapshot."""
    size = parse_checkpoint(parse_note(note)[0]).size
    with snapshot(engine) as connection:
        opening = read_opening(connection)
        header = Header(
            attachments=count_attachments(connection), entries=size, origin=opening.origin, vkeys=opening.vkeys
        )
        entries = (stored.data for stored in read_entries(connection, 0, size))
        yield format_export(header, entries, read_attachments(connection), note)

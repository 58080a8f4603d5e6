"""Offline verification, replay and export: nothing here talks to a service."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, Struct

from ledger.errors import BadEntry, Malformed, Unverified, show
from ledger.events import CATALOGUE, event_of, replayable
from ledger.events.key_history import KeyHistory
from ledger.events.registry import LedgerOpened
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import Entry, parse_entry
from ledger.log.export import FORMAT, MAX_TIMESTAMPS, STAMPED_FORMAT, Header, Timestamps, format_export
from ledger.log.kept import Kept, format_kept, resume
from ledger.log.merkle import hash_leaf
from ledger.log.note import parse_note
from ledger.log.verify import Replica, Span
from ledger.services.parts import Place, Run, part_reader, verify_run
from ledger.services.replay import Derived, Replay, Replayed
from ledger.services.sealing import NOTHING_SEALED, SealedFields, Sealing
from ledger.services.setup import read_opening
from ledger.services.sources import Attachment, End, Source
from ledger.services.workers import spans_by_workers
from ledger.storage.engine import snapshot
from ledger.storage.publication import Timestamp, read_timestamps
from ledger.storage.reading import count_attachments, read_attachments, read_entries
from ledger.storage.tail import NO_ENTRY

Progress = Callable[[int], None]

KEEP_EVERY = 250_000
"""Entries after which to keep what is verified by now: about a second of work."""

SEALS_STREAMS = b'"kind":"streams.sealed"'
"""Stands in every entry that seals the streams. It is verified against all before it, and so one by one."""


class Verified(Struct, frozen=True, kw_only=True, eq=False):
    """A ledger whose bytes, chain and tree hold together, up to `size`."""

    size: int
    root: bytes
    origin: str
    signed: bool
    """Whether a checkpoint signed by every key then in force commits to this root."""
    roots: dict[int, bytes] = msgspec.field(default_factory=dict)
    """Of the trees of the sizes that were watched."""
    keys: KeyHistory = msgspec.field(default_factory=KeyHistory)
    sealing: Sealing = NOTHING_SEALED
    """What entries sealed, and what of it is left."""

    def __eq__(self, other: object) -> bool:
        """Compare what was verified, not what was gathered on the way."""
        return isinstance(other, Verified) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash(self._told())

    def _told(self) -> tuple[int, bytes, str, bool]:
        return self.size, self.root, self.origin, self.signed


def verify(
    source: Source,
    *,
    progress: Progress | None = None,
    each: Callable[[Entry], None] | None = None,
    workers: int = 1,
    watched: Collection[int] = (),
    kept: Kept | None = None,
    keep: Callable[[bytes], None] | None = None,
) -> tuple[Verified, Sequence[Attachment]]:
    """Verify a ledger. Raises BadEntry, BadCheckpoint or Unverified at the first that does not hold.

    Gives `each` entry to whoever wants to read along; else the ledger is verified by parts, with more than one of
    `workers` in as many processes. Goes on from what was `kept` of the same ledger, and gives `keep` what is to be
    kept, every KEEP_EVERY entries and at the end. Keys are those that the first entry names, and whom they introduced:
    that the first are the right ones is for the auditor to know from elsewhere. Raises Unavailable where a process ends
    early.
    """
    reading = _Reading(each, progress or _quietly, watched, keep)
    if kept is not None:
        reading.resume(source, kept)
    end = _read_entries(reading, source, workers if each is None else 0)
    attachments = list(source.attachments())
    signed = source.check(end)
    sealing = source.sealing(reading.sealed)
    reading.keep_all()
    found = Verified(
        size=end.replica.size,
        root=end.replica.root(),
        origin=end.opening.origin,
        signed=signed,
        roots=reading.roots,
        keys=reading.keys,
        sealing=sealing,
    )
    return found, attachments


class _Watch:
    """Tells those who wait how far a replica has come."""

    def __init__(self, replica: Replica, progress: Progress | None, keep: Callable[[bytes], None] | None) -> None:
        self._replica, self._progress, self._keep = replica, progress, keep
        self._told = 0
        self._kept = replica.size
        if replica.resumed:
            self.look()

    def look(self) -> None:
        """Tell of what is verified by now."""
        size = self._replica.size
        if self._progress is not None:
            self._progress(size - self._told)
        self._told = size
        if size - self._kept >= KEEP_EVERY:
            self.keep_all()

    def keep_all(self) -> None:
        """Have kept what is verified by now."""
        if self._keep is not None:
            self._keep(format_kept(self._replica))
        self._kept = self._replica.size


def _quietly(_count: int) -> None:
    """Tell nobody."""


class _Reading:
    """A ledger as it is read: what was verified, whose it is, and which keys sign it."""

    def __init__(
        self,
        each: Callable[[Entry], None] | None,
        progress: Progress,
        watched: Collection[int],
        keep: Callable[[bytes], None] | None,
    ) -> None:
        self.replica = Replica()
        self.keys = KeyHistory()
        self.sealed = SealedFields()
        self.roots: dict[int, bytes] = {}
        """Of the trees of the sizes that are watched."""
        self._each, self._progress, self._watched, self._keep = each, progress, frozenset(watched), keep
        self._kept = 0

    def resume(self, source: Source, kept: Kept) -> None:
        """Go on from what was kept: those entries are not verified again, but for whether they are still the ones."""
        if kept.size > source.size:
            raise Unverified(f"{kept.size:,} entries were verified before, and there are {source.size:,}")
        first = _entry_at(source, 0)
        for seq, leaf in kept.noted:
            data = _entry_at(source, seq) if seq else first
            if hash_leaf(data).hex() != leaf:
                raise BadEntry(seq, "is not the one that was verified before")
            self._note(parse_entry(data, seq=seq))
        self.replica = resume(kept, first, _entry_at(source, kept.size - 1) if kept.size > 1 else first)
        self._kept = kept.size
        self.roots |= {size: bytes.fromhex(root) for size, root in kept.roots}
        self._look()
        self._progress(kept.size)

    def keep_all(self) -> None:
        """Have kept what is verified by now."""
        if self._keep is not None:
            self._keep(format_kept(self.replica, self.roots))
        self._kept = self.replica.size

    def add(self, data: bytes, leaf: bytes | None) -> None:
        """Verify the next entry."""
        entry = self.replica.add(data, leaf)
        if entry.seq == 0:
            _opening(entry)
        self._note(entry)
        self._look()
        if self._each is not None:
            self._each(entry)
        self._progress(1)

    def join(self, span: Span) -> bool:
        """Take the entries of a span, all at once. False, and nothing is taken, where it does not go on from here.

        Neither is one taken within which a size is watched.
        """
        if any(span.start < size < span.stop for size in self._watched) or not self.replica.join(span):
            return False
        for seq, data in span.noted:
            self._note(parse_entry(data, seq=seq))
        self._look()
        self._progress(span.stop - span.start)
        return True

    def take(self, run: Run | None, *, limit: int = sys.maxsize) -> bool:
        """Take a run one by one, for what a span cannot say. False, and nothing is taken, where there is no need to."""
        if run is None or run.start != self.replica.size or run.start + len(run.data) > limit:
            return False
        within = any(run.start < size < run.start + len(run.data) for size in self._watched)
        if not within and not any(SEALS_STREAMS in data for data in run.data):
            return False
        for data, leaf in zip(run.data, run.leaves or repeat(None), strict=False):
            self.add(data, leaf)
        return True

    def _note(self, entry: Entry) -> None:
        self.keys.add(entry)
        self.sealed.add(entry)

    def _look(self) -> None:
        if self.replica.size in self._watched:
            self.roots[self.replica.size] = self.replica.root()
        if self.replica.size - self._kept >= KEEP_EVERY:
            self.keep_all()


def _entry_at(source: Source, seq: int) -> bytes:
    index, data, _ = next(source.entries(seq), (None, b"", None))
    if index != seq:
        raise BadEntry(seq, "is missing")
    return data


def _read_entries(reading: _Reading, source: Source, workers: int) -> End:
    replica = reading.replica
    if workers > 1 and source.place is not None:
        _join_parts(reading, source, source.place, workers)
    if workers:  # also for what shares the last part with more than entries
        _join_runs(reading, source)
    for index, data, leaf in source.entries(replica.size):
        if index != replica.size:
            raise BadEntry(replica.size, f"is missing: the next that is stored is entry {index}")
        if index >= source.size:
            raise BadEntry(index, f"stands past the head, which counts {source.size:,} entries")
        reading.add(data, leaf)
    if replica.first is None:
        raise BadEntry(0, "is missing: the ledger is empty")
    if replica.size != source.size:
        raise BadEntry(replica.size, f"is missing: {source.size:,} entries were promised")
    opening = _opening(replica.first)
    return End(replica=replica, opening=opening, vkeys=reading.keys.in_force, state_seq=_state_seq(replica))


def _join_runs(reading: _Reading, source: Source) -> None:
    """Verify run after run, up to the first that is at fault by itself or does not continue those before it."""
    for run in source.runs(reading.replica.size):
        span = verify_run(run)
        if not (span is not None and reading.join(span)) and not reading.take(run):
            return


def _join_parts(reading: _Reading, source: Source, place: Place, workers: int) -> None:
    """Do the same with worker processes; a part that has more entries than there should be is left, too."""
    with part_reader(place) as read, spans_by_workers(place, workers) as deal:
        for part, span in deal(source.parts(reading.replica.size)):
            joined = span is not None and span.stop <= source.size and reading.join(span)
            if not joined and not reading.take(read(part), limit=source.size):
                return
            source.passed(part, reading.replica.size)


def _state_seq(replica: Replica) -> int:
    """Give the index of the last entry of a kind that is known to change state."""
    changing = {key for key, event in CATALOGUE.items() if event.CHANGES_STATE}
    return max((seq for kind, seq in replica.kinds.items() if kind in changing), default=NO_ENTRY)


def _opening(entry: Entry) -> LedgerOpened:
    event = event_of(entry) if replayable(entry) else None
    if not isinstance(event, LedgerOpened):
        raise BadEntry(0, "is not `ledger.opened`")
    return event


def replay(
    source: Callable[[], Source],
    *,
    progress: Progress | None = None,
    since: int = 0,
    until: int | None = None,
    each: Callable[[Derived], None] | None = None,
) -> tuple[Verified, Replayed]:
    """Verify a ledger, then derive the decisions of [since, until) again, and give `each` to whoever reads along.

    Opens `source` twice: attachments come last in a file. Raises Malformed where the ledger ends before `until`.
    """
    verified, attachments = verify(source(), watched=() if until is None else (until,))
    check_range(since, until, verified.size)
    replayed = Replay(attachments, since=since, until=until, each=each)
    verify(source(), each=replayed.add, progress=progress)
    return verified, replayed.finish()


def check_range(since: int, until: int | None, size: int) -> None:
    """Raise Malformed where [since, until) is not within a ledger of `size` entries."""
    end = size if until is None else until
    if not 0 < end <= size:
        raise Malformed("--until", f"{show(end)} is not within the ledger, which has {size:,} entries")
    if not 0 <= since <= end:
        raise Malformed("--since", f"{show(since)} is not an index up to {end:,}")


@contextmanager
def export(engine: sa.Engine, *, note: bytes) -> Iterator[Iterator[bytes]]:
    """Give the lines of an export of the ledger as far as a signed checkpoint covers it, all from one snapshot."""
    size = parse_checkpoint(parse_note(note)[0]).size
    with snapshot(engine) as connection:
        opening, stamps = read_opening(connection), _newest(read_timestamps(connection), size)
        header = Header(
            attachments=count_attachments(connection),
            entries=size,
            format=STAMPED_FORMAT if stamps else FORMAT,
            origin=opening.origin,
            timestamps=len(stamps) or UNSET,
            vkeys=opening.vkeys,
        )
        entries = (stored.data for stored in read_entries(connection, 0, size))
        yield format_export(header, entries, read_attachments(connection), note, stamps)


def _newest(stamps: Iterable[Timestamp], size: int) -> Timestamps:
    """Give the newest of each authority over what is exported, of those that stamped last; they come by size."""
    newest: dict[str, Timestamp] = {}
    for stamp in stamps:
        if stamp.size <= size:
            newest.pop(stamp.authority, None)
            newest[stamp.authority] = stamp
    return [(stamp.note, stamp.token) for stamp in list(newest.values())[-MAX_TIMESTAMPS:]]

"""Fold the entries anew: projections are emptied and rebuilt by the projectors that wrote them first."""

from collections.abc import Callable, Iterable

import sqlalchemy as sa

from ledger.errors import BadEntry, Malformed
from ledger.events import event_of, replayable
from ledger.events.streams import StreamsSealed
from ledger.log.entry import Entry, parse_entry
from ledger.storage.engine import locked, upsert
from ledger.storage.projectors import project
from ledger.storage.reading import read_entries, read_head
from ledger.storage.tables import PROJECTIONS, StreamRow, table
from ledger.storage.tail import lock_head

Progress = Callable[[int], None]


class Fold:
    """State as it grows entry by entry: projections in tables, streams in memory until they are written."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._streams: dict[str, tuple[int, int]] = {}
        self.unknown: dict[str, int] = {}
        """Kinds that this version does not know, and how often they stood: verified, and replayed as nothing."""

    def apply(self, entry: Entry) -> None:
        """Fold one entry. Raises BadEntry where its body is not of its kind."""
        for name, (ordinal, _) in entry.about.items():
            self._streams[name] = (ordinal + 1, entry.seq)
        if entry.kind == StreamsSealed.KIND:
            self.finish()  # its projector copies what stands there
        if replayable(entry):
            try:
                project(self._connection, event_of(entry), entry.seq, entry.by)
            except (KeyError, Malformed, sa.exc.IntegrityError, sa.exc.NoResultFound) as error:
                raise BadEntry(entry.seq, f"cannot be folded into the state: {error}") from error
        else:
            kind = f"{entry.kind} v{entry.v}"
            self.unknown[kind] = self.unknown.get(kind, 0) + 1

    def finish(self) -> None:
        """Write the streams that moved."""
        rows = [{"name": name, "size": size, "last_seq": last} for name, (size, last) in self._streams.items()]
        upsert(self._connection, table(StreamRow), rows)
        self._streams.clear()


def clear_projections(connection: sa.Connection) -> None:
    """Empty every table that is a projection."""
    for row in PROJECTIONS:
        connection.execute(table(row).delete())


def rebuild(engine: sa.Engine, *, progress: Progress | None = None) -> dict[str, int]:
    """Rebuild all projections in one transaction, under the head's lock: readers see the old ones until it commits.

    Returns the kinds that this version does not know, with their counts. Raises BadEntry at the first entry that cannot
    be read; nothing is changed then.
    """
    with engine.connect() as connection, locked(connection):
        lock_head(connection)
        clear_projections(connection)
        fold = Fold(connection)
        _fold_all(connection, fold, progress)
        fold.finish()
        return fold.unknown


def _fold_all(connection: sa.Connection, fold: Fold, progress: Progress | None) -> None:
    entries: Iterable[Entry] = (
        parse_entry(stored.data, seq=stored.seq) for stored in read_entries(connection, 0, read_head(connection).size)
    )
    for entry in entries:
        fold.apply(entry)
        if progress is not None:
            progress(1)

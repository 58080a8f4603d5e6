"""The end of the ledger while a batch extends it: index, chain, tree and streams, and what is to be written.

A tail is made under the lock from the head row, takes events, and is written back once. `mark` and `restore` undo
what a failing command appended, so that its neighbours in the batch never notice.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Misconfigured
from ledger.events import Event
from ledger.log.entry import Entry, format_entry
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.storage.engine import EntryTuple, insert_entries, upsert
from ledger.storage.tables import HeadRow, StreamRow, SubtreeRow, table

HEAD, STREAM, SUBTREE = table(HeadRow), table(StreamRow), table(SubtreeRow)

# Statements of every batch, made once: SQLAlchemy takes longer to make one than to run it.
LOCK_HEAD = HEAD.select().with_for_update()
READ_STATE_SEQ = sa.select(HEAD.c.state_seq)
MOVE_HEAD = HEAD.update().where(HEAD.c.id == 1)
READ_STREAMS = sa.select(STREAM).where(STREAM.c.name.in_(sa.bindparam("names", expanding=True)))

NO_ENTRY = -1
"""Stands where an index is asked for and there is none: no earlier entry in a stream, no state yet."""

MAX_REMEMBERED_STREAMS = 100_000
"""Stream heads kept between batches (about 200 bytes each), so that busy streams are not read again and again."""

StreamHead = tuple[int, int]
"""(entries in the stream, index of the last)"""


class Mark(Struct, frozen=True):
    """Where a tail stood."""

    size: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    state_seq: int
    at: str
    rows: int
    subtrees: int
    streams: dict[str, StreamHead]


class Tail:
    """The end of the ledger, in memory, under the lock."""

    def __init__(
        self, head: sa.Row[Any], *, now: str, streams: dict[str, StreamHead], read_streams: "ReadStreams"
    ) -> None:
        self.size: int = head.size
        self.leaf: bytes = head.leaf
        self.state_seq: int = head.state_seq
        self.now = now  # what expires is held to the clock, not to the time of the last entry
        self.at: str = max(now, head.at)  # `at` never decreases, whatever the clock does
        self._range = CompactRange.unpack(head.size, head.edge)
        self._rows: list[EntryTuple] = []
        self._subtrees: list[tuple[int, int, bytes]] = []
        self._streams = streams
        self._touched: dict[str, StreamHead] = {}
        self._read_streams = read_streams

    def append(self, event: Event, by: dict[str, str], sealed: Mapping[str, str] | None = None) -> int:
        """Give the event its place. Returns its index. Raises TooLarge where the entry would be over the limit."""
        seq = self.size
        names = event.streams()
        self.preload(names)
        heads = {name: self._touched.get(name) or self._streams[name] for name in names}
        entry = Entry(
            about=heads,
            at=self.at,
            body=event,  # type: ignore[arg-type]  # encodes to the same JSON, without the detour over a dict
            by=by,
            kind=event.KIND,
            prev=self.leaf.hex(),
            sealed=dict(sealed or {}),
            seq=seq,
            v=event.VERSION,
        )
        data = format_entry(entry)
        leaf = hash_leaf(data)
        self._rows.append((seq, leaf, data))
        self._subtrees += self._range.append(leaf)
        for name, (ordinal, _) in heads.items():
            self._touched[name] = (ordinal + 1, seq)
        self.leaf, self.size = leaf, seq + 1
        if event.CHANGES_STATE:
            self.state_seq = seq
        return seq

    def preload(self, names: Iterable[str]) -> None:
        """Read the heads of streams that this process does not remember, many at once."""
        unknown = [name for name in names if name not in self._streams]
        if unknown:
            self._streams.update(dict.fromkeys(unknown, (0, NO_ENTRY)))
            self._streams.update(self._read_streams(unknown))

    def mark(self) -> Mark:
        """Remember this place."""
        return Mark(
            self.size,
            self.leaf,
            tuple(self._range.hashes),
            self.state_seq,
            self.at,
            len(self._rows),
            len(self._subtrees),
            dict(self._touched),
        )

    def restore(self, mark: Mark) -> None:
        """Forget all that was appended since `mark`."""
        self.size, self.leaf, self.state_seq, self.at = mark.size, mark.leaf, mark.state_seq, mark.at
        self._range = CompactRange.unpack(mark.size, b"".join(mark.hashes))
        del self._rows[mark.rows :]
        del self._subtrees[mark.subtrees :]
        self._touched = dict(mark.streams)

    def write(self, connection: sa.Connection) -> None:
        """Write entries, tree and head. Nothing is visible to anyone before the transaction commits."""
        if not self._rows:
            return
        insert_entries(connection, self._rows)
        if self._subtrees:
            connection.execute(
                SUBTREE.insert(), [{"level": level, "index": i, "hash": h} for level, i, h in self._subtrees]
            )
        self.write_streams(connection)
        connection.execute(
            MOVE_HEAD,
            {
                "size": self.size,
                "leaf": self.leaf,
                "edge": self._range.pack(),
                "state_seq": self.state_seq,
                "at": self.at,
            },
        )

    def write_streams(self, connection: sa.Connection) -> None:
        """Write the heads of streams; sooner than the rest, where an entry speaks of them."""
        rows = [{"name": name, "size": size, "last_seq": last} for name, (size, last) in self._touched.items()]
        upsert(connection, STREAM, rows)

    def remembered_streams(self) -> dict[str, StreamHead]:
        """Give the stream heads to keep for the next batch, once this one is committed."""
        if len(self._streams) > MAX_REMEMBERED_STREAMS:
            return dict(self._touched)
        self._streams.update(self._touched)
        return self._streams


ReadStreams = Callable[[list[str]], Mapping[str, StreamHead]]


def lock_head(connection: sa.Connection) -> sa.Row[Any]:
    """Read the head row, and on PostgreSQL lock it. Raises Misconfigured where there is no ledger yet."""
    row = connection.execute(LOCK_HEAD).one_or_none()
    if row is None:
        raise Misconfigured("the database holds no ledger", help="run `oblik init`")
    return row


def read_state_seq(connection: sa.Connection) -> int:
    """Read the index of the last entry that changed anything a decision depends on."""
    seq: int = connection.execute(READ_STATE_SEQ).scalar_one()
    return seq


def read_streams(connection: sa.Connection, names: list[str]) -> dict[str, StreamHead]:
    """Read the heads of the named streams; one that does not exist yet is left out."""
    found: dict[str, StreamHead] = {}
    for start in range(0, len(names), 500):
        rows = connection.execute(READ_STREAMS, {"names": names[start : start + 500]})
        found.update({row.name: (row.size, row.last_seq) for row in rows})
    return found

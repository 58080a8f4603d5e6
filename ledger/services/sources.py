"""Where a ledger is read from to be verified: a database, or an exported file."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import BadCheckpoint, BadEntry, Unverified, show
from ledger.events import CATALOGUE
from ledger.events.registry import LedgerOpened
from ledger.log.checkpoint import open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import MAX_ENTRY_BYTES, parse_entry
from ledger.log.export import MAX_LINE_BYTES, Export
from ledger.log.merkle import TILE_HEIGHT, Row
from ledger.log.verify import Replica
from ledger.services.parts import PART_BYTES, PART_ENTRIES, Part, Place, Run
from ledger.services.sealing import SealedFields, Sealing, check_disclosures
from ledger.storage.publication import read_publication, read_timestamps
from ledger.storage.reading import read_attachments, read_entries, read_entry, read_head, read_subtrees

Attachment = tuple[str, str, bytes]
"""(SHA-256 in hex, media type, bytes)"""

Stored = tuple[int, bytes, bytes | None]
"""(index as stored, bytes, leaf hash as stored or None)"""

LOWEST, HIGHEST = -(2**62), 2**62
"""Beyond every index that a row can have."""


class End(Struct, frozen=True, kw_only=True):
    """What a verified history comes to: what a source's own statements about it are held against."""

    replica: Replica
    opening: LedgerOpened
    vkeys: tuple[str, ...]
    """The log's keys that are in force at its end: each of them has to have signed a checkpoint over all of it."""
    state_seq: int
    """Index of the last entry of a kind that is known here to change state."""


class Said(Struct, frozen=True):
    """What a source has of others about its ledger. None of it is verified."""

    note: bytes | None = None
    """The newest checkpoint."""
    stamps: Sequence[tuple[bytes, bytes]] = ()
    """Time-stamps: (the checkpoint that it is over, a note; the token)."""


class Source(Protocol):
    """A ledger to be verified: its entries, by parts or one by one; then its attachments; then `check`."""

    @property
    def size(self) -> int:
        """How many entries it says it has."""
        ...

    def runs(self, start: int) -> Iterator[Run | None]:
        """Give the entries from index `start` on, some at a time, up to `size` or what cannot be read so."""
        ...

    @property
    def place(self) -> Place | None:
        """Where a worker finds the same; None where none can."""
        ...

    def parts(self, start: int) -> Iterator[Part]:
        """Cut what `runs` gives into parts, for workers to read. The last ones may hold more than entries."""
        ...

    def passed(self, part: Part, size: int) -> None:
        """Hear that the next part was verified elsewhere, up to entry `size`."""
        ...

    def entries(self, start: int) -> Iterator[Stored]:
        """Give all that is stored from index `start` on, in order, and whatever stands where no entry should."""
        ...

    def attachments(self) -> Iterator[Attachment]:
        """Give the attachments. Raises Unverified at one that does not have the hash that it is kept under."""
        ...

    def said(self) -> Said:
        """Give checkpoint and time-stamps; of an exported file, once it was read."""
        ...

    def sealing(self, sealed: SealedFields) -> Sealing:
        """Hold the values that it keeps of sealed fields against the entries. Raises Unverified."""
        ...

    def check(self, end: End) -> bool:
        """Raise Unverified where the source says otherwise than its entries; tell whether a checkpoint was signed."""
        ...


class DatabaseSource:
    """A ledger in a database: entries, leaf hashes, the hashes above them and the head all have to agree.

    The connection has to read one `snapshot`, or a writer's next batch looks like a fault. Workers, which get the
    database's `url`, have snapshots of their own: what is below the head's size never changes.
    """

    def __init__(self, connection: sa.Connection, *, url: str = "") -> None:
        self._connection = connection
        self._head = read_head(connection)
        self.place = Place(database=url) if url else None

    @property
    def size(self) -> int:
        """The size in the head row."""
        return self._head.size

    def runs(self, start: int) -> Iterator[Run | None]:
        """Read the rows of each part."""
        return (read_rows(self._connection, part) for part in self.parts(start))

    def parts(self, start: int) -> Iterator[Part]:
        """Cut by index; none where a row stands before the first."""
        if next(read_entries(self._connection, LOWEST, 0), None) is not None:
            return
        for first in range(start, self.size, PART_ENTRIES):
            yield Part(start=first, stop=min(first + PART_ENTRIES, self.size))

    def passed(self, part: Part, size: int) -> None:
        """Rows are read by index: there is nothing to keep up with."""

    def entries(self, start: int) -> Iterator[Stored]:
        """Read every stored row from there on, those before the first and past the head too: there must be none."""
        rows = chain(read_entries(self._connection, LOWEST, 0), read_entries(self._connection, start, HIGHEST))
        for stored in rows:
            yield stored.seq, stored.data, stored.leaf

    def attachments(self) -> Iterator[Attachment]:
        """Read the attachments, and hash them."""
        for sha256, media_type, data in read_attachments(self._connection):
            if hashlib.sha256(data).hexdigest() != sha256:
                raise Unverified(f"the attachment {show(sha256)} does not have this SHA-256")
            yield sha256, media_type, data

    def check(self, end: End) -> bool:
        """Hold the head row and the tree's rows against the entries. A database holds no signature."""
        replica = end.replica
        found = (self._head.root, self._head.leaf, self._head.at)
        led_to = (replica.root(), replica.leaf, replica.last.at if replica.last else "")
        for name, stated, wanted in zip(("root", "leaf", "time"), found, led_to, strict=True):
            if stated != wanted:
                raise BadCheckpoint(f"the head states another {name} than the entries lead to")
        if not self._may_be_state(self._head.state_seq, end):
            raise BadCheckpoint("the head states another state_seq than the entries lead to")
        stored = [row for row in read_subtrees(self._connection) if _stop(row) > replica.resumed]
        if stored != sorted(replica.subtrees):
            raise BadCheckpoint("the tree's stored hashes are not those that the entries lead to")
        return False

    def sealing(self, sealed: SealedFields) -> Sealing:
        """Check every value that is kept. Raises Unverified, too, where one is kept that was erased."""
        found, odd = check_disclosures(self._connection, sealed), sealed.check(()).findings
        for finding in found.findings:
            if finding not in odd:  # an erasure of what was never sealed is odd, and leaves nothing behind
                raise BadEntry(finding.seq, finding.problem)
        return found

    def said(self) -> Said:
        """Give the checkpoint that is shown to all, and every time-stamp."""
        published = read_publication(self._connection)
        stamps = [(stamp.note, stamp.token) for stamp in read_timestamps(self._connection)]
        return Said((published.public or published.note) if published else None, stamps)

    def _may_be_state(self, seq: int, end: End) -> bool:
        """Tell whether state was last changed there: a later entry of a kind that is unknown here may have, or not."""
        if not end.state_seq < seq < end.replica.size:
            return seq == end.state_seq
        entry = parse_entry(read_entry(self._connection, seq).data, seq=seq)
        return (entry.kind, entry.v) not in CATALOGUE


def _stop(row: Row) -> int:
    """Give the index after the last leaf below a row of the tree."""
    level, index, _ = row
    return (index + 1) << TILE_HEIGHT * level


def read_rows(connection: sa.Connection, part: Part) -> Run | None:
    """Read the rows of a part of a database."""
    rows = list(read_entries(connection, part.start, part.stop))
    if [row.seq for row in rows] != list(range(part.start, part.stop)):
        return None
    return Run(part.start, [row.data for row in rows], [row.leaf for row in rows])


class ExportSource:
    """A ledger in an exported file: header, entries and checkpoint all have to agree.

    Lines that come from elsewhere are read once, and verified one by one.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._export = Export(lines)
        self._file: BinaryIO | None = None
        self.place: Place | None = None
        self._note: bytes | None = None

    def sealing(self, sealed: SealedFields) -> Sealing:
        """Count them: an export has no values."""
        return sealed.check(())

    def said(self) -> Said:
        """Give the time-stamps, and the checkpoint, which stands at the end of the file."""
        return Said(self._note, self._export.timestamps)

    @classmethod
    def of_file(cls, file: BinaryIO) -> "ExportSource":
        """Read a file from its beginning. It has to stay open, and workers open it by its name."""
        source = cls(_lines(file))
        source._file, source.place = file, Place(file=str(Path(file.name).absolute()))
        return source

    @property
    def size(self) -> int:
        """The number of entries in the header."""
        return self._export.header.entries

    def runs(self, start: int) -> Iterator[Run | None]:
        """Read a file by blocks, up to one that holds no whole line."""
        self._go_to(start)
        while left := self.size - self._export.index:
            if self._file is None:
                return
            block = self._file.read(PART_BYTES)
            *lines, rest = block.split(b"\n", left)
            run = Run(self._export.index, lines) if lines else None
            self._pass(len(lines), len(block) - len(rest))
            yield run

    def parts(self, start: int) -> Iterator[Part]:
        """Cut a file by its size, each part at the end of a line. Where the entries end is not looked for."""
        self._go_to(start)
        offset, file = self._export.offset, self._file
        while file is not None and (length := _length_to_cut(file, offset)):
            yield Part(offset=offset, length=length)
            offset += length

    def passed(self, part: Part, size: int) -> None:
        """Go on in the file behind the part."""
        self._pass(size - self._export.index, part.length)

    def entries(self, start: int) -> Iterator[Stored]:
        """Read the entries' lines."""
        self._go_to(start)
        for seq, data in enumerate(self._export.entries(), start=self._export.index):
            yield seq, data, None

    def _go_to(self, start: int) -> None:
        """Make the entry at `start` the next that is read, or the first that is missing.

        Raises ValueError on going back in lines that are no file.
        """
        if start < self._export.index:
            if self._file is None:
                raise ValueError(f"entry {start} was read, and these lines are read once")
            self._export = Export(_lines(self._file))
        self._pass(0, 0)
        for _ in zip(range(start - self._export.index), self._export.entries(), strict=False):
            pass

    def _pass(self, count: int, length: int) -> None:
        self._export.skip(count, length)
        if self._file is not None:
            self._file.seek(self._export.offset)

    def attachments(self) -> Iterator[Attachment]:
        """Read the attachments' lines, which the export checks."""
        return self._export.attachments()

    def check(self, end: End) -> bool:
        """Hold the header against the first entry, the checkpoint, signed by each key in force, against the rest."""
        header, opening = self._export.header, end.opening
        if (header.origin, header.vkeys) != (opening.origin, opening.vkeys):
            raise BadCheckpoint("the header states another origin or other keys than the first entry")
        note = self._note = self._export.checkpoint()
        for vkey in end.vkeys:
            end.replica.check(open_checkpoint(note, [parse_vkey(vkey)], origin=opening.origin))
        return True


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Give a file's lines from its beginning, cut where they are too long."""
    file.seek(0)
    return iter(partial(file.readline, MAX_LINE_BYTES + 1), b"")


def _length_to_cut(file: BinaryIO, offset: int) -> int:
    """Give how many bytes from `offset` on, at most PART_BYTES, end with a line; 0 where its end is too far."""
    end = min(offset + PART_BYTES, file.seek(0, io.SEEK_END))
    last = max(offset, end - MAX_ENTRY_BYTES - 1)
    file.seek(last)
    length = file.read(end - last).rfind(b"\n") + 1
    return last - offset + length if length else 0

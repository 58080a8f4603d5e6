"""Offline verification, replay and export, from a database or an exported file: nothing here talks to a service."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import BadCheckpoint, BadEntry
from ledger.events import event_of, replayable
from ledger.events.registry import LedgerOpened
from ledger.log.checkpoint import open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import Entry
from ledger.log.export import Export, Header, format_export
from ledger.log.note import Signer
from ledger.log.verify import Replica
from ledger.services.reading import signed_checkpoint
from ledger.services.replay import Attachment, Replay, Replayed
from ledger.services.setup import read_opening
from ledger.storage.reading import count_attachments, read_attachments, read_entries, read_head

Progress = Callable[[int], None]


class Verified(Struct, frozen=True, kw_only=True):
    """A ledger whose bytes, chain and tree hold together, up to `size`."""

    size: int
    root: bytes
    origin: str
    signed: bool
    """Whether a checkpoint signed by the keys of the first entry commits to this root."""


class Source(Protocol):
    """Where a ledger is read from."""

    @property
    def size(self) -> int:
        """How many entries it says it has."""
        ...

    def entries(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Give (index as stored, bytes, leaf hash as stored or None) in order."""
        ...

    def root(self) -> bytes | None:
        """Give the root that the source itself states, once all entries were read."""
        ...

    def attachments(self) -> Iterable[Attachment]:
        """Give the attachments."""
        ...

    def checkpoint(self) -> bytes | None:
        """Give the signed checkpoint that comes with it, once all entries were read."""
        ...


class DatabaseSource:
    """A ledger in a database: entries, stored leaf hashes and head all have to agree."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._head = read_head(connection)

    @property
    def size(self) -> int:
        """The size in the head row."""
        return self._head.size

    def entries(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Read every stored row, those past the head too: there must be none."""
        for stored in read_entries(self._connection, -(2**62), 2**62):
            yield stored.seq, stored.data, stored.leaf

    def root(self) -> bytes | None:
        """Give the root of the right edge in the head row."""
        return self._head.root

    def attachments(self) -> Iterable[Attachment]:
        """Read the attachments."""
        return read_attachments(self._connection)

    def checkpoint(self) -> bytes | None:
        """Give none: the database holds no signature."""
        return None


class ExportSource:
    """A ledger in an exported file."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._export = Export(lines)

    @property
    def size(self) -> int:
        """The number of entries in the header."""
        return self._export.header.entries

    def entries(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Read the entries' lines."""
        for seq, data in enumerate(self._export.entries()):
            yield seq, data, None

    def root(self) -> bytes | None:
        """Give none: the file states no root but the checkpoint's."""
        return None

    def attachments(self) -> Iterable[Attachment]:
        """Read the attachments' lines."""
        return self._export.attachments()

    def checkpoint(self) -> bytes | None:
        """Read the last line."""
        return self._export.checkpoint()


def verify(
    source: Source, *, progress: Progress | None = None, each: Callable[[Entry], None] | None = None
) -> tuple[Verified, Sequence[Attachment]]:
    """Verify a ledger, entry by entry. Raises BadEntry or BadCheckpoint, naming the first place that does not hold.

    Gives `each` entry to whoever wants to read along. Keys are those that the first entry names: that they are the
    right ones is for the auditor to know from elsewhere.
    """
    replica, opening = Replica(), None
    for index, data, leaf in source.entries():
        if index != replica.size:
            raise BadEntry(replica.size, f"is missing: the next that is stored is entry {index}")
        entry = replica.add(data, leaf)
        if index == 0:
            opening = _opening(entry)
        if each is not None:
            each(entry)
        if progress is not None:
            progress(1)
    if opening is None:
        raise BadEntry(0, "is missing: the ledger is empty")
    if replica.size != source.size:
        raise BadEntry(replica.size, f"is missing: {source.size:,} entries were promised")
    if source.root() not in {None, replica.root()}:
        raise BadCheckpoint("the head states another root than the entries lead to")
    attachments = list(source.attachments())
    note = source.checkpoint()
    if note is not None:
        verifiers = [parse_vkey(vkey) for vkey in opening.vkeys]
        replica.check(open_checkpoint(note, verifiers, origin=opening.origin))
    verified = Verified(size=replica.size, root=replica.root(), origin=opening.origin, signed=note is not None)
    return verified, attachments


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
def export(engine: sa.Engine, *, signers: Sequence[Signer]) -> Iterator[Iterator[bytes]]:
    """Give the lines of an export of the committed ledger, all read from one snapshot."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        opening, head = read_opening(connection), read_head(connection)
        header = Header(
            attachments=count_attachments(connection),
            entries=head.size,
            origin=opening.origin,
            vkeys=opening.vkeys,
        )
        yield format_export(
            header,
            (stored.data for stored in read_entries(connection, 0, head.size)),
            read_attachments(connection),
            signed_checkpoint(connection, origin=opening.origin, signers=signers),
        )

"""Where a ledger is read from to be verified: a database, or an exported file."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import BadCheckpoint, Unverified, show
from ledger.events.registry import LedgerOpened
from ledger.log.checkpoint import open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.export import Export
from ledger.log.verify import Replica
from ledger.storage.reading import read_attachments, read_entries, read_head, read_subtrees

Attachment = tuple[str, str, bytes]
"""(SHA-256 in hex, media type, bytes)"""


class End(Struct, frozen=True, kw_only=True):
    """What a verified history comes to: what a source's own statements about it are held against."""

    replica: Replica
    opening: LedgerOpened
    vkeys: tuple[str, ...]
    """The log's keys that are in force at its end: each of them has to have signed a checkpoint over all of it."""
    state_seqs: frozenset[int]
    """Index of the last entry that changed state; and those of later ones of kinds that are not known here, which may
    have."""


class Source(Protocol):
    """A ledger to be verified, read in the order of these methods."""

    @property
    def size(self) -> int:
        """How many entries it says it has."""
        ...

    def entries(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Give (index as stored, bytes, leaf hash as stored or None) in order."""
        ...

    def attachments(self) -> Iterator[Attachment]:
        """Give the attachments. Raises Unverified at one that does not have the hash that it is kept under."""
        ...

    def check(self, end: End) -> bool:
        """Raise Unverified where the source says otherwise than its entries; tell whether a checkpoint was signed."""
        ...


class DatabaseSource:
    """A ledger in a database: entries, leaf hashes, the hashes above them and the head all have to agree.

    The connection has to read one `snapshot`, or a writer's next batch looks like a fault.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._head = read_head(connection)

    @property
    def size(self) -> int:
        """The size in the head row."""
        return self._head.size

    def entries(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Read every stored row, those before the first and past the head too: there must be none."""
        for stored in read_entries(self._connection, -(2**62), 2**62):
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
        if self._head.state_seq not in end.state_seqs:
            raise BadCheckpoint("the head states another state_seq than the entries lead to")
        if read_subtrees(self._connection) != sorted(replica.subtrees):
            raise BadCheckpoint("the tree's stored hashes are not those that the entries lead to")
        return False


class ExportSource:
    """A ledger in an exported file: header, entries and checkpoint all have to agree."""

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

    def attachments(self) -> Iterator[Attachment]:
        """Read the attachments' lines, which the export checks."""
        return self._export.attachments()

    def check(self, end: End) -> bool:
        """Hold the header against the first entry, the checkpoint, signed by each key in force, against the rest."""
        header, opening = self._export.header, end.opening
        if (header.origin, header.vkeys) != (opening.origin, opening.vkeys):
            raise BadCheckpoint("the header states another origin or other keys than the first entry")
        note = self._export.checkpoint()
        for vkey in end.vkeys:
            end.replica.check(open_checkpoint(note, [parse_vkey(vkey)], origin=opening.origin))
        return True

"""Reading the ledger: its head, its entries, its attachments, and the tree's hashes for proofs."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Misconfigured, NotFound
from ledger.log.merkle import CompactRange
from ledger.log.proof import HashReader
from ledger.log.tile import TILE_WIDTH, hash_reader
from ledger.storage.tables import AttachmentRow, DisclosureRow, EntryRow, HeadRow, SubtreeRow, table

ENTRY, HEAD, SUBTREE, ATTACHMENT = (table(row) for row in (EntryRow, HeadRow, SubtreeRow, AttachmentRow))
DISCLOSURE = table(DisclosureRow)

# Statements of every proof, made once: SQLAlchemy takes longer to make one than to run it.
READ_HEAD = HEAD.select()
READ_ENTRY = ENTRY.select().where(ENTRY.c.seq == sa.bindparam("seq"))
READ_LEAVES = (
    sa.select(ENTRY.c.leaf)
    .where(ENTRY.c.seq >= sa.bindparam("start"), ENTRY.c.seq < sa.bindparam("stop"))
    .order_by(ENTRY.c.seq)
)
READ_HASHES = (
    sa.select(SUBTREE.c.hash)
    .where(
        SUBTREE.c.level == sa.bindparam("level"),
        SUBTREE.c.index >= sa.bindparam("start"),
        SUBTREE.c.index < sa.bindparam("stop"),
    )
    .order_by(SUBTREE.c.index)
)

READ_AHEAD = 5_000
"""Entries fetched at once while a whole ledger is read: about 3 MB."""


MAX_REMEMBERED_TILES = 512
"""Tiles above the leaves that a connection remembers for proofs, 19 kB each: all of them, up to 30 million entries."""


class Head(Struct, frozen=True, kw_only=True):
    """Where the committed ledger ends."""

    size: int
    root: bytes
    leaf: bytes
    """Of the last entry."""
    state_seq: int
    at: str


class StoredEntry(Struct, frozen=True):
    """An entry as stored."""

    seq: int
    leaf: bytes
    data: bytes


def read_head(connection: sa.Connection) -> Head:
    """Read the committed head. Raises Misconfigured where the database holds no ledger."""
    row = connection.execute(READ_HEAD).one_or_none()
    if row is None:
        raise Misconfigured("the database holds no ledger", help="run `oblik init`")
    root = CompactRange.unpack(row.size, row.edge).root()
    return Head(size=row.size, root=root, leaf=row.leaf, state_seq=row.state_seq, at=row.at)


def read_entry(connection: sa.Connection, seq: int) -> StoredEntry:
    """Read one entry. Raises NotFound."""
    row = connection.execute(READ_ENTRY, {"seq": seq}).one_or_none()
    if row is None:
        raise NotFound("entry", seq)
    return StoredEntry(row.seq, row.leaf, row.data)


def read_entries(connection: sa.Connection, start: int, stop: int) -> Iterator[StoredEntry]:
    """Read entries [start, stop) in order of their index, a bounded number at a time.

    The rows are given as they are stored: a gap is for the verifier to find.
    """
    query = (
        sa.select(ENTRY.c.seq, ENTRY.c.leaf, ENTRY.c.data)
        .where(ENTRY.c.seq >= sa.bindparam("start"), ENTRY.c.seq < stop)
        .order_by(ENTRY.c.seq)
        .limit(READ_AHEAD)
    )
    while rows := connection.execute(query, {"start": start}).all():
        for seq, leaf, data in rows:
            yield StoredEntry(seq, _bytes(leaf), _bytes(data))
        start = rows[-1].seq + 1


def read_subtrees(connection: sa.Connection) -> list[tuple[int, int, bytes]]:
    """Read the tree's rows above the leaves, as (level, index, hash), in their order."""
    query = sa.select(SUBTREE.c.level, SUBTREE.c.index, SUBTREE.c.hash).order_by(SUBTREE.c.level, SUBTREE.c.index)
    return [(level, index, hash_) for level, index, hash_ in connection.execute(query)]


def read_attachments(connection: sa.Connection, *, without: Collection[str] = ()) -> Iterator[tuple[str, str, bytes]]:
    """Read every attachment as (sha256, media type, bytes), in order of its digest, but for those named."""
    names = connection.execute(sa.select(ATTACHMENT.c.sha256).order_by(ATTACHMENT.c.sha256)).scalars().all()
    for name in names:
        if name in without:
            continue
        row = connection.execute(ATTACHMENT.select().where(ATTACHMENT.c.sha256 == name)).one()
        yield row.sha256, row.media_type, _bytes(row.data)


def may_read_disclosures(connection: sa.Connection) -> bool:
    """Tell whether this database role is let see what was sealed: an auditor's on PostgreSQL is not."""
    if connection.dialect.name == "sqlite":
        return True
    asked = sa.text("SELECT has_table_privilege('disclosure', 'SELECT')")
    return bool(connection.execute(asked).scalar_one())


def read_disclosures(connection: sa.Connection) -> Iterator[tuple[str, int, bytes]]:
    """Read every disclosure as (commitment, index of its entry, bytes), in order of the commitments."""
    names = connection.execute(sa.select(DISCLOSURE.c.commitment).order_by(DISCLOSURE.c.commitment)).scalars().all()
    for name in names:
        row = connection.execute(DISCLOSURE.select().where(DISCLOSURE.c.commitment == name)).one()
        yield row.commitment, row.seq, _bytes(row.data)


def read_disclosure(connection: sa.Connection, commitment: str) -> bytes | None:
    """Read the value behind a commitment; None where it is not kept."""
    query = sa.select(DISCLOSURE.c.data).where(DISCLOSURE.c.commitment == commitment)
    data: bytes | None = connection.execute(query).scalar_one_or_none()
    return data


def read_attachment_names(connection: sa.Connection) -> list[tuple[str, str]]:
    """Read (sha256, media type) of every attachment, in order of its digest."""
    query = sa.select(ATTACHMENT.c.sha256, ATTACHMENT.c.media_type).order_by(ATTACHMENT.c.sha256)
    return [(sha256, media_type) for sha256, media_type in connection.execute(query)]


def _bytes(stored: bytes | str) -> bytes:
    """Give a column's bytes. SQLite keeps text in it, too, where someone has written text: then it does not verify."""
    return stored if isinstance(stored, bytes) else str(stored).encode()


def count_attachments(connection: sa.Connection) -> int:
    """Count the attachments."""
    return connection.execute(sa.select(sa.func.count()).select_from(ATTACHMENT)).scalar_one()


def tile_rows(connection: sa.Connection, level: int, start: int, stop: int) -> Sequence[bytes]:
    """Read hashes [start, stop) of a tile level: leaves from entries, the rest from the rows kept above them."""
    span = {"start": start, "stop": stop}
    if level == 0:
        return connection.execute(READ_LEAVES, span).scalars().all()
    return connection.execute(READ_HASHES, {"level": level, **span}).scalars().all()


def tree_reader(connection: sa.Connection) -> HashReader:
    """Give a reader of the tree's hashes, for proofs."""
    return hash_reader(partial(tile_rows, connection))


def proof_reader(connection: sa.Connection) -> HashReader:
    """Give a reader of the same for proofs of what is committed: such hashes never change, so it remembers some.

    Whoever asks whether the tree is still the one that was published needs `tree_reader`.
    """
    tiles: dict[tuple[int, int], Sequence[bytes]] = connection.info.setdefault("tiles", {})

    def rows(level: int, start: int, stop: int) -> Sequence[bytes]:
        if level == 0:
            return tile_rows(connection, level, start, stop)
        first = start - start % TILE_WIDTH
        if len(tiles.get((level, first), ())) < stop - first:
            read = tile_rows(connection, level, first, stop)
            if len(read) != stop - first:  # some are missing, and so the others are not in their places
                return tile_rows(connection, level, start, stop)
            _remember(tiles, (level, first), read)
        return tiles[level, first][start - first : stop - first]

    return hash_reader(rows)


def _remember(tiles: dict[tuple[int, int], Sequence[bytes]], tile: tuple[int, int], rows: Sequence[bytes]) -> None:
    tiles[tile] = rows
    if len(tiles) > MAX_REMEMBERED_TILES:
        del tiles[next(iter(tiles))]

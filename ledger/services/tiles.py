"""Tiles (C2SP tlog-tiles): one at a time over HTTP, and all that are new as files.

Beside what the specification names, attachments lie at `attachments/<sha256>`, with a list of them, one a line, at
`attachments/index`; and time-stamps, one a line, at `timestamps`.
"""

import json
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from ledger.errors import Malformed, Misconfigured, NotFound, Unavailable
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.codec import format_base64
from ledger.log.merkle import TILE_HEIGHT
from ledger.log.note import parse_note
from ledger.log.proof import root_at
from ledger.log.tile import MAX_LEVEL, TILE_WIDTH, format_bundle, parse_tile_path, tile_path
from ledger.services.caller import Caller
from ledger.services.reading import check_reads_all
from ledger.storage.engine import snapshot
from ledger.storage.publication import read_publication, read_timestamps
from ledger.storage.reading import read_attachment_names, read_attachments, read_entries, tile_rows, tree_reader
from ledger.storage.tiles import TileStore
from ledger.storage.transaction import read_attachment

CHECKPOINT, TIMESTAMPS, ATTACHMENTS = "checkpoint", "timestamps", "attachments/index"


def public_checkpoint(connection: sa.Connection) -> bytes:
    """Give the checkpoint that everybody is shown. Raises NotFound where none was published yet."""
    publication = read_publication(connection)
    if publication is None or not publication.public:
        raise NotFound("checkpoint", "published yet")
    return publication.public


def one_bundle(connection: sa.Connection, caller: Caller, owner: str, path: str) -> bytes:
    """Give a bundle of entries. For the owner's holders of the `read` scope. Raises NotFound as `one_tile` does."""
    check_reads_all(caller, owner)
    return one_tile(connection, path)


def one_tile(connection: sa.Connection, path: str) -> bytes:
    """Give a tile of the published tree. Raises NotFound for any that a checkpoint up to now does not have."""
    try:
        level, n, width = parse_tile_path(path)
    except Malformed:
        raise NotFound("tile", path) from None
    publication = read_publication(connection)
    size = 0 if publication is None else publication.size
    if n * TILE_WIDTH + width > hashes_of(level or 0, size):
        raise NotFound("tile", path)
    return _tile(connection, level, n, width)


def hashes_of(level: int, size: int) -> int:
    """Give how many hashes a tree of `size` has at a tile level."""
    return size >> (TILE_HEIGHT * level)


def _tile(connection: sa.Connection, level: int | None, n: int, width: int) -> bytes:
    start = n * TILE_WIDTH
    if level is None:
        return format_bundle([stored.data for stored in read_entries(connection, start, start + width)])
    rows = tile_rows(connection, level, start, start + width)
    if len(rows) != width:
        raise Unavailable(f"the tree has {len(rows)} of {width} hashes of {tile_path(level, n, width)}")
    return b"".join(rows)


def new_tiles(old: int, new: int, *, entries: bool) -> Iterator[tuple[int | None, int, int]]:
    """Name the tiles (level, n, width) that the tree of `new` leaves has, and that of `old` has not."""
    levels: list[int | None] = [None] if entries else []
    levels += [level for level in range(MAX_LEVEL + 1) if hashes_of(level, new)]
    for level in levels:
        before, now = hashes_of(level or 0, old), hashes_of(level or 0, new)
        if now == before:
            continue
        for n in range(before // TILE_WIDTH, -(-now // TILE_WIDTH)):
            yield level, n, min(TILE_WIDTH, now - n * TILE_WIDTH)


def export_tiles(engine: sa.Engine, store: TileStore, *, note: bytes, entries: bool = True) -> int:
    """Write what a store does not have yet, and then the checkpoint. Gives how many entries are new there.

    Raises Misconfigured where the store has another ledger's tiles, or later ones; and Unavailable.
    """
    found, wanted = store.read(CHECKPOINT), parse_checkpoint(parse_note(note)[0])
    with snapshot(engine) as connection:
        start = _check_store(connection, store, found, wanted.origin)
        if wanted.size < start:
            return 0  # what is there is newer
        if entries:
            _export_left_out(connection, store, start)
        _export_new(connection, store, new_tiles(start, wanted.size, entries=entries))
        if entries:
            _export_attachments(connection, store)
        _export_timestamps(connection, store)
    if found != note and not store.swap(CHECKPOINT, found, note):
        raise Unavailable(f"another publisher writes to {store.name}", help="let one of them do it")
    return wanted.size - start


def list_attachments(connection: sa.Connection, caller: Caller, owner: str) -> bytes:
    """List the attachments, one a line. For the owner's holders of the `read` scope."""
    check_reads_all(caller, owner)
    return b"".join(_listed(sha256, media_type) for sha256, media_type in read_attachment_names(connection))


def one_attachment(connection: sa.Connection, caller: Caller, owner: str, sha256: str) -> bytes:
    """Give an attachment. For the owner's holders of the `read` scope. Raises NotFound."""
    check_reads_all(caller, owner)
    return read_attachment(connection, sha256)


def _listed(sha256: str, media_type: str) -> bytes:
    return json.dumps({"media_type": media_type, "sha256": sha256}, separators=(",", ":")).encode() + b"\n"


def _check_store(connection: sa.Connection, store: TileStore, note: bytes | None, origin: str) -> int:
    """Give the size of the tree that a store has."""
    if note is None:
        return 0
    there = parse_checkpoint(parse_note(note)[0])
    publication = read_publication(connection)
    size = 0 if publication is None else publication.size
    if there.origin != origin:
        raise Misconfigured(f"{store.name} has the tiles of `{there.origin}`, another ledger")
    if there.size > size or root_at(there.size, tree_reader(connection)) != there.root:
        raise Misconfigured(f"{store.name} has tiles of {there.size:,} entries that are not this ledger's")
    return there.size


def _export_left_out(connection: sa.Connection, store: TileStore, size: int) -> None:
    """Write the bundles of a tree, if an export of hashes alone left them out: then the last of them is missing."""
    last, width = divmod(size - 1, TILE_WIDTH)
    if size == 0 or store.read(tile_path(None, last, width + 1)) is not None:
        return
    _export_new(connection, store, (tile for tile in new_tiles(0, size, entries=True) if tile[0] is None))


def _export_new(connection: sa.Connection, store: TileStore, tiles: Iterable[tuple[int | None, int, int]]) -> None:
    for level, n, width in tiles:
        store.write(tile_path(level, n, width), _tile(connection, level, n, width))


def _export_attachments(connection: sa.Connection, store: TileStore) -> None:
    index = store.read(ATTACHMENTS) or b""
    known = {json.loads(line)["sha256"] for line in index.splitlines()}
    lines = []
    for sha256, media_type, data in read_attachments(connection, without=known):
        store.write(f"attachments/{sha256}", data)
        lines.append(_listed(sha256, media_type))
    if lines and not store.swap(ATTACHMENTS, index or None, index + b"".join(lines)):
        raise Unavailable(f"another publisher writes to {store.name}", help="let one of them do it")


def _export_timestamps(connection: sa.Connection, store: TileStore) -> None:
    found, wanted = store.read(TIMESTAMPS), format_timestamps(connection)
    if wanted and found != wanted:
        store.swap(TIMESTAMPS, found, wanted)


def format_timestamps(connection: sa.Connection) -> bytes:
    """Give every time-stamp, one a line, each with the checkpoint that it is over."""
    lines = [
        {"authority": stamp.authority, "checkpoint": stamp.note.decode(), "token": format_base64(stamp.token)}
        for stamp in read_timestamps(connection)
    ]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

"""The hashes of a tree, read from tiles that nobody vouches for: none is believed before it leads to a known root.

    root ◀── the last, partial tile of each level ◀── a full tile, whose fold is a row one level up ◀── …

1. A tree of `size` has one partial tile at most at each level. The complete subtrees that make up the tree are exactly
   the rows of these tiles, each row in one of them, so that together they fold to the root (RFC 9162 §2.1.1) or are
   refused: after that every row of theirs is known.
2. Any other tile is full. Its 256 rows fold to one hash, which is a row of the level above: of a partial tile, which is
   known, or of a full one, which is checked first in the same way.

No other hash is given out. It is what golang.org/x/mod/sumdb/tlog has as TileHashReader.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from ledger.errors import BadProof
from ledger.log.merkle import HASH_BYTES, TILE_HEIGHT
from ledger.log.proof import HashReader, root_at
from ledger.log.tile import TILE_WIDTH, fold_rows, hash_reader, partial_width, tile_path

MAX_CACHED_TILES = 256
"""Full tiles kept, of 8 KiB each: many more than one proof takes."""

FetchTile = Callable[[int, int, int], bytes]
"""(level, n, width) → the tile's hashes, one behind the other."""


def checked_reader(size: int, root: bytes, fetch: FetchTile) -> HashReader:
    """Make a reader of the tree of `size` that has this `root`.

    It raises BadProof, now or when it is used, where tiles do not lead to the root, or the tree has no such hash; and
    whatever `fetch` raises.
    """
    return hash_reader(CheckedRows(size, root, fetch))


class CheckedRows:
    """Rows of tiles (`ledger.log.tile.Rows`), each proven against the root before it is given."""

    def __init__(self, size: int, root: bytes, fetch: FetchTile) -> None:
        self._size, self._fetch = size, fetch
        self._full: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._edge = {level: self._fetch_whole(level, n, width) for level, n, width in _edge_of(size)}
        if root_at(size, hash_reader(self._edge_rows)) != root:
            raise BadProof(f"the last tiles do not lead to the root of the tree of {size:,} entries")

    def __call__(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Give rows [start, stop), all of one tile: fewer where the tree ends before."""
        if stop > self._size >> TILE_HEIGHT * level:
            return []
        n = start // TILE_WIDTH
        if (n + 1) * TILE_WIDTH > self._size >> TILE_HEIGHT * level:
            return self._edge_rows(level, start, stop)
        return _rows(self._full_tile(level, n), start, stop)

    def _edge_rows(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        return _rows(self._edge[level], start, stop)

    def _full_tile(self, level: int, n: int) -> bytes:
        """Give a full tile, once its fold is found in the level above."""
        found = self._full.get((level, n))
        if found is None:
            found = self._fetch_whole(level, n, TILE_WIDTH)
            if [fold_rows(_rows(found, 0, TILE_WIDTH))] != self(level + 1, n, n + 1):
                raise BadProof(f"{tile_path(level, n)} does not lead to the root of the tree of {self._size:,} entries")
            self._full[level, n] = found
        self._full.move_to_end((level, n))
        if len(self._full) > MAX_CACHED_TILES:
            self._full.popitem(last=False)
        return found

    def _fetch_whole(self, level: int, n: int, width: int) -> bytes:
        data = self._fetch(level, n, width)
        if len(data) != width * HASH_BYTES:
            raise BadProof(f"{tile_path(level, n, width)} has {len(data):,} bytes, not {width * HASH_BYTES:,}")
        return data


def _edge_of(size: int) -> list[tuple[int, int, int]]:
    """Name the partial tiles of a tree: (level, n, width)."""
    levels = range(-(-size.bit_length() // TILE_HEIGHT))
    tiles = ((level, size >> TILE_HEIGHT * (level + 1), partial_width(level, size)) for level in levels)
    return [tile for tile in tiles if tile[2]]


def _rows(tile: bytes, start: int, stop: int) -> list[bytes]:
    first = start % TILE_WIDTH
    ends = range(first * HASH_BYTES, (first + stop - start) * HASH_BYTES, HASH_BYTES)
    return [tile[at : at + HASH_BYTES] for at in ends]

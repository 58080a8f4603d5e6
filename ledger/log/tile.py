"""Tiles (C2SP tlog-tiles): where a hash lies, what its tile is called, and bundles of entries.

    tile/<L>/<N>[.p/<W>]         hashes of 256^L leaves each, 256 to a tile; W of them where the tile is not full yet
    tile/entries/<N>[.p/<W>]     the entries themselves, each behind its length

N is written in groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256

from ledger.errors import BadProof, Malformed, TooLarge, show
from ledger.log.entry import MAX_ENTRY_BYTES
from ledger.log.merkle import TILE_HEIGHT
from ledger.log.proof import HashReader, Node

TILE_WIDTH = 1 << TILE_HEIGHT
"""Hashes, or entries, in a full tile."""

MAX_LEVEL = 63
"""The highest level that the specification can name."""

MAX_PATH_CHARACTERS = 60
"""The longest path is `tile/entries/` with a 64-bit number in seven groups and a width: 52."""

LENGTH_BYTES = 2
"""Of the big-endian length before each entry of a bundle."""

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)

Rows = Callable[[int, int, int], Sequence[bytes]]
"""(tile level L, start, stop) → hashes of the subtrees [start, stop) of 256^L leaves each."""


def tile_path(level: int | None, n: int, width: int = TILE_WIDTH) -> str:
    """Name a tile; level None is the entries'."""
    digits = f"{n:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{path}{partial}"


def parse_tile_path(path: str) -> tuple[int | None, int, int]:
    """Read a tile's name as (level, n, width). Raises Malformed for anything but the one way to write it."""
    match = _PATH.fullmatch(path) if len(path) <= MAX_PATH_CHARACTERS else None
    if match is None:
        raise Malformed("", f"{show(path)} names no tile")
    level = None if match["level"] == "entries" else int(match["level"])
    n = int(match["n"].replace("x", "").replace("/", ""))
    width = int(match["width"]) if match["width"] else TILE_WIDTH
    if (level or 0) > MAX_LEVEL or width > TILE_WIDTH or tile_path(level, n, width) != path:
        raise Malformed("", f"{show(path)} names no tile")
    return level, n, width


def partial_width(level: int, size: int) -> int:
    """Give the width of the last tile of a level in a tree of `size`; 0 where all are full."""
    return (size >> (TILE_HEIGHT * level)) % TILE_WIDTH


def tile_of(height: int, index: int) -> tuple[int, int, int, int]:
    """Say where the complete subtree of 2^height leaves at `index` lies: (level, n, start, stop).

    It is the root over the rows [start, stop) of tile n at that level: at most 128 of them.
    """
    level, above = divmod(height, TILE_HEIGHT)
    n, start = divmod(index << above, TILE_WIDTH)
    return level, n, start, start + (1 << above)


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """Put 1 to 256 entries into a bundle, each behind its length. Raises TooLarge, or Malformed on another number."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise Malformed("", f"a bundle of {show(len(entries))} entries has not 1 to {TILE_WIDTH}")
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise TooLarge("an entry", limit=MAX_ENTRY_BYTES)
    return b"".join(len(entry).to_bytes(LENGTH_BYTES) + entry for entry in entries)


def parse_bundle(data: bytes, *, width: int) -> list[bytes]:
    """Read a bundle of exactly `width` entries, as its path says. Raises Malformed where it breaks off or goes on."""
    entries: list[bytes] = []
    place = 0
    while place < len(data) and len(entries) < width:
        start = place + LENGTH_BYTES
        place = start + int.from_bytes(data[place:start])
        entries.append(data[start:place])
    if len(entries) != width or place != len(data):  # the last one breaks off, or something follows it
        raise Malformed("", f"the bundle does not hold exactly {show(width)} entries")
    return entries


def hash_reader(rows: Rows) -> HashReader:
    """Make a reader of any complete subtree out of a reader of tile rows, which is asked once for each tile.

    The reader raises BadProof where a row is missing.
    """

    def read(nodes: Sequence[Node]) -> list[bytes]:
        places = [tile_of(height, index) for height, index in nodes]
        spans: dict[tuple[int, int], tuple[int, int]] = {}
        for level, n, start, stop in places:
            low, high = spans.get((level, n), (start, stop))
            spans[level, n] = min(low, start), max(high, stop)
        tiles = {tile: _read_span(rows, *tile, *span) for tile, span in spans.items()}
        return [
            fold_rows(tiles[level, n][start - spans[level, n][0] : stop - spans[level, n][0]])
            for level, n, start, stop in places
        ]

    return read


def _read_span(rows: Rows, level: int, n: int, start: int, stop: int) -> Sequence[bytes]:
    first = n * TILE_WIDTH
    hashes = rows(level, first + start, first + stop)
    if len(hashes) != stop - start:
        raise BadProof(f"the tree has {len(hashes)} of {stop - start} hashes at level {level} from {first + start}")
    return hashes


def fold_rows(hashes: Sequence[bytes]) -> bytes:
    """Fold a power of two of neighbouring hashes to the root over them."""
    while len(hashes) > 1:  # `hash_node` written out: a call for each of the hundreds would double the time of a proof
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0]

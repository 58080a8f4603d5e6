"""The Merkle tree of RFC 9162 §2.1 over SHA-256: its hashes, and its right edge.

    leaf = SHA-256(0x00 ‖ entry)          node = SHA-256(0x01 ‖ left ‖ right)          empty tree = SHA-256("")

A tree of 11 leaves is the complete subtrees of 8, 2 and 1 leaves; their hashes, from the largest to the smallest, are
its compact range. That is all a writer needs to append and to know the root: 32 bytes for each set bit of the size.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from msgspec import Struct

from ledger.errors import Malformed, show

HASH_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves (RFC 9162 §2.1.1)."""

TILE_HEIGHT = 8
"""A tile spans 8 levels of the tree, 256 hashes of its lowest (C2SP tlog-tiles)."""

Row = tuple[int, int, bytes]
"""(tile level L from 1, index there, hash) of leaves [index·256^L, (index+1)·256^L)."""

_begun_leaf, _begun_node = sha256(b"\x00"), sha256(b"\x01")  # a copy saves looking the algorithm up, for each of many


def hash_leaf(data: bytes) -> bytes:
    """Hash an entry's bytes as a leaf (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + data).digest()


def hash_leaves(run: Iterable[bytes]) -> list[bytes]:
    """Hash many entries' bytes as leaves, each as `hash_leaf` does."""
    hashes, begin = [], _begun_leaf.copy
    for data in run:
        leaf = begin()
        leaf.update(data)
        hashes.append(leaf.digest())
    return hashes


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def _hash_pairs(row: Sequence[bytes]) -> list[bytes]:
    """Hash each two neighbours into their parent, as `hash_node` does."""
    parents, begin = [], _begun_node.copy
    for left, right in zip(row[::2], row[1::2], strict=True):
        node = begin()
        node.update(left + right)
        parents.append(node.digest())
    return parents


class Fold(Struct, frozen=True):
    """Leaves [start, start + size) as complete subtrees, each as large as it can be."""

    start: int
    size: int
    pieces: list[tuple[int, bytes]]
    """(height, hash) of those subtrees, from left to right."""
    rows: list[Row]
    """The rows of tile levels that are complete within them."""


def fold(start: int, leaves: Sequence[bytes]) -> Fold:
    """Hash leaves that stand from index `start` on, as far up as they reach without their neighbours."""
    begin: list[tuple[int, bytes]] = []
    end: list[tuple[int, bytes]] = []
    rows: list[Row] = []
    row, index, height = list(leaves), start, 0
    while row:
        if height and not height % TILE_HEIGHT:
            rows += [(height // TILE_HEIGHT, i, subtree) for i, subtree in enumerate(row, start=index)]
        if index & 1:  # its left neighbour is not here
            begin.append((height, row.pop(0)))
            index += 1
        if len(row) & 1:
            end.append((height, row.pop()))
        row, index, height = _hash_pairs(row), index >> 1, height + 1
    return Fold(start, len(leaves), begin + end[::-1], rows)


class CompactRange:
    """The right edge of a growing tree: `size` leaves, `hashes` of its complete subtrees, largest first."""

    __slots__ = ("hashes", "size")

    def __init__(self) -> None:
        self.size = 0
        self.hashes: list[bytes] = []

    def append(self, leaf: bytes) -> list[Row]:
        """Add a leaf hash. Gives what it completes at heights 8, 16, 24….

        Storage keeps just these: one row for each 256 of the level below.
        """
        completed = self._join(0, leaf)
        self.size += 1
        return completed

    def extend(self, more: Fold) -> list[Row]:
        """Add many leaves. Gives what `append` gives for all of them, in order of level and index.

        Raises ValueError where they do not begin at the end.
        """
        if more.start != self.size:
            raise ValueError(f"leaf {more.start} does not follow on {self.size} leaves")
        completed = list(more.rows)
        for height, subtree in more.pieces:
            completed += self._join(height, subtree)
            self.size += 1 << height
        return sorted(completed)

    def _join(self, height: int, subtree: bytes) -> list[Row]:
        """Add a complete subtree of 2^height leaves. Gives the rows above it that it completes."""
        completed: list[Row] = []
        hashes, rest = self.hashes, self.size >> height
        while rest & 1:  # a complete subtree of this height stands to the left: join them
            subtree = sha256(b"\x01" + hashes.pop() + subtree).digest()
            rest >>= 1
            height += 1
            if not height % TILE_HEIGHT:
                completed.append((height // TILE_HEIGHT, rest, subtree))
        hashes.append(subtree)
        return completed

    def root(self) -> bytes:
        """Give the root of the tree (RFC 9162 §2.1.1). O(log size)."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = hash_node(left, root)
        return root

    def pack(self) -> bytes:
        """Give the hashes as one string of bytes, 32 each."""
        return b"".join(self.hashes)

    @classmethod
    def unpack(cls, size: int, data: bytes) -> "CompactRange":
        """Read what `pack` gave for a tree of `size` leaves. Raises Malformed."""
        if size < 0 or len(data) != HASH_BYTES * size.bit_count():
            raise Malformed("", f"{len(data)} bytes are not the right edge of a tree of {show(size)} leaves")
        edge = cls()
        edge.size = size
        edge.hashes = [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
        return edge

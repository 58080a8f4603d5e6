"""The Merkle tree of RFC 9162 §2.1 over SHA-256: its hashes, and its right edge.

    leaf = SHA-256(0x00 ‖ entry)          node = SHA-256(0x01 ‖ left ‖ right)          empty tree = SHA-256("")

A tree of 11 leaves is the complete subtrees of 8, 2 and 1 leaves; their hashes, from the largest to the smallest, are
its compact range. That is all a writer needs to append and to know the root: 32 bytes for each set bit of the size.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from ledger.errors import Malformed, show

HASH_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves (RFC 9162 §2.1.1)."""

TILE_HEIGHT = 8
"""A tile spans 8 levels of the tree, 256 hashes of its lowest (C2SP tlog-tiles)."""

TILE_WIDTH = 1 << TILE_HEIGHT
"""Leaves of a complete subtree that is one hash in the tiles of the level above."""

_begun_leaf, _begun_node = sha256(b"\x00"), sha256(b"\x01")  # a copy saves looking the algorithm up, for each of many


def hash_leaf(data: bytes) -> bytes:
    """Hash an entry's bytes as a leaf (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + data).digest()


def hash_leaves(run: Iterable[bytes]) -> list[bytes]:
    """Hash many entries' bytes as leaves, each as `hash_leaf` does."""
    hashes = []
    for data in run:
        leaf = _begun_leaf.copy()
        leaf.update(data)
        hashes.append(leaf.digest())
    return hashes


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def hash_tile(leaves: Sequence[bytes]) -> bytes:
    """Hash TILE_WIDTH leaf hashes, or any other power of two of them, into their complete subtree."""
    row = list(leaves)
    while len(row) > 1:
        parents = []
        for left, right in zip(row[::2], row[1::2], strict=True):
            node = _begun_node.copy()
            node.update(left + right)
            parents.append(node.digest())
        row = parents
    return row[0]


class CompactRange:
    """The right edge of a growing tree: `size` leaves, `hashes` of its complete subtrees, largest first."""

    __slots__ = ("hashes", "size")

    def __init__(self) -> None:
        self.size = 0
        self.hashes: list[bytes] = []

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash. Gives what it completes at heights 8, 16, 24…: (tile level from 1, index there, hash).

        Storage keeps just these: one row for each 256 of the level below.
        """
        completed = self._join(leaf, 0)
        self.size += 1
        return completed

    def append_tile(self, tile: bytes) -> list[tuple[int, int, bytes]]:
        """Add TILE_WIDTH leaves at once, by the hash of their subtree. Gives what `append` gives for the last of them.

        Raises ValueError where the tree's size is no multiple of TILE_WIDTH.
        """
        if self.size % TILE_WIDTH:
            raise ValueError(f"no tile begins at leaf {self.size}")
        index = self.size >> TILE_HEIGHT
        completed = [(1, index, tile), *self._join(tile, TILE_HEIGHT)]
        self.size += TILE_WIDTH
        return completed

    def _join(self, subtree: bytes, height: int) -> list[tuple[int, int, bytes]]:
        completed: list[tuple[int, int, bytes]] = []
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

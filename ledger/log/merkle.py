"""The Merkle tree of RFC 9162 §2.1 over SHA-256: its hashes, and its right edge.

    leaf = SHA-256(0x00 ‖ entry)          node = SHA-256(0x01 ‖ left ‖ right)          empty tree = SHA-256("")

A tree of 11 leaves is the complete subtrees of 8, 2 and 1 leaves; their hashes, from the largest to the smallest, are
its compact range. That is all a writer needs to append and to know the root: 32 bytes for each set bit of the size.
"""

from hashlib import sha256

from ledger.errors import Malformed, show

HASH_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves (RFC 9162 §2.1.1)."""

TILE_HEIGHT = 8
"""A tile spans 8 levels of the tree, 256 hashes of its lowest (C2SP tlog-tiles)."""


def hash_leaf(data: bytes) -> bytes:
    """Hash an entry's bytes as a leaf (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + data).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


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
        completed: list[tuple[int, int, bytes]] = []
        hashes, rest, height = self.hashes, self.size, 0
        while rest & 1:  # a complete subtree of this height stands to the left: join them
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            rest >>= 1
            height += 1
            if not height % TILE_HEIGHT:
                completed.append((height // TILE_HEIGHT, rest, leaf))
        hashes.append(leaf)
        self.size += 1
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

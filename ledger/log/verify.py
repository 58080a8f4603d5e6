"""The chain rule, over entries in order: what an auditor's machine does for each, and nothing else.

For entry n: its bytes are canonical, it says that it is n, `prev` is the leaf hash of n - 1, its time is not before
that of n - 1, and in each stream of `about` it follows the stream's entry before it. Where it seals the streams, it
states where they stand. The same leaf hashes grow the tree, whose root a checkpoint has to state.

    replica = Replica()
    for data in entries:
        replica.add(data)
    replica.check(open_checkpoint(note, verifiers, origin=origin))
"""

from ledger.errors import BadCheckpoint, BadEntry, show
from ledger.log.checkpoint import Checkpoint
from ledger.log.entry import GENESIS_PREV, Entry, parse_entry
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.log.streams import SEALED_KIND, SEALED_VERSION, check_sealed_streams

Subtree = tuple[int, int, bytes]
"""(L, index, hash) of leaves [index·256^L, (index+1)·256^L)."""

NEW_STREAM = (0, -1)
"""What a stream's first entry says in `about`: ordinal 0, and no entry before it."""


class Replica:
    """The ledger as far as it has been verified: the tree's edge and each stream's head, not the entries."""

    def __init__(self) -> None:
        self.size = 0
        """How many entries were verified."""
        self.last: Entry | None = None
        """The last of them."""
        self.leaf = GENESIS_PREV
        """Leaf hash of the last of them."""
        self.subtrees: list[Subtree] = []
        """Hashes of complete subtrees of 256^L leaves, L ≥ 1, in the order in which they were completed."""
        self._range = CompactRange()
        self._prev = GENESIS_PREV.hex()
        self._streams: dict[str, tuple[int, int]] = {}

    def root(self) -> bytes:
        """Give the root over the entries verified."""
        return self._range.root()

    def add(self, data: bytes, leaf: bytes | None = None) -> Entry:
        """Verify the next entry; `leaf` is the hash stored beside it, if one is.

        Raises BadEntry, and is then where it was before.
        """
        seq = self.size
        entry = parse_entry(data, seq=seq, prev=self._prev)
        last = self.last
        if last is not None and entry.at < last.at:
            raise BadEntry(seq, f"/at: {show(entry.at)} is before the time of entry {last.seq}, {show(last.at)}")
        hashed = hash_leaf(data)
        if leaf is not None and leaf != hashed:
            raise BadEntry(seq, "does not have the leaf hash that is stored beside it")
        streams = self._streams
        for name, link in entry.about.items():
            if link != streams.get(name, NEW_STREAM):
                raise BadEntry(seq, _breaks(name, link, streams.get(name, NEW_STREAM)))
        if entry.kind == SEALED_KIND and entry.v == SEALED_VERSION:
            check_sealed_streams(entry, streams)
        for name, (ordinal, _) in entry.about.items():
            streams[name] = (ordinal + 1, seq)
        completed = self._range.append(hashed)
        if completed:
            self.subtrees += completed
        self.size, self.last, self.leaf, self._prev = seq + 1, entry, hashed, hashed.hex()
        return entry

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise BadCheckpoint unless the checkpoint commits to exactly these entries."""
        if checkpoint.size != self.size:
            raise BadCheckpoint(f"the checkpoint is of {checkpoint.size:,} entries; there are {self.size:,}")
        if checkpoint.root != self.root():
            raise BadCheckpoint(f"the checkpoint of {self.size:,} entries states another root than they lead to")


def _breaks(name: str, link: tuple[int, int], expected: tuple[int, int]) -> str:
    return (
        f"/about: {show(list(link))} does not continue the stream {show(name)}, which stands at {show(list(expected))}"
    )

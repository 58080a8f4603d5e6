"""The chain rule, over entries in order: what an auditor's machine does for each, and nothing else.

For entry n: its bytes are canonical, it says that it is n, `prev` is the leaf hash of n - 1, its time is not before
that of n - 1, and in each stream of `about` it follows the stream's entry before it. Where it seals the streams, it
states where they stand. The same leaf hashes grow the tree, whose root a checkpoint has to state.

    replica = Replica()
    for data in entries:
        replica.add(data)
    replica.check(open_checkpoint(note, verifiers, origin=origin))

Many at once go quicker as spans: runs of entries that hold together by themselves, made anywhere and in any order.

    span = verify_span(256, entries[256:4096])
    span is not None and replica.join(span)

A span only ever says that all is well. Where there is none, or the replica does not take it, the entries are added one
by one, and `add` names the one at fault.
"""

from collections.abc import Sequence

from msgspec import Struct

from ledger.errors import BadCheckpoint, BadEntry, show
from ledger.log.checkpoint import Checkpoint
from ledger.log.entry import GENESIS_PREV, Entry, Reader, parse_entry
from ledger.log.merkle import CompactRange, Fold, Row, fold, hash_leaf, hash_leaves
from ledger.log.streams import SEALED_KIND, SEALED_VERSION, check_sealed_streams

Link = tuple[int, int]
"""What an entry says in `about` of a stream: its ordinal there, and the index of the stream's entry before it."""

Kind = tuple[str, int]
"""(kind, version of its body)"""

NEW_STREAM: Link = (0, -1)
"""What a stream's first entry says in `about`: ordinal 0, and no entry before it."""

ENTRIES_AT_ONCE = 64
"""Entries parsed together: enough to spread the cost of a call, too few to wake the garbage collector (measured)."""


NOTED = frozenset({"ledger.opened", "log_key.introduced", "log_key.retired", "field.erased"})
"""Kinds that say who signs, or whose value is gone; entries with sealed fields are noted too."""


class Span(Struct, frozen=True, kw_only=True):
    """A run of entries each of which follows from the one before it in the run."""

    first: bytes
    last: bytes
    leaf: bytes
    """Leaf hash of the last."""
    tree: Fold
    claims: dict[str, Link]
    """For each stream, what the first of its entries in the run says of it."""
    heads: dict[str, Link]
    """For each stream, what its next entry after the run has to say."""
    kinds: list[tuple[str, int, int]]
    """(kind, version, index of the last such entry in the run)"""
    noted: list[tuple[int, bytes]]
    """(index, bytes) of the entries of which more is to be verified than their place: see `NOTED`."""

    @property
    def start(self) -> int:
        """Index of the first entry."""
        return self.tree.start

    @property
    def stop(self) -> int:
        """Index after the last."""
        return self.tree.start + self.tree.size


def verify_span(start: int, run: Sequence[bytes], leaves: Sequence[bytes] | None = None) -> Span | None:
    """Verify the entries from index `start` on, at least one; `leaves` are the hashes stored beside them, if any are.

    None where one of them is at fault by itself or by its neighbours in the run.
    """
    hashes: list[bytes] = []
    followed, reader = _Followed(), Reader()
    try:
        prev = parse_entry(run[0], seq=start).prev
        for i in range(0, len(run), ENTRIES_AT_ONCE):
            some = run[i : i + ENTRIES_AT_ONCE]
            hashed = hash_leaves(some)
            prevs = [prev, *[leaf.hex() for leaf in hashed]]
            prev = prevs.pop()
            if not followed.follow(reader.read(some, seq=start + i, prevs=prevs)):
                return None
            hashes += hashed
    except BadEntry:
        return None
    if leaves is not None and hashes != list(leaves):
        return None
    return Span(
        first=run[0],
        last=run[-1],
        leaf=hashes[-1],
        tree=fold(start, hashes),
        claims=followed.claims,
        heads=followed.heads,
        kinds=[(kind, version, seq) for (kind, version), seq in followed.kinds.items()],
        noted=[(seq, run[seq - start]) for seq in followed.noted],
    )


class _Followed:
    """Times, streams and kinds of a run, as far as it was read."""

    def __init__(self) -> None:
        self.at = ""
        self.claims: dict[str, Link] = {}
        self.heads: dict[str, Link] = {}
        self.kinds: dict[Kind, int] = {}
        self.noted: list[int] = []

    def follow(self, entries: Sequence[Entry]) -> bool:
        """Take the next entries. False where one goes back in time, does not continue a stream, or speaks of all."""
        times = [self.at, *[entry.at for entry in entries]]
        if times != sorted(times):
            return False
        self.at = times[-1]
        self.kinds.update({(entry.kind, entry.v): entry.seq for entry in entries})
        if (SEALED_KIND, SEALED_VERSION) in self.kinds:
            return False
        self.noted += [entry.seq for entry in entries if entry.sealed or entry.kind in NOTED]
        heads = self.heads
        for entry in entries:
            seq = entry.seq
            for name, link in entry.about.items():
                if link != heads.get(name):
                    if name in heads:
                        return False
                    self.claims[name] = link
                heads[name] = (link[0] + 1, seq)
        return True


class Replica:
    """The ledger as far as it has been verified: the tree's edge and each stream's head, not the entries."""

    def __init__(self) -> None:
        self.size = 0
        """How many entries were verified."""
        self.first: Entry | None = None
        """The first of them."""
        self.last: Entry | None = None
        """The last of them."""
        self.first_leaf = GENESIS_PREV
        self.leaf = GENESIS_PREV
        """Leaf hash of the last of them."""
        self.resumed = 0
        """How many of them were verified another day: see `ledger.log.kept`."""
        self.subtrees: list[Row] = []
        """The rows of tile levels that were completed since."""
        self.kinds: dict[Kind, int] = {}
        """Index of the last entry of each kind and version."""
        self.noted: list[tuple[int, bytes]] = []
        """(index, leaf hash) of the entries that are noted: see `NOTED`."""
        self.edge = CompactRange()
        """The tree's right edge."""
        self.streams: dict[str, Link] = {}
        """What the next entry of each stream has to say of it."""

    def root(self) -> bytes:
        """Give the root over the entries verified."""
        return self.edge.root()

    def add(self, data: bytes, leaf: bytes | None = None) -> Entry:
        """Verify the next entry; `leaf` is the hash stored beside it, if one is.

        Raises BadEntry, and is then where it was before.
        """
        seq = self.size
        entry = parse_entry(data, seq=seq, prev=self.leaf.hex())
        last = self.last
        if last is not None and entry.at < last.at:
            raise BadEntry(seq, f"/at: {show(entry.at)} is before the time of entry {last.seq}, {show(last.at)}")
        hashed = hash_leaf(data)
        if leaf is not None and leaf != hashed:
            raise BadEntry(seq, "does not have the leaf hash that is stored beside it")
        streams = self.streams
        for name, link in entry.about.items():
            if link != streams.get(name, NEW_STREAM):
                raise BadEntry(seq, _breaks(name, link, streams.get(name, NEW_STREAM)))
        if entry.kind == SEALED_KIND and entry.v == SEALED_VERSION:
            check_sealed_streams(entry, streams)
        for name, (ordinal, _) in entry.about.items():
            streams[name] = (ordinal + 1, seq)
        self.subtrees += self.edge.append(hashed)
        self.kinds[entry.kind, entry.v] = seq
        if entry.sealed or entry.kind in NOTED:
            self.noted.append((seq, hashed))
        if self.first is None:
            self.first, self.first_leaf = entry, hashed
        self.size, self.last, self.leaf = seq + 1, entry, hashed
        return entry

    def join(self, span: Span) -> bool:
        """Take a span that continues what was verified. False, and nothing is taken, where it does not."""
        first = parse_entry(span.first, seq=span.start)
        if span.start != self.size or not self._continues(first, span.claims):
            return False
        if self.first is None:
            self.first, self.first_leaf = first, hash_leaf(span.first)
        self.subtrees += self.edge.extend(span.tree)
        self.streams.update(span.heads)
        self.kinds.update({(kind, version): seq for kind, version, seq in span.kinds})
        self.noted += [(seq, hash_leaf(data)) for seq, data in span.noted]
        self.size, self.last, self.leaf = span.stop, parse_entry(span.last, seq=span.stop - 1), span.leaf
        return True

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise BadCheckpoint unless the checkpoint commits to exactly these entries."""
        if checkpoint.size != self.size:
            raise BadCheckpoint(f"the checkpoint is of {checkpoint.size:,} entries; there are {self.size:,}")
        if checkpoint.root != self.root():
            raise BadCheckpoint(f"the checkpoint of {self.size:,} entries states another root than they lead to")

    def _continues(self, first: Entry, claims: dict[str, Link]) -> bool:
        return (
            first.prev == self.leaf.hex()
            and (self.last is None or first.at >= self.last.at)
            and all(link == self.streams.get(name, NEW_STREAM) for name, link in claims.items())
        )


def _breaks(name: str, link: Link, expected: Link) -> str:
    return (
        f"/about: {show(list(link))} does not continue the stream {show(name)}, which stands at {show(list(expected))}"
    )

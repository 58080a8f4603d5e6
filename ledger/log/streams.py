"""The heads of all streams under one hash, so that "this is all, and the latest" can be proved to whoever sees one.

An entry `streams.sealed` states for the ledger before it how many streams there are, and the root of the RFC 9162 tree
over their heads, in order of the names as UTF-8 bytes:

    body  {"count":2,"root":"<64 hex>","size":41}
    leaf  ["org:acme",5,15]          the stream's name, how many entries it has, and the index of the last

A leaf and its inclusion proof show where a stream stands; two neighbours, with no place between them, that there is
none of a name. A proof shows hashes of other leaves, and a leaf is short: whoever guesses one can confirm the guess.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from ledger.errors import BadEntry, BadProof, Malformed, NotFound, show
from ledger.log.canonical import encode
from ledger.log.entry import Entry
from ledger.log.merkle import HASH_BYTES, CompactRange, hash_leaf, hash_node
from ledger.log.proof import HashReader, Node, check_inclusion, prove_inclusion, root_at

SEALED_KIND, SEALED_VERSION = "streams.sealed", 1

Heads = Mapping[str, tuple[int, int]]
"""(how many entries, index of the last) by the stream's name."""


class Seal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an entry `streams.sealed` states; `size` is its own index."""

    count: int
    root: str
    size: int


class StreamLeaf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stream's head, with its place in the tree and its inclusion proof."""

    hashes: tuple[bytes, ...]
    index: int
    last_seq: int
    name: str
    size: int


class StreamTree:
    """The tree over heads as they stood, which is moved on to what they are now: only what changed is hashed again."""

    def __init__(self, heads: Heads) -> None:
        self._names = sorted(map(_order, heads))
        self._levels = [_leaves(heads, [name.decode() for name in self._names])]
        self._hash_above(range(len(heads)))

    def move(self, moved: Heads) -> None:
        """Take the heads of streams that moved, or are new."""
        names = sorted(map(_order, moved))
        first_new = min((self._place(name) for name in names if not self._has(name)), default=len(self._names))
        for name in names:
            self._set(name, moved[name.decode()])
        changed = {self._place(name) for name in names}
        self._hash_above(changed.union(range(first_new, len(self._names))))

    def seal(self) -> tuple[int, bytes]:
        """Give (number of streams, root over their heads), as `seal_streams` does."""
        count = len(self._names)
        return count, root_at(count, self._read)

    def _place(self, name: bytes) -> int:
        return bisect_left(self._names, name)

    def _has(self, name: bytes) -> bool:
        place = self._place(name)
        return place < len(self._names) and self._names[place] == name

    def _set(self, name: bytes, head: tuple[int, int]) -> None:
        leaf, place = hash_leaf(encode([name.decode(), *head])), self._place(name)
        if self._has(name):
            self._levels[0][place] = leaf
        else:
            self._names.insert(place, name)
            self._levels[0].insert(place, leaf)

    def _hash_above(self, changed: Iterable[int]) -> None:
        """Hash again what is above these leaves, level by level. There are never fewer of them than before."""
        height = 0
        while count := len(self._levels[height]) // 2:  # one that is left over is in no complete subtree
            below, height = self._levels[height], height + 1
            if height == len(self._levels):
                self._levels.append([])
            above = self._levels[height]
            above.extend([b""] * (count - len(above)))
            changed = {place // 2 for place in changed if place // 2 < count}
            for place in changed:
                above[place] = hash_node(below[2 * place], below[2 * place + 1])

    def _read(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self._levels[height][index] for height, index in nodes]


def seal_streams(heads: Heads) -> tuple[int, bytes]:
    """Give (number of streams, root over their heads)."""
    edge = CompactRange()
    for leaf in _leaves(heads, sorted(heads, key=_order)):
        edge.append(leaf)
    return edge.size, edge.root()


def prove_stream(heads: Heads, name: str) -> StreamLeaf:
    """Prove where a stream stands. Raises NotFound."""
    if name not in heads:
        raise NotFound("stream", name)
    return _prove(heads, [name])[0]


def prove_absence(heads: Heads, name: str) -> tuple[StreamLeaf, ...]:
    """Prove that there is no stream of that name, by its neighbours. Raises Malformed where there is one."""
    if name in heads:
        raise Malformed("", f"the stream {show(name)} is there")
    before = [other for other in heads if _order(other) < _order(name)]
    after = [other for other in heads if _order(other) > _order(name)]
    neighbours = [max(before, key=_order)] if before else []
    neighbours += [min(after, key=_order)] if after else []
    return _prove(heads, neighbours)


def check_stream(seal: Seal, leaf: StreamLeaf) -> None:
    """Raise BadProof unless the seal commits to this head."""
    data = encode([leaf.name, leaf.size, leaf.last_seq])
    check_inclusion(leaf.index, seal.count, hash_leaf(data), leaf.hashes, bytes.fromhex(seal.root))


def check_absence(seal: Seal, name: str, neighbours: Sequence[StreamLeaf]) -> None:
    """Raise BadProof unless the seal commits to these heads, and has no place between them for the name."""
    for leaf in neighbours:
        check_stream(seal, leaf)
    before = [leaf for leaf in neighbours if _order(leaf.name) < _order(name)]
    after = [leaf for leaf in neighbours if _order(leaf.name) > _order(name)]
    if len(before) > 1 or len(after) > 1 or len(before) + len(after) != len(neighbours):  # one proof has one form
        raise BadProof(f"the heads given are not the neighbours of {show(name)}")
    left = before[0].index if before else -1
    right = after[0].index if after else seal.count
    if right != left + 1:
        raise BadProof(f"between the heads given there is a place for {show(name)}")


def read_seal(entry: Entry) -> Seal:
    """Read what an entry `streams.sealed` states. Raises BadEntry where it is none."""
    if (entry.kind, entry.v) != (SEALED_KIND, SEALED_VERSION):
        raise BadEntry(entry.seq, f"is {show(entry.kind)} v{entry.v}, not {SEALED_KIND} v{SEALED_VERSION}")
    try:
        seal = msgspec.convert(entry.body, Seal)
        is_hash = bytes.fromhex(seal.root).hex() == seal.root and len(seal.root) == 2 * HASH_BYTES
    except (msgspec.ValidationError, ValueError) as error:
        raise BadEntry(entry.seq, f"the body is not one of {SEALED_KIND}: {error}") from None
    if not is_hash or seal.size != entry.seq:
        raise BadEntry(entry.seq, f"/body: does not state a root in hex, and its own index as the size: {show(seal)}")
    return seal


def check_sealed_streams(entry: Entry, heads: Heads) -> None:
    """Raise BadEntry unless an entry `streams.sealed` states what the entries before it lead to."""
    seal = read_seal(entry)
    count, root = seal_streams(heads)
    if (seal.count, seal.root) != (count, root.hex()):
        raise BadEntry(entry.seq, f"/body: seals other streams than the {count:,} that the entries before it lead to")


def _order(name: str) -> bytes:
    return name.encode()


def _leaves(heads: Heads, names: Sequence[str]) -> list[bytes]:
    return [hash_leaf(encode([name, *heads[name]])) for name in names]


def _prove(heads: Heads, wanted: Sequence[str]) -> tuple[StreamLeaf, ...]:
    names = sorted(heads, key=_order)
    read = _reader(_leaves(heads, names))
    proved = []
    for name in wanted:
        index, (size, last_seq) = names.index(name), heads[name]
        hashes = tuple(prove_inclusion(index, len(names), read))
        proved.append(StreamLeaf(hashes=hashes, index=index, last_seq=last_seq, name=name, size=size))
    return tuple(proved)


def _reader(leaves: Sequence[bytes]) -> HashReader:
    """Make a reader of the complete subtrees over these leaves."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        pairs = zip(levels[-1][::2], levels[-1][1::2], strict=False)  # one that is left over is in no complete subtree
        levels.append([hash_node(left, right) for left, right in pairs])

    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [levels[height][index] for height, index in nodes]

    return read

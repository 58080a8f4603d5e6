"""Inclusion and consistency proofs (RFC 9162 §2.1.3 and §2.1.4) over a reader of hashes.

Proving asks the reader for roots of complete subtrees by (height, index): the subtree of 2^height leaves that begins at
leaf index·2^height. Checking takes values, raises BadProof, and returns nothing; bounds and lengths come first.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from ledger.errors import BadProof, Malformed, show
from ledger.log.merkle import EMPTY_ROOT, HASH_BYTES, hash_node

Node = tuple[int, int]
"""(height, index) of a complete subtree."""

HashReader = Callable[[Sequence[Node]], Sequence[bytes]]
"""Gives the roots of complete subtrees, in the order asked for."""


def root_at(size: int, read: HashReader) -> bytes:
    """Give the root of the tree at `size` (§2.1.1). Raises Malformed on a negative size."""
    if size < 0:
        raise Malformed("/size", f"{show(size)} is negative")
    return _resolve([_range(0, size)], read)[0] if size else EMPTY_ROOT


def prove_inclusion(index: int, size: int, read: HashReader) -> list[bytes]:
    """Prove that leaf `index` is in the tree of `size`: hashes from the leaf's sibling up (§2.1.3.1).

    Raises Malformed unless 0 ≤ index < size, and BadProof where `read` does not have the tree.
    """
    return prove_inclusions([index], size, read)[0]


def prove_inclusions(indexes: Sequence[int], size: int, read: HashReader) -> list[list[bytes]]:
    """Prove the same of several leaves, in their order: what their proofs share is read once, all of it at once.

    Raises as `prove_inclusion`.
    """
    for index in indexes:
        _check_index(index, size)
    paths = [_inclusion_path(index, 0, size) for index in indexes]
    nodes = list(dict.fromkeys(node for path in paths for part in path for node in part))
    known = dict(zip(nodes, _read_all(nodes, read), strict=True))
    return [_resolve(path, lambda wanted: [known[node] for node in wanted]) for path in paths]


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise Malformed("/index", f"there is no leaf {show(index)} in a tree of {show(size)}")


def prove_consistency(old: int, new: int, read: HashReader) -> list[bytes]:
    """Prove that the tree of `new` leaves begins with that of `old` (§2.1.4.1).

    Raises Malformed unless 1 ≤ old ≤ new, and BadProof where `read` does not have the tree.
    """
    if not 1 <= old <= new:
        raise Malformed("/old", f"no proof leads from a tree of {show(old)} to one of {show(new)}")
    return _resolve(_consistency_path(old, 0, new), read)


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raise BadProof unless `proof` leads from `leaf` at `index` to the `root` of `size` (§2.1.3.2)."""
    if not 0 <= index < size:
        raise BadProof(f"there is no leaf {show(index)} in a tree of {show(size)}")
    _check_lengths([leaf, root, *proof])
    node = leaf
    for sibling, is_left in _climb(index, size - 1, proof):
        node = hash_node(sibling, node) if is_left else hash_node(node, sibling)
    if node != root:
        raise BadProof("the proof leads to another root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise BadProof unless `proof` shows that the `new` tree begins with the `old` one (§2.1.4.2).

    old = 0 proves nothing and is refused; whoever accepts a first checkpoint decides that for himself.
    """
    if not 1 <= old <= new:
        raise BadProof(f"no proof leads from a tree of {show(old)} to one of {show(new)}")
    _check_lengths([old_root, new_root, *proof])
    if old == new:
        if proof or old_root != new_root:
            raise BadProof("two trees of one size have one root, and an empty proof")
        return
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)  # step 2: a complete old tree is a node itself
    if not path:
        raise BadProof("the proof is empty")  # step 1
    fn, sn = old - 1, new - 1  # step 3
    while fn & 1:  # step 4
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]  # step 5
    for sibling, is_left in _climb(fn, sn, path[1:]):
        first = hash_node(sibling, first) if is_left else first
        second = hash_node(sibling, second) if is_left else hash_node(second, sibling)
    if first != old_root or second != new_root:  # step 7
        raise BadProof("the proof leads to other roots")


def _climb(fn: int, sn: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Give each hash on the way up, and whether it stands to the left (§2.1.3.2 step 4, §2.1.4.2 step 6)."""
    for sibling in proof:
        if sn == 0:
            raise BadProof("the proof is too long")
        is_left = fn & 1 == 1 or fn == sn
        yield sibling, is_left
        while is_left and not fn & 1 and fn:
            fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise BadProof("the proof is too short")


def _check_lengths(hashes: Sequence[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise BadProof(f"a hash has {len(value)} bytes, not {HASH_BYTES}")


Part = list[Node]
"""A range of leaves as complete subtrees, left to right: one hash of a proof once they are folded."""


def _range(start: int, stop: int) -> Part:
    """Split leaves [start, stop), which is a node of some tree, into complete subtrees, largest first."""
    nodes = []
    while start < stop:
        height = (stop - start).bit_length() - 1
        nodes.append((height, start >> height))
        start += 1 << height
    return nodes


def _split(start: int, stop: int) -> int:
    """Give k of RFC 9162 §2.1.1: the left subtree holds the largest power of two smaller than the whole."""
    return start + (1 << ((stop - start - 1).bit_length() - 1))


def _inclusion_path(index: int, start: int, stop: int) -> list[Part]:
    path: list[Part] = []
    while stop - start > 1:
        middle = _split(start, stop)
        if index < middle:
            path.append(_range(middle, stop))
            stop = middle
        else:
            path.append(_range(start, middle))
            start = middle
    path.reverse()
    return path


def _consistency_path(old: int, start: int, stop: int) -> list[Part]:
    """SUBPROOF of §2.1.4.1. The old tree's own root is left out where it is a node: the verifier knows it."""
    path: list[Part] = []
    while old < stop:
        middle = _split(start, stop)
        if old <= middle:
            path.append(_range(middle, stop))
            stop = middle
        else:
            path.append(_range(start, middle))
            start = middle
    if start > 0:
        path.append(_range(start, stop))
    path.reverse()
    return path


def _resolve(path: list[Part], read: HashReader) -> list[bytes]:
    """Read all hashes at once, and fold each part to one."""
    nodes = [node for part in path for node in part]
    rest = iter(_read_all(nodes, read))
    return [_fold(list(islice(rest, len(part)))) for part in path]


def _read_all(nodes: list[Node], read: HashReader) -> Sequence[bytes]:
    hashes = read(nodes)
    if len(hashes) != len(nodes):
        raise BadProof(f"the tree has {len(hashes)} of the {len(nodes)} hashes that the proof needs")
    return hashes


def _fold(hashes: Sequence[bytes]) -> bytes:
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = hash_node(left, node)
    return node

"""The tree's hashes and its right edge."""

from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.log.merkle import EMPTY_ROOT, CompactRange, fold, hash_leaf, hash_leaves, hash_node

LEAVES = [hash_leaf(i.to_bytes(3)) for i in range(70_000)]


@cache
def mth(start: int, stop: int) -> bytes:
    """MTH as RFC 9162 §2.1.1 defines it, by recursion."""
    if stop - start == 1:
        return LEAVES[start]
    k = 1
    while k * 2 < stop - start:
        k *= 2
    return sha256(b"\x01" + mth(start, start + k) + mth(start + k, stop)).digest()


def test_hashes_are_separated_by_their_first_byte() -> None:
    """A leaf begins with 0x00, a node with 0x01, the empty tree hashes nothing (RFC 9162 §2.1.1)."""
    assert sha256(b"\x00abc").digest() == hash_leaf(b"abc")
    assert sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest() == hash_node(b"l" * 32, b"r" * 32)
    assert bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") == EMPTY_ROOT
    assert CompactRange().root() == EMPTY_ROOT


def test_roots_of_all_small_trees_are_the_recursive_ones() -> None:
    """The compact range gives the defined root at every size up to 600, and one hash for each set bit."""
    edge = CompactRange()
    for size in range(1, 601):
        edge.append(LEAVES[size - 1])
        assert size == edge.size
        assert size.bit_count() == len(edge.hashes)
        assert mth(0, size) == edge.root()


def test_append_gives_each_completed_row_of_the_tile_levels_once() -> None:
    """At 70,000 leaves level 1 has 273 rows and level 2 has one, each the root over its leaves, in order."""
    edge = CompactRange()
    completed = [row for leaf in LEAVES for row in edge.append(leaf)]
    assert [(1, i) for i in range(273)] == [(level, i) for level, i, _ in completed if level == 1]
    assert [(level, i) for level, i, _ in completed if level == 2] == [(2, 0)]
    assert len(completed) == 274
    for level, i, value in completed:
        assert mth(i << 8 * level, (i + 1) << 8 * level) == value


def test_many_leaves_hash_as_each_of_them() -> None:
    """One call for many, in their order."""
    run = [i.to_bytes(3) for i in range(600)]
    assert LEAVES[:600] == hash_leaves(run)
    assert hash_leaves([]) == []


@given(st.integers(0, 3000), st.lists(st.integers(1, 1500), min_size=1, max_size=3))
def test_leaves_added_folded_are_leaves_added_one_by_one(size: int, runs: list[int]) -> None:
    """Wherever runs begin and end: edge, root and completed rows are the same."""
    edge, folded = CompactRange(), CompactRange()
    completed = [row for leaf in LEAVES[:size] for row in edge.append(leaf)]
    assert sorted(completed) == folded.extend(fold(0, LEAVES[:size]))
    for count in runs:
        leaves = LEAVES[edge.size : edge.size + count]
        completed = [row for leaf in leaves for row in edge.append(leaf)]
        assert sorted(completed) == folded.extend(fold(folded.size, leaves))
        assert (edge.size, edge.hashes) == (folded.size, folded.hashes)


def test_a_fold_of_many_tiles_has_the_rows_of_every_level() -> None:
    """70,000 leaves at once, and the same from the second on."""
    for first in (0, 1):
        edge, folded = CompactRange(), CompactRange()
        for leaf in LEAVES[:first]:
            edge.append(leaf)
            folded.append(leaf)
        completed = [row for leaf in LEAVES[first:] for row in edge.append(leaf)]
        assert sorted(completed) == folded.extend(fold(first, LEAVES[first:]))
        assert edge.hashes == folded.hashes


def test_a_fold_is_added_only_where_it_begins() -> None:
    """Neither over a gap nor twice."""
    edge = CompactRange()
    for start in (1, 256):
        with pytest.raises(ValueError, match="does not follow"):
            edge.extend(fold(start, LEAVES[:3]))
    assert (edge.size, edge.hashes) == (0, [])


@given(st.integers(0, 500), st.integers(1, 40))
def test_a_packed_range_goes_on_where_it_was(size: int, more: int) -> None:
    """Packing and unpacking changes nothing that follows."""
    edge = CompactRange()
    for leaf in LEAVES[:size]:
        edge.append(leaf)
    again = CompactRange.unpack(size, edge.pack())
    assert (edge.size, edge.hashes) == (again.size, again.hashes)
    for leaf in LEAVES[size : size + more]:
        assert edge.append(leaf) == again.append(leaf)
    assert mth(0, size + more) == again.root()


@pytest.mark.parametrize(("size", "length"), [(0, 32), (1, 0), (1, 31), (1, 33), (3, 32), (3, 96), (-1, 32), (-1, 0)])
def test_a_range_of_the_wrong_length_is_refused(size: int, length: int) -> None:
    """32 bytes for each set bit of the size, no more and no less."""
    with pytest.raises(Malformed):
        CompactRange.unpack(size, bytes(length))

"""The tree over the heads of streams: every head and every gap can be proved, and nothing else."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promised import tree_hash

from ledger.errors import BadEntry, BadProof, Malformed, NotFound
from ledger.log.entry import Entry
from ledger.log.merkle import EMPTY_ROOT
from ledger.log.streams import (
    Seal,
    StreamLeaf,
    StreamTree,
    check_absence,
    check_sealed_streams,
    check_stream,
    prove_absence,
    prove_stream,
    read_seal,
    seal_streams,
)

NAMES = ("agreement:a", "dataset:b", "org:Z", "org:a", "org:a-b", "org:ab", "org:é", "org:\ufb01", "org:\U0001f600")


def heads(count: int) -> dict[str, tuple[int, int]]:
    """Give heads in an order that is not that of their names."""
    return {name: (number + 1, number * 10) for number, name in reversed(list(enumerate(NAMES[:count])))}


def seal(found: dict[str, tuple[int, int]]) -> Seal:
    count, root = seal_streams(found)
    return Seal(count=count, root=root.hex(), size=100)


def test_the_root_is_that_of_sorted_leaves():
    """By hand: canonical JSON of name, count and last index, sorted by UTF-8 bytes, hashed as RFC 6962 says."""
    found = heads(9)
    rows = sorted(([name, *head] for name, head in found.items()), key=lambda row: row[0].encode())
    leaves = [json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() for row in rows]
    hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    assert seal_streams(found) == (9, tree_hash(hashes))
    assert seal_streams({}) == (0, EMPTY_ROOT)


@pytest.mark.parametrize("count", range(1, 10))
def test_every_head_is_proved(count):
    """In trees of each size every stream's head verifies; with another count, end, name or place it does not."""
    found = heads(count)
    for name, (size, last_seq) in found.items():
        leaf = prove_stream(found, name)
        assert (leaf.name, leaf.size, leaf.last_seq) == (name, size, last_seq)
        check_stream(seal(found), leaf)
        for change in ({"size": size - 1}, {"last_seq": last_seq + 1}, {"name": name + "x"}, {"index": leaf.index + 1},
                       {"index": -1}, {"hashes": (*leaf.hashes, bytes(32))}, {"hashes": (bytes(31),)}):  # fmt: skip
            with pytest.raises(BadProof):
                check_stream(seal(found), msgspec.structs.replace(leaf, **change))


@pytest.mark.parametrize("count", range(10))
def test_every_gap_is_proved(count):
    """Before, between and behind the streams of trees of each size, the absence of a name verifies."""
    found = heads(count)
    for name in ("a", "dataset:a", "dataset:bb", "org:a!", "org:aa", "zz", "\U0001f601", "org:\ufb02"):
        neighbours = prove_absence(found, name)
        assert len(neighbours) <= 2
        check_absence(seal(found), name, neighbours)
        for present in found:
            with pytest.raises(BadProof):
                check_absence(seal(found), present, neighbours)


def test_no_absence_is_proved_of_what_is_there():
    """Any one or two of the heads, in either order, fail to prove that a stream of the tree is absent."""
    found = heads(6)
    proved = [prove_stream(found, name) for name in found]
    candidates = [(), *((leaf,) for leaf in proved), *((one, two) for one in proved for two in proved)]
    for name in found:
        for neighbours in candidates:
            with pytest.raises(BadProof):
                check_absence(seal(found), name, neighbours)
    with pytest.raises(BadProof):
        check_absence(seal(found), "zz", (msgspec.structs.replace(proved[0], size=99),))


def test_an_absence_has_one_proof():
    """A head more than the neighbours, however true, makes it another proof, which is refused."""
    found = heads(6)
    last = prove_absence(found, "zz")
    with pytest.raises(BadProof, match="are not the neighbours"):
        check_absence(seal(found), "zz", (*last, prove_stream(found, "org:Z")))
    with pytest.raises(BadProof, match="are not the neighbours"):
        check_absence(seal(found), last[0].name, last)


def test_what_is_not_there_is_not_proved():
    """Asking for the wrong one of the two proofs is refused."""
    with pytest.raises(NotFound):
        prove_stream(heads(3), "org:none")
    with pytest.raises(Malformed):
        prove_absence(heads(3), "org:Z")


def sealing(body: dict, **changes) -> Entry:
    values = {"kind": "streams.sealed", "v": 1, "seq": 100, **changes}
    return Entry(about={}, at="2026-11-21T09:30:00.123456Z", by={}, prev="0" * 64, body=body, **values)


def test_a_seal_states_what_the_entries_lead_to():
    """Another count, root or size than the entries before it lead to is BadEntry at its index."""
    found = heads(5)
    good = msgspec.to_builtins(seal(found))
    check_sealed_streams(sealing(good), found)
    for change in ({"count": 4}, {"root": "0" * 64}, {"size": 99}):
        with pytest.raises(BadEntry, match="entry 100"):
            check_sealed_streams(sealing({**good, **change}), found)
    for name, head in found.items():
        for other in ((head[0] + 1, head[1]), (head[0], head[1] + 1)):
            with pytest.raises(BadEntry, match="seals other streams"):
                check_sealed_streams(sealing(good), {**found, name: other})


@pytest.mark.parametrize(
    "change",
    [{"root": "00"}, {"root": "A" * 64}, {"root": "zz"}, {"root": 7}, {"count": "5"}, {"more": 1}, {"root": " " * 64}],
)
def test_a_malformed_seal_is_refused(change):
    """A body that is not of the kind is BadEntry."""
    good = msgspec.to_builtins(seal(heads(5)))
    with pytest.raises(BadEntry):
        read_seal(sealing({**good, **change}))
    for other in ({"kind": "streams.opened"}, {"v": 2}):
        with pytest.raises(BadEntry):
            read_seal(sealing(good, **other))


def test_a_leaf_is_a_value():
    """A leaf holds its proof as bytes."""
    leaf = prove_stream(heads(4), "org:a")
    assert isinstance(leaf, StreamLeaf)
    assert {len(item) for item in leaf.hashes} == {32}


def test_a_tree_that_moves_on_is_that_of_the_heads():
    """From every set of seven streams to all of them, and with any one of the old ones moved."""
    found = heads(7)
    for chosen in range(2**7):
        known = {name: head for place, (name, head) in enumerate(found.items()) if chosen >> place & 1}
        new = {name: head for name, head in found.items() if name not in known}
        for moved in ({}, *({name: (50, 99)} for name in known)):
            tree = StreamTree(known)
            tree.move(new | moved)
            assert tree.seal() == seal_streams(found | moved)


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=2),
            st.tuples(st.integers(1, 9), st.integers(0, 99)),
            max_size=40,
        )
    )
)
def test_a_tree_moves_on_as_often_as_it_is_told_to(steps):
    """Whatever names, in whatever order, the root is the one computed afresh."""
    tree, known = StreamTree({}), {}
    for step in steps:
        tree.move(step)
        known |= step
        assert tree.seal() == seal_streams(known)

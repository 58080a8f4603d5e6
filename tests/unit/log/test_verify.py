"""The chain rule: whatever is done to a small chain is found, and the entry is named."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ledger.errors import BadCheckpoint, BadEntry
from ledger.log.checkpoint import Checkpoint
from ledger.log.entry import Entry, format_entry, parse_entry
from ledger.log.merkle import EMPTY_ROOT, CompactRange, hash_leaf, hash_leaves
from ledger.log.verify import ENTRIES_AT_ONCE, Replica, verify_span


def verify(entries: Sequence[bytes]) -> Replica:
    replica = Replica()
    for data in entries:
        replica.add(data)
    return replica


def checkpoint_of(entries: Sequence[bytes]) -> Checkpoint:
    edge = CompactRange()
    for data in entries:
        edge.append(hash_leaf(data))
    return Checkpoint(origin="example.org/log", size=edge.size, root=edge.root())


def found_at(entries: Sequence[bytes], checkpoint: Checkpoint) -> int:
    """Give the index of the entry that is named; the size where only the checkpoint tells."""
    try:
        replica = verify(entries)
    except BadEntry as error:
        return error.seq
    with pytest.raises(BadCheckpoint):
        replica.check(checkpoint)
    return replica.size


def change(data: bytes, seq: int, **changes: Any) -> bytes:
    """Give the entry with other fields, in canonical form."""
    return format_entry(msgspec.structs.replace(parse_entry(data, seq=seq), **changes))


def test_a_whole_chain_verifies(chain: Sequence[bytes]) -> None:
    """Size, last entry and root are those of the chain, and its checkpoint agrees."""
    replica = verify(chain)
    assert len(chain) == replica.size
    assert replica.last is not None
    assert replica.last.seq == len(chain) - 1
    assert checkpoint_of(chain).root == replica.root()
    replica.check(checkpoint_of(chain))


def test_an_empty_chain_has_the_empty_root() -> None:
    """Nothing was verified, and that is what it says."""
    replica = Replica()
    assert (replica.size, replica.last, replica.root()) == (0, None, EMPTY_ROOT)


def test_every_changed_byte_is_found_at_its_entry_or_the_next(chain: Sequence[bytes]) -> None:
    """A byte that breaks the entry names it; one that leaves it an entry breaks the `prev` of the one after."""
    checkpoint = checkpoint_of(chain)
    for i, data in enumerate(chain):
        for place in range(len(data)):
            for bits in (0x01, 0x08):
                changed = data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]
                assert found_at([*chain[:i], changed, *chain[i + 1 :]], checkpoint) in {i, i + 1}


def test_every_removal_is_found_at_its_place(chain: Sequence[bytes]) -> None:
    """What stands at the gap says that it is another entry; a missing end is found by the checkpoint."""
    for i in range(len(chain)):
        assert found_at([*chain[:i], *chain[i + 1 :]], checkpoint_of(chain)) == i
        assert found_at(chain[:i], checkpoint_of(chain)) == i


def test_every_swap_is_found_at_the_earlier_place(chain: Sequence[bytes]) -> None:
    """Any two entries exchanged."""
    for i in range(len(chain)):
        for j in range(i + 1, len(chain)):
            swapped = list(chain)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            assert i == found_at(swapped, checkpoint_of(chain))


def test_every_insertion_is_found_at_its_place(chain: Sequence[bytes]) -> None:
    """Any entry repeated anywhere; at the end too."""
    for i in range(len(chain) + 1):
        for extra in chain:
            if i < len(chain) and extra == chain[i]:
                continue
            assert i == found_at([*chain[:i], extra, *chain[i:]], checkpoint_of(chain))


def test_a_rewritten_end_is_found_by_the_checkpoint(chain: Sequence[bytes]) -> None:
    """Another last entry, correctly chained, leads to another root."""
    last = len(chain) - 1
    other = [*chain[:last], change(chain[last], last, by={"person": "someone else"})]
    replica = verify(other)
    with pytest.raises(BadCheckpoint, match="another root"):
        replica.check(checkpoint_of(chain))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"prev": "0" * 64}, "/prev"),
        ({"at": "2026-11-21T09:29:59.999999Z"}, "/at"),
        ({"about": {"org:o0": (0, -1)}}, "org:o0"),
        ({"about": {"org:o0": (3, 2)}}, "org:o0"),
        ({"about": {"org:o0": (2, 1)}}, "org:o0"),
        ({"about": {"org:new": (1, -1)}}, "org:new"),
        ({"about": {"org:new": (0, 2)}}, "org:new"),
        ({"about": {"dataset:d": (2, 3), "org:o0": (1, 2)}}, "org:o0"),
    ],
)
def test_each_rule_of_the_chain_stands_alone(chain: Sequence[bytes], changes: dict[str, Any], place: str) -> None:
    """One field wrong, all else right: the entry and the field are named, and the right entry still goes on."""
    replica = verify(chain[:4])
    with pytest.raises(BadEntry, match=place) as caught:
        replica.add(change(chain[4], 4, **changes))
    assert caught.value.seq == 4
    for data in chain[4:]:
        replica.add(data)
    replica.check(checkpoint_of(chain))


def test_an_equal_time_is_not_a_step_back(chain: Sequence[bytes]) -> None:
    """`at` never decreases; entries of one batch share it."""
    replica = Replica()
    times = [replica.add(data).at for data in chain]
    assert times == sorted(times)
    assert len(set(times)) < len(times)


def test_the_hash_that_is_stored_beside_an_entry_is_compared(chain: Sequence[bytes]) -> None:
    """A stored leaf hash that is another names the entry."""
    replica = Replica()
    replica.add(chain[0], hash_leaf(chain[0]))
    with pytest.raises(BadEntry, match="leaf hash") as caught:
        replica.add(chain[1], hash_leaf(chain[0]))
    assert caught.value.seq == 1
    replica.add(chain[1], hash_leaf(chain[1]))
    assert replica.size == 2


def test_a_checkpoint_of_another_size_is_refused(chain: Sequence[bytes]) -> None:
    """A checkpoint commits to exactly the entries verified, not to more and not to fewer."""
    same_root = Checkpoint(origin="example.org/log", size=4, root=checkpoint_of(chain[:3]).root)
    for other in (checkpoint_of(chain), checkpoint_of(chain[:2]), same_root):
        with pytest.raises(BadCheckpoint, match="entries"):
            verify(chain[:3]).check(other)


# Spans ----------------------------------------------------------------------------------------------------------------


def joined(entries: Sequence[bytes], cuts: Sequence[int]) -> Replica:
    """Verify in spans cut at these places. Asserts that each is taken."""
    replica = Replica()
    for start, stop in itertools.pairwise([0, *cuts, len(entries)]):
        span = verify_span(start, entries[start:stop])
        assert span is not None
        assert replica.join(span)
    return replica


def taken(entries: Sequence[bytes], cut: int) -> bool:
    """Tell whether entries verify as two spans."""
    replica = Replica()
    for start, run in ((0, entries[:cut]), (cut, entries[cut:])):
        span = verify_span(start, run) if run else None
        if run and (span is None or not replica.join(span)):
            return False
    return True


def state(replica: Replica) -> dict[str, Any]:
    return vars(replica) | {"edge": replica.edge.hashes, "subtrees": sorted(replica.subtrees)}


def test_spans_lead_to_the_same_replica_as_entries_one_by_one(chain: Sequence[bytes], long_chain: list[bytes]) -> None:
    """Wherever a chain is cut into spans, tree, streams, kinds, first and last are the same."""
    for cut in range(1, len(chain)):
        assert state(verify(chain)) == state(joined(chain, [cut]))
    for cuts in ([], [1], [255], [256], [257], [256, 512], [256, 300, 599], [100, 512], list(range(1, 600))):
        assert state(verify(long_chain)) == state(joined(long_chain, cuts))


def test_a_span_goes_on_from_entries_and_entries_from_a_span(long_chain: list[bytes]) -> None:
    """The two ways may be mixed."""
    replica = verify(long_chain[:256])
    span = verify_span(256, long_chain[256:520])
    assert span is not None
    assert replica.join(span)
    for data in long_chain[520:]:
        replica.add(data)
    assert state(verify(long_chain)) == state(replica)


def test_no_changed_byte_passes_as_a_span(chain: Sequence[bytes]) -> None:
    """Whatever one by one is refused is refused in spans, on either side of a cut; what is not leads to the same."""
    for i, data in enumerate(chain):
        for place in range(0, len(data), 3):
            changed = [*chain[:i], data[:place] + bytes([data[place] ^ 0x01]) + data[place + 1 :], *chain[i + 1 :]]
            for cut in (0, i, i + 1):
                assert verifies(changed) == taken(changed, cut)


def verifies(entries: Sequence[bytes]) -> bool:
    try:
        verify(entries)
    except BadEntry:
        return False
    return True


def test_each_removal_and_swap_is_refused_in_spans(chain: Sequence[bytes]) -> None:
    """Within a span, and where two meet."""
    for i in range(len(chain) - 1):
        for cut in range(len(chain)):
            assert not taken([*chain[:i], *chain[i + 1 :]], cut)
            assert not taken([*chain[:i], chain[i + 1], chain[i], *chain[i + 2 :]], cut)


@pytest.mark.parametrize("cut", [0, 1, 3, 4])
@pytest.mark.parametrize(
    "changes",
    [
        {"prev": "0" * 64},
        {"at": "2026-11-21T09:29:59.999999Z"},
        {"about": {"org:o0": (0, -1)}},
        {"about": {"org:o0": (3, 2)}},
        {"about": {"org:o0": (2, 1)}},
        {"about": {"org:new": (1, -1)}},
        {"about": {"org:new": (0, 2)}},
        {"about": {"dataset:d": (2, 3), "org:o0": (1, 2)}},
    ],
)
def test_each_rule_of_the_chain_stands_alone_in_spans(
    chain: Sequence[bytes], changes: dict[str, Any], cut: int
) -> None:
    """One field wrong, all else right, is refused in a span and at the edge of one; nothing is taken then."""
    assert taken(chain[:5], cut)
    wrong = [*chain[:4], change(chain[4], 4, **changes)]
    assert not taken(wrong, cut)
    replica, span = verify(chain[:4]), verify_span(4, wrong[4:])
    before = state(replica)
    assert span is None or not replica.join(span)
    assert before == state(replica)


def test_a_span_holds_the_hashes_that_are_stored_beside_it(chain: Sequence[bytes]) -> None:
    """One that is another, or one too few, and there is no span."""
    leaves = hash_leaves(chain)
    assert verify_span(0, chain, leaves) == verify_span(0, chain)
    assert verify_span(0, chain, leaves[:-1]) is None
    for i in range(len(chain)):
        assert verify_span(0, chain, [*leaves[:i], bytes(32), *leaves[i + 1 :]]) is None


def test_a_span_is_taken_only_where_it_begins(chain: Sequence[bytes]) -> None:
    """Neither twice, nor over a gap."""
    first, second = verify_span(0, chain[:4]), verify_span(4, chain[4:])
    assert first is not None
    assert second is not None
    replica = Replica()
    assert not replica.join(second)
    assert state(Replica()) == state(replica)
    assert replica.join(first)
    assert not replica.join(first)
    assert replica.join(second)


def test_a_fault_is_found_wherever_it_stands_among_those_parsed_together(long_chain: list[bytes]) -> None:
    """The last of some, the first of the next, and what lies between."""
    assert verify_span(0, long_chain) is not None
    for seq in (ENTRIES_AT_ONCE - 1, ENTRIES_AT_ONCE, ENTRIES_AT_ONCE + 1, 599):
        for changes in ({"prev": "ab" * 32}, {"at": "2001-01-01T00:00:00.000000Z"}, {"about": {"org:a": (seq, seq)}}):
            wrong = [*long_chain[:seq], change(long_chain[seq], seq, **changes), *long_chain[seq + 1 :]]
            assert verify_span(0, wrong) is None


@pytest.fixture(scope="module")
def long_chain() -> list[bytes]:
    """Give 600 entries in one stream."""
    prev, entries = "0" * 64, []
    for seq in range(600):
        entry = Entry(
            about={"org:a": (seq, seq - 1)},
            at="2026-11-21T09:30:00.000000Z",
            body={},
            by={},
            kind="a.b",
            prev=prev,
            seq=seq,
            v=1,
        )
        entries.append(format_entry(entry))
        prev = hash_leaf(entries[-1]).hex()
    return entries


def test_a_chain_longer_than_a_tile_verifies(long_chain: list[bytes]) -> None:
    """600 entries in one stream lead to the root that their leaves have."""
    verify(long_chain).check(checkpoint_of(long_chain))

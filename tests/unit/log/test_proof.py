"""Inclusion and consistency proofs: small trees exhaustively, then every mutation."""

from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from ledger.errors import BadProof, Malformed
from ledger.log.merkle import EMPTY_ROOT, hash_leaf, hash_node
from ledger.log.proof import (
    Node,
    check_consistency,
    check_inclusion,
    prove_consistency,
    prove_inclusion,
    prove_inclusions,
    root_at,
)

TREES = 300
MUTATED = (1, 2, 3, 4, 5, 7, 8, 13, 16, 33)
LEAVES = [hash_leaf(i.to_bytes(2)) for i in range(TREES)]


@cache
def mth(start: int, stop: int) -> bytes:
    """MTH as RFC 9162 §2.1.1 defines it, by recursion."""
    if stop - start == 1:
        return LEAVES[start]
    k = 1
    while k * 2 < stop - start:
        k *= 2
    return hash_node(mth(start, start + k), mth(start + k, stop))


def read(nodes: Sequence[Node]) -> list[bytes]:
    """Give complete subtrees of the tree of 300, and of nothing beyond it."""
    assert all((index + 1) << height <= TREES for height, index in nodes)
    return [mth(index << height, (index + 1) << height) for height, index in nodes]


ROOTS = [EMPTY_ROOT, *(mth(0, size) for size in range(1, TREES + 1))]


def path(m: int, start: int, stop: int) -> list[bytes]:
    """PATH as RFC 9162 §2.1.3.1 defines it, by recursion."""
    if stop - start == 1:
        return []
    k = 1
    while k * 2 < stop - start:
        k *= 2
    if m < k:
        return [*path(m, start, start + k), mth(start + k, stop)]
    return [*path(m - k, start + k, stop), mth(start, start + k)]


def subproof(m: int, start: int, stop: int, whole: bool) -> list[bytes]:
    """SUBPROOF as RFC 9162 §2.1.4.1 defines it, by recursion."""
    if m == stop - start:
        return [] if whole else [mth(start, stop)]
    k = 1
    while k * 2 < stop - start:
        k *= 2
    if m <= k:
        return [*subproof(m, start, start + k, whole), mth(start + k, stop)]
    return [*subproof(m - k, start + k, stop, False), mth(start, start + k)]


def test_roots_at_every_size() -> None:
    """`root_at` gives the root that the definition gives, that of the empty tree too."""
    assert [root_at(size, read) for size in range(TREES + 1)] == ROOTS


def test_inclusion_of_every_leaf_at_every_size() -> None:
    """Up to 300 leaves every proof is the defined one, and checks."""
    for size in range(1, TREES + 1):
        for index in range(size):
            proof = prove_inclusion(index, size, read)
            assert path(index, 0, size) == proof
            check_inclusion(index, size, LEAVES[index], proof, ROOTS[size])


def test_inclusions_proved_together_are_those_proved_alone() -> None:
    """What several proofs share is asked for once, and each is the same as without the others."""
    asked: list[list[Node]] = []

    def count(nodes: Sequence[Node]) -> Sequence[bytes]:
        asked.append(list(nodes))
        return read(nodes)

    indexes = [7, 6, 299, 0, 7]
    assert [prove_inclusion(index, TREES, read) for index in indexes] == prove_inclusions(indexes, TREES, count)
    assert len(asked) == 1
    assert len(asked[0]) == len(set(asked[0]))
    with pytest.raises(Malformed):
        prove_inclusions([0, TREES], TREES, read)


def test_consistency_of_every_pair_of_sizes() -> None:
    """Up to 300 leaves every proof is the defined one, and checks."""
    for new in range(1, TREES + 1):
        for old in range(1, new + 1):
            proof = prove_consistency(old, new, read)
            assert subproof(old, 0, new, True) == proof
            check_consistency(old, new, ROOTS[old], ROOTS[new], proof)


def mutations(hashes: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Give every proof that is one step away: a bit, a removal, an insertion, a swap, a length."""
    for i, value in enumerate(hashes):
        before, after = list(hashes[:i]), list(hashes[i + 1 :])
        for byte in (0, 15, 31):
            yield [*before, value[:byte] + bytes([value[byte] ^ 1]) + value[byte + 1 :], *after]
        yield before + after
        yield [*before, value[:31], *after]
        yield [*before, value + b"\0", *after]
        yield [*before, value, value, *after]
        if after and after[0] != value:
            yield [*before, after[0], value, *after[1:]]
    for extra in (bytes(32), LEAVES[0], b""):
        yield [extra, *hashes]
        yield [*hashes, extra]


@pytest.mark.parametrize("size", MUTATED)
def test_every_mutation_of_an_inclusion_proof_fails(size: int) -> None:
    """No changed proof, leaf, root, index or size passes."""
    root = ROOTS[size]
    for index in range(size):
        leaf, proof = LEAVES[index], prove_inclusion(index, size, read)
        wrong = [(index, size, leaf, mutated, root) for mutated in mutations(proof)]
        wrong += [(other, size, leaf, proof, root) for other in range(-1, size + 2) if other != index]
        wrong += [(index, size, mutated[0], proof, root) for mutated in mutations([leaf]) if len(mutated) == 1]
        wrong += [(index, size, leaf, proof, mutated[0]) for mutated in mutations([root]) if len(mutated) == 1]
        wrong += [(index, size, LEAVES[(index + 1) % TREES], proof, root), (index, 0, leaf, proof, root)]
        wrong += [
            (index, index, leaf, proof, root),
            (2**64 - 1, size, leaf, proof, root),
            (index, -1, leaf, proof, root),
        ]
        for case in wrong:
            with pytest.raises(BadProof):
                check_inclusion(*case)


@pytest.mark.parametrize("new", MUTATED)
def test_every_mutation_of_a_consistency_proof_fails(new: int) -> None:
    """No changed proof or root passes, nor a proof for another old size."""
    for old in range(1, new + 1):
        a, b, proof = ROOTS[old], ROOTS[new], prove_consistency(old, new, read)
        wrong = [(old, new, a, b, mutated) for mutated in mutations(proof)]
        wrong += [(old, new, mutated[0], b, proof) for mutated in mutations([a]) if len(mutated) == 1]
        wrong += [(old, new, a, mutated[0], proof) for mutated in mutations([b]) if len(mutated) == 1]
        wrong += [(other, new, a, b, proof) for other in range(-1, new + 2) if other != old]
        for case in wrong:
            with pytest.raises(BadProof):
                check_consistency(*case)


def test_an_empty_old_tree_proves_nothing() -> None:
    """An old size of 0 is refused by prover and verifier: a witness handles its first checkpoint itself."""
    with pytest.raises(BadProof):
        check_consistency(0, 5, EMPTY_ROOT, ROOTS[5], [])
    with pytest.raises(BadProof):
        check_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    with pytest.raises(Malformed):
        prove_consistency(0, 5, read)


def test_one_size_has_one_root() -> None:
    """For equal sizes the proof is empty and the roots are equal."""
    check_consistency(5, 5, ROOTS[5], ROOTS[5], [])
    for case in ((5, 5, ROOTS[5], ROOTS[4], []), (5, 5, ROOTS[5], ROOTS[5], [LEAVES[0]])):
        with pytest.raises(BadProof):
            check_consistency(*case)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    """The prover refuses what cannot be."""
    with pytest.raises(Malformed):
        prove_inclusion(index, size, read)


def test_misuse_of_the_prover_is_malformed() -> None:
    """Sizes in the wrong order, or negative, are the caller's mistake."""
    with pytest.raises(Malformed):
        prove_consistency(4, 3, read)
    with pytest.raises(Malformed):
        root_at(-1, read)


def test_hashes_of_another_length_are_refused_though_they_would_hash_to_the_root() -> None:
    """The boundary between two hashes cannot be moved, and nothing stands for a leaf that is its own root."""
    left, right = LEAVES[0], LEAVES[1]
    for case in (
        (0, 2, left + right[:1], [right[1:]], ROOTS[2]),
        (1, 2, right[1:], [left + right[:1]], ROOTS[2]),
        (0, 1, b"", [], b""),
        (0, 1, left + b"x", [], left + b"x"),
    ):
        with pytest.raises(BadProof, match="bytes"):
            check_inclusion(*case)
    with pytest.raises(BadProof, match="bytes"):
        check_consistency(1, 2, left, ROOTS[2], [right[1:]])
    with pytest.raises(BadProof, match="bytes"):
        check_consistency(3, 3, b"", b"", [])


def test_a_reader_that_gives_too_little_is_noticed() -> None:
    """A hash that is missing in storage is an error, never a wrong proof."""
    for prove in (lambda r: root_at(7, r), lambda r: prove_inclusion(2, 7, r), lambda r: prove_consistency(3, 7, r)):
        with pytest.raises(BadProof):
            prove(lambda nodes: read(nodes)[:-1])

"""Hashes from tiles that nobody vouches for: exactly those of the tree, or BadProof."""

import pytest

from ledger.errors import BadProof
from ledger.log import tree_check
from ledger.log.merkle import EMPTY_ROOT, CompactRange, hash_leaf
from ledger.log.proof import check_consistency, check_inclusion, prove_consistency, prove_inclusion, root_at
from ledger.log.tree_check import CheckedRows, checked_reader

SIZE = 66_100  # three levels, each with a partial tile


class Tiles:
    """A tree as tiles; one of them may be spoilt. Counts what is fetched."""

    def __init__(self, size: int) -> None:
        self.levels: list[list[bytes]] = [[], [], [], []]
        self.roots, edge = [EMPTY_ROOT], CompactRange()
        self.spoilt: dict[tuple[int, int], bytes] = {}
        self.fetched: list[tuple[int, int, int]] = []
        for i in range(size):
            leaf = hash_leaf(i.to_bytes(3))
            self.levels[0].append(leaf)
            for level, _, value in edge.append(leaf):
                self.levels[level].append(value)
            if i < 700 or i % 97 == 0 or i > size - 3:
                self.roots += [b""] * (i + 1 - len(self.roots)) + [edge.root()]

    def __call__(self, level: int, n: int, width: int) -> bytes:
        self.fetched.append((level, n, width))
        found = b"".join(self.levels[level][n * 256 : n * 256 + width])
        return self.spoilt.get((level, n), found)


@pytest.fixture(scope="module")
def whole() -> Tiles:
    return Tiles(SIZE)


@pytest.fixture
def tiles(whole: Tiles) -> Tiles:
    whole.spoilt, whole.fetched = {}, []
    return whole


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 640, SIZE])
def test_every_root_and_proof_is_the_trees(tiles: Tiles, size: int) -> None:
    """Roots of earlier trees, consistency and inclusion come out as the tree itself has them."""
    read = checked_reader(size, tiles.roots[size], tiles)
    for old in {1, 2, 255, 256, 257, 512, size // 2, size - 1} & set(range(1, size + 1)):
        early = root_at(old, read)
        check_consistency(old, size, early, tiles.roots[size], prove_consistency(old, size, read))
        assert early == tiles.roots[old] or not tiles.roots[old]
        leaf = tiles.levels[0][old - 1]
        check_inclusion(old - 1, size, leaf, prove_inclusion(old - 1, size, read), tiles.roots[size])


@pytest.mark.parametrize("size", [1, 255, 256, 300, 640, SIZE])
def test_another_root_is_refused_at_once(tiles: Tiles, size: int) -> None:
    """The last tiles have to lead to the root that is asked for."""
    with pytest.raises(BadProof, match="do not lead to the root"):
        checked_reader(size, tiles.roots[size - 1], tiles)


@pytest.mark.parametrize("tile", [(2, 0), (1, 1), (0, 258), (1, 0), (0, 0), (0, 200)])
@pytest.mark.parametrize("byte", [0, 31, -1])
def test_a_spoilt_tile_is_never_believed(tiles: Tiles, tile: tuple[int, int], byte: int) -> None:
    """A bit in any tile, partial or full, at any level: whatever reads it raises BadProof."""
    level, n = tile
    data = bytearray(tiles(level, n, 256))
    data[byte] ^= 1
    tiles.spoilt[tile] = bytes(data)
    with pytest.raises(BadProof, match="lead to the root"):
        CheckedRows(SIZE, tiles.roots[SIZE], tiles)(level, n * 256, n * 256 + 1)


def test_a_tile_below_a_spoilt_one_is_not_believed_either(tiles: Tiles) -> None:
    """A forged leaf tile with a forged parent that fits it: the parent's own parent does not."""
    forged = bytes(8192)
    parent = bytearray(tiles(1, 0, 256))
    parent[:32] = tree_check.fold_rows([bytes(32)] * 256)
    tiles.spoilt = {(0, 0): forged, (1, 0): bytes(parent)}
    with pytest.raises(BadProof, match="tile/1/000 does not lead"):
        checked_reader(SIZE, tiles.roots[SIZE], tiles)([(0, 0)])


def test_a_tile_of_the_wrong_length_is_refused(tiles: Tiles) -> None:
    """Longer, shorter or empty, where it ends the tree and where it is full."""
    for tile in ((0, 0), (0, 258)):
        for wrong in (b"", tiles(*tile, 256)[:-1], tiles(*tile, 256) + bytes(32)):
            tiles.spoilt = {tile: wrong}
            with pytest.raises(BadProof, match="bytes, not"):
                checked_reader(SIZE, tiles.roots[SIZE], tiles)([(0, tile[1] * 256)])


def test_what_the_tree_does_not_have_is_not_given(tiles: Tiles) -> None:
    """Past its end there is nothing, whatever the tiles hold."""
    read = checked_reader(300, tiles.roots[300], tiles)
    for node in ((0, 300), (9, 0), (8, 1), (0, 100_000), (40, 0)):
        with pytest.raises(BadProof, match="the tree has 0 of"):
            read([node])


def test_a_tile_is_fetched_once_and_few_are_kept(tiles: Tiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache holds what was checked, up to its limit; what was dropped is fetched and checked again."""
    monkeypatch.setattr(tree_check, "MAX_CACHED_TILES", 2)
    read = checked_reader(SIZE, tiles.roots[SIZE], tiles)
    tiles.fetched.clear()
    read([(0, 0)])
    read([(0, 1), (0, 255)])
    assert tiles.fetched == [(0, 0, 256), (1, 0, 256)]
    for n in (1, 2, 3):
        read([(0, n * 256)])
    tiles.spoilt[0, 0] = bytes(8192)
    with pytest.raises(BadProof):
        read([(0, 0)])

"""Tiles: coordinates, bundles, and reading the tree through rows."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadProof, Malformed, TooLarge
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.log.proof import check_consistency, check_inclusion, prove_consistency, prove_inclusion, root_at
from ledger.log.tile import (
    TILE_WIDTH,
    format_bundle,
    hash_reader,
    parse_bundle,
    parse_tile_path,
    partial_width,
    tile_of,
    tile_path,
)

SIZE = 70_000


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ((0, 0, 256), "tile/0/000"),
        ((0, 1_234_067, 256), "tile/0/x001/x234/067"),
        ((63, 999, 1), "tile/63/999.p/1"),
        ((1, 1_000, 255), "tile/1/x001/000.p/255"),
        ((None, 273, 112), "tile/entries/273.p/112"),
        ((0, 2**64 - 1, 255), "tile/0/x018/x446/x744/x073/x709/x551/615.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(place: tuple[int | None, int, int], path: str) -> None:
    """Digits in threes, all groups but the last with an `x`, and the width where it is partial."""
    assert path == tile_path(*place)
    assert place == parse_tile_path(path)


@given(st.none() | st.integers(0, 63), st.integers(0, 2**63), st.integers(1, 256))
def test_paths_come_back(level: int | None, n: int, width: int) -> None:
    """Every place has one path."""
    assert (level, n, width) == parse_tile_path(tile_path(level, n, width))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000.p/",
        "tile/-1/000",
        "tile/0/\u0660\u0660\u0660",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/entry/000",
        "tile/0/" + "x001/" * 3_000 + "000",
    ],
)
def test_other_paths_name_no_tile(path: str) -> None:
    """A second way to write a path, or a place that cannot be, is refused."""
    with pytest.raises(Malformed):
        parse_tile_path(path)


def test_widths_at_70_000_are_those_of_the_specification() -> None:
    """Level 0 ends in a tile of 112, level 1 in one of 17, level 2 in one of 1, level 3 has none."""
    assert [partial_width(level, SIZE) for level in range(4)] == [112, 17, 1, 0]
    assert partial_width(0, 512) == 0
    assert partial_width(63, 2**63) == 0


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ((0, 0), (0, 0, 0, 1)),
        ((0, 300), (0, 1, 44, 45)),
        ((7, 3), (0, 1, 128, 256)),
        ((8, 5), (1, 0, 5, 6)),
        ((9, 200), (1, 1, 144, 146)),
        ((17, 1), (2, 0, 2, 4)),
    ],
)
def test_a_subtree_lies_in_one_tile(node: tuple[int, int], place: tuple[int, int, int, int]) -> None:
    """The rows that hold a complete subtree."""
    assert place == tile_of(*node)


@given(st.integers(0, 62), st.integers(0, 2**20))
def test_rows_cover_exactly_the_leaves(height: int, index: int) -> None:
    """The rows' leaves are the subtree's, and never reach into the next tile."""
    level, n, start, stop = tile_of(height, index)
    assert index << height == (n * TILE_WIDTH + start) << 8 * level
    assert (index + 1) << height == (n * TILE_WIDTH + stop) << 8 * level
    assert 0 <= start < stop <= TILE_WIDTH


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=256))
def test_bundles_come_back(entries: list[bytes]) -> None:
    """Entries of any length, empty ones too."""
    assert entries == parse_bundle(format_bundle(entries), width=len(entries))


def test_a_bundle_is_exactly_what_its_path_says() -> None:
    """A bundle that is cut anywhere, goes on, or holds another number of entries is refused."""
    data = format_bundle([b"one", b"", b"three"])
    assert data == b"\0\3one\0\0\0\5three"
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            parse_bundle(data[:cut], width=3)
    for wrong, width in ((data + b"\0", 3), (data + b"\0\0", 3), (data, 2), (data, 4)):
        with pytest.raises(Malformed):
            parse_bundle(wrong, width=width)


def test_what_no_bundle_holds_is_not_written() -> None:
    """1 to 256 entries, each of at most 65,535 bytes."""
    assert len(format_bundle([bytes(65_535)])) == 65_537
    with pytest.raises(TooLarge):
        format_bundle([bytes(65_536)])
    for count in (0, 257):
        with pytest.raises(Malformed):
            format_bundle([b""] * count)


class Rows:
    """The rows that storage keeps of a tree, and what was asked of them."""

    def __init__(self, size: int) -> None:
        self.levels: dict[int, list[bytes]] = {level: [] for level in range(4)}
        self.edge = CompactRange()
        self.asked: list[tuple[int, int, int]] = []
        for i in range(size):
            leaf = hash_leaf(i.to_bytes(3))
            self.levels[0].append(leaf)
            for level, index, value in self.edge.append(leaf):
                assert index == len(self.levels[level])
                self.levels[level].append(value)

    def __call__(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        self.asked.append((level, start, stop))
        return self.levels[level][start:stop]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows(SIZE)


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999])
def test_proofs_through_rows_check_and_ask_once_for_each_tile(rows: Rows, index: int) -> None:
    """A tree of 70,000 leaves is proven from its rows, with at most one request for each of its tiles."""
    read, root = hash_reader(rows), rows.edge.root()
    assert root == root_at(SIZE, read)
    rows.asked.clear()
    check_inclusion(index, SIZE, rows.levels[0][index], prove_inclusion(index, SIZE, read), root)
    tiles = [(level, start // TILE_WIDTH) for level, start, _ in rows.asked]
    assert len(set(tiles)) == len(tiles) <= 5
    old = index + 1
    check_consistency(old, SIZE, root_at(old, read), root, prove_consistency(old, SIZE, read))


def test_a_missing_row_is_noticed(rows: Rows) -> None:
    """Storage that has lost a row gives an error, not a proof."""
    with pytest.raises(BadProof, match="level 0"):
        prove_inclusion(3, SIZE, hash_reader(lambda level, start, stop: rows(level, start, stop)[1:]))
    with pytest.raises(BadProof):
        root_at(SIZE + 1, hash_reader(rows))

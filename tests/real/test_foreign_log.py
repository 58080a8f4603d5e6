"""A log that another implementation wrote: checkpoints, tiles, bundles, and every proof over them, at every size."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.errors import BadCheckpoint, BadNote
from ledger.log.checkpoint import Checkpoint, open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.log.proof import check_consistency, check_inclusion, prove_consistency, prove_inclusion, root_at
from ledger.log.tile import format_bundle, hash_reader, parse_bundle, partial_width, tile_path

pytestmark = pytest.mark.real

ORIGIN = "example.com/log/testdata"
VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
SIZES = range(16)


@pytest.fixture
def log(shared_data: Path) -> Path:
    return shared_data / "tlog"


@pytest.fixture
def entries(log: Path) -> list[bytes]:
    return parse_bundle((log / tile_path(None, 0, 15)).read_bytes(), width=15)


@pytest.fixture
def leaves(entries: Sequence[bytes]) -> list[bytes]:
    return [hash_leaf(entry) for entry in entries]


@pytest.fixture
def checkpoints(log: Path) -> list[Checkpoint]:
    """Each opened with the log's key."""
    verifiers = [parse_vkey(VKEY)]
    return [open_checkpoint((log / f"checkpoint.{size}").read_bytes(), verifiers, origin=ORIGIN) for size in SIZES]


def test_every_checkpoint_opens_with_the_logs_key(log: Path, checkpoints: Sequence[Checkpoint]) -> None:
    """Sizes 0 to 15, and the latest one is the last of them."""
    assert list(SIZES) == [checkpoint.size for checkpoint in checkpoints]
    assert (log / "checkpoint").read_bytes() == (log / "checkpoint.15").read_bytes()


def test_every_changed_byte_of_a_checkpoint_is_refused(log: Path) -> None:
    """No single-byte change of a foreign checkpoint opens."""
    note, verifiers = (log / "checkpoint").read_bytes(), [parse_vkey(VKEY)]
    for i in range(len(note)):
        with pytest.raises((BadNote, BadCheckpoint)):
            open_checkpoint(note[:i] + bytes([note[i] ^ 1]) + note[i + 1 :], verifiers, origin=ORIGIN)


def test_roots_come_from_the_entries(leaves: Sequence[bytes], checkpoints: Sequence[Checkpoint]) -> None:
    """The root at every size, grown leaf by leaf and read through rows, is the one that was signed."""
    edge, read = CompactRange(), hash_reader(lambda _, start, stop: leaves[start:stop])
    for size in SIZES:
        assert checkpoints[size].root == edge.root() == root_at(size, read)
        if size < len(leaves):
            edge.append(leaves[size])


def test_tiles_and_bundles_are_byte_for_byte_ours(log: Path, entries: Sequence[bytes], leaves: Sequence[bytes]) -> None:
    """Every partial tile and bundle lies at our path for it and holds our bytes; there are no others."""
    ours = {}
    for size in SIZES[1:]:
        ours[tile_path(0, 0, partial_width(0, size))] = b"".join(leaves[:size])
        ours[tile_path(None, 0, partial_width(0, size))] = format_bundle(entries[:size])
    theirs = {path.relative_to(log).as_posix(): path.read_bytes() for path in log.glob("tile/**/*") if path.is_file()}
    assert ours == theirs


def test_every_pair_of_sizes_is_consistent(leaves: Sequence[bytes], checkpoints: Sequence[Checkpoint]) -> None:
    """Between the signed roots of any two sizes from 1 on."""
    read = hash_reader(lambda _, start, stop: leaves[start:stop])
    for new in SIZES[1:]:
        for old in range(1, new + 1):
            proof = prove_consistency(old, new, read)
            check_consistency(old, new, checkpoints[old].root, checkpoints[new].root, proof)


def test_every_entry_is_included_at_every_size(leaves: Sequence[bytes], checkpoints: Sequence[Checkpoint]) -> None:
    """In the signed root of each size that reaches it."""
    read = hash_reader(lambda _, start, stop: leaves[start:stop])
    for size in SIZES[1:]:
        for index in range(size):
            check_inclusion(index, size, leaves[index], prove_inclusion(index, size, read), checkpoints[size].root)

"""The files of `tests/vectors/log/mutations/`: the valid one of each format reads, and every other is refused."""

import runpy

import pytest
from parsers import TRUST, VECTORS

from ledger.errors import OblikError
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.proof_file import parse_proof_file
from ledger.log.receipt import check_receipt
from ledger.log.tile import parse_bundle, parse_tile_path
from ledger.log.trust_policy import parse_policy

FOLDER = VECTORS / "mutations"
PROGRAM = runpy.run_path(str(VECTORS / "make_mutations.py"))
READERS = {
    "bundle": lambda data: parse_bundle(data, width=PROGRAM["WIDTH"]),
    "checkpoint": parse_checkpoint,
    "note": TRUST.open,
    "policy": parse_policy,
    "proof_file": parse_proof_file,
    "receipt": lambda data: check_receipt(data, TRUST),
    "tile_path": lambda data: parse_tile_path(data.decode()),
}
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*"))


@pytest.mark.parametrize("file", FILES)
def test_what_was_changed_is_refused(file) -> None:
    """With one of our errors; `valid` reads."""
    read, data = READERS[file.partition("/")[0]], (FOLDER / file).read_bytes()
    if file.endswith("/valid"):
        assert read(data)
    else:
        with pytest.raises(OblikError):
            read(data)


def test_the_files_are_those_that_the_program_makes() -> None:
    """No more, no fewer, and each unlike the valid one."""
    made = PROGRAM["make"]()
    assert made.keys() == READERS.keys()
    assert sorted(f"{name}/{file}" for name, files in made.items() for file in files) == FILES
    for name, files in made.items():
        assert len(set(files.values())) == len(files), name
        for file, data in files.items():
            assert data == (FOLDER / name / file).read_bytes(), file

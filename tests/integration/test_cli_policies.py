"""`oblik policies check`: a folder is read as the service reads it, and its cases are tried."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.resources import folder

EXAMPLE = folder("policy_models") / "records_example"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "mine"))


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ledger.cli", "policies", "check", path.name]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=path.parent)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_the_example_is_right():
    """The shipped folder's cases hold, and the digest is told."""
    done = check(EXAMPLE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("records_example: 6 rows, 14 cases, 0 wrong; digest ")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("cases.yaml", "answer: allow", "answer: deny", "a known user reads: allow, row 9, and not deny, row 9"),
        ("cases.yaml", "row: 12", "row: 11", "allow, row 12, and not allow, row 11"),
        ("cases.yaml", "{name: read}", "{name: burn}", "a known user reads: is no request: /action/name"),
        ("policy.csv", '"r.sub.known", allow', '"r.sub.x", allow', "there is no property `x`"),
    ],
)
def test_a_wrong_case_is_told(copy, file, old, new, told):
    """A case that the policy answers otherwise, or with an error, is named with what was answered; exit code 1."""
    change(copy / file, old, new)
    done = check(copy)
    assert done.returncode == 1
    assert told in done.stdout


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("policy.csv", "p, x\n", "/rows/1"),
        ("mount.json", "{", "/mount"),
        ("cases.yaml", "cases: [", "cases.yaml"),
        ("cases.yaml", "cases: [{name: x}]", "cases.yaml"),
        ("facts.json", "\udcff", "not UTF-8"),
    ],
)
def test_a_folder_that_is_none(copy, file, text, told):
    """A file that cannot be read is named, with exit code 2."""
    (copy / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    done = check(copy)
    assert done.returncode == 2
    assert told in done.stderr
    assert "fault" not in done.stderr


def test_a_file_that_is_missing(copy):
    """A folder without one of its files is refused, with its name."""
    (copy / "facts.json").unlink()
    done = check(copy)
    assert (done.returncode, "facts.json" in done.stderr) == (2, True)

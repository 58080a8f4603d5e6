"""`oblik receipt verify`, as a real process: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys

import pytest
from receipts import ESTONIA, LOG, LOG_PQ, ORIGIN, POLICY, TIME, receipt_of

from ledger.resources import folder


def verify(tmp_path, receipt, policy, *options) -> subprocess.CompletedProcess[str]:
    """Run the command on these bytes."""
    files = {"r.tlog-proof": receipt, "allies.policy": policy}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-m", "ledger.cli", "receipt", "verify", "r.tlog-proof", "--policy", "allies.policy"]
    environment = {**os.environ, "PYTHONPATH": str(folder("alembic").parent), "COLUMNS": "200"}
    return subprocess.run(
        [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_receipt_is_told_in_words(tmp_path) -> None:
    """Who, what, when, the decision, the keys and the witnesses; exit code 0."""
    done = verify(tmp_path, receipt_of(4), POLICY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"verified: entry 4 of {ORIGIN}, in its tree of 7 entries",
        "what: decision.recorded, allowed",
        'who: {"org":"acme-jp","system":"trainer"}',
        "when: 2026-11-21T09:30:04.000000Z",
        'body: {"allowed":true,"org":"acme-jp"}',
        f"signed by: {ORIGIN} (key {LOG.key_id:08x})",
        f"signed by: {ORIGIN} (key {LOG_PQ.key_id:08x})",
        "witness: poland, at 2026-11-21T08:33:20Z",
        "witness: japan, at 2026-11-21T08:33:20Z",
        "witnesses: 2, where it takes 2 of 3 (poland, estonia, japan)",
    ]


def test_a_receipt_is_told_to_programs(tmp_path) -> None:
    """`--json` prints one object; a deny is false."""
    done = verify(tmp_path, receipt_of(3), POLICY, "--json")
    found = json.loads(done.stdout)
    assert (found["seq"], found["allowed"], found["size"]) == (3, False, 7)
    assert found["witnesses"] == [{"name": "poland", "time": TIME}, {"name": "japan", "time": TIME}]


@pytest.mark.parametrize(
    ("receipt", "policy", "code", "words"),
    [
        (receipt_of(3, LOG, ESTONIA), POLICY, 1, "too few witnesses cosigned the checkpoint: estonia, where it takes"),
        (receipt_of(3)[:-40], POLICY, 1, "does not verify"),
        (receipt_of(3).replace(b"index 3", b"index 2"), POLICY, 1, "does not verify"),
        (b"", POLICY, 1, "no proof file"),
        (receipt_of(3), b"quorum\n", 2, "line 1: a quorum reads"),
        (receipt_of(3), b"", 2, "no `quorum` line"),
    ],
)
def test_what_does_not_hold_is_one_line_on_stderr(tmp_path, receipt, policy, code, words) -> None:
    """1 where the receipt does not verify, 2 where the policy is no policy; nothing on stdout either way."""
    done = verify(tmp_path, receipt, policy)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_quorum_none_takes_no_witness(tmp_path) -> None:
    """A verifier who wants no witness says so."""
    done = verify(tmp_path, receipt_of(3, LOG), POLICY.replace(b"quorum allies", b"quorum none"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("witnesses: 0, where it takes no witness\n")


def test_files_that_are_missing_or_too_large_are_misuse(tmp_path) -> None:
    """Neither is read whole."""
    (tmp_path / "elsewhere").mkdir()
    assert "cannot be read" in verify(tmp_path / "elsewhere", receipt_of(3), POLICY, "--policy", "none.policy").stderr
    done = verify(tmp_path, b"x" * 3_000_000, POLICY)
    assert (done.returncode, done.stdout) == (2, "")
    assert "over the limit" in done.stderr

"""`oblik monitor` and `oblik evidence verify`, as real processes: what they print, their exit codes, and kill -9."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from forking import grow, size_of, two_histories
from receipts import POLAND

from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import format_vkey, parse_note
from ledger.log.trust_policy import parse_policy
from ledger.resources import folder

PATIENCE = 60
OBLIK = [sys.executable, "-m", "ledger.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(folder("alembic").parent), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    with two_histories(tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.fixture
def log(histories, tmp_path):
    """Give the address and the switch, both histories of one size, the true one shown; and write the policy."""
    address, switch = histories
    size = max(size_of(switch.true.world), size_of(switch.false.world))
    grow(switch.false.world, size)
    switch.show(switch.true, size)
    (tmp_path / "log.policy").write_bytes(switch.policy)
    return address, switch


def run(tmp_path, *arguments) -> subprocess.CompletedProcess[str]:
    command = [*OBLIK, *arguments, "--policy", "log.policy"]
    return subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def once(tmp_path, *arguments) -> subprocess.CompletedProcess[str]:
    return run(tmp_path, "monitor", *arguments, "--state", "head", "--once")


@contextmanager
def following(tmp_path, address, *options):
    """Run a monitor that goes on. It is dead when this ends."""
    command = [*OBLIK, "monitor", address, "--policy", "log.policy", "--state", "head", "--interval", "0.1", *options]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def remembered(tmp_path, switch) -> int:
    """Open the memory by the policy. Gives its size."""
    return parse_policy(switch.policy).open((tmp_path / "head").read_bytes()).checkpoint.size


def test_a_round_is_told_in_words(log, tmp_path) -> None:
    """What was verified, and by which witnesses; exit code 0. The memory is the note."""
    address, switch = log
    done = once(tmp_path, address)
    note = switch.instead["/checkpoint"]
    checkpoint = parse_checkpoint(parse_note(note)[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"verified: size {checkpoint.size}, root {checkpoint.root.hex()}, of {checkpoint.origin}, {address}",
        f"witnesses: none, where it takes no witness, {address}",
    ]
    assert (tmp_path / "head").read_bytes() == note


def test_a_round_is_told_to_programs(log, tmp_path) -> None:
    """One object for each place."""
    address, switch = log
    done = once(tmp_path, address, "--mirror", address, "--json", "--stale", "1000")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["place"], one["problem"], one["stale"], one["quorum_met"]) for one in told] == [
        (address, "", False, True)
    ] * 2
    assert told[0]["size"] == remembered(tmp_path, switch)


def test_too_few_witnesses_are_exit_code_1(log, tmp_path) -> None:
    """Said, and remembered all the same."""
    address, switch = log
    lines = f"witness poland {format_vkey(POLAND)}\nquorum poland\n".encode()
    (tmp_path / "log.policy").write_bytes(switch.policy.replace(b"quorum none\n", lines))
    done = once(tmp_path, address)
    assert done.returncode == 1
    assert "witnesses: none, where it takes poland: too few" in done.stdout
    assert remembered(tmp_path, switch)


def test_trouble_is_an_exit_code_of_its_own(log, tmp_path) -> None:
    """1 where something does not verify, 2 where nothing was to be had."""
    address, switch = log
    for served, code, words in ((None, 2, "no file"), (b"garbage", 1, "does not verify")):
        switch.instead["/checkpoint"] = served
        done = once(tmp_path, address)
        assert (done.returncode, done.stdout) == (code, "")
        assert words in done.stderr
    assert not (tmp_path / "head").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nowhere"], "neither a folder nor a URL"), (["ftp://a/"], "no address"), (["http://a/", "--interval", "0"], "")],
)
def test_misuse_is_exit_code_2(tmp_path, arguments, words) -> None:
    """Before anything is asked."""
    (tmp_path / "log.policy").write_bytes(b"quorum none\n")
    done = once(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_fork_ends_it_with_exit_code_3_and_evidence(log, tmp_path) -> None:
    """While it follows: said, written, and verified by a stranger who has the keys alone."""
    address, switch = log
    with following(tmp_path, address) as monitor:
        assert "verified: size" in monitor.stdout.readline()
        before = (tmp_path / "head").read_bytes()
        switch.show(switch.false, size_of(switch.true.world) + 300)
        said, _ = monitor.communicate(timeout=PATIENCE)
        assert monitor.returncode == 3
    assert f"CONTRADICTION: {address}" in said
    assert "evidence: head.evidence" in said
    assert (tmp_path / "head").read_bytes() == before
    done = run(tmp_path, "evidence", "verify", "head.evidence")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["fork", "kept", "served", "proven"]
    assert "does not begin with the one of" in lines[0]
    assert lines[3] == "proven: yes, by the log's own signatures, to anyone who has its keys"
    again = once(tmp_path, address)
    assert (again.returncode, "there already" in again.stderr) == (2, True)


def test_two_trees_of_one_size_are_told_so(log, tmp_path) -> None:
    """To programs too."""
    address, switch = log
    assert once(tmp_path, address).returncode == 0
    switch.show(switch.false)
    done = once(tmp_path, address, "--json", "--evidence", "found.json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["found"], told["proven"], told["evidence"]) == (3, "fork", True, "found.json")
    assert "signed two trees of" in run(tmp_path, "evidence", "verify", "found.json").stdout
    told = json.loads(run(tmp_path, "evidence", "verify", "found.json", "--json").stdout)
    assert (told["kept"]["size"], told["proven"]) == (told["served"]["size"], True)


def test_a_rollback_is_exit_code_3_and_its_evidence_says_what_it_is_worth(log, tmp_path) -> None:
    """The monitor stops; a stranger is told that nothing is proven, with exit code 1."""
    address, switch = log
    early = switch.instead["/checkpoint"]
    switch.show(switch.true, size_of(switch.true.world) + 3)
    assert once(tmp_path, address).returncode == 0
    switch.instead["/checkpoint"] = early
    done = once(tmp_path, address)
    assert (done.returncode, "rollback: " in done.stdout) == (3, True)
    verified = run(tmp_path, "evidence", "verify", "head.evidence")
    assert verified.returncode == 1
    assert "proven: no, the log signed both" in verified.stdout


def test_what_is_no_evidence_is_exit_code_1(log, tmp_path) -> None:
    """With the reason, on one line."""
    for data in (b"", b"{}", b'{"format":"oblik-evidence/2"}'):
        (tmp_path / "e").write_bytes(data)
        done = run(tmp_path, "evidence", "verify", "e")
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert "no evidence" in done.stderr


def test_trouble_is_said_once_and_that_it_is_over(log, tmp_path) -> None:
    """However many rounds it lasts."""
    address, switch = log
    with following(tmp_path, address) as monitor:
        assert "verified: " in monitor.stdout.readline()
        note, switch.instead["/checkpoint"] = switch.instead["/checkpoint"], None
        assert monitor.stderr.readline().startswith("trouble: no file")
        switch.wait_for_rounds(2)
        switch.instead["/checkpoint"] = note
        assert monitor.stderr.readline() == f"well again: {address}\n"
        monitor.send_signal(signal.SIGINT)
        rest = monitor.communicate(timeout=PATIENCE)
    assert (monitor.returncode, rest[1]) == (0, "")


def test_a_log_that_does_not_grow_is_said_to_be_stale(log, tmp_path) -> None:
    """By the time of the memory's file, so that it is said after a restart too, and by each single round."""
    address, switch = log
    assert once(tmp_path, address, "--stale", "3600").stderr == ""
    os.utime(tmp_path / "head", (1, 1))
    assert "has not grown for over 3600 s" in once(tmp_path, address, "--stale", "3600").stderr
    assert once(tmp_path, address).stderr == ""
    switch.show(switch.true, size_of(switch.true.world) + 1)
    assert once(tmp_path, address, "--stale", "3600").stderr == ""


def test_a_monitor_that_is_killed_goes_on_where_it_was(log, tmp_path) -> None:
    """Kill -9 while it moves its memory, again and again: it is always a whole checkpoint, never one that goes back."""
    address, switch = log
    size = 0
    for number in range(6):
        with following(tmp_path, address) as monitor:
            assert "verified: " in monitor.stdout.readline()
            for _ in range(number):  # killed at another moment each time
                switch.show(switch.true, size_of(switch.true.world) + 1)
                switch.wait_for_rounds(1)
            monitor.kill()
        assert size <= remembered(tmp_path, switch) <= size_of(switch.true.world)
        size = remembered(tmp_path, switch)
    switch.show(switch.false, size + 100)
    assert once(tmp_path, address).returncode == 3
    assert remembered(tmp_path, switch) == size

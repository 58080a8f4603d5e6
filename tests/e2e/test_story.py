"""The demonstration as a newcomer runs it: one process, the real service, the whole story."""

import re

import pytest

pytestmark = pytest.mark.xdist_group("story")  # played once, not once a worker

DENIALS = {
    "… for an offensive purpose: denied.": "purpose_not_prohibited",
    "… on the raw tier: denied.": "tier_within_grant",
    "… from a country outside the agreement: denied.": "location_permitted",
    "Orion, the other partner, asks for the same: denied.": "grant_current",
    "Acme's system asks again: denied.": "grant_current",
}
"""What is denied in the story, and the clause that has to stand below it."""


def test_the_story_comes_out_as_told(played):
    """`oblik demo --exit` ends with exit code 0 and prints the verified line, with as many entries as it has."""
    assert (played.returncode, played.stderr) == (0, "")
    found = re.search(r"^verified: (\d+) entries, size (\d+), root [0-9a-f]{64}$", played.stdout, re.MULTILINE)
    assert found is not None
    assert found[1] == found[2]
    assert re.search(rf"^replayed: {found[1]} entries, \d+ decisions, 0 findings$", played.stdout, re.MULTILINE)


def test_every_denial_is_printed_with_its_reason(played):
    """Each of the denials that the story tells stands there, with its clause and the entries that it rests on."""
    lines = played.stdout.splitlines()
    for sentence, clause in DENIALS.items():
        at = next(i for i, line in enumerate(lines) if line.endswith(sentence))
        reasons = [line for line in lines[at + 1 : at + 8] if line.startswith("          ")]
        assert any(re.search(rf" {clause}: .+ \(entries .+\)$", line) for line in reasons), sentence


def test_every_refusal_is_printed(played):
    """The use under a deny and the trainer's own promotion are refused, each on record in an entry."""
    assert re.search(r"reports a use under a deny, and is refused: .*entry \d+", played.stdout)
    assert re.search(r"votes for it itself, and is refused: .*entry \d+", played.stdout)


def test_steps_come_in_the_ledgers_order(played):
    """The index printed at each step is larger than the one before it, and below the size."""
    steps = [int(seq) for seq in re.findall(r"^\[ *(\d+)\]", played.stdout, re.MULTILINE)]
    size = int(re.search(r"size (\d+)", played.stdout)[1])
    assert steps == sorted(steps)
    assert len(set(steps)) == len(steps)
    assert len(steps) > 30
    assert steps[-1] == size - 1


def test_a_changed_byte_is_named(played):
    """At the end one byte is changed in a copy, and verification names that entry."""
    told = re.search(r"One byte of entry (\d+) is changed", played.stdout)
    assert told is not None
    assert f"oblik: does not verify: entry {told[1]}: " in played.stdout


def test_nothing_is_left_behind(played):
    """The service has ended, and the folder of its ledger is gone."""
    assert played.left == []

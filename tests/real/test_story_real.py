"""The demonstration on real inputs: a Croissant card, NATO's security policy and label, DPV purposes, a detector."""

import re

import pytest
from played import Played, play

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real story")]


@pytest.fixture(scope="module")
def played_real(shared_data, tmp_path_factory) -> Played:
    """Play the story on them."""
    return play(tmp_path_factory.mktemp("story"), "--inputs", str(shared_data))


def test_the_story_comes_out_as_told_on_real_inputs(played_real):
    """It ends with exit code 0, and the ledger verifies and replays."""
    assert (played_real.returncode, played_real.stderr) == (0, "")
    found = re.search(r"^verified: (\d+) entries, size \1, root [0-9a-f]{64}$", played_real.stdout, re.MULTILINE)
    assert found is not None
    assert f"replayed: {found[1]} entries, 6 decisions, 0 findings" in played_real.stdout


def test_the_real_inputs_are_what_it_was_played_on(played_real):
    """The steps name the dataset's own title, the security policy NATO, and the detector."""
    assert "Security adopts the security policy NATO" in played_real.stdout
    assert "person-vehicle-bike-detection-2000" in played_real.stdout
    purposes = re.search(r"adopts a tree of (\d+) purposes", played_real.stdout)
    assert int(purposes[1]) > 100


def test_every_denial_is_told_on_real_inputs(played_real):
    """The same five denials as with the examples."""
    assert len(re.findall(r"^\[ *\d+\] .*: denied\.$", played_real.stdout, re.MULTILINE)) == 5
    assert len(re.findall(r"^\[ *\d+\] .*: allowed\.$", played_real.stdout, re.MULTILINE)) == 1

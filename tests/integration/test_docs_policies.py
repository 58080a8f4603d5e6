"""The page from which a stranger mounts a policy: its commands run as they stand, after the officials' guide."""

import re
import subprocess

import pytest
import snippets

pytestmark = pytest.mark.xdist_group("documents")

GUIDES = ("docs/official.md", "docs/policies.md")


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run the page in the terminal of the guide before it."""
    snippets.require("bash", "curl", "jq")
    pieces = [piece for guide in GUIDES for piece in snippets.blocks(snippets.read(guide), "sh")]
    return snippets.run(pieces, scratch=tmp_path_factory.mktemp("policies"))


def test_the_page_runs_to_its_end(guided):
    """Every command of the page succeeds, in a folder that it makes."""
    assert guided.returncode == 0, guided.stderr


def test_the_cases_are_right(guided):
    """The page's cases are tried, and none is wrong."""
    assert re.search(r"^depot: 4 rows, 4 cases, 0 wrong; digest [0-9a-f]{64}$", guided.stdout, re.MULTILINE)


def test_the_answers_are_those_that_the_page_shows(guided):
    """The evaluation and the search print the lines that the page shows."""
    (shown,) = snippets.blocks(snippets.read("docs/policies.md"), "text")
    assert shown in guided.stdout

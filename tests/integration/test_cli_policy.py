"""`oblik policy`, `oblik explain` and a replay of a range, as real processes over a ledger and its export."""

import csv
import hashlib
import json
import re
import subprocess
import sys

import pytest
from proposals import MODEL, NO_TRAINING, ROWS, WIDER
from world import open_world

from ledger.access.policy import digest_of
from ledger.resources import folder

SHIPPED = folder("policy_models") / "dataset_access"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Give a folder with a ledger of one allow and one deny, its export, and two other policies."""
    root = tmp_path_factory.mktemp("ledger")
    world = open_world(f"sqlite:///{root / 'ledger.db'}", root)
    world.ask()
    world.ask(country="UKR")
    world.service.close()
    for name, rows in (("wider", WIDER), ("closed", NO_TRAINING)):
        (root / name).mkdir()
        (root / name / "model.conf").write_text(MODEL, encoding="utf-8")
        (root / name / "policy.csv").write_text(rows, encoding="utf-8")
    oblik(root, "export", "ledger.jsonl")
    return root


def oblik(root, *arguments, code=0):
    """Run the command in the ledger's folder. Gives what it printed."""
    environment = {"PYTHONPATH": str(folder("alembic").parent), "OBLIK_DATA": str(root), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "ledger.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def entries(root):
    lines = (root / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if "kind" in entry]


def decisions(root):
    return [entry["seq"] for entry in entries(root) if entry["kind"] == "decision.recorded"]


def test_compare_folders(ledger):
    """Each difference is a sentence in both languages, with the rule and an example; the last line counts them."""
    told = oblik(ledger, "policy", "compare", SHIPPED, "wider")
    assert told.startswith("wider: The new policy allows, and the old one denies, every action at every tier, ")
    assert "    Нова політика дозволяє, а стара забороняє будь-яку дію" in told
    assert (
        "    the rule: The countries of processing and of storage must be named in the grant and in the agreement."
        in told
    )
    assert "    for example: train at metadata; failing: location_permitted\n" in told
    assert told.endswith("compared: 1 cases that NEW allows and OLD denies, 0 the other way round\n")
    assert oblik(ledger, "policy", "compare", "wider", SHIPPED).endswith(
        "compared: 0 cases that NEW allows and OLD denies, 1 the other way round\n"
    )


def test_compare_by_digest(ledger):
    """A digest names the policy that was adopted, in the ledger's own database or in the export that is named."""
    digest = digest_of(MODEL, ROWS)
    for source in ([], ["--source", "ledger.jsonl"]):
        (found,) = json.loads(oblik(ledger, "policy", "compare", digest, "closed", "--json", *source))
        assert (found["wider"], found["actions"], found["failing"]) == (False, ["train"], [])
    assert "no policy adopted or proposed" in oblik(ledger, "policy", "compare", "0" * 64, "closed", code=2)


def test_dry_run(ledger):
    """It tells who gains, writes the document and the table, and prints the document's digest, from any source."""
    told = oblik(ledger, "policy", "dry-run", "wider", "--json", "run.json", "--csv", "run.csv")
    assert "2 decisions: 1 would be gained, 0 lost\n" in told
    assert re.search(r"^ +1 +0  organisation acme-jp$", told, re.MULTILINE)
    assert f"entry {decisions(ledger)[1]}: acme-jp gains train of dataset:uav at redacted: location_permitted\n" in told
    document = (ledger / "run.json").read_bytes()
    assert told.endswith(f"dry-run: {hashlib.sha256(document).hexdigest()}\n")
    with (ledger / "run.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert {"by": "clause", "name": "location_permitted", "gained": "1", "lost": "0"} in rows
    assert rows[0] == {"by": "all", "name": "", "gained": "1", "lost": "0"}
    assert oblik(ledger, "policy", "dry-run", "wider", "ledger.jsonl") == told
    assert "is there already" in oblik(ledger, "policy", "dry-run", "wider", "--json", "run.json", code=2)


def test_dry_run_of_a_range(ledger):
    """Bounds are indexes; one that is not within the ledger is refused by name."""
    first, second = decisions(ledger)
    told = oblik(ledger, "policy", "dry-run", "wider", "--since", second)
    assert "1 decisions: 1 would be gained, 0 lost\n" in told
    assert "0 would be gained" in oblik(ledger, "policy", "dry-run", "wider", "--until", first + 1)
    assert "--until: `999`" in oblik(ledger, "policy", "dry-run", "wider", "--until", 999, code=2)


def test_explain(ledger):
    """A past decision is told clause by clause, with what would turn it; as JSON, with the same fields as the API."""
    _, second = decisions(ledger)
    told = oblik(ledger, "explain", second)
    assert told.startswith(f"decision {second}: deny, at 2026-11-21T09:30:00.")
    assert re.search(r"^  FAILS  location_permitted \(entries \d+, \d+\)$", told, re.MULTILINE)
    assert "         Країни обробки та зберігання має бути названо і в дозволі, і в угоді.\n" in told
    assert "what would turn it (no smaller set does): location_permitted\n" in told
    assert "  grant, by partner.applicant and owner.steward and owner.security\n" in told
    assert "or, without any of these: Ask with another country, within what the grant allows.\n" in told
    found = json.loads(oblik(ledger, "explain", second, "ledger.jsonl", "--json"))
    assert (found["id"], found["outcome"], found["derived"]) == (str(second), "deny", "replayed")
    for missing in (0, 999):
        assert f"no decision `{missing}`" in oblik(ledger, "explain", missing, code=2)


def test_replay_of_a_range(ledger):
    """A replay of a range derives its decisions alone."""
    first, second = decisions(ledger)
    assert oblik(ledger, "replay", "ledger.jsonl", "--since", second).endswith(", 1 decisions, 0 findings\n")
    told = oblik(ledger, "replay", "ledger.jsonl", "--until", first + 1)
    assert told == f"replayed: {first + 1} entries, 1 decisions, 0 findings\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "cannot be read"),
        ({"model.conf": b"x", "policy.csv": b""}, "has no row that allows"),
        ({"model.conf": b"\xff", "policy.csv": b""}, "not UTF-8 at byte 0"),
        ({"model.conf": b" " * 1_100_000, "policy.csv": b""}, "over the limit"),
    ],
)
def test_a_folder_that_is_no_policy_is_refused(ledger, tmp_path, files, words):
    """A folder without the files, or with others than a policy's, is refused on one line, with exit code 2."""
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for command in (["compare", SHIPPED, tmp_path], ["dry-run", tmp_path]):
        told = oblik(ledger, "policy", *command, code=2)
        assert words in told
        assert str(tmp_path) in told
        assert len(told.splitlines()) == 1

"""The cases of every folder that can be mounted."""

from pathlib import Path

import msgspec
import pytest
import yaml

from ledger.access.mount import Texts, load_mounted
from ledger.access.mounted import decide_mounted, decide_mounted_plain, explain_mounted, parse_mounted, take_brought

ROOT = Path(__file__).resolve().parents[3] / "policy_models"
FOLDERS = sorted(path.parent for path in ROOT.glob("*/mount.json"))
TOLD = {folder: yaml.safe_load((folder / "cases.yaml").read_text(encoding="utf-8"))["cases"] for folder in FOLDERS}
CASES = [pytest.param(folder, case, id=f"{folder.name}: {case['name']}") for folder in FOLDERS for case in TOLD[folder]]
NOW = "2026-11-21T09:30:00.000000Z"


def load_folder(folder):
    files = {"model": "model.conf", "rows": "policy.csv", "mount": "mount.json", "facts": "facts.json"}
    return load_mounted(folder.name, Texts(**{k: (folder / name).read_text("utf-8") for k, name in files.items()}))


@pytest.fixture(scope="module")
def policies():
    return {folder: load_folder(folder) for folder in FOLDERS}


def asked(case):
    parts = {part: case[part] for part in ("subject", "action", "resource", "context") if part in case}
    return parse_mounted(msgspec.json.encode(parts))


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_case(folder, case, policies):
    """The policy gives the case's answer, by the case's row, the same with and without memory."""
    policy, request = policies[folder], asked(case)
    brought = take_brought(request, policy)
    decision = decide_mounted(request, brought, policy, NOW)
    assert decision.errors == ()
    assert (case["answer"] == "allow") is decision.allowed
    assert case.get("row") == (decision.row.line if decision.row is not None else None)
    assert decide_mounted(request, brought, policy, NOW) == decision
    assert decide_mounted_plain(request, brought, policy, NOW) == decision


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_row_decides_some_case(folder, policies):
    """No row is there untried."""
    decided = {case["row"] for case in TOLD[folder] if "row" in case}
    assert decided == {row.line for row in policies[folder].rows.values()}


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_every_reason_reads(folder, case, policies):
    """Each answer has one reason, in English and in Ukrainian."""
    request = asked(case)
    decision = decide_mounted(request, take_brought(request, policies[folder]), policies[folder], NOW)
    (reason,) = explain_mounted(decision)
    assert reason.en.endswith(".")
    assert any("\u0430" <= letter <= "\u044f" for letter in reason.uk)

"""The cases of every shipped policy, and that each of them denies by default."""

from itertools import combinations, product
from pathlib import Path

import msgspec
import pytest
import yaml

from ledger.access.clauses import CLAUSES
from ledger.access.decide import decide, decide_plain
from ledger.access.facts import Facts
from ledger.access.policy import Policy
from ledger.access.request import parse_request
from ledger.access.vocabulary import ACTIONS, TIERS

FOLDERS = sorted(
    path
    for path in (Path(__file__).resolve().parents[3] / "policy_models").iterdir()
    if path.is_dir() and not (path / "mount.json").exists()
)
TOLD = {folder: yaml.safe_load((folder / "cases.yaml").read_text(encoding="utf-8")) for folder in FOLDERS}
CASES = [
    pytest.param(folder, case, id=f"{folder.name}: {case['name']}")
    for folder in FOLDERS
    for case in TOLD[folder]["cases"]
]


@pytest.fixture(scope="module")
def policies(world):
    return {folder: world.load_folder(folder) for folder in FOLDERS}


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_case(folder, case, policies, world):
    """The policy gives the case's answer, for the case's reasons and no other."""
    told = TOLD[folder]
    request = parse_request(msgspec.json.encode(world.differ(told["base"]["request"], case.get("request"))))
    facts = msgspec.convert(world.differ(told["base"]["facts"], case.get("facts")), Facts)
    decision = decide(request, facts, policies[folder], told["now"])
    assert decision.errors == ()
    failed = [finding.clause for finding in decision.findings if not finding.holds]
    assert case.get("reasons", []) == failed
    assert (case["answer"] == "allow") is decision.allowed
    assert case.get("grant", decision.grant) == decision.grant
    assert decide_plain(request, facts, policies[folder], told["now"]) == decision


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_clause_fails_in_some_case(folder, policies):
    """The cases show each clause that the policy names failing, and an allow: none is there untried."""
    shown = {clause for case in TOLD[folder]["cases"] for clause in case.get("reasons", ())}
    assert set(policies[folder].clauses) == shown
    assert any(case["answer"] == "allow" for case in TOLD[folder]["cases"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_denies_when_nothing_holds(folder, policies):
    """With no clause holding, every action at every tier is denied."""
    policy = policies[folder]
    assert not any(policy.permits_plain(*pair, frozenset()) for pair in product(ACTIONS, TIERS))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_denies_without_rows_that_allow(folder, policies, world):
    """With the rows that allow taken away, all is denied even where every clause holds; so is it with no row at all."""
    policy = policies[folder]
    assert all(policy.permits_plain(action, tier, frozenset(CLAUSES)) for action, tier in product(ACTIONS, TIERS))
    for kept in (tuple(row for row in policy.rows if row.effect == "deny"), ()):
        closed = rebuilt(policy, kept, world.model)
        assert not any(closed.permits_plain(*pair, frozenset(CLAUSES)) for pair in product(ACTIONS, TIERS))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_clause_is_needed(folder, policies):
    """One clause that does not hold, or two, is enough to deny, whatever the action and tier."""
    policy = policies[folder]
    everything = frozenset(policy.clauses)
    for missing in [*combinations(everything, 1), *combinations(everything, 2)]:
        assert not policy.permits_plain("train", "redacted", everything - set(missing))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_shipped_policy_leaves_out_lineage(folder, policies):
    """I6 holds under every shipped policy: one row denies everything that the lineage does not permit."""
    rows = {(row.action, row.tier, row.clause, row.effect) for row in policies[folder].rows}
    assert ("*", "*", "not lineage_permits", "deny") in rows


def test_a_bad_row_shows(world):
    """A row that allows what its neighbours deny changes no answer; one that loses its `not` is refused."""
    bad = 'p, *, *, subject_in_good_standing, allow, "Anyone enrolled may do anything.", "Усе дозволено."\n'  # noqa: RUF001 - Ukrainian
    from ledger.access.policy import load_policy
    from ledger.errors import Malformed

    worse = load_policy("bad", world.model, world.rows + bad)
    denied = decide(world.request({"context.environment.country": "UKR"}), world.facts(), worse, world.now)
    assert not denied.allowed
    with pytest.raises(Malformed, match="cannot deny"):
        load_policy("bad", world.model, world.rows.replace("not lineage_permits", "lineage_permits"))


def test_every_reason_reads(policies):
    """Each clause has a sentence and a remedy in both languages, and the Ukrainian is not the English."""
    for policy in policies.values():
        for name in policy.clauses:
            said = policy.sentences[name]
            assert said.en.endswith(".")
            assert said.uk.endswith(".")
            assert any("\u0430" <= letter <= "\u044f" for letter in said.uk)


def rebuilt(policy, rows, model):
    from ledger.access.policy import _parse_model

    return Policy(policy.name, policy.digest, rows, _parse_model(model))

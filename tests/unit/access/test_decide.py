"""Decisions: closed on every error, the right grant, and never wider than an ancestor (I6)."""

from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.access import clauses
from ledger.access.decide import decide, decide_plain
from ledger.access.facts import Party, Resource, Restraint
from ledger.access.policy import load_policy
from ledger.access.vocabulary import ACTIONS, TIERS

replace = msgspec.structs.replace


def failed(decision):
    return [finding.clause for finding in decision.findings if not finding.holds]


def test_allow(world):
    """An allow names policy, grant and time, has every clause once in the policy's order, and obliges to report."""
    decision = decide(world.request(), world.facts(), world.policy, world.now)
    assert decision.allowed
    assert world.policy.digest == decision.policy
    assert decision.grant == "g-1"
    assert world.now == decision.evaluated_at
    assert list(world.policy.clauses) == [finding.clause for finding in decision.findings]
    (obligation,) = decision.obligations
    assert obligation.type == "report_use"
    assert obligation.properties == {"within_hours": "24"}


def test_deny_obliges_to_nothing(world):
    """A deny carries no obligation."""
    decision = decide(world.request(), world.facts({"party.status": "suspended"}), world.policy, world.now)
    assert not decision.allowed
    assert decision.obligations == ()


@pytest.mark.parametrize("field", ["subject_id", "org", "action", "resource_id", "purpose"])
def test_empty_identifier(field, world):
    """A request that was made with an empty identifier is denied, whatever the policy says of it."""
    request = replace(world.request(), **{field: ""})
    decision = decide(request, world.facts(), world.policy, world.now)
    assert not decision.allowed
    assert any("empty" in error for error in decision.errors)


@pytest.mark.parametrize("field", ["action", "tier"])
def test_unknown_word(field, world):
    """An action or tier that is not one is denied, though rows for all of them apply."""
    assert not decide(replace(world.request(), **{field: "unheard-of"}), world.facts(), world.policy, world.now).allowed


def raising(*_):
    raise RuntimeError("secret of the operator")


@pytest.mark.parametrize("name", clauses.CLAUSES)
def test_clause_that_raises(name, world, monkeypatch):
    """A clause that raises denies, and is named; what it said is not told."""
    monkeypatch.setitem(clauses._clauses, name, raising)
    for ask in decide, decide_plain:
        decision = ask(world.request(), world.facts(), world.policy, world.now)
        assert not decision.allowed
        assert name in " ".join(decision.errors)
        assert "secret" not in " ".join(decision.errors)
        assert [name] == failed(decision)


def test_clause_that_raises_for_one_grant(world, monkeypatch):
    """A clause that raises over one grant denies, though another grant would do, in whichever order they stand."""
    current = clauses.CLAUSES["grant_current"]

    def check(request, facts, grant, now):
        return raising() if grant.id == "g-bad" else current(request, facts, grant, now)

    monkeypatch.setitem(clauses._clauses, "grant_current", check)
    facts = world.facts()
    for seq in 1, 99:
        bad = replace(facts.grants[0], id="g-bad", seq=seq)
        decision = decide(world.request(), replace(facts, grants=(*facts.grants, bad)), world.policy, world.now)
        assert not decision.allowed
        assert decision.errors


def test_policy_that_raises(world, monkeypatch):
    """Casbin failing denies, is named, and is not remembered."""
    policy = load_policy("test", world.model, world.rows)
    with monkeypatch.context() as patch:
        patch.setattr(policy, "permits_plain", raising)
        for ask in decide, decide_plain:
            decision = ask(world.request(), world.facts(), policy, world.now)
            assert not decision.allowed
            assert any("RuntimeError" in error for error in decision.errors)
    assert decide(world.request(), world.facts(), policy, world.now).allowed


def test_which_grant(world):
    """The first grant by index that holds is taken; else the one that fails least, the latest of equals; else none."""
    facts = world.facts()
    (grant,) = facts.grants

    def taken(*grants):
        return decide(world.request(), replace(facts, grants=grants), world.policy, world.now).grant

    early, late = replace(grant, id="early", seq=1), replace(grant, id="late", seq=90)
    assert taken(late, early) == "early"
    assert taken(replace(early, revoked_seq=2), late) == "late"
    one, two = {"revoked_seq": 95}, {"revoked_seq": 95, "tier": "metadata"}
    assert taken(replace(early, **one), replace(late, **one)) == "late"
    assert taken(replace(late, **one), replace(early, **one)) == "late"
    assert taken(replace(early, **one), replace(late, **two)) == "early"
    assert taken() is None


def test_rows_for_others_do_not_choose_the_grant(world):
    """A grant that fails only what this activity does not depend on is good for it."""
    rows = (
        'p, train, *, grant_current, allow, "x", "y"\n'
        'p, infer, *, not tier_within_grant, deny, "x", "y"\n'
        'p, infer, *, not location_permitted, deny, "x", "y"\n'
    )
    policy = load_policy("test", world.model, rows)
    facts = world.facts({"grants.0.tier": "metadata", "grants.0.countries": ["UKR"]})
    revoked = replace(world.facts().grants[0], id="revoked", seq=99, revoked_seq=100)
    decision = decide(world.request(), replace(facts, grants=(*facts.grants, revoked)), policy, world.now)
    assert decision.allowed
    assert decision.grant == "g-1"


CHANGES = {
    "party.status": ["enrolled", "suspended"],
    "purpose.prohibited_at": [None, "humanitarian"],
    "resource.withdrawn": [False, True],
    "resource.releasable_to": [["JPN"], []],
    "ancestors.0.countries": [["JPN"], []],
    "grants.0.revoked_seq": [None, 30],
    "grants.0.tier": ["raw", "metadata"],
    "grants.0.environments": [["enclave"], []],
    "grants.0.agreement.status": ["in_force", "suspended"],
    "grants.0.countries": [["JPN"], []],
    "purpose.authorisation_at": [None, "humanitarian"],
    "grants.0.max_runs": [None, 0],
    "grants.0.attestation": [False, True],
    "pauses": [[], [{"scope": "grant", "target": "g-1", "seq": 40}]],
    "incidents": [[], [{"scope": "organisation", "target": "acme-jp", "seq": 41}]],
}


@settings(max_examples=80, deadline=None)
@given(
    changes=st.fixed_dictionaries({path: st.sampled_from(values) for path, values in CHANGES.items()}),
    action=st.sampled_from(ACTIONS),
    tier=st.sampled_from(TIERS),
)
def test_memory_changes_nothing(world, changes, action, tier):
    """The decision with remembered results is the decision through Casbin alone, for any facts, action and tier."""
    request, facts = world.request({"action.name": action, "context.tier": tier}), world.facts(changes)
    expected = decide_plain(request, facts, world.policy, world.now)
    assert expected == decide(request, facts, world.policy, world.now)
    assert expected == decide(request, facts, world.policy, world.now)
    assert not expected.allowed or not failed(expected)


def subsets(*values):
    return st.frozensets(st.sampled_from(values))


RESOURCES = st.builds(
    Resource,
    ref=st.just("dataset:any@1"),
    originator=st.sampled_from(["acme-jp", "mod-ua"]),
    tier=st.just("redacted"),
    releasable_to=subsets("JPN", "AP4", "POL"),
    purposes=subsets("humanitarian", "humanitarian.demining", "research"),
    countries=subsets("JPN", "UKR"),
    until=st.sampled_from(["", "2020-01-01T00:00:00.000000Z", "2030-01-01T00:00:00.000000Z"]),
    withdrawn=st.sampled_from([False, False, False, True]),
    seq=st.integers(0, 50),
)
OPEN = {"releasable_to": frozenset({"JPN"}), "purposes": frozenset({"humanitarian"}), "countries": frozenset({"JPN"})}
LIKELY = RESOURCES.map(lambda item: replace(item, withdrawn=False, until="", **OPEN))


@settings(max_examples=300, deadline=None)
@given(child=RESOURCES | LIKELY, ancestors=st.lists(RESOURCES | LIKELY, max_size=3))
def test_never_wider(world, child, ancestors):
    """I6: what is allowed of a child is allowed of each ancestor alone, under the same grant."""
    line = replace(world.facts(), resource=child, ancestors=tuple(ancestors))
    if decide(world.request(), line, world.policy, world.now).allowed:
        for one in (child, *ancestors):
            alone = replace(line, resource=one, ancestors=())
            assert decide(world.request(), alone, world.policy, world.now).allowed


PARTIES = [
    Party(id=id, country=country, communities=communities, trust_tier=3, status="enrolled", seq=5)
    for id, country, communities in (
        ("acme-jp", "JPN", frozenset({"AP4"})),
        ("mod-ua", "UKR", frozenset()),
        ("orion-pl", "POL", frozenset({"NATO"})),
    )
]
PATHS = [("humanitarian",), ("humanitarian", "humanitarian.demining"), ("research",)]
PLACES = ["JPN", "UKR", "POL"]
MOMENTS = ["2019-06-01T00:00:00.000000Z", "2026-11-21T09:30:00.000000Z", "2031-06-01T00:00:00.000000Z"]
STOPS = st.lists(
    st.builds(Restraint, scope=st.just("resource"), target=st.sampled_from(["dataset:c", "dataset:a0", "dataset:a1@1"]),
              seq=st.just(60)),
    max_size=1,
)  # fmt: skip


def authorised(world, child, ancestors, stops):
    """Give each (party, purpose, place, storage, time) in which the child is allowed under the widest grant."""
    grant = replace(
        world.facts().grants[0],
        purpose="any",
        countries=frozenset(PLACES),
        starts=MOMENTS[0],
        ends="2040-01-01T00:00:00.000000Z",
        tier="raw",
    )
    agreement = replace(
        grant.agreement, purposes=frozenset({"any"}), countries=grant.countries, starts=grant.starts, ends=grant.ends,
        tier="raw",
    )  # fmt: skip
    grant = replace(grant, agreement=agreement)
    base = world.request({"resource.id": child.ref.partition(":")[2].partition("@")[0], "context.tier": child.tier})
    uses = set()
    for party, path, place, storage, now in product(PARTIES, PATHS, PLACES, ["", *PLACES], MOMENTS):
        facts = replace(
            world.facts(),
            party=party,
            purpose=replace(world.facts().purpose, path=("any", *path)),
            resource=child,
            ancestors=ancestors,
            grants=(grant,),
            pauses=tuple(stops),
        )
        request = replace(base, org=party.id, purpose=path[-1], country=place, storage_country=storage)
        if decide(request, facts, world.policy, now).allowed:
            uses.add((party.id, path, place, storage, now))
    return uses


@settings(max_examples=25, deadline=None)
@given(
    child=RESOURCES | LIKELY,
    ancestors=st.lists(st.tuples(RESOURCES | LIKELY, st.sampled_from(TIERS)), min_size=1, max_size=2),
    stops=STOPS,
)
def test_never_wider_in_any_dimension(world, child, ancestors, stops):
    """I6: for partners, purposes, places of processing and storage, tiers, times and pauses: never beyond a parent."""
    line = tuple(replace(item, ref=f"dataset:a{i}@1", tier=tier) for i, (item, tier) in enumerate(ancestors))
    uses = authorised(world, replace(child, ref="dataset:c@1"), line, stops)
    for parent in line:
        assert uses <= authorised(world, parent, (), stops)


def test_some_uses_of_a_child_are_authorised(world):
    """The property above is not empty: of an open line most uses are allowed, and storage abroad is not."""
    facts = world.facts()
    child, parent = facts.resource, replace(facts.ancestors[0], countries=frozenset({"JPN"}))
    uses = authorised(world, child, (parent,), [])
    assert ("acme-jp", PATHS[1], "JPN", "", MOMENTS[1]) in uses
    assert ("acme-jp", PATHS[1], "JPN", "JPN", MOMENTS[1]) in uses
    assert ("acme-jp", PATHS[1], "JPN", "UKR", MOMENTS[1]) not in uses
    assert {place for _, _, place, _, _ in uses} == {"JPN"}


def test_an_allow_of_a_child_happens(world):
    """The property above is not empty: a child is allowed on the base, and one closed ancestor more ends that."""
    facts = world.facts()
    assert facts.ancestors
    assert decide(world.request(), facts, world.policy, world.now).allowed
    closed = replace(facts.ancestors[0], releasable_to=frozenset())
    line = replace(facts, ancestors=(*facts.ancestors, closed))
    assert failed(decide(world.request(), line, world.policy, world.now)) == ["lineage_permits"]

"""Explanations: the policy's own words for each clause, its evidence, and what would change a deny."""

import msgspec

from ledger.access.clauses import CLAUSES
from ledger.access.decide import decide
from ledger.access.explain import NO_RULE, REMEDIES, explain
from ledger.access.policy import load_policy


def explained(world, facts=None, request=None, policy=None):
    policy = policy or world.policy
    return explain(decide(world.request(request), world.facts(facts), policy, world.now), policy)


def test_allow(world):
    """An allow gives each clause as held, in the policy's sentences, with entries and no remedy."""
    told = explained(world)
    assert list(world.policy.clauses) == [reason.clause for reason in told.reasons]
    for reason in told.reasons:
        assert reason.held
        assert (world.policy.sentences[reason.clause].en, world.policy.sentences[reason.clause].uk) == (
            reason.en,
            reason.uk,
        )
        assert reason.entries
        assert reason.remedy is None
    assert [obligation.type for obligation in told.obligations] == ["report_use"]


def test_deny(world):
    """In a deny the clauses that failed, and they alone, say what would change it."""
    told = explained(world, {"party.status": "suspended", "grants.0.revoked_seq": 30})
    assert [r.clause for r in told.reasons if r.remedy is not None] == ["subject_in_good_standing", "grant_current"]
    assert all(reason.held is (reason.remedy is None) for reason in told.reasons)
    assert next(r.entries for r in told.reasons if r.clause == "grant_current") == (17, 30)
    assert told.obligations == ()


def test_no_row_allows(world):
    """Where all clauses hold and no row allows, the deny says that, and that the owner can change it."""
    rows = "\n".join(line for line in world.rows.splitlines() if not line.startswith("p, train"))
    told = explained(world, policy=load_policy("test", world.model, rows))
    failed = [reason for reason in told.reasons if not reason.held]
    assert [reason.clause for reason in failed] == [NO_RULE]
    assert failed[0].remedy is not None


def test_every_clause_has_a_remedy():
    """For each clause there is what would change it, in both languages."""
    assert set(CLAUSES) == set(REMEDIES)
    assert all(said.en.endswith(".") and said.uk.endswith(".") for said in REMEDIES.values())


def test_json(world):
    """As JSON, a reason has the fields that clients read, and `remedy` only where there is one."""
    told = msgspec.json.decode(msgspec.json.encode(explained(world, {"grants.0.revoked_seq": 30})))
    by_clause = {reason["clause"]: reason for reason in told["reasons"]}
    assert set(by_clause["grant_current"]) == {"clause", "held", "en", "uk", "entries", "detail", "remedy"}
    assert set(by_clause["grant_current"]["remedy"]) == {"en", "uk"}
    assert "remedy" not in by_clause["tier_within_grant"]

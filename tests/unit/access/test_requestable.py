"""Which denials a request for access could cure: those in which the grant alone stands in the way."""

import msgspec
import pytest

from ledger.access.clauses import CLAUSES
from ledger.access.decide import decide
from ledger.access.requestable import CURABLE, WITHOUT_GRANT, is_requestable, may_be_cured


def requestable(world, facts=None, request=None, *, without_grants=False):
    found = world.facts(facts)
    if without_grants:
        found = msgspec.structs.replace(found, grants=())
    decision = decide(world.request(request), found, world.policy, world.now)
    failed = [finding.clause for finding in decision.findings if not finding.holds]
    told = is_requestable(decision, found)
    assert may_be_cured(failed) or not told, "what is offered is accepted"
    return told


NARROWER = {
    "another activity": {"grants.0.activities": ["evaluate"]},
    "another purpose": {"grants.0.purpose": "humanitarian.other"},
    "a lesser tier": {"grants.0.tier": "metadata"},
    "another environment": {"grants.0.environments": ["edge"]},
    "another country": {"grants.0.countries": ["UKR"]},
    "revoked": {"grants.0.revoked_seq": 30},
    "ended": {"grants.0.ends": "2020-01-01T00:00:00.000000Z"},
}


@pytest.mark.parametrize("case", NARROWER)
def test_a_grant_that_is_too_narrow_can_be_asked_for_anew(world, case):
    """Where the agreement covers what the grant does not, the deny is requestable."""
    assert requestable(world, NARROWER[case])


def test_where_there_is_no_grant_one_can_be_asked_for(world):
    """All that needs a grant fails then, and all of it would be cured."""
    assert requestable(world, without_grants=True)


AGREED = {
    "activities": {"grants.0.agreement.activities": ["evaluate"]},
    "purposes": {"grants.0.agreement.purposes": ["research"]},
    "tier": {"grants.0.agreement.tier": "metadata"},
    "environments": {"grants.0.agreement.environments": ["edge"]},
    "countries": {"grants.0.agreement.countries": ["UKR"]},
    "not in force": {"grants.0.agreement.status": "suspended"},
    "its end": {"grants.0.agreement.ends": "2020-01-01T00:00:00.000000Z"},
}


@pytest.mark.parametrize("case", AGREED)
def test_what_the_agreement_does_not_cover_cannot_be_asked_for(world, case):
    """No grant goes beyond its agreement, so a request would be refused."""
    assert not requestable(world, AGREED[case])


@pytest.mark.parametrize(
    "change",
    [{"party.status": "suspended"}, {"purpose.prohibited_at": "humanitarian"}, {"resource.withdrawn": True}],
    ids=repr,
)
@pytest.mark.parametrize("without_grants", [False, True])
def test_what_no_grant_cures_cannot_be_asked_for(world, change, without_grants):
    """One clause that a grant cannot make hold is enough, whatever else failed beside it."""
    assert not requestable(world, {**change, "grants.0.revoked_seq": 30}, without_grants=without_grants)


def test_an_allow_is_not_requestable(world):
    """Nothing stands in its way."""
    assert not requestable(world)


def test_an_error_is_not_requestable(world):
    """What went wrong inside is nobody's to ask for."""
    found = world.facts({"grants.0.revoked_seq": 30})
    decision = decide(world.request(), found, world.policy, world.now)
    assert is_requestable(decision, found)
    assert not is_requestable(msgspec.structs.replace(decision, errors=("clause x failed",)), found)


def test_the_curable_clauses_are_clauses():
    """Each name is one of a clause; a record that names another, or none, cannot be cured."""
    assert CURABLE < WITHOUT_GRANT < set(CLAUSES)
    assert not may_be_cured([])
    for clause in set(CLAUSES) - WITHOUT_GRANT:
        assert not may_be_cured(["grant_current", clause])

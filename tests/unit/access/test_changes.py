"""What would turn a deny into an allow: the fewest clauses, by the policy itself, and who can do what."""

from itertools import combinations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.access.changes import ACTS, NO_RULE, OF_THE_GRANT, Outlook, outlook_for
from ledger.access.clauses import CLAUSES, Finding
from ledger.access.decide import decide
from ledger.access.policy import load_policy

SMALL = ("grant_current", "agreement_in_force", "location_permitted", "activity_permitted")


def outlook(world, facts=None, request=None, policy=None):
    asked, policy = world.request(request), policy or world.policy
    decision = decide(asked, world.facts(facts), policy, world.now)
    return outlook_for(asked.action, asked.tier, decision.findings, policy)


def acts(found):
    return {change.act: change.clauses for change in found.changes}


def test_an_allow_needs_nothing(world):
    """An allow has an empty outlook."""
    assert outlook(world) == Outlook()


def test_one_clause(world):
    """A country outside the grant takes a grant that names it, or another country in the request."""
    found = outlook(world, request={"context.environment.country": "UKR"})
    assert found.clauses == ("location_permitted",)
    assert acts(found) == {"grant": ("location_permitted",)}
    assert found.instead.fields == ("country",)


def test_one_grant_turns_all_that_a_grant_is_about(world):
    """Whoever has no grant needs one act, however many clauses fail for want of it; asking otherwise does not help."""
    found = outlook(world, {"grants": []})
    assert acts(found) == {"grant": ("agreement_in_force", *OF_THE_GRANT)}
    assert found.changes[0].by == ("partner.applicant", "owner.steward", "owner.security")
    assert found.instead is None


def test_what_only_the_owner_can_change_is_marked(world):
    """A purpose that is prohibited takes another tree of purposes, which is for everyone and the owner's alone."""
    found = outlook(world, {"purpose.prohibited_at": "humanitarian"})
    (change,) = found.changes
    assert (change.act, change.for_everyone) == ("purposes", True)
    assert all(actor.startswith("owner.") for actor in change.by)
    assert found.instead.fields == ("purpose",)


def test_the_originator_releases(world):
    """What a label does not release is its originator's to release, and no other country in the request helps."""
    found = outlook(world, {"resource.releasable_to": []})
    assert acts(found) == {"release": ("releasable_to_partner", "lineage_permits")}
    assert found.changes[0].by == ("originator",)
    assert found.instead is None


def test_no_row_allows(world):
    """Where no row allows, whatever holds, it takes another policy."""
    rows = "\n".join(line for line in world.rows.splitlines() if not line.startswith("p, train"))
    found = outlook(world, policy=load_policy("test", world.model, rows))
    assert acts(found) == {"policy": (NO_RULE,)}


def test_a_clause_that_the_policy_can_do_without_is_left_out(world):
    """Of two clauses either of which would open a use, one is named: the one that takes no rule for everyone."""
    rows = "\n".join(
        f"p, *, *, {clause}, allow, Open., Відкрито." for clause in ("purpose_not_prohibited", "location_permitted")
    )
    policy = load_policy("test", world.model, rows)
    found = outlook(
        world, {"purpose.prohibited_at": "humanitarian"}, {"context.environment.country": "UKR"}, policy=policy
    )
    assert found.clauses == ("location_permitted",)


effects = st.tuples(st.sampled_from(SMALL), st.booleans())


@settings(deadline=None, max_examples=150)
@given(st.lists(effects, min_size=1, max_size=6, unique=True), st.frozensets(st.sampled_from(SMALL)))
def test_no_smaller_set_would_do(world, rules, held):
    """On random policies the clauses named turn the deny into an allow, and no set of fewer does."""
    table = [(f"not {name}", "deny") if denies else (name, "allow") for name, denies in rules]
    if not any(effect == "allow" for _, effect in table):
        return
    text = "\n".join(f"p, *, *, {clause}, {effect}, Said., Сказано." for clause, effect in table)
    policy = load_policy("test", world.model, text)
    findings = [Finding(name, name in held, ()) for name in policy.clauses]
    found, names = outlook_for("train", "raw", findings, policy).clauses, [f.clause for f in findings if not f.holds]
    for size in range(len(found)):
        for fewer in combinations(names, size):
            assert not policy.permits_plain("train", "raw", held.union(fewer))
    if found != (NO_RULE,):
        assert policy.permits_plain("train", "raw", held.union(found))


def test_every_clause_has_an_act(world):
    """Whatever clause fails, with or without a missing fact, someone can turn it, in both languages."""
    for name in CLAUSES:
        for detail in ({}, {"missing": "grant"}, {"missing": "resource"}):
            findings = [Finding(other, other != name, (), detail) for other in world.policy.clauses]
            if name not in world.policy.clauses:
                continue
            (change,) = outlook_for("train", "redacted", findings, world.policy).changes
            assert change.by
            assert change.en.endswith(".")
            assert change.uk.endswith(".")
    assert all(act.by for act in ACTS.values())


def test_json(world):
    """As JSON, an outlook has the fields that clients read."""
    told = msgspec.to_builtins(outlook(world, request={"context.environment.country": "UKR"}))
    assert set(told) == {"clauses", "changes", "instead"}
    assert set(told["changes"][0]) == {"act", "by", "clauses", "en", "uk"}

"""Policies compared by a solver: its verdict is that of trying every combination of clauses."""

from itertools import chain, combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.access.formula import compare, conditions, smallest_cases
from ledger.access.policy import load_policy
from ledger.access.vocabulary import ACTIONS, TIERS
from ledger.errors import Malformed

CLAUSES = ("grant_current", "agreement_in_force", "location_permitted", "activity_permitted")
PAIRS = tuple(product(("train", "infer"), ("raw", "redacted")))

actions = st.sampled_from(("*", "train", "infer"))
tiers = st.sampled_from(("*", "raw", "redacted"))
rows = st.one_of(
    st.tuples(actions, tiers, st.sampled_from(CLAUSES).map("not {}".format), st.just("deny")),
    st.tuples(actions, tiers, st.sampled_from(CLAUSES), st.just("allow")),
    st.tuples(actions, tiers, st.just("always"), st.just("allow")),
)
tables = st.lists(rows, min_size=1, max_size=6, unique=True)


def text(table):
    return "\n".join(f"p, {', '.join(row)}, Said., Сказано." for row in table)


def subsets(names):
    return map(frozenset, chain.from_iterable(combinations(names, size) for size in range(len(names) + 1)))


def brute_force(old, new, action, tier):
    """Give the smallest sets of failing clauses with which `new` allows and `old` denies, by trying all of them."""
    everything, found = frozenset(CLAUSES), []
    for failing in subsets(CLAUSES):
        held = everything - failing
        differs = new.permits_plain(action, tier, held) and not old.permits_plain(action, tier, held)
        if differs and not any(smaller <= failing for smaller in found):
            found.append(failing)
    return set(found)


def told(differences, *, wider):
    return {
        (action, tier, frozenset(difference.failing))
        for difference in differences
        if difference.wider is wider
        for action, tier in product(difference.actions, difference.tiers)
    }


@settings(deadline=None, max_examples=150)
@given(tables, tables)
def test_the_solver_says_what_every_combination_says(world, left, right):
    """On random small policies, the differences are exactly those that trying all combinations of clauses finds."""
    try:
        old, new = (load_policy("test", world.model, text(table)) for table in (left, right))
    except Malformed:
        return  # one that could not be adopted: nothing allows, or something does while no clause holds
    differences = compare(old, new)
    for wider, denies, allows in ((True, old, new), (False, new, old)):
        expected = {(*pair, failing) for pair in PAIRS for failing in brute_force(denies, allows, *pair)}
        assert {item for item in told(differences, wider=wider) if item[:2] in PAIRS} == expected


@settings(deadline=None, max_examples=100)
@given(tables)
def test_conditions_are_what_the_policy_decides_by(world, table):
    """A policy allows just where each of its conditions has a clause that holds."""
    try:
        policy = load_policy("test", world.model, text(table))
    except Malformed:
        return
    for (action, tier), held in product(PAIRS, subsets(CLAUSES)):
        holds = all(held & condition for condition in conditions(policy, action, tier))
        assert policy.permits_plain(action, tier, held) is holds


def test_a_policy_differs_in_nothing_from_itself(world):
    """A policy compared with itself has no difference."""
    assert compare(world.policy, world.policy) == ()


def test_a_rule_that_is_left_out_is_one_difference(world):
    """A policy without one of the rules that deny allows one thing besides, everywhere, and it is told in words."""
    rows = "\n".join(line for line in world.rows.splitlines() if "not location_permitted" not in line)
    (found,) = compare(world.policy, load_policy("test", world.model, rows))
    assert (found.wider, found.actions, found.tiers) == (True, ACTIONS, TIERS)
    assert found.failing == ("location_permitted",)
    assert found.said.en == (
        "The new policy allows, and the old one denies, every action at every tier, "
        "also where `location_permitted` does not hold."
    )
    assert found.rules[0].en == world.policy.sentences["location_permitted"].en
    assert "не виконано `location_permitted`" in found.said.uk


def test_a_use_that_is_closed_is_one_difference(world):
    """A policy that allows raw data to nobody denies besides what the old one allows where every clause holds."""
    rows = world.rows.replace("p, train, *,", "p, train, redacted,")
    (found,) = compare(world.policy, load_policy("test", world.model, rows))
    assert (found.wider, found.actions, found.failing) == (False, ("train",), ())
    assert found.tiers == tuple(tier for tier in TIERS if tier != "redacted")
    assert found.said.en.endswith("where every clause holds.")


@pytest.mark.parametrize(
    ("allowing", "denying", "expected"),
    [
        ([], [frozenset("a")], {("a",)}),
        ([], [frozenset("ab"), frozenset("c")], {("a", "b"), ("c",)}),
        ([frozenset("a")], [frozenset("a")], set()),
        ([frozenset("ab")], [frozenset("a"), frozenset("b")], {("a",), ("b",)}),
        ([frozenset()], [frozenset("a")], set()),
        ([frozenset("a")], [frozenset()], {()}),
        ([frozenset("a")], [], set()),
    ],
)
def test_smallest_cases(allowing, denying, expected):
    """The smallest cases of small formulas are those that one finds by hand; what nothing fulfils has none."""
    assert set(smallest_cases(allowing, denying)) == expected

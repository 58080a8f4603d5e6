"""The fast path, plain Casbin and the policy's rows as a formula agree, whichever clauses hold."""

import random
from itertools import chain, combinations, product

import pytest

from ledger.access.policy import Policy
from ledger.access.vocabulary import ACTIONS, TIERS

SAMPLES = 3_000
SEED = 20261121
"""The same sample each time: a failure can be looked at again."""


def formula(policy: Policy, action: str, tier: str, held: frozenset[str]) -> bool:
    """Say what the rows say, without Casbin: some row allows, and none denies."""
    rows = [row for row in policy.rows if row.action in {"*", action} and row.tier in {"*", tier}]
    denied = any(row.effect == "deny" and row.name not in held for row in rows)
    return not denied and any(row.effect == "allow" and row.name in held for row in rows)


def check(policy: Policy, action: str, tier: str, held: frozenset[str]) -> bool:
    """Check that all three agree, and that what is remembered is what was found. Gives the effect."""
    expected = formula(policy, action, tier, held)
    assert expected is policy.permits_plain(action, tier, held), (action, tier, sorted(held))
    assert expected is policy.permits(action, tier, held) is policy.permits(action, tier, held)
    return expected


@pytest.fixture
def policy(world):
    return world.load_folder(world.folders[0])


def test_the_edges_at_every_action_and_tier(policy):
    """None of the clauses, one, all but one, and all: at each action and tier, nothing but all of them is allowed."""
    everything = frozenset(policy.clauses)
    few = [frozenset(some) for n in (0, 1) for some in combinations(policy.clauses, n)]
    for action, tier in product(ACTIONS, TIERS):
        allowed = [
            held for held in chain(few, (everything - some for some in few)) if check(policy, action, tier, held)
        ]
        assert allowed == [everything]


def test_a_sample_of_all_combinations(policy):
    """Sets drawn at random, at random actions and tiers; most clauses hold, so that some are near an allow."""
    draw = random.Random(SEED)
    for _ in range(SAMPLES):
        missing = draw.sample(policy.clauses, draw.choice((0, 1, 2, 3, len(policy.clauses) // 2)))
        check(policy, draw.choice(ACTIONS), draw.choice(TIERS), frozenset(policy.clauses) - set(missing))


@pytest.mark.slow
def test_every_combination_there_is(policy):
    """Of all sets of clauses, each once, the three agree, and exactly one set is allowed: that of all of them."""
    allowed = 0
    for mask in range(1 << len(policy.clauses)):
        held = frozenset(name for bit, name in enumerate(policy.clauses) if mask >> bit & 1)
        allowed += check(policy, "train", "redacted", held)
    assert allowed == 1

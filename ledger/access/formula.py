"""A policy as a formula over its clauses, and what one policy allows that another denies: decided by a solver.

At one action and tier, a policy allows where each of these holds (a conjunction of disjunctions, nothing negated):

    p, *, *, not grant_current, deny, …              grant_current
    p, train, *, activity_permitted, allow, …        activity_permitted, or what another row that allows names;
                                                     nothing more is asked where one of them says `always`

So `new` allows what `old` denies where all of new's conditions hold and one of old's does not. A case is named by the
clauses that do not hold in it, and only the smallest are given: where a case is allowed with these clauses failing,
and not with fewer, its supersets tell nothing new. All other clauses hold.

Clauses are taken for independent, so a case may be one that no facts lead to; what the past would have been under
another policy is for `ledger.services.dry_run`. Bounds: a policy has at most one smallest case for each of its
conditions, and actions and tiers with the same case are told together.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, product

from msgspec import Struct
from pysat.solvers import Solver

from ledger.access.explain import Sentence
from ledger.access.policy import ALWAYS, Policy
from ledger.access.vocabulary import ACTIONS, TIERS

SOLVER = "cadical153"

Condition = frozenset[str]
"""Clauses of which one has to hold; none for what nothing fulfils."""


class Difference(Struct, frozen=True, kw_only=True):
    """A case in which the new policy answers otherwise than the old one, with a witness of it, in words."""

    wider: bool
    """The new policy allows it, and the old one denied it; else the reverse."""
    actions: tuple[str, ...]
    tiers: tuple[str, ...]
    """Each action at each tier is a witness."""
    failing: tuple[str, ...]
    """Clauses that do not hold; all others do."""
    said: Sentence
    rules: tuple[Sentence, ...]
    """What the policy that denies says of each failing clause."""


def conditions(policy: Policy, action: str, tier: str) -> tuple[Condition, ...]:
    """Give what has to hold for the policy to allow `action` at `tier`."""
    rows = [row for row in policy.rows if row.action in {"*", action} and row.tier in {"*", tier}]
    needed = [frozenset({row.name}) for row in rows if row.effect == "deny"]
    allowing = frozenset(row.name for row in rows if row.effect == "allow")
    return tuple(dict.fromkeys(needed if ALWAYS in allowing else [*needed, allowing]))


def smallest_cases(allowing: Sequence[Condition], denying: Sequence[Condition]) -> Iterator[tuple[str, ...]]:
    """Give each smallest set of clauses with which, failing, all of `allowing` hold and not all of `denying` do."""
    names = sorted(frozenset(chain(*allowing, *denying)))
    number = {name: index for index, name in enumerate(names, start=1)}
    with Solver(name=SOLVER, bootstrap_with=[[number[name] for name in sorted(each)] for each in allowing]) as solver:
        for line in _one_is_broken(denying, number):
            solver.add_clause(line)
        while solver.solve():
            failing = _shrunk(solver, len(names))
            yield tuple(names[index - 1] for index in failing)
            solver.add_clause(failing)  # from here on one of these holds; with none failing, there is no case left


def _one_is_broken(denying: Sequence[Condition], number: dict[str, int]) -> Iterator[list[int]]:
    """Say that some condition is broken: a variable for each, which denies all of its clauses."""
    broken = [len(number) + index for index in range(1, len(denying) + 1)]
    yield broken
    for variable, condition in zip(broken, denying, strict=True):
        yield from ([-variable, -number[name]] for name in sorted(condition))


def _shrunk(solver: Solver, count: int) -> list[int]:
    """Give the failing clauses of the solution, without those that can hold as well."""
    failing = _failing(solver, count)
    for candidate in list(failing):
        holding = [index for index in range(1, count + 1) if index not in failing]
        if candidate in failing and solver.solve(assumptions=[*holding, candidate]):
            failing = _failing(solver, count)
    return failing


def _failing(solver: Solver, count: int) -> list[int]:
    holding = {literal for literal in solver.get_model() if literal > 0}
    return [index for index in range(1, count + 1) if index not in holding]


def compare(old: Policy, new: Policy) -> tuple[Difference, ...]:
    """Give every difference of `new` from `old`: first what it allows besides, then what it denies besides."""
    return (*_differences(old, new, wider=True), *_differences(old, new, wider=False))


def _differences(old: Policy, new: Policy, *, wider: bool) -> Iterator[Difference]:
    allows, denies = (new, old) if wider else (old, new)
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for action, tier in product(ACTIONS, TIERS):
        for failing in smallest_cases(conditions(allows, action, tier), conditions(denies, action, tier)):
            found.setdefault(failing, {}).setdefault(action, []).append(tier)
    for failing, tiers_of in found.items():
        for tiers in dict.fromkeys(tuple(tiers) for tiers in tiers_of.values()):
            actions = tuple(action for action, at in tiers_of.items() if tuple(at) == tiers)
            yield _difference(denies, wider=wider, actions=actions, tiers=tiers, failing=failing)


def _difference(
    denies: Policy, *, wider: bool, actions: tuple[str, ...], tiers: tuple[str, ...], failing: tuple[str, ...]
) -> Difference:
    rules = tuple(Sentence(row.en, row.uk) for row in (denies.sentences[name] for name in failing))
    said = _said(wider=wider, actions=actions, tiers=tiers, failing=failing)
    return Difference(wider=wider, actions=actions, tiers=tiers, failing=failing, said=said, rules=rules)


def _said(*, wider: bool, actions: tuple[str, ...], tiers: tuple[str, ...], failing: tuple[str, ...]) -> Sentence:
    clauses = ", ".join(f"`{name}`" for name in failing)
    act_en, tier_en = _named(actions, ACTIONS, "every action"), _named(tiers, TIERS, "every tier")
    act_uk, tier_uk = _named(actions, ACTIONS, "будь-яку дію"), _named(tiers, TIERS, "будь-якому рівні")
    who_en = (
        "The new policy allows, and the old one denies" if wider else "The old policy allows, and the new one denies"
    )
    who_uk = "Нова політика дозволяє, а стара забороняє" if wider else "Стара політика дозволяє, а нова забороняє"
    where_en = f"also where {clauses} does not hold" if failing else "where every clause holds"
    where_uk = f"навіть коли не виконано {clauses}" if failing else "коли виконано всі умови"
    return Sentence(f"{who_en}, {act_en} at {tier_en}, {where_en}.", f"{who_uk} {act_uk} на {tier_uk}, {where_uk}.")


def _named(values: tuple[str, ...], all_of_them: tuple[str, ...], every: str) -> str:
    return every if values == all_of_them else ", ".join(f"`{value}`" for value in values)

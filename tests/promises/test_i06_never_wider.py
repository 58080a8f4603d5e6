"""I6: what is derived is open to no one, for no purpose, in no place and at no time that an ancestor forbids."""

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from lineages import (
    BOUNDED_PURPOSES,
    CLASSES,
    CLOSINGS,
    COUNTRIES,
    ORGS,
    PURPOSES,
    RELEASED,
    TIMES,
    Declared,
    Lineage,
    declared,
    prepare,
)
from promised import stored
from world import OWNER, PARTNER, World, version

from ledger.errors import Conflict
from ledger.governance.tiers import TIERS

DOWNWARDS = TIERS[::-1]
"""From raw, which shows most."""

quickly = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # shrinking would write a few thousand lineages more
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

WIDE = Declared(
    released=frozenset(RELEASED),
    classification="RESTRICTED",
    purposes=frozenset(BOUNDED_PURPOSES),
    countries=frozenset(COUNTRIES),
    until="",
)
NARROW = Declared(
    released=frozenset(),
    classification="CONFIDENTIAL",
    purposes=frozenset(),
    countries=frozenset(),
    until=CLOSINGS[1],
)
EVERY_USE = set(itertools.product(ORGS, PURPOSES, COUNTRIES, range(len(TIMES))))


@pytest.fixture
def shared(world: World) -> World:
    """Give a world in which everyone has the widest agreement. Each example makes datasets of its own in it."""
    prepare(world)
    return world


def drawn(data: st.DataObject, shared: World) -> Lineage:
    """Draw one or two datasets, each a line of versions made of each other, and runs over whatever is there."""
    lineage = Lineage(shared)
    for _ in range(data.draw(st.integers(1, 2), label="datasets")):
        _draw_versions(data, lineage)
    for _ in range(data.draw(st.integers(0, 3), label="runs")):
        lineage.train(data.draw(_several(list(lineage.parents)), label="inputs"))
    return lineage


def _draw_versions(data: st.DataObject, lineage: Lineage) -> None:
    dataset, versions = lineage.dataset(), []
    for tier in DOWNWARDS[: data.draw(st.integers(1, 4), label="versions")]:
        said = data.draw(declared, label="declared")
        parents = data.draw(_several(versions), label="parents") if versions else []
        if data.draw(st.integers(0, 3), label="unchecked") == 0:
            versions.append(_past_the_checks(lineage, dataset, tier, said, parents))
            continue
        try:
            versions.append(lineage.version(dataset, tier, said, parents, label=not parents))
        except Conflict:  # wider than a parent: narrowed to what all of them have
            versions.append(lineage.version(dataset, tier, NARROW, parents, label=False))


def _several(refs: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(refs), min_size=1, max_size=3, unique=True)


def _past_the_checks(lineage: Lineage, dataset: str, tier: str, said: Declared, parents: list[str]) -> str:
    """Register a version with whatever it declares, as one that got past the services' checks would be."""
    names = tuple(sorted(ref.rpartition("@")[2] for ref in parents))
    event = version(tier, tier, derived_from=names, dataset=dataset, label=said.label, bounds=said.bounds)
    lineage.world.append(event)
    return lineage.add(f"dataset:{dataset}@{tier}", ("dataset", dataset, tier), parents)


def check_never_wider(lineage: Lineage) -> dict[str, set]:
    """Check that every use of anything is a use of all its ancestors. Returns the uses."""
    uses = lineage.uses()
    for ref, allowed in uses.items():
        for ancestor in lineage.ancestors(ref):
            assert allowed <= uses[ancestor], (ref, ancestor)
    return uses


# Lineages -------------------------------------------------------------------------------------------------------------


def test_whoever_may_use_a_child_may_use_each_of_its_ancestors(shared: World):
    """In any lineage of versions, runs and weights, what is allowed of a child is allowed of all it was made of."""
    allowed = []

    @quickly
    @given(st.data())
    def check(data: st.DataObject) -> None:
        lineage = drawn(data, shared)
        uses = check_never_wider(lineage)
        allowed.extend(ref for ref in uses if uses[ref] and lineage.parents[ref])

    check()
    assert any(ref.startswith("weights:") for ref in allowed)  # not all of it was closed to begin with
    assert any(ref.startswith("dataset:") for ref in allowed)


def test_what_was_made_of_something_withdrawn_is_denied(shared: World):
    """Withdrawing any version closes it and all its descendants, to everyone, and nothing else."""

    @quickly
    @given(st.data())
    def check(data: st.DataObject) -> None:
        lineage = drawn(data, shared)
        before = lineage.uses()
        gone = data.draw(st.sampled_from([ref for ref in lineage.parents if ref.startswith("dataset:")]))
        lineage.withdraw(gone)
        closed = {ref for ref in lineage.parents if ref == gone or gone in lineage.ancestors(ref)}
        after = check_never_wider(lineage)
        assert {ref: set() if ref in closed else before[ref] for ref in before} == after

    check()


def test_a_long_line_of_weights_is_closed_by_its_first_ancestor(shared: World):
    """Weights tuned from weights tuned from weights fall with the data that the first were trained on."""
    lineage = Lineage(shared)
    dataset = lineage.dataset()
    raw = lineage.version(dataset, "raw", WIDE, [], label=True)
    line = [lineage.version(dataset, "redacted", WIDE, [raw], label=False)]
    for _ in range(5):
        line.append(lineage.train([line[-1]]))
    assert list(check_never_wider(lineage).values()) == [EVERY_USE] * 7
    lineage.withdraw(raw)
    assert [set()] * 7 == list(check_never_wider(lineage).values())


# Declared wider -------------------------------------------------------------------------------------------------------


def is_wider(child: Declared, parent: Declared) -> bool:
    """Tell by hand whether a child's declaration opens anything that its parent's does not."""

    def covered(purpose: str) -> bool:
        return any(purpose == above or purpose.startswith(f"{above}.") for above in parent.purposes)

    return (
        not child.released <= parent.released
        or CLASSES.index(child.classification) < CLASSES.index(parent.classification)
        or not all(map(covered, child.purposes))
        or not child.countries <= parent.countries
        or (parent.until != "" and (child.until == "" or child.until > parent.until))
    )


def test_a_version_that_is_declared_wider_than_a_parent_is_refused(shared: World):
    """A label or bounds wider than any parent's are refused, with nothing written; others are registered."""
    outcomes = set()

    @settings(quickly, max_examples=60)
    @given(declared, declared, declared)
    @example(WIDE, WIDE, WIDE)
    @example(WIDE, WIDE, NARROW)
    @example(WIDE, NARROW, WIDE)
    @example(NARROW, NARROW, NARROW)
    def check(first: Declared, second: Declared, said: Declared) -> None:
        lineage = Lineage(shared)
        dataset = lineage.dataset()
        parents = [
            lineage.version(dataset, tier, parent, [], label=True)
            for tier, parent in (("raw", first), ("redacted", second))
        ]
        size = len(stored(shared.service.engine))
        wider = is_wider(said, first) or is_wider(said, second)
        outcomes.add(wider)
        try:
            lineage.version(dataset, "derived", said, parents, label=True)
        except Conflict:
            assert wider
            assert size == len(stored(shared.service.engine))
        else:
            assert not wider

    check()
    assert {True, False} == outcomes


@pytest.mark.parametrize("tier", ["raw", "redacted"])
def test_a_version_that_shows_more_than_its_parents_is_refused(shared: World, tier: str):
    """What is made of a redacted version may not claim to be raw."""
    lineage = Lineage(shared)
    dataset = lineage.dataset()
    parent = lineage.version(dataset, "derived", WIDE, [], label=True)
    with pytest.raises(Conflict, match="tier"):
        lineage.version(dataset, tier, WIDE, [parent], label=False)


# Nothing said is nobody -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("omitted", ["released", "purposes", "countries"])
def test_what_is_omitted_is_open_to_the_originator_alone(shared: World, omitted: str):
    """Without `Releasable To`, purposes or countries, nobody but the originator may use it, grant or no grant."""
    lineage = Lineage(shared)
    dataset = lineage.dataset()
    lineage.version(dataset, "raw", msgspec.structs.replace(WIDE, **{omitted: frozenset()}), [], label=True)
    (allowed,) = lineage.uses().values()
    home = {use for use in EVERY_USE if use[0] == OWNER and (omitted != "countries" or use[2] == "UKR")}
    assert home == allowed
    assert lineage.train(list(lineage.parents)) is None


def test_what_two_owners_release_to_different_countries_is_for_the_originator_alone(shared: World):
    """The trap: what is made of a set for UKR and POL and one for JPN is for nobody else, not for everybody."""
    lineage = Lineage(shared)
    dataset = lineage.dataset()
    sets = ({"UKR", "POL"}, {"JPN"})
    parents = [
        lineage.version(dataset, tier, msgspec.structs.replace(WIDE, released=frozenset(released)), [], label=True)
        for tier, released in zip(("raw", "redacted"), sets, strict=True)
    ]
    said = msgspec.structs.replace(WIDE, released=frozenset())
    child = lineage.version(dataset, "derived", said, parents, label=False)
    uses = check_never_wider(lineage)
    assert {OWNER} == {org for org, *_ in uses[child]}
    assert {OWNER, PARTNER} == {org for org, *_ in uses[parents[1]]}


def test_weights_of_a_partner_are_no_way_around_the_label(shared: World):
    """A partner is the originator of its weights, and still uses them only as the data behind them allows."""
    lineage = Lineage(shared)
    dataset = lineage.dataset()
    said = msgspec.structs.replace(
        WIDE, released=frozenset({"JPN"}), purposes=frozenset({"humanitarian"}), countries=frozenset({"JPN"})
    )
    raw = lineage.version(dataset, "raw", said, [], label=True)
    weights = lineage.train([raw])
    uses = check_never_wider(lineage)
    assert {(PARTNER, purpose, "JPN", time) for purpose in PURPOSES[:2] for time in range(3)} == uses[weights]

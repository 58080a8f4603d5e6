"""Lineage: never wider than any ancestor (I6)."""

import re
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Conflict, Malformed
from ledger.governance.lineage import Bounds, check_bounds, check_not_wider, meet
from ledger.governance.purposes import Node, parse_tree
from ledger.governance.tiers import TIERS

IDS = ["h", "h.d", "h.d.m", "h.s", "r", "r.p"]
TREE = parse_tree(
    [Node(id=name, parent=name.rpartition(".")[0] or None, cls="research", en=name, uk=name) for name in IDS]
)
COUNTRIES = ["POL", "UKR", "USA"]
DAYS = [f"2026-12-0{day}T00:00:00.000000Z" for day in range(1, 5)]
WORLD = list(product(COUNTRIES, IDS, COUNTRIES, DAYS))

B = Bounds(
    releasable_to=("POL", "UKR"), purposes=("h", "r.p"), countries=("POL", "UKR"), until=DAYS[1], tier="redacted"
)


def change(**fields):
    return msgspec.structs.replace(B, **fields)


def sets(values):
    return st.sets(st.sampled_from(values)).map(lambda chosen: tuple(sorted(chosen)))


bounds = st.builds(
    Bounds,
    releasable_to=sets(COUNTRIES),
    purposes=sets(IDS),
    countries=sets(COUNTRIES),
    until=st.sampled_from(["", *DAYS]),
    tier=st.sampled_from(TIERS),
)
families = st.lists(bounds, min_size=1, max_size=4)


def permits(value, who, purpose, place, when):
    """Tell whether `value` permits the use to someone who is not the originator: what empty sets permit to nobody."""
    return (
        who in value.releasable_to
        and any(TREE.covers(node, purpose) for node in value.purposes)
        and place in value.countries
        and (value.until == "" or when < value.until)
    )


@given(families)
def test_what_meet_permits_each_permits(parents):
    """For every country, purpose, place and time: permitted by the meet if and only if by every one of them."""
    met = meet(parents, TREE.covers)
    for use in WORLD:
        assert all(permits(parent, *use) for parent in parents) is permits(met, *use)


@given(families)
def test_meet_is_not_wider_and_is_well_formed(parents):
    """What `meet` gives passes `check_not_wider` against the same parents, and holds its own form."""
    met = meet(parents, TREE.covers)
    check_bounds(met, "")
    check_not_wider(met, parents, TREE.covers)


@given(bounds, families)
def test_check_not_wider_lets_nothing_more_through(child, parents):
    """A child that passes permits nothing that a parent forbids, and shows no more than the most telling parent."""
    try:
        check_not_wider(child, parents, TREE.covers)
    except Conflict:
        return
    assert TIERS.index(child.tier) <= max(TIERS.index(parent.tier) for parent in parents)
    for use in WORLD:
        assert all(permits(parent, *use) for parent in parents) or not permits(child, *use)


@given(bounds, families)
def test_a_child_cut_down_to_its_parents_passes(declared, parents):
    """The meet of a declared child with its parents, at a tier that one of them has, is never refused."""
    child = msgspec.structs.replace(meet([declared, *parents], TREE.covers), tier=parents[0].tier)
    check_not_wider(child, parents, TREE.covers)


@given(families, st.randoms(use_true_random=False))
def test_meet_does_not_depend_on_order_or_repetition(parents, random):
    """Parents in another order, or given twice, have the same meet; one alone meets as itself."""
    met = meet(parents, TREE.covers)
    assert met == meet(random.sample(parents, len(parents)), TREE.covers)
    assert met == meet([*parents, *parents], TREE.covers)
    assert parents[0] == meet(parents[:1], TREE.covers)


@pytest.mark.parametrize("field", ["releasable_to", "purposes", "countries"])
def test_an_empty_set_stays_empty(field):
    """The trap of omitted categories: a parent open to its originator alone leaves the child open to nobody else."""
    met = meet([B, change(**{field: ()})], TREE.covers)
    assert getattr(met, field) == ()
    with pytest.raises(Conflict, match=f"`{field}` \\(parent 0\\)"):
        check_not_wider(B, [change(**{field: ()})], TREE.covers)


def test_disjoint_releases_meet_in_nobody():
    """The merger of a POL,UKR set and a USA set is its originator's alone, not free for all."""
    assert meet([B, change(releasable_to=("USA",))], TREE.covers).releasable_to == ()


def test_purposes_meet_in_the_narrower():
    """Of comparable purposes the narrower stays; siblings have nothing in common."""
    one, other = change(purposes=("h", "r.p")), change(purposes=("h.d", "h.s", "r"))
    assert meet([one, other], TREE.covers).purposes == ("h.d", "h.s", "r.p")
    assert meet([change(purposes=("h.d",)), change(purposes=("h.s",))], TREE.covers).purposes == ()


def test_a_community_is_not_a_country():
    """A country and a community are not compared: their meet is empty, and a child may not trade one for the other."""
    assert meet([B, change(releasable_to=("NATO",))], TREE.covers).releasable_to == ()
    with pytest.raises(Conflict):
        check_not_wider(change(releasable_to=("POL",)), [change(releasable_to=("NATO",))], TREE.covers)


def test_tier_of_a_merger_is_the_highest():
    """A merger shows as much as its most telling parent; a redacted copy may declare less, none may declare more."""
    parents = [change(tier="redacted"), change(tier="aggregate")]
    assert meet(parents, TREE.covers).tier == "redacted"
    check_not_wider(change(tier="metadata"), parents, TREE.covers)
    with pytest.raises(Conflict, match="`tier`"):
        check_not_wider(change(tier="raw"), parents, TREE.covers)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("releasable_to", ("POL", "UKR", "USA")),
        ("purposes", ("h", "r")),
        ("countries", ("DEU", "UKR")),
        ("until", DAYS[2]),
        ("until", ""),
        ("tier", "raw"),
    ],
)
def test_one_wider_field_is_named(field, value):
    """The field in which a child is wider is named, and it alone."""
    with pytest.raises(Conflict) as refused:
        check_not_wider(change(**{field: value}), [B], TREE.covers)
    assert re.findall("`(.*?)`", str(refused.value)) == [field]


def test_every_wider_field_and_parent_is_named():
    """One error names each field with the parent that it is wider than."""
    parents = [change(until=""), change(countries=("UKR",), until=DAYS[0])]
    with pytest.raises(Conflict) as refused:
        check_not_wider(B, parents, TREE.covers)
    assert re.findall(r"`(\w+)` \(parent (\d)\)", str(refused.value)) == [("countries", "1"), ("until", "1")]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"releasable_to": ("UKR", "POL")}, "releasable_to/1"),
        ({"releasable_to": ("",)}, "releasable_to/0"),
        ({"purposes": ("a b",)}, "purposes/0"),
        ({"purposes": ("r", "h")}, "purposes/1"),
        ({"countries": ("UA",)}, "countries/0"),
        ({"countries": ("UKR", "UKR")}, "countries/1"),
        ({"until": "2026"}, "until"),
        ({"tier": ""}, "tier"),
    ],
)
def test_ill_formed_bounds_are_refused(fields, place):
    """Bounds that are not of their form are Malformed, as child, as parent and in a meet."""
    bad = change(**fields)
    for ask, pointer in (
        (lambda: check_not_wider(bad, [B], TREE.covers), "/child"),
        (lambda: check_not_wider(B, [B, bad], TREE.covers), "/parents/1"),
        (lambda: meet([bad], TREE.covers), "/parents/0"),
    ):
        with pytest.raises(Malformed) as refused:
            ask()
        assert refused.value.pointer == f"{pointer}/{place}"


def test_nothing_is_derived_from_nothing():
    """Neither a meet nor a check is vacuous: no parents is Malformed."""
    for ask in (lambda: meet([], TREE.covers), lambda: check_not_wider(B, [], TREE.covers)):
        with pytest.raises(Malformed, match="has a parent"):
            ask()


@given(bounds)
def test_bounds_survive_json(value):
    """Bounds read back from an entry are the same."""
    assert value == msgspec.json.decode(msgspec.json.encode(value), type=Bounds)

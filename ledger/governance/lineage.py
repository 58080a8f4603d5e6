"""Lineage, I6: what is derived may be used by no one, for no purpose, in no place, at no time that an ancestor forbids.

    Bounds(releasable_to=("POL", "UKR"), purposes=("research",), countries=("POL",), until="", tier="redacted")

`meet` gives the widest bounds that something made of several may have; `check_not_wider` holds declared ones against
each parent. An empty set means the originator alone: whatever is missing closes, and is never "no restriction".

Each parent may have another originator, so "the originator alone" is exact only of one ancestor at a time: the decision
(`ledger.access`) asks every ancestor, not just the derived bounds.

Values of `releasable_to` are compared as they stand. A country is not taken to be within a community (`POL`, `NATO`),
whose members change: their meet is empty, which is narrower than need be and never wider.

The tier says how much an item shows, so it goes the other way. What is merged shows as much as the most telling parent,
until someone redacts it and declares less; nothing shows more than that parent does.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

from msgspec import Struct

from ledger.errors import Conflict, Malformed, show
from ledger.governance.forms import check_country, check_identifier, check_set, parse_time
from ledger.governance.terms import Covers, uncovered
from ledger.governance.tiers import rank


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a resource is open for at the most. Sets are sorted; empty is the originator alone; until "" is no end."""

    releasable_to: tuple[str, ...]
    purposes: tuple[str, ...]
    countries: tuple[str, ...]
    until: str
    """The first moment at which it is closed."""
    tier: str


def check_bounds(bounds: Bounds, pointer: str) -> None:
    """Check every field by itself. Raises Malformed naming the place."""
    check_set(bounds.releasable_to, f"{pointer}/releasable_to")
    check_set(bounds.purposes, f"{pointer}/purposes")
    for i, purpose in enumerate(bounds.purposes):
        check_identifier(purpose, f"{pointer}/purposes/{i}")
    check_set(bounds.countries, f"{pointer}/countries")
    for i, country in enumerate(bounds.countries):
        check_country(country, f"{pointer}/countries/{i}")
    if bounds.until:
        parse_time(bounds.until, f"{pointer}/until")
    rank(bounds.tier, f"{pointer}/tier")


def meet(bounds: Sequence[Bounds], covers: Covers) -> Bounds:
    """Give the widest bounds that are within each of `bounds`, and the highest of their tiers. Raises Malformed.

    Purposes meet in the tree: of two that are comparable by `covers` the narrower, of others nothing.
    """
    _check_parents(bounds)
    return Bounds(
        releasable_to=_common(each.releasable_to for each in bounds),
        purposes=reduce(lambda ours, theirs: _narrower(ours, theirs, covers), (each.purposes for each in bounds)),
        countries=_common(each.countries for each in bounds),
        until=min((each.until for each in bounds if each.until), default=""),
        tier=max((each.tier for each in bounds), key=rank),
    )


def check_not_wider(child: Bounds, parents: Sequence[Bounds], covers: Covers) -> None:
    """Check that the declared bounds of a child are within those of each parent.

    Raises Malformed where any are ill-formed, and one Conflict that names each field in which the child is wider than a
    parent, and that parent's place.
    """
    check_bounds(child, "/child")
    _check_parents(parents)
    wider = [
        f"{show(field)} (parent {i})" for i, parent in enumerate(parents) for field in _wider(child, parent, covers)
    ]
    if rank(child.tier) > max(rank(parent.tier) for parent in parents):
        wider.append("`tier` (every parent)")
    if wider:
        raise Conflict(f"what is derived is wider than what it is derived from in {', '.join(wider)}")


def _check_parents(parents: Sequence[Bounds]) -> None:
    if not parents:
        raise Malformed("/parents", "is empty: what is derived has a parent")
    for i, parent in enumerate(parents):
        check_bounds(parent, f"/parents/{i}")


def _common(sets: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(set.intersection(*map(set, sets))))


def _narrower(ours: tuple[str, ...], theirs: tuple[str, ...], covers: Covers) -> tuple[str, ...]:
    """Give those nodes of either side that a node of the other side covers."""
    of_ours = set(ours) - set(uncovered(ours, theirs, covers))
    of_theirs = set(theirs) - set(uncovered(theirs, ours, covers))
    return tuple(sorted(of_ours | of_theirs))


def _wider(child: Bounds, parent: Bounds, covers: Covers) -> Iterator[str]:
    if not set(child.releasable_to) <= set(parent.releasable_to):
        yield "releasable_to"
    if uncovered(child.purposes, parent.purposes, covers):
        yield "purposes"
    if not set(child.countries) <= set(parent.countries):
        yield "countries"
    if parent.until and not (child.until and child.until <= parent.until):
        yield "until"

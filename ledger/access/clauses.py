"""Clauses: small named predicates over a request and the facts, one rule each. Policies name them, people read them.

    CLAUSES["tier_within_grant"](request, facts, grant, now)
    → Finding("tier_within_grant", holds=False, entries=(31, 17), detail={"asked": "raw", "grant": "redacted", …})

A clause takes the grant it is to judge by apart from the facts, since a party may hold several (`decide` picks one).
What is missing, and any value that is not known, makes a clause not hold: absence never permits.

The answer goes to the asker, so a detail repeats what was asked and the asker's own grant and agreement. Of a label's
other names and of ancestors it says only which bound refused: whom else a thing is released to is not the asker's to
see. The entries' indexes lead those who may read them to the rest.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from msgspec import Struct

from ledger.access.facts import Attestation, Authorisation, Facts, Grant, Party, Purpose, Resource, Restraint
from ledger.access.request import Request
from ledger.access.vocabulary import TRAINING, tier_within

MAX_LISTED = 20
"""Values of a set that a detail repeats, so that an answer stays small; the entry it rests on has them all."""


class Finding(Struct, frozen=True, gc=False):
    """What a clause found: whether it holds, the ledger indexes it rests on, and where it does not, the values."""

    clause: str
    holds: bool
    entries: tuple[int, ...]
    detail: dict[str, str] = {}


Clause = Callable[[Request, Facts, Grant | None, str], Finding]
"""`(request, facts, grant, now)`; `now` as in `facts`."""

_clauses: dict[str, Clause] = {}
CLAUSES: Mapping[str, Clause] = _clauses
"""Every clause by name."""


def _clause(check: Clause) -> Clause:
    _clauses[check.__name__] = check
    return check


def _missing(clause: str, what: str) -> Finding:
    return Finding(clause, False, (), {"missing": what})


@lru_cache(maxsize=4096)
def _listed(values: frozenset[str]) -> str:
    shown = sorted(values)[:MAX_LISTED]
    return ", ".join([*shown, "…"] if len(values) > MAX_LISTED else shown)


@_clause
def subject_in_good_standing(request: Request, facts: Facts, _grant: Grant | None, _now: str) -> Finding:
    """Hold an organisation to being enrolled and not suspended. Protects everyone from strangers and the suspended."""
    party = facts.party
    if party is None or party.id != request.org:
        return _missing("subject_in_good_standing", "party")
    if party.status == "enrolled":
        return Finding("subject_in_good_standing", True, (party.seq,))
    return Finding("subject_in_good_standing", False, (party.seq,), {"status": party.status})


@_clause
def agreement_in_force(_request: Request, _facts: Facts, grant: Grant | None, now: str) -> Finding:
    """Ask for an agreement in force: begun, not ended, not suspended. Protects the owner: no use without terms."""
    if grant is None:
        return _missing("agreement_in_force", "grant")
    agreement = grant.agreement
    if agreement.status == "in_force" and agreement.starts <= now < agreement.ends:
        return Finding("agreement_in_force", True, (agreement.seq,))
    detail = {"status": agreement.status, "starts": agreement.starts, "ends": agreement.ends}
    return Finding("agreement_in_force", False, (agreement.seq,), detail)


@_clause
def grant_current(_request: Request, _facts: Facts, grant: Grant | None, now: str) -> Finding:
    """Ask for a grant that is begun, not ended, not revoked. Protects the owner, whose approvers each can revoke."""
    if grant is None:
        return _missing("grant_current", "grant")
    detail = {"starts": grant.starts, "ends": grant.ends}
    if grant.revoked_seq is not None:
        return Finding("grant_current", False, (grant.seq, grant.revoked_seq), detail | {"status": "revoked"})
    if grant.starts <= now < grant.ends:
        return Finding("grant_current", True, (grant.seq,))
    return Finding("grant_current", False, (grant.seq,), detail)


@_clause
def activity_permitted(request: Request, _facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Keep to activities that grant and agreement name. Protects the owner: leave to evaluate is no leave to train."""
    if grant is None:
        return _missing("activity_permitted", "grant")
    agreement, asked = grant.agreement, request.action
    entries = (grant.seq, agreement.seq)
    if asked in grant.activities and asked in agreement.activities:
        return Finding("activity_permitted", True, entries)
    detail = {"asked": asked, "grant": _listed(grant.activities), "agreement": _listed(agreement.activities)}
    return Finding("activity_permitted", False, entries, detail)


@_clause
def purpose_permitted(request: Request, facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Keep to the purposes of grant and agreement, and what lies below them. Protects people from any other use."""
    purpose = facts.purpose
    if purpose is None:
        return _missing("purpose_permitted", "purpose")
    if grant is None:
        return _missing("purpose_permitted", "grant")
    agreement, path = grant.agreement, purpose.path
    entries = (purpose.seq, grant.seq, agreement.seq)
    if grant.purpose in path and not agreement.purposes.isdisjoint(path):
        return Finding("purpose_permitted", True, entries)
    detail = {"asked": request.purpose, "grant": grant.purpose, "agreement": _listed(agreement.purposes)}
    return Finding("purpose_permitted", False, entries, detail)


@_clause
def purpose_not_prohibited(request: Request, facts: Facts, _grant: Grant | None, _now: str) -> Finding:
    """Refuse a purpose that is prohibited, or lies below one. Protects those whom it would harm, whoever agreed."""
    purpose = facts.purpose
    if purpose is None:
        return _missing("purpose_not_prohibited", "purpose")
    if purpose.prohibited_at is None:
        return Finding("purpose_not_prohibited", True, (purpose.seq,))
    detail = {"asked": request.purpose, "prohibited_at": purpose.prohibited_at}
    return Finding("purpose_not_prohibited", False, (purpose.seq,), detail)


@_clause
def tier_within_grant(request: Request, _facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Show no more than the tiers of grant and agreement. Protects people and places that more detail would expose."""
    if grant is None:
        return _missing("tier_within_grant", "grant")
    agreement, asked = grant.agreement, request.tier
    entries = (grant.seq, agreement.seq)
    if tier_within(asked, grant.tier) and tier_within(asked, agreement.tier):
        return Finding("tier_within_grant", True, entries)
    detail = {"asked": asked, "grant": grant.tier, "agreement": agreement.tier}
    return Finding("tier_within_grant", False, entries, detail)


@_clause
def environment_permitted(request: Request, _facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Keep to environments that grant and agreement name. Protects the owner: what has left an enclave has left."""
    if grant is None:
        return _missing("environment_permitted", "grant")
    agreement, asked = grant.agreement, request.environment
    entries = (grant.seq, agreement.seq)
    if asked in grant.environments and asked in agreement.environments:
        return Finding("environment_permitted", True, entries)
    detail = {"asked": asked, "grant": _listed(grant.environments), "agreement": _listed(agreement.environments)}
    return Finding("environment_permitted", False, entries, detail)


@_clause
def location_permitted(request: Request, _facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Keep processing and storage to countries of grant and agreement. Protects the owner: a place brings its law."""
    if grant is None:
        return _missing("location_permitted", "grant")
    agreement, asked, stored = grant.agreement, request.country, request.storage_country
    entries = (grant.seq, agreement.seq)
    if asked in grant.countries and asked in agreement.countries:
        if not stored or (stored in grant.countries and stored in agreement.countries):
            return Finding("location_permitted", True, entries)
        asked = f"{asked}, stored in {stored}"
    detail = {"asked": asked, "grant": _listed(grant.countries), "agreement": _listed(agreement.countries)}
    return Finding("location_permitted", False, entries, detail)


@_clause
def resource_available(request: Request, facts: Facts, _grant: Grant | None, now: str) -> Finding:
    """Ask for a resource at the tier, not withdrawn, not past its end. Protects everyone from what was taken back."""
    resource = facts.resource
    if resource is None or resource.tier != request.tier:
        return _missing("resource_available", "resource")
    if _is_open(resource, now):
        return Finding("resource_available", True, (resource.seq,))
    why = {"status": "withdrawn"} if resource.withdrawn else {"until": resource.until}
    return Finding("resource_available", False, (resource.seq,), {"asked": request.tier, **why})


@_clause
def releasable_to_partner(_request: Request, facts: Facts, _grant: Grant | None, _now: str) -> Finding:
    """Keep to whom the label releases the resource. Protects the originator, whose label goes where the data goes."""
    party, resource = facts.party, facts.resource
    if party is None:
        return _missing("releasable_to_partner", "party")
    if resource is None:
        return _missing("releasable_to_partner", "resource")
    entries = (party.seq, resource.seq)
    if _is_releasable(resource, party):
        return Finding("releasable_to_partner", True, entries)
    return Finding("releasable_to_partner", False, entries, {"asked": party.country})


@_clause
def lineage_permits(request: Request, facts: Facts, _grant: Grant | None, now: str) -> Finding:
    """Hold user, purpose, place and time to the resource and all it is derived from (I6). Protects each originator.

    An agreement with one originator cannot open what another's data went into.
    """
    party, purpose, resource = facts.party, facts.purpose, facts.resource
    if party is None or purpose is None or resource is None:
        return _missing("lineage_permits", "party" if party is None else "purpose" if purpose is None else "resource")
    line = (resource, *facts.ancestors)
    # Pairs and no dict: one entry may concern several of the line, and none of their refusals may be lost.
    refusals = [
        (item.seq, refused) for item in line if (refused := _refusing_bounds(item, party, purpose.path, request, now))
    ]
    if not refusals:
        return Finding("lineage_permits", True, tuple([item.seq for item in line]))
    bounds = sorted({bound for _, refused in refusals for bound in refused})
    entries = tuple([seq for seq, _ in refusals])
    return Finding("lineage_permits", False, entries, {"refused_by": ", ".join(bounds)})


def _refusing_bounds(item: Resource, party: Party, path: tuple[str, ...], request: Request, now: str) -> list[str]:
    """Name the bounds of `item` that refuse. An empty set is the originator alone, never "no restriction"."""
    refused = []
    originator = party.id == item.originator
    if not _is_open(item, now):
        refused.append("withdrawn" if item.withdrawn else "until")
    if not _is_releasable(item, party):
        refused.append("releasable_to")
    if item.purposes.isdisjoint(path) if item.purposes else not originator:
        refused.append("purposes")
    stored = request.storage_country
    if not _is_place(item, party, request.country) or (stored and not _is_place(item, party, stored)):
        refused.append("countries")
    return refused


@_clause
def purpose_authorised(_request: Request, facts: Facts, _grant: Grant | None, now: str) -> Finding:
    """Ask for an authority's word where a purpose needs it. Protects those whom it touches, whoever granted it.

    An authorisation covers its node and what lies below; one for a node above that which needs it does not speak of it.
    """
    purpose = facts.purpose
    if purpose is None:
        return _missing("purpose_authorised", "purpose")
    if purpose.authorisation_at is None:
        return Finding("purpose_authorised", True, (purpose.seq,))
    found = next((given for given in facts.authorisations if _authorises(given, purpose, now)), None)
    if found is not None:
        return Finding("purpose_authorised", True, (purpose.seq, found.seq))
    return Finding("purpose_authorised", False, (purpose.seq,), {"authorisation_at": purpose.authorisation_at})


def _authorises(given: Authorisation, purpose: Purpose, now: str) -> bool:
    path, needed_at = purpose.path, purpose.authorisation_at
    below = path[path.index(needed_at) :] if needed_at in path else ()
    return given.purpose in below and given.starts <= now < given.ends


@_clause
def quota_left(request: Request, _facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Train only while runs are left, or one goes on. Protects the owner: more runs draw more out of the data."""
    if grant is None:
        return _missing("quota_left", "grant")
    if grant.max_runs is None or request.action not in TRAINING:
        return Finding("quota_left", True, (grant.seq,))
    entries = (grant.seq,) if grant.runs_seq is None else (grant.seq, grant.runs_seq)
    if grant.runs < grant.max_runs or grant.runs_open > 0:
        return Finding("quota_left", True, entries)
    return Finding("quota_left", False, entries, {"runs": str(grant.runs), "max_runs": str(grant.max_runs)})


@_clause
def environment_attested(request: Request, facts: Facts, grant: Grant | None, now: str) -> Finding:
    """Take an enclave that is named for one only if it is attested. Protects the owner: anyone can say "enclave".

    Where the grant asks for it, the environment has to be named and attested, whatever its kind.
    """
    if grant is None:
        return _missing("environment_attested", "grant")
    asked, attestation = request.environment_id, facts.attestation
    if not grant.attestation and (not asked or request.environment != "enclave"):
        return Finding("environment_attested", True, (grant.seq,))
    if not asked or attestation is None:
        missing = {"missing": "attestation"} if asked else {"missing": "environment.id"}
        return Finding("environment_attested", False, (grant.seq,), missing)
    entries = (grant.seq, attestation.seq)
    if _attests(attestation, request, now):
        return Finding("environment_attested", True, entries)
    return Finding("environment_attested", False, entries, {"asked": asked, **_attested(attestation)})


def _attests(attestation: Attestation, request: Request, now: str) -> bool:
    same = (attestation.kind, attestation.country) == (request.environment, request.country)
    return same and not attestation.withdrawn and attestation.starts <= now < attestation.ends


def _attested(attestation: Attestation) -> dict[str, str]:
    if attestation.withdrawn:
        return {"status": "withdrawn"}
    return {name: getattr(attestation, name) for name in ("kind", "country", "starts", "ends")}


@_clause
def not_paused(request: Request, facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Stop for every pause that covers the use. Protects everyone: one official's doubt suffices, two lift it."""
    return _unrestrained("not_paused", facts.pauses, request, facts, grant)


@_clause
def no_open_incident(request: Request, facts: Facts, grant: Grant | None, _now: str) -> Finding:
    """Stop for an incident that blocks the user, or what is used. Protects everyone until it is understood."""
    return _unrestrained("no_open_incident", facts.incidents, request, facts, grant)


def _unrestrained(
    clause: str, restraints: tuple[Restraint, ...], request: Request, facts: Facts, grant: Grant | None
) -> Finding:
    party = facts.party
    if party is None:
        return _missing(clause, "party")
    covering = [restraint for restraint in restraints if _covers(restraint, request, facts, grant)]
    if not covering:
        return Finding(clause, True, (party.seq,))
    scopes = ", ".join(sorted({restraint.scope for restraint in covering}))
    return Finding(clause, False, tuple([restraint.seq for restraint in covering]), {"scope": scopes})


def _covers(restraint: Restraint, request: Request, facts: Facts, grant: Grant | None) -> bool:
    """Tell whether a restraint covers the use. One of a scope that is not known covers every use."""
    reaches = _REACHES.get(restraint.scope)
    return reaches is None or reaches(restraint.target, request, facts, grant)


def _is_of_line(target: str, request: Request, facts: Facts) -> bool:
    """Tell whether `target` is the resource or what it is derived from (I6), a version of it or the whole of it."""
    line = facts.ancestors if facts.resource is None else (facts.resource, *facts.ancestors)
    named = f"{request.resource_type}:{request.resource_id}"
    return target == named or any(target in {item.ref, item.ref.partition("@")[0]} for item in line)


_REACHES: Mapping[str, Callable[[str, Request, Facts, Grant | None], bool]] = {
    "organisation": lambda target, request, _facts, _grant: target == request.org,
    "resource": lambda target, request, facts, _grant: _is_of_line(target, request, facts),
    "agreement": lambda target, _request, _facts, grant: grant is not None and target == grant.agreement.id,
    "grant": lambda target, _request, _facts, grant: grant is not None and target == grant.id,
    "purpose": lambda target, request, facts, _grant: (
        target == request.purpose or (facts.purpose is not None and target in facts.purpose.path)
    ),
    "environment": lambda target, request, _facts, _grant: target == request.environment,
}
"""By scope, whether a restraint's target is what is used, or above it; `everything` has none."""


def _is_open(item: Resource, now: str) -> bool:
    return not item.withdrawn and (not item.until or now < item.until)


def _is_place(item: Resource, party: Party, country: str) -> bool:
    if item.countries:
        return country in item.countries
    return party.id == item.originator and country == party.country


def _is_releasable(item: Resource, party: Party) -> bool:
    released = item.releasable_to
    return party.id == item.originator or party.country in released or not released.isdisjoint(party.communities)

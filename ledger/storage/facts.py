"""Facts for decisions, read for many requests at once and remembered while the state does not change.

A fact that is remembered is never older than the `state_seq` it is remembered under, and all are forgotten when that
moves: so a remembered fact is as good as one just read (I4). Queries go through indexes: parties, purposes,
agreements and resources by key, grants by (organisation, resource). Pauses and incidents are few: all that stand are
read at once. Authorisations and attestations are read where a request needs them.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from ledger.access import facts as f
from ledger.access.request import Request
from ledger.events.data import RecordedBounds
from ledger.events.sharing import GrantTerms
from ledger.governance.terms import Terms
from ledger.storage import tables as t
from ledger.storage.columns import load
from ledger.storage.engine import select_by_pairs

MAX_REMEMBERED = 20_000
"""Facts of each kind that are kept, at most about 1 KB each; over it those of the kind are forgotten."""

MAX_IN_QUERY = 500
"""Keys in one IN list; SQLite takes 32,766 parameters, the plan is the same for any number."""

DEFAULT_REPORT_HOURS = 24

ORGANISATION, PURPOSE, RESOURCE, LINEAGE, AGREEMENT, GRANT, RESTRAINT, AUTHORISATION, ATTESTATION = (
    t.table(row)
    for row in (
        t.OrganisationRow,
        t.PurposeRow,
        t.ResourceRow,
        t.LineageRow,
        t.AgreementRow,
        t.GrantRow,
        t.RestraintRow,
        t.AuthorisationRow,
        t.AttestationRow,
    )
)

READ_RESTRAINTS = sa.select(RESTRAINT).where(RESTRAINT.c.lifted_seq.is_(None)).order_by(RESTRAINT.c.seq)

GrantKey = tuple[str, str]
ResourceKey = tuple[str, str]
EnvironmentKey = tuple[str, str]


class FactReader:
    """Reads facts from a connection; remembers them for one `state_seq`."""

    def __init__(self) -> None:
        self._state_seq: int | None = None
        self._parties: dict[str, f.Party | None] = {}
        self._purposes: dict[str, f.Purpose | None] = {}
        self._resources: dict[ResourceKey, tuple[f.Resource, tuple[f.Resource, ...]] | None] = {}
        self._agreements: dict[str, f.Agreement] = {}
        self._grants: dict[GrantKey, tuple[f.Grant, ...]] = {}
        self._authorisations: dict[str, tuple[f.Authorisation, ...]] = {}
        self._attestations: dict[EnvironmentKey, f.Attestation | None] = {}
        self._restraints: dict[str, tuple[f.Restraint, ...]] = {}
        """By kind: `pause`, `incident`."""
        self._all: tuple[dict[Any, Any], ...] = (
            self._parties,
            self._purposes,
            self._resources,
            self._agreements,
            self._grants,
            self._authorisations,
            self._attestations,
            self._restraints,
        )

    def gather(self, connection: sa.Connection, requests: Sequence[Request], *, state_seq: int) -> list[f.Facts]:
        """Give the facts for each request, in order."""
        if state_seq != self._state_seq:
            self._state_seq = state_seq
            for remembered in self._all:
                remembered.clear()
        for remembered in self._all:
            if len(remembered) > MAX_REMEMBERED:
                remembered.clear()
        try:
            self._load(connection, requests)
        except BaseException:
            self._state_seq = None  # what stands for "there is none" may stand for what was never read
            raise
        return [self._facts(request) for request in requests]

    def _load(self, connection: sa.Connection, requests: Sequence[Request]) -> None:
        self._load_parties(connection, _new((r.org for r in requests), self._parties))
        self._load_purposes(connection, _new((r.purpose for r in requests), self._purposes))
        self._load_resources(connection, _new((_resource_key(r) for r in requests), self._resources))
        self._load_grants(connection, _new((_grant_key(r) for r in requests), self._grants))
        if requests and not self._restraints:
            self._load_restraints(connection)
        authorised = (r.org for r in requests if self._needs_authorisation(r))
        self._load_authorisations(connection, _new(authorised, self._authorisations))
        named = (_environment_key(r) for r in requests if r.environment_id)
        self._load_attestations(connection, _new(named, self._attestations))

    def _needs_authorisation(self, request: Request) -> bool:
        purpose = self._purposes[request.purpose]
        return purpose is not None and purpose.authorisation_at is not None

    def _facts(self, request: Request) -> f.Facts:
        resource, ancestors = self._resources[_resource_key(request)] or (None, ())
        return f.Facts(
            party=self._parties[request.org],
            purpose=self._purposes[request.purpose],
            resource=resource,
            ancestors=ancestors,
            grants=self._grants[_grant_key(request)],
            pauses=self._restraints["pause"],
            incidents=self._restraints["incident"],
            authorisations=self._authorisations.get(request.org, ()),
            attestation=self._attestations[_environment_key(request)] if request.environment_id else None,
        )

    def _load_parties(self, connection: sa.Connection, ids: list[str]) -> None:
        self._parties.update(dict.fromkeys(ids))
        for row in _select(connection, ORGANISATION, ORGANISATION.c.id, ids):
            self._parties[row.id] = f.Party(
                id=row.id,
                country=row.country,
                communities=load(row.communities, frozenset[str]),
                trust_tier=row.trust_tier,
                status=row.status,
                seq=row.seq,
            )

    def _load_purposes(self, connection: sa.Connection, ids: list[str]) -> None:
        self._purposes.update(dict.fromkeys(ids))
        for row in _select(connection, PURPOSE, PURPOSE.c.id, ids):
            self._purposes[row.id] = f.Purpose(
                path=load(row.path, tuple[str, ...]),
                prohibited_at=row.prohibited_at,
                authorisation_at=row.authorisation_at,
                seq=row.seq,
            )

    def _load_resources(self, connection: sa.Connection, keys: list[ResourceKey]) -> None:
        self._resources.update(dict.fromkeys(keys))
        wanted = set(keys)
        found: dict[ResourceKey, sa.Row[Any]] = {}
        for row in _select(connection, RESOURCE, RESOURCE.c.name, sorted({name for name, _ in keys})):
            key = (row.name, row.tier)
            if key in wanted and (key not in found or row.seq > found[key].seq):
                found[key] = row  # the newest version at a tier is the one in use
        ancestors = self._ancestors(connection, [row.ref for row in found.values()])
        for key, row in found.items():
            self._resources[key] = (_resource(row), ancestors.get(row.ref, ()))

    def _ancestors(self, connection: sa.Connection, refs: list[str]) -> dict[str, tuple[f.Resource, ...]]:
        pairs = [(row.ref, row.ancestor) for row in _select(connection, LINEAGE, LINEAGE.c.ref, refs)]
        names = sorted({ancestor for _, ancestor in pairs})
        rows = {row.ref: _resource(row) for row in _select(connection, RESOURCE, RESOURCE.c.ref, names)}
        found: dict[str, tuple[f.Resource, ...]] = {}
        for ref, ancestor in sorted(pairs):
            found[ref] = (*found.get(ref, ()), rows[ancestor])
        return found

    def _load_grants(self, connection: sa.Connection, keys: list[GrantKey]) -> None:
        self._grants.update(dict.fromkeys(keys, ()))
        rows: list[sa.Row[Any]] = []
        if keys:
            query = select_by_pairs(connection, GRANT.c.org, GRANT.c.resource)
            rows += connection.execute(query, {"pairs": msgspec.json.encode(keys).decode()})
        self._load_agreements(connection, _new((row.agreement for row in rows), self._agreements))
        for row in sorted(rows, key=attrgetter("seq")):
            grant = _grant(row, self._agreements[row.agreement])
            self._grants[row.org, row.resource] += (grant,)

    def _load_agreements(self, connection: sa.Connection, ids: list[str]) -> None:
        for row in _select(connection, AGREEMENT, AGREEMENT.c.id, ids):
            terms = load(row.terms, Terms)
            self._agreements[row.id] = f.Agreement(
                id=row.id,
                status=row.status,
                purposes=frozenset(terms.purposes),
                activities=frozenset(terms.activities),
                tier=terms.tier,
                environments=frozenset(terms.environments),
                countries=frozenset(terms.countries),
                starts=terms.starts,
                ends=terms.ends,
                seq=row.seq,
                report_within_hours=_report_within(terms),
            )

    def _load_restraints(self, connection: sa.Connection) -> None:
        found: dict[str, list[f.Restraint]] = {"pause": [], "incident": []}
        for row in connection.execute(READ_RESTRAINTS):
            found[row.kind].append(f.Restraint(scope=row.scope, target=row.target, seq=row.seq))
        self._restraints.update({kind: tuple(restraints) for kind, restraints in found.items()})

    def _load_authorisations(self, connection: sa.Connection, orgs: list[str]) -> None:
        self._authorisations.update(dict.fromkeys(orgs, ()))
        rows = _select(connection, AUTHORISATION, AUTHORISATION.c.org, orgs)
        for row in sorted(rows, key=attrgetter("seq")):
            if row.withdrawn_seq is None:
                given = f.Authorisation(purpose=row.purpose, starts=row.starts, ends=row.ends, seq=row.seq)
                self._authorisations[row.org] += (given,)

    def _load_attestations(self, connection: sa.Connection, keys: list[EnvironmentKey]) -> None:
        self._attestations.update(dict.fromkeys(keys))
        if not keys:
            return
        query = select_by_pairs(connection, ATTESTATION.c.org, ATTESTATION.c.environment)
        for row in connection.execute(query, {"pairs": msgspec.json.encode(keys).decode()}):
            self._attestations[row.org, row.environment] = _attestation(row)


def _new(keys: Iterable[Any], known: dict[Any, Any]) -> list[Any]:
    return sorted({key for key in keys if key not in known})


def _report_within(terms: Terms) -> int:
    """Give the hours of the duty `report_use`; a day where the agreement leaves it open."""
    return next((duty.within_hours for duty in terms.obligations if duty.type == "report_use"), DEFAULT_REPORT_HOURS)


@lru_cache
def _by_key(target: sa.Table, column: sa.Column[str]) -> sa.Select[Any]:
    return sa.select(target).where(column.in_(sa.bindparam("keys", expanding=True)))


def _select(connection: sa.Connection, target: sa.Table, column: sa.Column[str], keys: list[str]) -> list[sa.Row[Any]]:
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(keys), MAX_IN_QUERY):
        rows += connection.execute(_by_key(target, column), {"keys": keys[start : start + MAX_IN_QUERY]})
    return rows


def _resource_key(request: Request) -> ResourceKey:
    return (f"{request.resource_type}:{request.resource_id}", request.tier)


def _grant_key(request: Request) -> GrantKey:
    return (request.org, f"{request.resource_type}:{request.resource_id}")


def _environment_key(request: Request) -> EnvironmentKey:
    return (request.org, request.environment_id)


def _attestation(row: sa.Row[Any]) -> f.Attestation:
    return f.Attestation(
        kind=row.kind,
        country=row.country,
        starts=row.starts,
        ends=row.ends,
        withdrawn=row.withdrawn_seq is not None,
        seq=row.seq if row.withdrawn_seq is None else row.withdrawn_seq,
    )


def _resource(row: sa.Row[Any]) -> f.Resource:
    bounds = load(row.bounds, RecordedBounds)
    return f.Resource(
        ref=row.ref,
        originator=row.originator,
        tier=row.tier,
        releasable_to=load(row.releasable_to, frozenset[str]),
        purposes=frozenset(bounds.purposes),
        countries=frozenset(bounds.countries),
        until=bounds.until,
        withdrawn=row.withdrawn_seq is not None,
        manifest_root=row.manifest_root,
        seq=row.seq if row.withdrawn_seq is None else row.withdrawn_seq,
    )


def _grant(row: sa.Row[Any], agreement: f.Agreement) -> f.Grant:
    terms = load(row.terms, GrantTerms)
    return f.Grant(
        id=row.id,
        purpose=terms.purpose,
        activities=frozenset(terms.activities),
        tier=terms.tier,
        environments=frozenset(terms.environments),
        countries=frozenset(terms.countries),
        starts=terms.starts,
        ends=terms.ends,
        revoked_seq=row.revoked_seq,
        seq=row.seq,
        agreement=agreement,
        attestation=terms.attestation,
        max_runs=terms.max_runs,
        runs=row.runs,
        runs_open=row.runs_open,
        runs_seq=row.runs_seq,
    )

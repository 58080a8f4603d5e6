"""One projector per entry kind: how it changes the tables. State is the fold of these over the ledger, no more.

The sequencer calls them as entries are written, `oblik rebuild` and replay as entries are read; there is no second
way. A projector takes what is in the entry and reads tables only; kinds that change no table have none.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from ledger.events import (
    Event,
    assurances,
    data,
    decisions,
    keys,
    promotion,
    registry,
    restraints,
    rules,
    sealing,
    sharing,
    streams,
)
from ledger.governance.labels import releasable_to
from ledger.governance.promotion import STAGES
from ledger.governance.purposes import Node, parse_tree
from ledger.storage import tables as t
from ledger.storage.columns import dump, load
from ledger.storage.engine import upsert

Projector = Callable[[sa.Connection, Any, int, dict[str, str]], None]
P = TypeVar("P", bound=Projector)

_projectors: dict[type[Event], Projector] = {}

WITHOUT_TABLE: frozenset[type[Event]] = frozenset(
    {
        decisions.DecisionRecorded,
        decisions.MountedDecisionRecorded,
        decisions.UseReported,
        decisions.UseAnomalous,
        registry.AuthenticationFailed,
    }
)
"""Kinds whose whole effect is that they are in the ledger."""

NO_ENTRY = -1
"""Stands where there is no earlier entry."""

WEIGHTS_TIER = "derived"
"""Weights are derived from data: the tier at which they are asked for."""


def projector(kind: type[Event]) -> Callable[[P], P]:
    """Register the projector of a kind."""

    def register(function: P) -> P:
        _projectors[kind] = function
        return function

    return register


def project(connection: sa.Connection, event: Event, seq: int, by: dict[str, str]) -> None:
    """Fold one event, whose entry has index `seq` and was written `by` someone, into the tables."""
    found = _projectors.get(type(event))
    if found is not None:
        found(connection, event, seq, by)


def projected() -> frozenset[type[Event]]:
    """Name the kinds that have a projector."""
    return frozenset(_projectors)


def _insert(connection: sa.Connection, row: type[SQLModel], **values: Any) -> None:
    connection.execute(t.table(row).insert(), values)


def _update(connection: sa.Connection, row: type[SQLModel], key: str, value: str, **changes: Any) -> None:
    target = t.table(row)
    connection.execute(target.update().where(target.c[key] == value), changes)


# Registry -------------------------------------------------------------------------------------------------------------


@projector(registry.OrganisationProposed)
def _organisation_proposed(
    connection: sa.Connection, event: registry.OrganisationProposed, seq: int, by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.OrganisationRow,
        id=event.id,
        name=event.name,
        country=event.country,
        communities=dump(event.communities),
        trust_tier=event.trust_tier,
        status="proposed",
        proposed_by=by.get("person", ""),
        seq=seq,
    )


@projector(registry.OrganisationEnrolled)
def _organisation_enrolled(
    connection: sa.Connection, event: registry.OrganisationEnrolled, seq: int, _by: dict[str, str]
) -> None:
    _update(connection, t.OrganisationRow, "id", event.id, status="enrolled", seq=seq)


@projector(registry.MemberAppointed)
def _member_appointed(
    connection: sa.Connection, event: registry.MemberAppointed, seq: int, _by: dict[str, str]
) -> None:
    row = {"org": event.org, "person": event.person, "roles": dump(event.roles), "seq": seq}
    upsert(connection, t.table(t.MemberRow), [row])


@projector(registry.CredentialIssued)
def _credential_issued(
    connection: sa.Connection, event: registry.CredentialIssued, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.CredentialRow,
        id=event.id,
        org=event.org,
        holder=event.holder,
        holder_type=event.holder_type,
        scopes=dump(event.scopes),
        known_by=event.token_sha256,
        certificate_bound=False,
        expires=event.expires,
        revoked_seq=None,
        seq=seq,
    )


@projector(registry.CredentialKeyRegistered)
def _key_registered(
    connection: sa.Connection, event: registry.CredentialKeyRegistered, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.CredentialRow,
        id=event.id,
        org=event.org,
        holder=event.holder,
        holder_type="system",
        scopes=dump(event.scopes),
        known_by=t.CLIENT_PREFIX + event.id,
        jwk=dump(event.jwk),
        jwk_thumbprint=event.jwk_thumbprint,
        certificate_bound=event.certificate_bound,
        expires=event.expires,
        revoked_seq=None,
        seq=seq,
    )


@projector(registry.CredentialRevoked)
def _credential_revoked(
    connection: sa.Connection, event: registry.CredentialRevoked, seq: int, _by: dict[str, str]
) -> None:
    _update(connection, t.CredentialRow, "id", event.id, revoked_seq=seq)


# Rules ----------------------------------------------------------------------------------------------------------------


@projector(rules.PurposesAdopted)
def _purposes_adopted(connection: sa.Connection, event: rules.PurposesAdopted, seq: int, _by: dict[str, str]) -> None:
    parse_tree(event.nodes)  # a forged entry may hold a circle
    target = t.table(t.PurposeRow)
    connection.execute(target.delete())
    nodes = {node.id: node for node in event.nodes}
    rows = []
    for position, node in enumerate(event.nodes):
        path = _path(nodes, node)
        rows.append(
            {
                "id": node.id,
                "position": position,
                "parent": node.parent,
                "cls": node.cls,
                "prohibited": node.prohibited,
                "path": dump([step.id for step in path]),
                "prohibited_at": next((step.id for step in reversed(path) if step.prohibited), None),
                "special_authorisation": node.special_authorisation,
                "authorisation_at": next((step.id for step in reversed(path) if step.special_authorisation), None),
                "en": node.en,
                "uk": node.uk,
                "seq": seq,
            }
        )
    connection.execute(target.insert(), rows)


def _path(nodes: dict[str, Node], node: Node) -> list[Node]:
    path = [node]
    while path[0].parent is not None:
        path.insert(0, nodes[path[0].parent])
    return path


@projector(rules.PolicyAdopted)
def _policy_adopted(connection: sa.Connection, event: rules.PolicyAdopted, seq: int, _by: dict[str, str]) -> None:
    row = {
        "name": event.name,
        "digest": event.digest,
        "model_sha256": event.model_sha256,
        "rows_sha256": event.rows_sha256,
        "seq": seq,
    }
    upsert(connection, t.table(t.PolicyRow), [{"slot": "access", **row}])
    upsert(connection, t.table(t.AdoptedPolicyRow), [row])
    proposals = t.table(t.PolicyProposalRow)
    adopted = (proposals.c.digest == event.digest) & (proposals.c.status == "open")
    connection.execute(proposals.update().where(adopted), {"status": "adopted", "seq": seq})


@projector(rules.PolicyProposed)
def _policy_proposed(connection: sa.Connection, event: rules.PolicyProposed, seq: int, _by: dict[str, str]) -> None:
    _insert(
        connection,
        t.PolicyProposalRow,
        id=event.id,
        name=event.name,
        digest=event.digest,
        model_sha256=event.model_sha256,
        rows_sha256=event.rows_sha256,
        dry_run_sha256=event.dry_run_sha256,
        replaces=event.replaces,
        quorum=dump(event.quorum),
        proposed_by=event.proposed_by,
        status="open",
        seq=seq,
    )


@projector(rules.PolicyVoted)
def _policy_voted(connection: sa.Connection, event: rules.PolicyVoted, seq: int, by: dict[str, str]) -> None:
    _vote(connection, by, matter=f"policy:{event.proposal}", role=event.role, vote=event.vote, seq=seq)


@projector(rules.PolicyRefused)
def _policy_refused(connection: sa.Connection, event: rules.PolicyRefused, seq: int, _by: dict[str, str]) -> None:
    _update(connection, t.PolicyProposalRow, "id", event.proposal, status="refused", seq=seq)


@projector(rules.PolicyMounted)
def _policy_mounted(connection: sa.Connection, event: rules.PolicyMounted, seq: int, _by: dict[str, str]) -> None:
    row = {
        "name": event.name,
        "digest": event.digest,
        "resource_types": dump(event.resource_types),
        "model_sha256": event.model_sha256,
        "rows_sha256": event.rows_sha256,
        "mount_sha256": event.mount_sha256,
        "facts_sha256": event.facts_sha256,
        "seq": seq,
    }
    upsert(connection, t.table(t.MountedPolicyRow), [row])


@projector(rules.SecurityPolicyAdopted)
def _security_policy_adopted(
    connection: sa.Connection, event: rules.SecurityPolicyAdopted, seq: int, _by: dict[str, str]
) -> None:
    row = {"name": event.name, "spif_sha256": event.spif_sha256, "seq": seq}
    upsert(connection, t.table(t.SecurityPolicyRow), [row])


# Data -----------------------------------------------------------------------------------------------------------------


@projector(data.DatasetRegistered)
def _dataset_registered(
    connection: sa.Connection, event: data.DatasetRegistered, seq: int, _by: dict[str, str]
) -> None:
    _insert(connection, t.DatasetRow, id=event.id, owner=event.owner, title=event.title, seq=seq)


@projector(data.DatasetVersionRegistered)
def _version_registered(
    connection: sa.Connection, event: data.DatasetVersionRegistered, seq: int, _by: dict[str, str]
) -> None:
    datasets = t.table(t.DatasetRow)
    owner = connection.execute(sa.select(datasets.c.owner).where(datasets.c.id == event.dataset)).scalar_one()
    name = f"dataset:{event.dataset}"
    ref = f"{name}@{event.version}"
    _resource(connection, event, seq, ref=ref, name=name, version=event.version, originator=owner, tier=event.tier)
    _lineage(connection, ref, [f"{name}@{parent}" for parent in event.derived_from])


def _resource(
    connection: sa.Connection, event: data.DatasetVersionRegistered | data.WeightsRegistered, seq: int, **names: str
) -> None:
    releasable = sorted(releasable_to(event.label))
    _insert(
        connection,
        t.ResourceRow,
        label=dump(event.label),
        releasable_to=dump(releasable),
        bounds=dump(event.bounds),
        manifest_root=event.manifest_root,
        withdrawn_seq=None,
        seq=seq,
        **names,
    )


def _lineage(connection: sa.Connection, ref: str, parents: list[str]) -> None:
    """Write the closure: the parents, and all that they descend from."""
    lineage = t.table(t.LineageRow)
    above = connection.execute(sa.select(lineage.c.ancestor).where(lineage.c.ref.in_(parents))).scalars()
    ancestors = sorted({*parents, *above})
    if ancestors:
        connection.execute(lineage.insert(), [{"ref": ref, "ancestor": ancestor} for ancestor in ancestors])


@projector(data.DatasetVersionWithdrawn)
def _version_withdrawn(
    connection: sa.Connection, event: data.DatasetVersionWithdrawn, seq: int, _by: dict[str, str]
) -> None:
    _update(connection, t.ResourceRow, "ref", f"dataset:{event.dataset}@{event.version}", withdrawn_seq=seq)


@projector(data.RunStartedV1)
def _run_started_v1(connection: sa.Connection, event: data.RunStartedV1, seq: int, by: dict[str, str]) -> None:
    _insert_run(connection, event, seq, by, grants=())


@projector(data.RunStarted)
def _run_started(connection: sa.Connection, event: data.RunStarted, seq: int, by: dict[str, str]) -> None:
    _insert_run(connection, event, seq, by, grants=event.grants)
    _count_runs(connection, event.grants, seq, started=1, ended=0)


def _insert_run(
    connection: sa.Connection,
    event: data.RunStarted | data.RunStartedV1,
    seq: int,
    by: dict[str, str],
    *,
    grants: tuple[str, ...],
) -> None:
    _insert(
        connection,
        t.RunRow,
        id=event.id,
        org=event.org,
        decisions=dump(event.decisions),
        inputs=dump(event.inputs),
        grants=dump(grants),
        started_by=f"{by['org']}/{by.get('person') or by.get('system')}",
        status="started",
        seq=seq,
    )


@projector(data.RunFinished)
def _run_finished(connection: sa.Connection, event: data.RunFinished, seq: int, _by: dict[str, str]) -> None:
    runs = t.table(t.RunRow)
    grants = connection.execute(sa.select(runs.c.grants).where(runs.c.id == event.id)).scalar_one()
    _count_runs(connection, load(grants, tuple[str, ...]), seq, started=0, ended=1)
    _update(connection, t.RunRow, "id", event.id, status=event.outcome, seq=seq)


def _count_runs(connection: sa.Connection, grants: tuple[str, ...], seq: int, *, started: int, ended: int) -> None:
    target = t.table(t.GrantRow)
    counts = {"runs": target.c.runs + started, "runs_open": target.c.runs_open + started - ended, "runs_seq": seq}
    connection.execute(target.update().where(target.c.id.in_(grants)).values(counts))


@projector(data.WeightsRegistered)
def _weights_registered(
    connection: sa.Connection, event: data.WeightsRegistered, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.WeightsRow,
        id=event.id,
        org=event.org,
        run=event.run,
        trainer=event.trainer,
        stage=STAGES[0],
        seq=seq,
    )
    runs = t.table(t.RunRow)
    inputs = connection.execute(sa.select(runs.c.inputs).where(runs.c.id == event.run)).scalar_one()
    ref = f"weights:{event.id}"
    _resource(connection, event, seq, ref=ref, name=ref, version="", originator=event.org, tier=WEIGHTS_TIER)
    _lineage(connection, ref, load(inputs, list[str]))


# Sharing --------------------------------------------------------------------------------------------------------------


@projector(sharing.AgreementProposed)
def _agreement_proposed(
    connection: sa.Connection, event: sharing.AgreementProposed, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.AgreementRow,
        id=event.id,
        template=event.template,
        version=event.version,
        provider=event.provider,
        consumer=event.consumer,
        terms=dump(event.terms),
        signed_by=dump([]),
        status="proposed",
        seq=seq,
    )


@projector(sharing.AgreementSigned)
def _agreement_signed(connection: sa.Connection, event: sharing.AgreementSigned, seq: int, _by: dict[str, str]) -> None:
    agreements = t.table(t.AgreementRow)
    row = connection.execute(agreements.select().where(agreements.c.id == event.id)).one()
    signed = sorted({*load(row.signed_by, list[str]), event.org})
    changes: dict[str, Any] = {"status": "in_force", "seq": seq} if event.in_force else {}
    _update(connection, t.AgreementRow, "id", event.id, signed_by=dump(signed), **changes)


@projector(sharing.AccessRequested)
def _access_requested(connection: sa.Connection, event: sharing.AccessRequested, seq: int, _by: dict[str, str]) -> None:
    _insert(
        connection,
        t.AccessRequestRow,
        id=event.id,
        org=event.org,
        agreement=event.agreement,
        resource=event.resource,
        terms=dump(event.terms),
        quorum=dump(event.quorum),
        requested_by=event.requested_by,
        status="under_review",
        seq=seq,
    )


@projector(sharing.AccessVoted)
def _access_voted(connection: sa.Connection, event: sharing.AccessVoted, seq: int, by: dict[str, str]) -> None:
    _vote(connection, by, matter=f"access:{event.request}", role=event.role, vote=event.vote, seq=seq)


def _vote(connection: sa.Connection, by: dict[str, str], *, matter: str, role: str, vote: str, seq: int) -> None:
    _insert(
        connection,
        t.VoteRow,
        matter=matter,
        person=by["person"],
        org=by["org"],
        role=role,
        approve=vote == "approve",
        seq=seq,
    )


@projector(sharing.AccessRefused)
def _access_refused(connection: sa.Connection, event: sharing.AccessRefused, seq: int, _by: dict[str, str]) -> None:
    _update(connection, t.AccessRequestRow, "id", event.request, status="refused", seq=seq)


@projector(sharing.GrantIssued)
def _grant_issued(connection: sa.Connection, event: sharing.GrantIssued, seq: int, _by: dict[str, str]) -> None:
    _update(connection, t.AccessRequestRow, "id", event.request, status="granted", seq=seq)
    _insert(
        connection,
        t.GrantRow,
        id=event.id,
        org=event.org,
        resource=event.resource,
        agreement=event.agreement,
        terms=dump(event.terms),
        runs=0,
        runs_open=0,
        runs_seq=None,
        revoked_seq=None,
        seq=seq,
    )


@projector(sharing.GrantRevoked)
def _grant_revoked(connection: sa.Connection, event: sharing.GrantRevoked, seq: int, _by: dict[str, str]) -> None:
    _update(connection, t.GrantRow, "id", event.id, revoked_seq=seq)


# Promotion ------------------------------------------------------------------------------------------------------------


@projector(promotion.PromotionProposed)
def _promotion_proposed(
    connection: sa.Connection, event: promotion.PromotionProposed, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.PromotionRow,
        id=event.id,
        weights=event.weights,
        stage=event.stage,
        quorum=dump(event.quorum),
        proposed_by=event.proposed_by,
        status="open",
        seq=seq,
    )


@projector(promotion.PromotionVoted)
def _promotion_voted(connection: sa.Connection, event: promotion.PromotionVoted, seq: int, by: dict[str, str]) -> None:
    _vote(connection, by, matter=f"promotion:{event.promotion}", role=event.role, vote=event.vote, seq=seq)


@projector(promotion.PromotionRefused)
def _promotion_refused(
    connection: sa.Connection, event: promotion.PromotionRefused, seq: int, _by: dict[str, str]
) -> None:
    if event.final:
        _update(connection, t.PromotionRow, "id", event.promotion, status="refused", seq=seq)


@projector(promotion.WeightsPromoted)
def _weights_promoted(
    connection: sa.Connection, event: promotion.WeightsPromoted, seq: int, _by: dict[str, str]
) -> None:
    _update(connection, t.PromotionRow, "id", event.promotion, status="promoted", seq=seq)
    _update(connection, t.WeightsRow, "id", event.id, stage=event.stage, seq=seq)


# Restraints -----------------------------------------------------------------------------------------------------------


@projector(restraints.PausePlaced)
def _pause_placed(connection: sa.Connection, event: restraints.PausePlaced, seq: int, by: dict[str, str]) -> None:
    _restrain(connection, event, seq, by, kind="pause", quorum=event.quorum)


def _restrain(
    connection: sa.Connection,
    event: restraints.PausePlaced | restraints.IncidentMadeBlocking,
    seq: int,
    by: dict[str, str],
    *,
    kind: str,
    quorum: tuple[str, ...] = (),
) -> None:
    _insert(
        connection,
        t.RestraintRow,
        id=f"{kind}:{event.id}",
        kind=kind,
        scope=event.scope,
        target=event.target,
        concerns=dump(event.concerns),
        quorum=dump(quorum),
        placed_by=f"{by['org']}/{by.get('person', '')}",
        lifted_seq=None,
        seq=seq,
    )


@projector(restraints.PauseLiftVoted)
def _pause_lift_voted(
    connection: sa.Connection, event: restraints.PauseLiftVoted, seq: int, by: dict[str, str]
) -> None:
    _vote(connection, by, matter=f"pause:{event.pause}", role=event.role, vote="approve", seq=seq)


@projector(restraints.PauseLifted)
def _pause_lifted(connection: sa.Connection, event: restraints.PauseLifted, seq: int, _by: dict[str, str]) -> None:
    _update(connection, t.RestraintRow, "id", f"pause:{event.id}", lifted_seq=seq)


@projector(restraints.IncidentReported)
def _incident_reported(
    connection: sa.Connection, event: restraints.IncidentReported, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.IncidentRow,
        id=event.id,
        scope=event.scope,
        target=event.target,
        concerns=dump(event.concerns),
        status="reported",
        seq=seq,
    )


@projector(restraints.IncidentMadeBlocking)
def _incident_made_blocking(
    connection: sa.Connection, event: restraints.IncidentMadeBlocking, seq: int, by: dict[str, str]
) -> None:
    _update(connection, t.IncidentRow, "id", event.id, status="blocking", seq=seq)
    _restrain(connection, event, seq, by, kind="incident")


@projector(restraints.IncidentClosed)
def _incident_closed(
    connection: sa.Connection, event: restraints.IncidentClosed, seq: int, _by: dict[str, str]
) -> None:
    _update(connection, t.IncidentRow, "id", event.id, status="closed", seq=seq)
    _update(connection, t.RestraintRow, "id", f"incident:{event.id}", lifted_seq=seq)


# Assurances -----------------------------------------------------------------------------------------------------------


@projector(assurances.AuthorisationRecorded)
def _authorisation_recorded(
    connection: sa.Connection, event: assurances.AuthorisationRecorded, seq: int, _by: dict[str, str]
) -> None:
    _insert(
        connection,
        t.AuthorisationRow,
        id=event.id,
        org=event.org,
        purpose=event.purpose,
        starts=event.starts,
        ends=event.ends,
        withdrawn_seq=None,
        seq=seq,
    )


@projector(assurances.AuthorisationWithdrawn)
def _authorisation_withdrawn(
    connection: sa.Connection, event: assurances.AuthorisationWithdrawn, seq: int, _by: dict[str, str]
) -> None:
    _update(connection, t.AuthorisationRow, "id", event.id, withdrawn_seq=seq)


@projector(assurances.EnvironmentAttested)
def _environment_attested(
    connection: sa.Connection, event: assurances.EnvironmentAttested, seq: int, _by: dict[str, str]
) -> None:
    row = {
        "org": event.org,
        "environment": event.environment,
        "kind": event.kind,
        "country": event.country,
        "starts": event.starts,
        "ends": event.ends,
        "withdrawn_seq": None,
        "seq": seq,
    }
    upsert(connection, t.table(t.AttestationRow), [row])


@projector(assurances.AttestationWithdrawn)
def _attestation_withdrawn(
    connection: sa.Connection, event: assurances.AttestationWithdrawn, seq: int, _by: dict[str, str]
) -> None:
    target = t.table(t.AttestationRow)
    named = sa.and_(target.c.org == event.org, target.c.environment == event.environment)
    connection.execute(target.update().where(named), {"withdrawn_seq": seq})


# Keys -----------------------------------------------------------------------------------------------------------------


@projector(registry.LedgerOpened)
def _ledger_opened(connection: sa.Connection, event: registry.LedgerOpened, seq: int, _by: dict[str, str]) -> None:
    for vkey in event.vkeys if seq == 0 else ():  # keys that a later entry names itself have nobody's word
        _insert(connection, t.LogKeyRow, vkey=vkey, retired_seq=None, seq=seq)


@projector(keys.LogKeyIntroduced)
def _log_key_introduced(connection: sa.Connection, event: keys.LogKeyIntroduced, seq: int, _by: dict[str, str]) -> None:
    _insert(connection, t.LogKeyRow, vkey=event.vkey, retired_seq=None, seq=seq)


@projector(keys.LogKeyRetired)
def _log_key_retired(connection: sa.Connection, event: keys.LogKeyRetired, seq: int, _by: dict[str, str]) -> None:
    _update(connection, t.LogKeyRow, "vkey", event.vkey, retired_seq=seq)


# Sealing --------------------------------------------------------------------------------------------------------------


@projector(sealing.FieldDisclosed)
def _field_disclosed(connection: sa.Connection, event: sealing.FieldDisclosed, seq: int, _by: dict[str, str]) -> None:
    _insert(
        connection,
        t.DisclosureReaderRow,
        entry=event.entry,
        field=event.field,
        org=event.org,
        reader_type=event.reader_type,
        reader=event.reader,
        seq=seq,
    )


@projector(sealing.FieldErased)
def _field_erased(connection: sa.Connection, event: sealing.FieldErased, seq: int, _by: dict[str, str]) -> None:
    _insert(connection, t.ErasedFieldRow, entry=event.entry, field=event.field, seq=seq)


# Streams --------------------------------------------------------------------------------------------------------------


@projector(streams.StreamsSealed)
def _streams_sealed(connection: sa.Connection, _event: streams.StreamsSealed, seq: int, _by: dict[str, str]) -> None:
    """Copy the heads that moved since the seal before. Whoever calls has written all of them."""
    stream, sealed, seal = t.table(t.StreamRow), t.table(t.SealedStreamRow), t.table(t.StreamSealRow)
    since = connection.execute(sa.select(seal.c.seq)).scalar_one_or_none()
    moved = stream.c.last_seq > (NO_ENTRY if since is None else since)
    connection.execute(sealed.delete().where(sealed.c.name.in_(sa.select(stream.c.name).where(moved))))
    heads = sa.select(stream.c.name, stream.c.size, stream.c.last_seq).where(moved)
    connection.execute(sealed.insert().from_select(["name", "size", "last_seq"], heads))
    upsert(connection, seal, [{"slot": "latest", "seq": seq}])

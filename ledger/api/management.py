"""Management under `/api/v1`: one route a verb, for officials and for partners' people and systems.

Every answer names the ledger index of what was written; every refusal is a problem document.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from ledger.access.mount import Texts
from ledger.api import models as m
from ledger.api.acting import Act
from ledger.api.openapi import PROBLEM, TOO_OFTEN
from ledger.api.strict import StrictRoute
from ledger.errors import NotFound
from ledger.events.data import RecordedBounds
from ledger.events.decisions import Quantity
from ledger.events.sharing import GrantTerms
from ledger.governance.promotion import Evidence, Threshold
from ledger.governance.purposes import Node
from ledger.governance.terms import Duty, Terms
from ledger.resources import folder
from ledger.services import (
    access,
    agreements,
    assurances,
    data,
    incidents,
    mounted,
    pauses,
    promotions,
    registry,
    rules,
    runs,
    uses,
)

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {"schema": PROBLEM}}}
    for status, text in (
        (400, "malformed; names the field"),
        (401, "no valid token"),
        (403, "not this caller's to do"),
        (404, "no such thing"),
        (409, "its present state does not permit this"),
        (413, "too large"),
        (429, TOO_OFTEN),
        (422, "does not verify"),
        (503, "the ledger cannot be written now; nothing was done"),
    )
}

router = APIRouter(prefix="/api/v1", route_class=StrictRoute, responses=PROBLEMS)

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


@router.post("/organisations", status_code=201, tags=["registry"])
async def propose_organisation(body: m.Organisation, act: Act) -> m.Written:
    """Put an organisation forward (administrator). The owner's own is enrolled at once."""
    seq = await act(lambda tx, by: registry.propose_organisation(tx, by, act.owner, **body.model_dump()))
    return m.Written(seq=seq)


@router.post("/organisations/{id}/enrolment", status_code=201, tags=["registry"])
async def enrol_organisation(id: Name, act: Act) -> m.Written:
    """Confirm a proposed organisation (security; not the one who proposed it)."""
    return m.Written(seq=await act(lambda tx, by: registry.enrol_organisation(tx, by, act.owner, id=id)))


@router.put("/organisations/{org}/members/{person}", tags=["registry"])
async def appoint_member(org: Name, person: Name, body: m.Member, act: Act) -> m.Written:
    """Give a person roles in an organisation (administrator)."""
    seq = await act(lambda tx, by: registry.appoint_member(tx, by, act.owner, org=org, person=person, roles=body.roles))
    return m.Written(seq=seq)


@router.post("/credentials", status_code=201, tags=["registry"])
async def issue_credential(body: m.Credential, act: Act) -> m.Issued:
    """Issue an API token to a person or a system (administrator). It is shown once."""
    issued = await act(lambda tx, by: registry.issue_credential(tx, by, act.owner, **body.model_dump()))
    return m.Issued(seq=issued.seq, id=issued.id, token=issued.token, expires=issued.expires)


@router.post("/credentials/keys", status_code=201, tags=["registry"])
async def register_key(body: m.Key, act: Act) -> m.RegisteredKey:
    """Register a system's public key, for access tokens (administrator of the owner, or of the organisation)."""
    found = await act(lambda tx, by: registry.register_key(tx, by, act.owner, **body.model_dump()))
    return m.RegisteredKey(seq=found.seq, id=found.id, kid=found.kid, expires=found.expires)


@router.post("/credentials/{id}/revocation", status_code=201, tags=["registry"])
async def revoke_credential(id: Name, body: m.Reason, act: Act) -> m.Written:
    """End a token or a registered key (administrator, security, or its holder)."""
    seq = await act(lambda tx, by: registry.revoke_credential(tx, by, act.owner, id=id, reason=body.reason))
    return m.Written(seq=seq)


@router.post("/purposes", status_code=201, tags=["rules"])
async def adopt_purposes(body: m.Purposes, act: Act) -> m.Written:
    """Put a purpose tree in force (steward or legal)."""
    nodes = [Node(**node.model_dump()) for node in body.nodes]
    return m.Written(seq=await act(lambda tx, by: rules.adopt_purposes(tx, by, act.owner, nodes=nodes)))


@router.post("/policies", status_code=201, tags=["rules"])
async def adopt_policy(body: m.Policy, act: Act) -> m.Written:
    """Put the first decision policy in force (security). From then on, others are proposed."""
    return m.Written(seq=await act(lambda tx, by: rules.adopt_policy(tx, by, act.owner, **body.model_dump())))


@router.post("/mounted-policies", status_code=201, tags=["rules"])
async def mount_policy(body: m.MountedPolicy, act: Act) -> m.Written:
    """Put a policy of your own in force for other types of resources (security)."""
    texts = Texts(model=body.model, rows=body.rows, mount=body.mount, facts=body.facts)
    return m.Written(seq=await act(lambda tx, by: mounted.mount_policy(tx, by, act.owner, name=body.name, texts=texts)))


@router.post("/security-policies", status_code=201, tags=["rules"])
async def adopt_security_policy(body: m.SecurityPolicy, act: Act) -> m.Written:
    """Put a security policy of labels in force (security)."""
    seq = await act(lambda tx, by: rules.adopt_security_policy(tx, by, act.owner, spif=body.spif.encode()))
    return m.Written(seq=seq)


@router.post("/datasets", status_code=201, tags=["data"])
async def register_dataset(body: m.Dataset, act: Act) -> m.Written:
    """Make a dataset known (steward)."""
    return m.Written(seq=await act(lambda tx, by: data.register_dataset(tx, by, act.owner, **body.model_dump())))


@router.post("/datasets/{id}/versions", status_code=201, tags=["data"])
async def register_version(id: Name, body: m.Version, act: Act) -> m.Written:
    """Register a version with its card, signed manifest and label (steward). All three are verified first."""
    documents = data.Documents(
        card=body.card.encode(),
        manifest=body.manifest.encode(),
        public_key=body.public_key.encode(),
        files=body.files,
        label=body.label.encode() if body.label is not None else None,
        security_policy=body.security_policy,
    )
    bounds = RecordedBounds(
        purposes=tuple(sorted(set(body.bounds.purposes))),
        countries=tuple(sorted(set(body.bounds.countries))),
        until=body.bounds.until,
    )
    seq = await act(
        lambda tx, by: data.register_version(
            tx,
            by,
            act.owner,
            dataset=id,
            version=body.version,
            tier=body.tier,
            documents=documents,
            bounds=bounds,
            derived_from=body.derived_from,
        )
    )
    return m.Written(seq=seq)


@router.post("/datasets/{id}/versions/{version}/withdrawal", status_code=201, tags=["data"])
async def withdraw_version(id: Name, version: Name, body: m.Reason, act: Act) -> m.Written:
    """Close a version, and with it all that was derived from it (steward or security)."""
    seq = await act(
        lambda tx, by: data.withdraw_version(tx, by, act.owner, dataset=id, version=version, reason=body.reason)
    )
    return m.Written(seq=seq)


@router.post("/agreements", status_code=201, tags=["sharing"])
async def propose_agreement(body: m.Agreement, act: Act) -> m.Written:
    """Propose terms to a partner, from a template (steward or legal)."""
    template = read_template(body.template, body.template_version)
    duties = tuple(Duty(type=duty.type, within_hours=duty.within_hours) for duty in body.terms.obligations)
    terms = Terms(**{**_sets(body.terms.model_dump(exclude={"obligations"})), "obligations": duties})
    seq = await act(
        lambda tx, by: agreements.propose_agreement(
            tx, by, act.owner, id=body.id, template=template, consumer=body.consumer, terms=terms
        )
    )
    return m.Written(seq=seq)


def read_template(name: str, version: str) -> bytes:
    """Read a template's terms from `agreements/`. Raises NotFound."""
    path = folder("agreements") / name / version / "terms.json"
    if not path.is_file():
        raise NotFound("agreement template", f"{name}/{version}")
    return path.read_bytes()


def _sets(terms: dict[str, Any]) -> dict[str, Any]:
    """Give lists as sorted tuples, each value once: the one form that a set has in an entry."""
    return {name: tuple(sorted(set(v))) if isinstance(v, list) else v for name, v in terms.items()}


@router.post("/agreements/{id}/signatures", status_code=201, tags=["sharing"])
async def sign_agreement(id: Name, act: Act) -> m.Written:
    """Sign for one's own organisation (the owner's legal, the partner's signatory)."""
    return m.Written(seq=await act(lambda tx, by: agreements.sign_agreement(tx, by, act.owner, id=id)))


@router.post("/access-requests", status_code=201, tags=["sharing"])
async def request_access(body: m.AccessRequest, act: Act) -> m.UnderReview:
    """Ask for access under an agreement in force (a partner's applicant). The answer names the quorum."""
    terms = GrantTerms(**_sets(body.terms.model_dump()))
    found = await act(
        lambda tx, by: access.request_access(
            tx,
            by,
            id=body.id,
            agreement=body.agreement,
            resource=body.resource,
            terms=terms,
            justification=body.justification,
        )
    )
    return m.UnderReview(seq=found.seq, id=found.id, quorum=list(found.quorum))


@router.post("/access-requests/{id}/votes", status_code=201, tags=["sharing"])
async def vote_on_access(id: Name, body: m.Vote, act: Act) -> m.VoteCounted:
    """Vote on a request, in one role. The vote that completes the quorum issues the grant."""
    counted = await act(
        lambda tx, by: access.vote_on_access(
            tx, by, act.owner, id=id, role=body.role, approve=body.vote == "approve", note=body.note
        )
    )
    return m.VoteCounted(
        seq=counted.seq,
        outcome=counted.outcome,
        missing_roles=list(counted.missing_roles),
        grant=counted.grant,
        granted_seq=counted.granted_seq,
    )


@router.post("/grants/{id}/revocation", status_code=201, tags=["sharing"])
async def revoke_grant(id: Name, body: m.Reason, act: Act) -> m.Written:
    """End a grant, alone and at once (steward, security or legal)."""
    seq = await act(lambda tx, by: access.revoke_grant(tx, by, act.owner, id=id, reason=body.reason))
    return m.Written(seq=seq)


@router.post("/pauses", status_code=201, tags=["control"])
async def place_pause(body: m.Pause, act: Act) -> m.Written:
    """Stop uses, alone and at once (security, steward, legal or ethics)."""
    return m.Written(seq=await act(lambda tx, by: pauses.place_pause(tx, by, act.owner, **body.model_dump())))


@router.post("/pauses/{id}/lifting", status_code=201, tags=["control"])
async def lift_pause(id: Name, body: m.Agreed, act: Act) -> m.LiftCounted:
    """Agree to lift a pause, in one role. It is lifted once two people agree: the role that placed it, and another."""
    counted = await act(lambda tx, by: pauses.lift_pause(tx, by, act.owner, id=id, **body.model_dump()))
    return m.LiftCounted(
        seq=counted.seq,
        outcome=counted.outcome,
        missing_roles=list(counted.missing_roles),
        lifted_seq=counted.lifted_seq,
    )


@router.post("/incidents", status_code=201, tags=["control"])
async def report_incident(body: m.Incident, act: Act) -> m.Written:
    """Report an incident (anyone; a partner about itself or a resource). It stops nothing until an official says so."""
    return m.Written(seq=await act(lambda tx, by: incidents.report_incident(tx, by, act.owner, **body.model_dump())))


@router.post("/incidents/{id}/blocking", status_code=201, tags=["control"])
async def make_blocking(id: Name, body: m.Reason, act: Act) -> m.Written:
    """Have an incident stop what it is about (security, steward, legal or ethics)."""
    seq = await act(lambda tx, by: incidents.make_blocking(tx, by, act.owner, id=id, reason=body.reason))
    return m.Written(seq=seq)


@router.post("/incidents/{id}/closure", status_code=201, tags=["control"])
async def close_incident(id: Name, body: m.Reason, act: Act) -> m.Written:
    """Close an incident (security; one that blocks is closed by another person than made it blocking)."""
    seq = await act(lambda tx, by: incidents.close_incident(tx, by, act.owner, id=id, reason=body.reason))
    return m.Written(seq=seq)


@router.post("/authorisations", status_code=201, tags=["control"])
async def record_authorisation(body: m.Authorisation, act: Act) -> m.Written:
    """Record an authority's word that a purpose is open to an organisation (legal)."""
    seq = await act(lambda tx, by: assurances.record_authorisation(tx, by, act.owner, **body.model_dump()))
    return m.Written(seq=seq)


@router.post("/authorisations/{id}/withdrawal", status_code=201, tags=["control"])
async def withdraw_authorisation(id: Name, body: m.Reason, act: Act) -> m.Written:
    """End an authorisation, alone and at once (security, steward, legal or ethics)."""
    seq = await act(lambda tx, by: assurances.withdraw_authorisation(tx, by, act.owner, id=id, reason=body.reason))
    return m.Written(seq=seq)


@router.post("/organisations/{org}/environments/{environment}/attestation", status_code=201, tags=["control"])
async def attest_environment(org: Name, environment: Name, body: m.Attestation, act: Act) -> m.Written:
    """Record what an organisation's environment was found to be (security), in place of what was recorded before."""
    said = {"org": org, "environment": environment, **body.model_dump()}
    return m.Written(seq=await act(lambda tx, by: assurances.attest_environment(tx, by, act.owner, **said)))


@router.post("/organisations/{org}/environments/{environment}/withdrawal", status_code=201, tags=["control"])
async def withdraw_attestation(org: Name, environment: Name, body: m.Reason, act: Act) -> m.Written:
    """End an attestation, alone and at once (security, steward, legal or ethics)."""
    named = {"org": org, "environment": environment}
    seq = await act(lambda tx, by: assurances.withdraw_attestation(tx, by, act.owner, **named, reason=body.reason))
    return m.Written(seq=seq)


@router.post("/uses", status_code=201, tags=["use"])
async def report_use(body: m.Use, act: Act) -> m.Written:
    """Report a use made under an allow (scope `report`). One that no allow covers is refused, and put on record."""
    report = body.model_dump(exclude={"quantity"})
    quantity = Quantity(**body.quantity.model_dump())
    return m.Written(seq=await act(lambda tx, by: uses.report_use(tx, by, act.owner, quantity=quantity, **report)))


@router.post("/runs", status_code=201, tags=["training"])
async def start_run(body: m.Run, act: Act) -> m.Written:
    """Start a training run under decisions that allow it (scope `train`)."""
    return m.Written(seq=await act(lambda tx, by: runs.start_run(tx, by, id=body.id, decisions=body.decisions)))


@router.post("/runs/{id}/end", status_code=201, tags=["training"])
async def finish_run(id: Name, body: m.RunEnd, act: Act) -> m.Written:
    """Say how a run ended (scope `train`)."""
    return m.Written(seq=await act(lambda tx, by: runs.finish_run(tx, by, id=id, **body.model_dump())))


@router.post("/weights", status_code=201, tags=["training"])
async def register_weights(body: m.Weights, act: Act) -> m.Written:
    """Register what a complete run made (scope `train`). Its label and bounds follow from its inputs'."""
    seq = await act(
        lambda tx, by: runs.register_weights(
            tx,
            by,
            id=body.id,
            run=body.run,
            manifest=body.manifest.encode(),
            public_key=body.public_key.encode(),
            files=body.files,
        )
    )
    return m.Written(seq=seq)


@router.post("/promotions", status_code=201, tags=["promotion"])
async def propose_promotion(body: m.Promotion, act: Act) -> m.UnderReview:
    """Propose to move weights one stage on. Evidence under a threshold is refused, on record."""
    found = await act(
        lambda tx, by: promotions.propose_promotion(
            tx,
            by,
            act.owner,
            id=body.id,
            weights=body.weights,
            stage=body.stage,
            evidence=[Evidence(**item.model_dump()) for item in body.evidence],
            thresholds=[Threshold(**item.model_dump()) for item in body.thresholds],
        )
    )
    return m.UnderReview(seq=found.seq, id=found.id, quorum=list(found.quorum))


@router.post("/promotions/{id}/votes", status_code=201, tags=["promotion"])
async def vote_on_promotion(id: Name, body: m.Vote, act: Act) -> m.PromotionVoteCounted:
    """Vote as a member of the board, in one role. Those who trained the weights are refused, on record."""
    counted = await act(
        lambda tx, by: promotions.vote_on_promotion(
            tx, by, act.owner, id=id, role=body.role, approve=body.vote == "approve", note=body.note
        )
    )
    return m.PromotionVoteCounted(
        seq=counted.seq,
        outcome=counted.outcome,
        missing_roles=list(counted.missing_roles),
        stage=counted.stage,
        promoted_seq=counted.promoted_seq,
    )

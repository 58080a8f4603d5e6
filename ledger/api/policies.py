"""Changing the decision policy over HTTP: a proposal with its dry-run, and the votes on it."""

from fastapi import APIRouter

from ledger.api import models as m
from ledger.api.acting import Act
from ledger.api.management import PROBLEMS, Name
from ledger.api.strict import StrictRoute
from ledger.services import policies

router = APIRouter(prefix="/api/v1/policy-proposals", route_class=StrictRoute, responses=PROBLEMS, tags=["rules"])


@router.post("", status_code=201)
async def propose_policy(body: m.PolicyProposal, act: Act) -> m.PolicyProposed:
    """Propose a decision policy in place of the one in force (security, steward or legal)."""
    made = await act(lambda tx, by: policies.propose_policy(tx, by, act.owner, **body.model_dump()))
    return m.PolicyProposed(seq=made.seq, id=made.id, digest=made.digest, quorum=list(made.quorum))


@router.post("/{id}/votes", status_code=201)
async def vote_on_policy(id: Name, body: m.Vote, act: Act) -> m.PolicyVoted:
    """Vote on a proposed policy, in one role; never one's own. The vote that completes the quorum adopts it."""
    counted = await act(
        lambda tx, by: policies.vote_on_policy(
            tx, by, act.owner, id=id, role=body.role, approve=body.vote == "approve", note=body.note
        )
    )
    return m.PolicyVoted(
        seq=counted.seq,
        outcome=counted.outcome,
        missing_roles=list(counted.missing_roles),
        adopted_seq=counted.adopted_seq,
    )

"""Promotion: weights move one stage on when the gate holds and a board agrees, never by their trainer (DESIGN §6)."""

from collections.abc import Sequence

from msgspec import Struct

from ledger.errors import Conflict, Forbidden, NotFound, OblikError, show
from ledger.events import promotion
from ledger.governance.promotion import Evidence, Threshold, check_transition, gate
from ledger.governance.quorum import Quorum, Vote, quorum_for_promotion
from ledger.services.access import count_vote
from ledger.services.caller import Caller, require_role, require_scope
from ledger.storage.columns import load
from ledger.storage.tables import PromotionRow, WeightsRow, table
from ledger.storage.transaction import Transaction

PROMOTION, WEIGHTS = table(PromotionRow), table(WeightsRow)


class Proposed(Struct, frozen=True):
    """An open promotion, and who has to agree."""

    seq: int
    id: str
    quorum: tuple[str, ...]


class PromotionVote(Struct, frozen=True):
    """A vote, and what came of it."""

    seq: int
    outcome: str
    missing_roles: tuple[str, ...]
    stage: str | None = None
    promoted_seq: int | None = None


def propose_promotion(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    weights: str,
    stage: str,
    evidence: Sequence[Evidence],
    thresholds: Sequence[Threshold],
) -> Proposed | OblikError:
    """Propose to move weights to `stage`: their organisation may, and the owner. A gate that fails is on record."""
    require_scope(caller, "train" if caller.holder_type == "system" else "govern")
    found = tx.row(WEIGHTS.select().where(WEIGHTS.c.id == weights))
    if found is None or caller.org not in {found.org, owner}:
        raise NotFound("weights", weights)
    if tx.row(PROMOTION.select().where(PROMOTION.c.id == id)) is not None:
        raise Conflict(f"promotion {show(id)} exists already")
    check_transition(found.stage, stage)
    result = gate(thresholds, evidence)
    if not result.passed:
        return _refuse(tx, caller, id, weights, f"the gate does not hold: {'; '.join(result.failures)}", final=True)
    quorum = quorum_for_promotion()
    proposed = promotion.PromotionProposed(
        id=id,
        weights=weights,
        org=found.org,
        stage=stage,
        evidence=tuple(evidence),
        thresholds=tuple(thresholds),
        quorum=quorum.roles,
        proposed_by=caller.name,
    )
    return Proposed(tx.append(proposed, caller.by), id, quorum.roles)


def vote_on_promotion(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    role: str,
    approve: bool,
    note: str,
) -> PromotionVote | OblikError:
    """Vote as a member of the board, in one role. Whoever is of the trainer's organisation is refused, on record."""
    require_scope(caller, "train" if caller.holder_type == "system" else "govern")
    found = tx.row(PROMOTION.select().where(PROMOTION.c.id == id))
    weights = tx.row(WEIGHTS.select().where(WEIGHTS.c.id == found.weights)) if found is not None else None
    if found is None or weights is None or caller.org not in {weights.org, owner}:
        raise NotFound("promotion", id)
    if found.status != "open":
        raise Conflict(f"promotion {show(id)} is {found.status}")
    if caller.org == weights.org or caller.name == weights.trainer:
        return _refuse(tx, caller, id, weights.id, f"`{caller.name}` trained it, or is of those who did", final=False)
    require_role(caller, role, org=owner)
    quorum = Quorum(roles=load(found.quorum, tuple[str, ...]))
    vote = Vote(person=caller.holder, org=caller.org, role=role, approve=approve, seq=tx.next_seq)
    barred = {weights.trainer, found.proposed_by}
    after = count_vote(tx, f"promotion:{id}", quorum, vote, barred=barred)
    cast = promotion.PromotionVoted(
        promotion=id, weights=weights.id, role=role, vote="approve" if approve else "refuse", note=note
    )
    if after.outcome == "approved":
        check_transition(weights.stage, found.stage)  # it may have moved on since this was proposed
    seq = tx.append(cast, caller.by)
    if after.outcome == "approved":
        promoted = promotion.WeightsPromoted(id=weights.id, org=weights.org, promotion=id, stage=found.stage)
        return PromotionVote(seq, "promoted", (), found.stage, tx.append(promoted, caller.by))
    if after.outcome == "refused":
        _refuse(tx, caller, id, weights.id, "the board refused", final=True)
    return PromotionVote(seq, after.outcome, after.missing_roles)


def _refuse(
    tx: Transaction,
    caller: Caller,
    id: str,
    weights: str,
    problem: str,
    *,
    final: bool,
) -> Forbidden:
    refused = promotion.PromotionRefused(promotion=id, weights=weights, org=caller.org, problem=problem, final=final)
    seq = tx.append(refused, caller.by)
    return Forbidden(f"{problem}; recorded in entry {seq}")

"""Access: a partner asks, a quorum decides, an approver revokes. Who voted what, in which role, is in the ledger."""

from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, NotFound, show
from ledger.events import sharing
from ledger.governance.agreement import check_grant_within
from ledger.governance.purposes import PurposeTree
from ledger.governance.quorum import Quorum, Tally, Vote, check_vote, quorum_for_access, tally
from ledger.governance.terms import Terms
from ledger.services.caller import Caller, require_enrolled, require_role
from ledger.services.rules import purposes_in_force
from ledger.storage.columns import load
from ledger.storage.tables import AccessRequestRow, AgreementRow, GrantRow, PurposeRow, ResourceRow, VoteRow, table
from ledger.storage.transaction import Transaction

AGREEMENT, REQUEST, GRANT, VOTE, RESOURCE, PURPOSE = (
    table(row) for row in (AgreementRow, AccessRequestRow, GrantRow, VoteRow, ResourceRow, PurposeRow)
)


class Requested(Struct, frozen=True):
    """A request under review, and who has to agree."""

    seq: int
    id: str
    quorum: tuple[str, ...]


class Voted(Struct, frozen=True):
    """A vote, and what came of it: `granted_seq` is the grant's index once the quorum is complete."""

    seq: int
    outcome: str
    missing_roles: tuple[str, ...]
    grant: str | None = None
    granted_seq: int | None = None


def request_access(
    tx: Transaction,
    caller: Caller,
    *,
    id: str,
    agreement: str,
    resource: str,
    terms: sharing.GrantTerms,
    justification: str,
) -> Requested:
    """Ask for access under an agreement in force. Fixes the quorum that will decide; seals the justification."""
    require_enrolled(caller)
    require_role(caller, "applicant", org=caller.org)
    found = tx.row(AGREEMENT.select().where(AGREEMENT.c.id == agreement))
    if found is None or found.consumer != caller.org:
        raise NotFound("agreement", agreement)
    if found.status != "in_force":
        raise Conflict(f"agreement {show(agreement)} is {found.status}, not in force")
    if tx.row(REQUEST.select().where(REQUEST.c.id == id)) is not None:
        raise Conflict(f"request {show(id)} exists already")
    if tx.rows(sa.select(RESOURCE.c.ref).where(RESOURCE.c.name == resource).limit(1)) == []:
        raise NotFound("resource", resource)
    tree = purposes_in_force(tx)
    _check_terms(tree, load(found.terms, Terms), terms)
    quorum = quorum_for_access(terms.tier, _class_of(tx, terms.purpose))
    requested = sharing.AccessRequested(
        id=id,
        org=caller.org,
        agreement=agreement,
        resource=resource,
        terms=terms,
        quorum=quorum.roles,
        requested_by=caller.name,
    )
    seq = tx.append(requested, caller.by, sensitive={"justification": justification})
    return Requested(seq, id, quorum.roles)


def _check_terms(tree: PurposeTree, agreed: Terms, asked: sharing.GrantTerms) -> None:
    prohibited = tree.prohibited_at(asked.purpose)
    if prohibited is not None:
        raise Conflict(f"purpose {show(asked.purpose)} is prohibited at {show(prohibited)}")
    terms = Terms(
        purposes=(asked.purpose,),
        activities=asked.activities,
        tier=asked.tier,
        environments=asked.environments,
        countries=asked.countries,
        starts=asked.starts,
        ends=asked.ends,
    )
    check_grant_within(agreed, terms, tree.covers)


def _class_of(tx: Transaction, purpose: str) -> str:
    row = tx.row(sa.select(PURPOSE.c.cls).where(PURPOSE.c.id == purpose))
    if row is None:
        raise NotFound("purpose", purpose)
    cls: str = row.cls
    return cls


def vote_on_access(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    role: str,
    approve: bool,
    note: str,
) -> Voted:
    """Vote on a request, in one role. The vote that completes the quorum issues the grant; one refusal refuses."""
    require_role(caller, role, org=owner)
    found = tx.row(REQUEST.select().where(REQUEST.c.id == id))
    if found is None:
        raise NotFound("access request", id)
    if found.status != "under_review":
        raise Conflict(f"request {show(id)} is {found.status}, not under review")
    matter, quorum = f"access:{id}", Quorum(roles=load(found.quorum, tuple[str, ...]))
    vote = Vote(person=caller.holder, org=caller.org, role=role, approve=approve, seq=tx.next_seq)
    after = count_vote(tx, matter, quorum, vote, barred={found.requested_by})
    cast = sharing.AccessVoted(
        request=id,
        org=found.org,
        resource=found.resource,
        role=role,
        vote="approve" if approve else "refuse",
        note=note,
    )
    seq = tx.append(cast, caller.by)
    if after.outcome == "approved":
        grant = f"grant-{id}"
        return Voted(seq, "granted", (), grant, _issue(tx, caller, found, grant))
    if after.outcome == "refused":
        tx.append(sharing.AccessRefused(request=id, org=found.org, resource=found.resource), caller.by)
    return Voted(seq, after.outcome, after.missing_roles)


def _issue(tx: Transaction, caller: Caller, request: "sa.Row[Any]", grant: str) -> int:
    agreement = tx.row(AGREEMENT.select().where(AGREEMENT.c.id == request.agreement))
    if agreement is None or agreement.status != "in_force":
        raise Conflict(f"agreement {show(request.agreement)} is no longer in force")
    issued = sharing.GrantIssued(
        id=grant,
        request=request.id,
        agreement=request.agreement,
        org=request.org,
        resource=request.resource,
        terms=load(request.terms, sharing.GrantTerms),
    )
    return tx.append(issued, caller.by)


def count_vote(tx: Transaction, matter: str, quorum: Quorum, vote: Vote, *, barred: set[str]) -> Tally:
    """Check a vote against those cast, and count them with it. Raises Forbidden or Conflict where it may not be cast.

    People are told apart as `<org>/<person>`: the same name in two organisations is two people.
    """
    rows = tx.rows(VOTE.select().where(VOTE.c.matter == matter).order_by(VOTE.c.seq))
    cast = [Vote(person=f"{r.org}/{r.person}", org=r.org, role=r.role, approve=r.approve, seq=r.seq) for r in rows]
    named = Vote(person=f"{vote.org}/{vote.person}", org=vote.org, role=vote.role, approve=vote.approve, seq=vote.seq)
    check_vote(quorum, cast, named, barred=barred)
    return tally(quorum, [*cast, named], barred=barred)


def revoke_grant(tx: Transaction, caller: Caller, owner: str, *, id: str, reason: str) -> int:
    """End a grant: any one approver's to do, at once (DESIGN §6)."""
    require_role(caller, "steward", "security", "legal", org=owner)
    found = tx.row(GRANT.select().where(GRANT.c.id == id))
    if found is None:
        raise NotFound("grant", id)
    if found.revoked_seq is not None:
        raise Conflict(f"grant {show(id)} was revoked by entry {found.revoked_seq}")
    return tx.append(sharing.GrantRevoked(id=id, org=found.org, resource=found.resource, reason=reason), caller.by)

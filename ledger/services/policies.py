"""Changing the decision policy, and the policies of a ledger by digest.

The first decision policy of a ledger is adopted by security alone: there is no past to run it over, and until then
nothing can be allowed. From then on a policy is proposed with the document of its dry-run, and adopted by the vote
that completes a quorum. The service checks that the document is whole, about this policy and this ledger, and no older
than the policy in force. It does not run it again, which may take minutes under the lock that every decision waits
for: who votes does that first (`oblik policy dry-run --until`), and compares the digest.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.access.policy import Policy, load_policy
from ledger.errors import Conflict, Malformed, NotFound, TooLarge, show
from ledger.events import event_of, replayable, rules
from ledger.governance.quorum import Quorum, Vote, quorum_for_policy
from ledger.log.entry import Entry
from ledger.log.proof import root_at
from ledger.services.access import count_vote
from ledger.services.caller import Caller, require_role
from ledger.services.dry_run import DryRun, parse_dry_run
from ledger.services.rules import attach_policy, check_policy
from ledger.services.sources import Source
from ledger.services.verifying import Progress, verify
from ledger.storage.columns import load
from ledger.storage.reading import read_head, tree_reader
from ledger.storage.tables import PolicyProposalRow, PolicyRow, table
from ledger.storage.transaction import Transaction

POLICY, PROPOSAL = table(PolicyRow), table(PolicyProposalRow)

DRY_RUN_HELP = "send what `oblik policy dry-run --json FILE` wrote, byte for byte"


class Proposed(Struct, frozen=True):
    """An open proposal, and who has to agree."""

    seq: int
    id: str
    digest: str
    quorum: tuple[str, ...]


class PolicyVote(Struct, frozen=True):
    """A vote, and what came of it: `adopted_seq` is the adoption's index once the quorum is complete."""

    seq: int
    outcome: str
    missing_roles: tuple[str, ...]
    adopted_seq: int | None = None


def propose_policy(
    tx: Transaction, caller: Caller, owner: str, *, id: str, name: str, model: str, rows: str, dry_run: str
) -> Proposed:
    """Propose a decision policy in place of the one in force, with the document of its dry-run."""
    require_role(caller, "security", "steward", "legal", org=owner)
    policy = check_policy(name, model, rows)
    in_force = tx.row(POLICY.select())
    if in_force is None:
        raise Conflict("no policy is in force", help="the first one is adopted, and not proposed")
    if in_force.digest == policy.digest:
        raise Conflict("this policy is in force")
    _check_dry_run(tx, dry_run, policy, adopted_seq=in_force.seq)
    _check_new(tx, id, policy.digest)
    model_sha256, rows_sha256 = attach_policy(tx, model, rows)
    quorum = quorum_for_policy()
    proposed = rules.PolicyProposed(
        id=id,
        name=name,
        digest=policy.digest,
        model_sha256=model_sha256,
        rows_sha256=rows_sha256,
        dry_run_sha256=tx.attach(dry_run.encode(), "application/json"),
        replaces=in_force.digest,
        quorum=quorum.roles,
        proposed_by=caller.name,
    )
    return Proposed(tx.append(proposed, caller.by), id, policy.digest, quorum.roles)


def _check_new(tx: Transaction, id: str, digest: str) -> None:
    if tx.row(PROPOSAL.select().where(PROPOSAL.c.id == id)) is not None:
        raise Conflict(f"proposal {show(id)} exists already")
    same = tx.rows(PROPOSAL.select().where(PROPOSAL.c.digest == digest, PROPOSAL.c.status == "open"))
    if same:
        raise Conflict(f"this policy is proposed already, as {show(same[0].id)}")


def _check_dry_run(tx: Transaction, dry_run: str, policy: Policy, *, adopted_seq: int) -> None:
    """Hold the document to this policy and this ledger. Raises Malformed at its field in the request."""
    found = _parsed(dry_run)
    if found.policy != policy.digest:
        raise Malformed("/dry_run", f"it is of the policy {show(found.policy)}, not {show(policy.digest)}")
    head = read_head(tx.connection)
    if not 0 < found.size <= head.size or root_at(found.size, tree_reader(tx.connection)).hex() != found.root:
        raise Malformed("/dry_run", "it is not over this ledger", help="run it over an export of this one")
    if found.size <= adopted_seq:
        raise Malformed("/dry_run", "it ends before the policy in force was adopted", help="run it again")


def _parsed(dry_run: str) -> DryRun:
    try:
        return parse_dry_run(dry_run.encode())
    except (Malformed, TooLarge, UnicodeEncodeError) as error:
        raise Malformed("/dry_run", str(error), help=DRY_RUN_HELP) from None


def vote_on_policy(
    tx: Transaction, caller: Caller, owner: str, *, id: str, role: str, approve: bool, note: str
) -> PolicyVote:
    """Vote on a proposed policy, in one role; never one's own. The vote that completes the quorum adopts it."""
    require_role(caller, role, org=owner)
    found = tx.row(PROPOSAL.select().where(PROPOSAL.c.id == id))
    if found is None:
        raise NotFound("policy proposal", id)
    if found.status != "open":
        raise Conflict(f"proposal {show(id)} is {found.status}")
    quorum = Quorum(roles=load(found.quorum, tuple[str, ...]))
    vote = Vote(person=caller.holder, org=caller.org, role=role, approve=approve, seq=tx.next_seq)
    after = count_vote(tx, f"policy:{id}", quorum, vote, barred={found.proposed_by})
    if after.outcome == "approved":
        _check_still_in_force(tx, found.replaces)
    seq = tx.append(
        rules.PolicyVoted(proposal=id, role=role, vote="approve" if approve else "refuse", note=note), caller.by
    )
    if after.outcome == "approved":
        return PolicyVote(seq, "adopted", (), _adopt(tx, caller, found))
    if after.outcome == "refused":
        tx.append(rules.PolicyRefused(proposal=id), caller.by)
    return PolicyVote(seq, after.outcome, after.missing_roles)


def _adopt(tx: Transaction, caller: Caller, proposal: "sa.Row[Any]") -> int:
    adopted = rules.PolicyAdopted(
        name=proposal.name,
        digest=proposal.digest,
        model_sha256=proposal.model_sha256,
        rows_sha256=proposal.rows_sha256,
    )
    return tx.append(adopted, caller.by)


def _check_still_in_force(tx: Transaction, digest: str) -> None:
    if tx.rows(sa.select(POLICY.c.digest))[0].digest != digest:
        raise Conflict("another policy came into force since this one was proposed", help="run and propose it again")


def find_policy(source: Callable[[], Source], digest: str, *, progress: Progress | None = None) -> Policy:
    """Read a policy from a ledger, which is verified. Raises NotFound where none was adopted or proposed."""
    named: list[rules.PolicyAdopted | rules.PolicyProposed] = []

    def add(entry: Entry) -> None:
        event = event_of(entry) if replayable(entry) else None
        if isinstance(event, rules.PolicyAdopted | rules.PolicyProposed) and event.digest == digest:
            named.append(event)

    _, attachments = verify(source(), each=add, progress=progress)
    if not named:
        raise NotFound("policy adopted or proposed here with the digest", digest)
    texts = {sha256: data for sha256, _, data in attachments}
    return load_policy(named[0].name, _text(texts, named[0].model_sha256), _text(texts, named[0].rows_sha256))


def _text(texts: dict[str, bytes], sha256: str) -> str:
    if sha256 not in texts:
        raise NotFound("attachment", sha256)
    return texts[sha256].decode()

"""Pauses: one official stops uses at once, at any scope; two, in different roles, let them go on."""

from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, NotFound, show
from ledger.events import restraints
from ledger.governance.quorum import MAY_PAUSE, Quorum, Vote, quorum_to_lift
from ledger.services.access import count_vote
from ledger.services.caller import Caller, require_role
from ledger.services.restraints import concerned
from ledger.storage.columns import load
from ledger.storage.tables import RestraintRow, table
from ledger.storage.transaction import Transaction

RESTRAINT = table(RestraintRow)


class Lifting(Struct, frozen=True):
    """Consent to lift a pause, and what came of it: `lifted_seq` once everyone whom it takes agreed."""

    seq: int
    outcome: str
    missing_roles: tuple[str, ...]
    lifted_seq: int | None = None


def place_pause(
    tx: Transaction, caller: Caller, owner: str, *, id: str, scope: restraints.PauseScope, target: str, reason: str
) -> int:
    """Stop all uses that the pause covers: any one official's to do (DESIGN §6)."""
    role = require_role(caller, *MAY_PAUSE, org=owner)
    if _find(tx, id) is not None:
        raise Conflict(f"pause {show(id)} exists already")
    placed = restraints.PausePlaced(
        id=id,
        scope=scope,
        target=target,
        concerns=concerned(tx, scope, target),
        quorum=quorum_to_lift(role).roles,
        reason=reason,
    )
    return tx.append(placed, caller.by)


def lift_pause(tx: Transaction, caller: Caller, owner: str, *, id: str, role: str, note: str) -> Lifting:
    """Agree to lift a pause, in one role of its quorum. Whoever completes the quorum lifts it."""
    require_role(caller, role, org=owner)
    found = _find(tx, id)
    if found is None:
        raise NotFound("pause", id)
    if found.lifted_seq is not None:
        raise Conflict(f"pause {show(id)} was lifted by entry {found.lifted_seq}")
    quorum, concerns = Quorum(roles=load(found.quorum, tuple[str, ...])), load(found.concerns, tuple[str, ...])
    vote = Vote(person=caller.holder, org=caller.org, role=role, approve=True, seq=tx.next_seq)
    after = count_vote(tx, f"pause:{id}", quorum, vote, barred=set())
    seq = tx.append(restraints.PauseLiftVoted(pause=id, concerns=concerns, role=role, note=note), caller.by)
    if after.outcome != "approved":
        return Lifting(seq, after.outcome, after.missing_roles)
    return Lifting(seq, "lifted", (), tx.append(restraints.PauseLifted(id=id, concerns=concerns), caller.by))


def _find(tx: Transaction, id: str) -> sa.Row[Any] | None:
    return tx.row(RESTRAINT.select().where(RESTRAINT.c.id == f"pause:{id}"))

"""Incidents: anyone reports, an official makes one blocking, security closes it."""

from typing import Any

import sqlalchemy as sa

from ledger.errors import Conflict, Forbidden, NotFound, show
from ledger.events import restraints
from ledger.governance.quorum import MAY_PAUSE
from ledger.services.caller import Caller, require_role
from ledger.services.restraints import concerned
from ledger.storage.columns import load
from ledger.storage.tables import IncidentRow, RestraintRow, table
from ledger.storage.transaction import Transaction

INCIDENT, RESTRAINT = table(IncidentRow), table(RestraintRow)


def report_incident(
    tx: Transaction, caller: Caller, owner: str, *, id: str, scope: restraints.IncidentScope, target: str, account: str
) -> int:
    """Put an incident on record, its account sealed. A partner reports about a resource, or about itself."""
    if not caller.scopes & {"govern", "report"}:
        raise Forbidden(f"the token of `{caller.name}` is scoped for neither `govern` nor `report`")
    if scope == "organisation" and caller.org not in {owner, target}:
        raise Forbidden(f"`{caller.name}` may report about a resource, or about `{caller.org}`")
    if _find(tx, id) is not None:
        raise Conflict(f"incident {show(id)} exists already")
    reported = restraints.IncidentReported(
        id=id, scope=scope, target=target, concerns=concerned(tx, scope, target), reported_by=caller.name
    )
    return tx.append(reported, caller.by, sensitive={"account": account})


def make_blocking(tx: Transaction, caller: Caller, owner: str, *, id: str, reason: str) -> int:
    """Stop uses by, or of, what the incident is about: any one official's to do."""
    require_role(caller, *MAY_PAUSE, org=owner)
    found = _get(tx, id)
    if found.status != "reported":
        raise Conflict(f"incident {show(id)} is {found.status}, not reported")
    blocking = restraints.IncidentMadeBlocking(
        id=id, scope=found.scope, target=found.target, concerns=load(found.concerns, tuple[str, ...]), reason=reason
    )
    return tx.append(blocking, caller.by)


def close_incident(tx: Transaction, caller: Caller, owner: str, *, id: str, reason: str) -> int:
    """Close an incident: security's to do, and where it blocks, another person's than made it blocking."""
    require_role(caller, "security", org=owner)
    found = _get(tx, id)
    if found.status == "closed":
        raise Conflict(f"incident {show(id)} is closed")
    restraint = tx.row(RESTRAINT.select().where(RESTRAINT.c.id == f"incident:{id}"))
    if restraint is not None and restraint.placed_by == caller.name:
        raise Forbidden("the one who made an incident blocking may not close it", help="ask another in security")
    closed = restraints.IncidentClosed(id=id, concerns=load(found.concerns, tuple[str, ...]), reason=reason)
    return tx.append(closed, caller.by)


def _find(tx: Transaction, id: str) -> sa.Row[Any] | None:
    return tx.row(INCIDENT.select().where(INCIDENT.c.id == id))


def _get(tx: Transaction, id: str) -> sa.Row[Any]:
    found = _find(tx, id)
    if found is None:
        raise NotFound("incident", id)
    return found

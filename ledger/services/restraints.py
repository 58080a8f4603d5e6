"""What pauses and incidents name: that it exists, and whom it concerns."""

import sqlalchemy as sa

from ledger.access.vocabulary import ENVIRONMENTS
from ledger.errors import Malformed, NotFound, show
from ledger.services.registry import get_organisation
from ledger.services.rules import purposes_in_force
from ledger.storage.tables import AgreementRow, GrantRow, ResourceRow, table
from ledger.storage.transaction import Transaction

AGREEMENT, GRANT, RESOURCE = (table(row) for row in (AgreementRow, GrantRow, ResourceRow))


def concerned(tx: Transaction, scope: str, target: str) -> tuple[str, ...]:
    """Give the streams of those whom a restraint names. Raises NotFound, or Malformed where there can be no such."""
    match scope:
        case "organisation":
            get_organisation(tx, target)
            return (f"org:{target}",)
        case "resource":
            return _of_resource(tx, target)
        case "agreement":
            return _of_agreement(tx, target)
        case "grant":
            return _of_grant(tx, target)
    _check_general(tx, scope, target)
    return ()


def _of_resource(tx: Transaction, target: str) -> tuple[str, ...]:
    named = sa.select(RESOURCE.c.name).where(sa.or_(RESOURCE.c.name == target, RESOURCE.c.ref == target)).limit(1)
    row = tx.row(named)
    if row is None:
        raise NotFound("resource", target)
    return (row.name,)


def _of_agreement(tx: Transaction, target: str) -> tuple[str, ...]:
    row = tx.row(AGREEMENT.select().where(AGREEMENT.c.id == target))
    if row is None:
        raise NotFound("agreement", target)
    return (f"agreement:{target}", f"org:{row.consumer}")


def _of_grant(tx: Transaction, target: str) -> tuple[str, ...]:
    row = tx.row(GRANT.select().where(GRANT.c.id == target))
    if row is None:
        raise NotFound("grant", target)
    return (row.resource, f"org:{row.org}")


def _check_general(tx: Transaction, scope: str, target: str) -> None:
    """Check what concerns nobody by name: a purpose, a kind of environment, everything."""
    if scope == "purpose":
        purposes_in_force(tx).node(target)
    elif scope == "environment" and target not in ENVIRONMENTS:
        raise Malformed("/target", f"{show(target)} is no environment", help=f"one of {', '.join(ENVIRONMENTS)}")
    elif scope == "everything" and target:
        raise Malformed("/target", "everything has no target", help="leave it out")

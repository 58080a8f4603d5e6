"""Assurances: authorisations of purposes and attestations of environments, recorded, and withdrawn at once."""

from typing import Any

import sqlalchemy as sa

from ledger.errors import Conflict, Malformed, NotFound, show
from ledger.events import assurances
from ledger.governance.quorum import MAY_PAUSE
from ledger.services.caller import Caller, require_role
from ledger.services.registry import get_organisation
from ledger.services.rules import purposes_in_force
from ledger.storage.tables import AttestationRow, AuthorisationRow, table
from ledger.storage.transaction import Transaction

ATTESTATION, AUTHORISATION = table(AttestationRow), table(AuthorisationRow)


def record_authorisation(tx: Transaction, caller: Caller, owner: str, **said: Any) -> int:
    """Record that an authority opened a purpose to an organisation. It opens nothing without a grant."""
    require_role(caller, "legal", org=owner)
    recorded = assurances.AuthorisationRecorded(**said)
    if _authorisation(tx, recorded.id) is not None:
        raise Conflict(f"authorisation {show(recorded.id)} exists already")
    get_organisation(tx, recorded.org)
    purposes_in_force(tx).node(recorded.purpose)
    _check_times(recorded.starts, recorded.ends)
    return tx.append(recorded, caller.by)


def withdraw_authorisation(tx: Transaction, caller: Caller, owner: str, *, id: str, reason: str) -> int:
    """End an authorisation: any one official's to do, at once."""
    require_role(caller, *MAY_PAUSE, org=owner)
    found = _authorisation(tx, id)
    if found is None:
        raise NotFound("authorisation", id)
    if found.withdrawn_seq is not None:
        raise Conflict(f"authorisation {show(id)} was withdrawn by entry {found.withdrawn_seq}")
    return tx.append(assurances.AuthorisationWithdrawn(id=id, org=found.org, reason=reason), caller.by)


def attest_environment(tx: Transaction, caller: Caller, owner: str, **said: Any) -> int:
    """Record that security verified what an organisation's environment is, until when."""
    require_role(caller, "security", org=owner)
    attested = assurances.EnvironmentAttested(**said)
    get_organisation(tx, attested.org)
    _check_times(attested.starts, attested.ends)
    return tx.append(attested, caller.by)


def withdraw_attestation(
    tx: Transaction, caller: Caller, owner: str, *, org: str, environment: str, reason: str
) -> int:
    """End an attestation: any one official's to do, at once."""
    require_role(caller, *MAY_PAUSE, org=owner)
    named = sa.and_(ATTESTATION.c.org == org, ATTESTATION.c.environment == environment)
    found = tx.row(ATTESTATION.select().where(named))
    if found is None:
        raise NotFound("attestation of", f"{org}/{environment}")
    if found.withdrawn_seq is not None:
        raise Conflict(f"the attestation of {show(environment)} was withdrawn by entry {found.withdrawn_seq}")
    withdrawn = assurances.AttestationWithdrawn(org=org, environment=environment, reason=reason)
    return tx.append(withdrawn, caller.by)


def _authorisation(tx: Transaction, id: str) -> sa.Row[Any] | None:
    return tx.row(AUTHORISATION.select().where(AUTHORISATION.c.id == id))


def _check_times(starts: str, ends: str) -> None:
    if starts >= ends:
        raise Malformed("/ends", f"{show(ends)} is not after {show(starts)}")

"""Agreements: terms from a template, proposed by a steward, in force once each party's signatory has signed."""

from ledger.errors import Conflict, Forbidden, NotFound, show
from ledger.events import sharing
from ledger.governance.agreement import Parties, draft, parse_template
from ledger.governance.terms import Terms
from ledger.services.caller import Caller, require_enrolled, require_role
from ledger.services.registry import get_organisation
from ledger.services.rules import purposes_in_force
from ledger.storage.columns import load
from ledger.storage.tables import AgreementRow, table
from ledger.storage.transaction import Transaction

AGREEMENT = table(AgreementRow)


def propose_agreement(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    template: bytes,
    consumer: str,
    terms: Terms,
) -> int:
    """Propose terms to a partner, from a template's `terms.json`, within its limits and for purposes in force."""
    require_role(caller, "steward", "legal", org=owner)
    if get_organisation(tx, consumer).status != "enrolled":
        raise Conflict(f"organisation {show(consumer)} is not enrolled")
    if tx.row(AGREEMENT.select().where(AGREEMENT.c.id == id)) is not None:
        raise Conflict(f"agreement {show(id)} exists already")
    tree = purposes_in_force(tx)
    for purpose in terms.purposes:
        prohibited = tree.prohibited_at(purpose)
        if prohibited is not None:
            raise Conflict(f"purpose {show(purpose)} is prohibited at {show(prohibited)}")
    drafted = draft(parse_template(template), terms, Parties(provider=owner, consumer=consumer), tree.covers)
    proposed = sharing.AgreementProposed(
        id=id,
        template=drafted.template,
        version=drafted.version,
        template_sha256=tx.attach(template, "application/json"),
        provider=owner,
        consumer=consumer,
        terms=drafted.terms,
    )
    return tx.append(proposed, caller.by)


def sign_agreement(tx: Transaction, caller: Caller, owner: str, *, id: str) -> int:
    """Sign for one's own organisation. The last signature puts the agreement in force."""
    found = tx.row(AGREEMENT.select().where(AGREEMENT.c.id == id))
    parties = (found.provider, found.consumer) if found is not None else ()
    if found is None or caller.org not in parties:
        raise NotFound("agreement", id)
    require_enrolled(caller)
    if caller.org == owner:
        require_role(caller, "legal", org=owner)
    else:
        require_role(caller, "signatory", org=caller.org)
    signed = load(found.signed_by, frozenset[str])
    if found.status != "proposed":
        raise Conflict(f"agreement {show(id)} is {found.status}, not proposed")
    if caller.org in signed:
        raise Forbidden(f"`{caller.org}` has signed already; the other party's signature is missing")
    in_force = signed | {caller.org} == set(parties)
    return tx.append(sharing.AgreementSigned(id=id, org=caller.org, in_force=in_force), caller.by)

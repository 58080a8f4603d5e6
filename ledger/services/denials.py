"""From a deny to a request for access (draft AuthZEN access request profile), which people decide as they do any other.

    POST /access/v1/requests   Idempotency-Key: 7f3c…
    {"binding_token": "42", "agreement": "ua-acme-2026", "ends": "2027-05-21T00:00:00.000000Z", "justification": "…"}
    → {"id": "r-…", "state": "pending", "seq": 57, "quorum": ["security", "steward"]}

pending → approved, denied, or expired once its term is over. Other states of the draft do not occur. A request asks for
exactly what was denied, and an approval is a grant: it allows nothing by itself, so the caller evaluates again.
"""

import hashlib
import re
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.access.requestable import may_be_cured
from ledger.errors import Conflict, Malformed, NotFound, show
from ledger.events.decisions import DecisionRecorded
from ledger.events.sharing import GrantTerms
from ledger.log.entry import parse_time
from ledger.services.access import REQUEST, request_access
from ledger.services.caller import Caller, require_enrolled, require_role, require_scope
from ledger.services.uses import find_decision
from ledger.storage.columns import load
from ledger.storage.transaction import Transaction

_INDEX = re.compile(r"[0-9]{1,15}")

REQUESTABLE_FOR = timedelta(hours=1)
"""How long after a deny access may be requested by naming it; later the facts may be others: ask again."""

STATES = {"under_review": "pending", "granted": "approved", "refused": "denied"}
"""What the draft calls each status of a request."""

_KEY = re.compile(r"[!-~]{1,128}")


class RequestState(Struct, frozen=True):
    """Where a request stands. An approval allows nothing by itself: evaluate again."""

    id: str
    state: str
    seq: int
    quorum: tuple[str, ...]


def request_after_denial(
    tx: Transaction, caller: Caller, *, key: str, denial: str, agreement: str, ends: str, justification: str
) -> RequestState:
    """Ask for exactly what a decision denied, from now until `ends`. The same key and question are one request."""
    if not _KEY.fullmatch(key):
        raise Malformed("", "there is no Idempotency-Key", help="send one, of 1 to 128 visible ASCII characters")
    require_enrolled(caller)
    require_role(caller, "applicant", org=caller.org)
    denied = _find_denial(tx, caller, denial)
    id = "r-" + hashlib.sha256(f"{caller.name}\n{key}".encode()).hexdigest()[:32]
    found = tx.row(REQUEST.select().where(REQUEST.c.id == id))
    if found is not None:
        return _known(found, denied, key=key, agreement=agreement, ends=ends, now=tx.now)
    asked = request_access(
        tx,
        caller,
        id=id,
        agreement=agreement,
        resource=denied.asked.resource,
        terms=_terms_of(denied, starts=tx.now, ends=ends),
        justification=justification,
    )
    return RequestState(id, "pending", asked.seq, asked.quorum)


def _known(
    found: "sa.Row[Any]", denied: DecisionRecorded, *, key: str, agreement: str, ends: str, now: str
) -> RequestState:
    """Give the request that the key was used for. Raises Conflict where that was another one."""
    terms = load(found.terms, GrantTerms)
    asked = _terms_of(denied, starts=terms.starts, ends=ends)
    if (asked, denied.asked.resource, agreement) != (terms, found.resource, found.agreement):
        raise Conflict(f"the Idempotency-Key {show(key)} was used for another request")
    return _state(found, now)


def read_request(connection: sa.Connection, caller: Caller, owner: str, *, id: str, now: str) -> RequestState:
    """Tell where a request stands. Raises NotFound where it is of an organisation that is not the caller's to see."""
    if "evaluate" not in caller.scopes:
        require_scope(caller, "govern")
    found = connection.execute(REQUEST.select().where(REQUEST.c.id == id)).one_or_none()
    if found is None or caller.org not in {found.org, owner}:
        raise NotFound("access request", id)
    return _state(found, now)


def _state(found: "sa.Row[Any]", now: str) -> RequestState:
    state = STATES[found.status]
    if state == "pending" and load(found.terms, GrantTerms).ends <= now:
        state = "expired"
    return RequestState(found.id, state, found.seq, load(found.quorum, tuple[str, ...]))


def _find_denial(tx: Transaction, caller: Caller, denial: str) -> DecisionRecorded:
    """Find the deny that is named. The name alone opens nothing: it has to be of the caller's organisation."""
    found = find_decision(tx, int(denial)) if _INDEX.fullmatch(denial) else None
    if found is None or found.org != caller.org:
        raise NotFound("decision", denial)
    if found.allowed or found.errors or not may_be_cured(found.failed):
        raise Conflict(f"decision {show(denial)} is none that a request for access could change")
    if parse_time(found.evaluated_at) + REQUESTABLE_FOR <= parse_time(tx.now):
        raise Conflict(f"decision {show(denial)} is more than an hour old", help="evaluate again")
    return found


def _terms_of(denied: DecisionRecorded, *, starts: str, ends: str) -> GrantTerms:
    asked = denied.asked
    return GrantTerms(
        purpose=asked.purpose,
        activities=(asked.action,),
        tier=asked.tier,
        environments=(asked.environment,),
        countries=(asked.country,),
        starts=starts,
        ends=ends,
    )

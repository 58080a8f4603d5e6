"""Requests for access that a deny leads to, under `/access/v1/requests` (draft AuthZEN access request profile)."""

from typing import Annotated

from fastapi import APIRouter, Header

from ledger.api import models as m
from ledger.api.acting import Act
from ledger.api.authzen import REQUESTS_PATH
from ledger.api.management import PROBLEMS, Name
from ledger.api.strict import StrictRoute
from ledger.log.entry import format_time
from ledger.services import denials

router = APIRouter(prefix=REQUESTS_PATH, route_class=StrictRoute, responses=PROBLEMS, tags=["decisions"])

Key = Annotated[str, Header(alias="Idempotency-Key")]


@router.post("", status_code=201)
async def request_after_denial(body: m.RequestAfterDenial, act: Act, key: Key = "") -> m.RequestState:
    """Ask for what a decision denied (a partner's applicant). The same key and question are one request."""
    found = await act(
        lambda tx, by: denials.request_after_denial(
            tx,
            by,
            key=key,
            denial=body.binding_token,
            agreement=body.agreement,
            ends=body.ends,
            justification=body.justification,
        )
    )
    return m.RequestState(id=found.id, state=found.state, seq=found.seq, quorum=list(found.quorum))


@router.get("/{id}")
def read_request(id: Name, act: Act) -> m.RequestState:
    """Tell where a request stands. An approval allows nothing by itself: evaluate again."""
    now = format_time(act.service.clock())
    found = act.reading(lambda connection, by: denials.read_request(connection, by, act.owner, id=id, now=now))
    return m.RequestState(id=found.id, state=found.state, seq=found.seq, quorum=list(found.quorum))

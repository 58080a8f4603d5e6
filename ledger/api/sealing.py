"""Sealed fields over HTTP: naming a reader, erasing a value, and reading one as the reader that was named."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import PlainTextResponse

from ledger.api import models as m
from ledger.api.acting import Act
from ledger.api.management import PROBLEMS
from ledger.api.openapi import PROBLEM
from ledger.api.strict import StrictRoute
from ledger.services import sealing

GONE: dict[int | str, dict[str, Any]] = {
    410: {"description": "erased for good", "content": {"application/problem+json": {"schema": PROBLEM}}}
}

router = APIRouter(route_class=StrictRoute, responses={**PROBLEMS, **GONE}, tags=["sealed fields"])

Index = Annotated[int, Path(ge=0, lt=2**53)]
FieldName = Annotated[str, Path(pattern=r"^[a-z_]{1,64}$")]

DISCLOSURE_EXAMPLE = "WyJBQUVDQXdRRkJnY0lDUW9MREEwT0R3IiwianVzdGlmaWNhdGlvbiIsImEgZGV0ZWN0b3Igb2YgbWluZXMiXQ"


@router.post("/api/v1/entries/{seq}/disclosures/{field}/readers", status_code=201)
async def disclose(seq: Index, field: FieldName, body: m.Disclosure, act: Act) -> m.Written:
    """Name one reader of a sealed field (steward, security or legal; never themselves)."""
    found = await act(lambda tx, by: sealing.disclose(tx, by, act.owner, entry=seq, field=field, **body.model_dump()))
    return m.Written(seq=found)


@router.post("/api/v1/entries/{seq}/disclosures/{field}/erasure", status_code=201)
async def erase(seq: Index, field: FieldName, body: m.Reason, act: Act) -> m.Written:
    """Erase the value of a sealed field, for good (security or legal)."""
    found = await act(lambda tx, by: sealing.erase(tx, by, act.owner, entry=seq, field=field, reason=body.reason))
    return m.Written(seq=found)


@router.get(
    "/ledger/v1/entries/{seq}/disclosures/{field}",
    response_class=PlainTextResponse,
    responses={
        200: {
            "content": {"text/plain": {"example": DISCLOSURE_EXAMPLE}},
            "description": "base64url of `[salt, name, value]`, whose SHA-256 is the entry's commitment",
        }
    },
)
def disclosure(act: Act, seq: Index, field: FieldName) -> PlainTextResponse:
    """Give the disclosure of a sealed field to a reader who was named for it (scope `read`)."""
    found = act.reading(lambda connection, by: sealing.disclosure_for(connection, by, entry=seq, field=field))
    return PlainTextResponse(found, headers={"Cache-Control": "no-store"})

"""Explanations over HTTP: of a decision by its id, and of a request that is not asked.

    GET  /access/v1/explanations/42     the decision in entry 42, for whom it was about and for the owner's readers
    POST /access/v1/explanations        the body of an evaluation: what it would be answered now; nothing is recorded

Neither is an answer to "may I?": there is no `decision` in it, so that no client takes it for one.
"""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from ledger.access.request import MAX_REQUEST_BYTES, parse_request
from ledger.api.acting import ServiceOf, ShownBy
from ledger.api.management import PROBLEMS
from ledger.api.openapi import EVALUATION
from ledger.api.reading import told
from ledger.api.strict import StrictRoute, check_json, read_body
from ledger.log.entry import format_time
from ledger.services import explaining
from ledger.services.decisions import Question

router = APIRouter(prefix="/access/v1/explanations", route_class=StrictRoute, responses=PROBLEMS, tags=["decisions"])

Index = Annotated[int, Path(ge=0, lt=2**53)]
JSON = "application/json"

EXAMPLE: dict[str, Any] = {
    "outcome": "deny",
    "derived": "facts",
    "evaluated_at": "2026-11-21T09:30:00.123456Z",
    "policy": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "reasons": [
        {
            "clause": "location_permitted",
            "held": False,
            "en": "The country must be named in the grant and in the agreement.",
            "uk": "Країну має бути названо і в дозволі, і в угоді.",
            "entries": [17, 24],
            "detail": {"asked": "POL", "grant": "JPN", "agreement": "JPN, UKR"},
        }
    ],
    "entries": [5, 12, 17, 24],
    "outlook": {
        "clauses": ["location_permitted"],
        "changes": [
            {
                "act": "grant",
                "by": ["partner.applicant", "owner.steward", "owner.security"],
                "clauses": ["location_permitted"],
                "en": "The organisation can ask for access to just this, …",
                "uk": "Організація може подати запит саме на такий доступ …",
            }
        ],
        "instead": {
            "fields": ["country"],
            "en": "Ask with another country, within what the grant allows.",
            "uk": "Змініть у запиті країну в межах дозволу.",
        },
    },
    "id": "42",
}


@router.get("/{id}", response_class=Response, responses=told(JSON, EXAMPLE, "the decision, explained"))
def explanation(id: Index, service: ServiceOf, shown: ShownBy) -> Response:
    """Explain a decision by its index, to whom it was about (scope `evaluate` or `read`) and the owner's readers."""
    now = format_time(service.clock())
    found = explaining.explain_decision(
        service.engine, shown.token_hash, service.owner, seq=id, now=now, access=shown.access
    )
    return Response(msgspec.json.encode(found), media_type=JSON)


@router.post(
    "",
    response_class=Response,
    responses=told(
        JSON, {**EXAMPLE, "hypothetical": True, "derived": "evaluated"}, "what would be answered, explained"
    ),
    openapi_extra={"requestBody": EVALUATION["post"]["requestBody"]},
)
async def hypothetical(request: Request, service: ServiceOf, shown: ShownBy) -> Response:
    """Explain what an evaluation would be answered now (scope `evaluate`). Nothing is recorded, and nothing allowed."""
    check_json(request.headers.get("content-type", ""))
    asked = parse_request(await read_body(request, limit=MAX_REQUEST_BYTES))
    question = Question(shown.token_hash, asked, shown.access)
    now = format_time(service.clock())
    found = await run_in_threadpool(explaining.explain_request, service.engine, question, service.owner, now=now)
    return Response(msgspec.json.encode(found), media_type=JSON)

"""The decision point: OpenID AuthZEN Authorization API 1.0 (FORMATS §7).

    POST /access/v1/evaluation
    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "resource": {"type": "dataset", "id": "uav-thermal"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}}}

A deny is 200 with `"decision": false`. The answer leaves only after its entry is durable (I1). This is the hot path,
so it is a plain ASGI route: it parses with a typed decoder and does nothing else that the decision does not need.
"""

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ledger.access.explain import explain
from ledger.access.request import MAX_REQUEST_BYTES, parse_request
from ledger.api.acting import NO_TOKEN, NO_TOKEN_HELP
from ledger.api.problems import problem_of
from ledger.api.strict import check_json, read_body
from ledger.bootstrap import Service
from ledger.errors import OblikError, Unauthenticated
from ledger.services.caller import hash_token
from ledger.services.decisions import Answer, Question

BEARER = "bearer "

_encode = msgspec.json.Encoder().encode


class Context(Struct, frozen=True, omit_defaults=True):
    """The `context` of an answer (AuthZEN §5.5.1): where it is on record, and why it is what it is."""

    id: str
    """Ledger index of the decision's entry."""
    evaluated_at: str
    policy: str
    version: str | None
    """The dataset version, or weights, that an allow is for."""
    manifest_root: str | None
    reasons: object
    obligations: object
    grant: str | None = None
    errors: tuple[str, ...] = ()


class Evaluation(Struct, frozen=True):
    """An answer (AuthZEN §5.5)."""

    decision: bool
    context: Context


async def evaluate(request: Request) -> Response:
    """Answer one evaluation request."""
    headers = {"X-Request-ID": request.headers["x-request-id"]} if "x-request-id" in request.headers else {}
    try:
        body = await _decide(request)
    except OblikError as error:
        response = problem_of(error)
        response.headers.update(headers)
        return response
    return Response(body, 200, headers, media_type="application/json")


async def _decide(request: Request) -> bytes:
    token_hash = _token_hash(request.headers.get("authorization", ""))
    check_json(request.headers.get("content-type", ""))
    asked = parse_request(await read_body(request, limit=MAX_REQUEST_BYTES))
    service: Service = request.app.state.service
    seq, draft = await service.sequencer.ask(Question(token_hash, asked))
    return render(seq, draft.answer)


def _token_hash(authorization: str) -> str:
    if authorization[: len(BEARER)].lower() != BEARER:
        raise Unauthenticated(NO_TOKEN, help=NO_TOKEN_HELP)
    return hash_token(authorization[len(BEARER) :].strip())


def render(seq: int, answer: Answer) -> bytes:
    """Give the answer as JSON."""
    decision, resource = answer.decision, answer.facts.resource
    explanation = explain(decision, answer.policy)
    context = Context(
        id=str(seq),
        evaluated_at=decision.evaluated_at,
        policy=decision.policy,
        version=resource.ref if resource is not None and decision.allowed else None,
        manifest_root=resource.manifest_root if resource is not None and decision.allowed else None,
        reasons=explanation.reasons,
        obligations=explanation.obligations,
        grant=decision.grant,
        errors=decision.errors,
    )
    return _encode(Evaluation(decision.allowed, context))

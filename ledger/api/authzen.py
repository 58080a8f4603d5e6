"""The decision point: OpenID AuthZEN Authorization API 1.0 (FORMATS §7).

    POST /access/v1/evaluation
    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "resource": {"type": "dataset", "id": "uav-thermal"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}}}

A deny is 200 with `"decision": false`. The answer leaves only after its entry is durable (I1). This is the hot path,
so it is a plain ASGI application: it parses with a typed decoder and does nothing else that the decision does not need.
"""

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from ledger.access.explain import explain
from ledger.access.request import MAX_REQUEST_BYTES, parse_request, wants_receipt
from ledger.api.acting import NO_TOKEN, NO_TOKEN_HELP
from ledger.api.bearer import show_token
from ledger.api.problems import problem, problem_of
from ledger.api.strict import check_announced, check_json
from ledger.bootstrap import Service
from ledger.errors import TooLarge, Unauthenticated
from ledger.services.decisions import Answer, Question
from ledger.services.receipts import Receipts

PATH = "/access/v1/evaluation"
BEARER = "bearer "
JSON = (b"content-type", b"application/json")

_encode = msgspec.json.Encoder().encode


class Context(Struct, frozen=True, omit_defaults=True, gc=False):
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
    receipt: str | None = None
    """A proof file (C2SP tlog-proof), where the request asked for one."""


class Evaluation(Struct, frozen=True, gc=False):
    """An answer (AuthZEN §5.5)."""

    decision: bool
    context: Context


class DecisionPoint:
    """The ASGI application that answers evaluations. It stands before FastAPI: what it needs of a request is little."""

    def __init__(self, service: Service) -> None:
        self._service, self._sequencer = service, service.sequencer
        self._receipts = Receipts(service.engine, service.publisher)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one evaluation request; errors are problem documents, as everywhere."""
        if scope["method"] != "POST":
            refused = problem(405, "Method not allowed", "an evaluation is a POST", headers={"Allow": "POST"})
            await refused(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id")
        echoed = [] if request_id is None else [(b"x-request-id", request_id)]
        try:
            body = await self._decide(scope, headers, receive)
        except Exception as error:  # noqa: BLE001 - told apart, and logged where it is a fault, in one place
            response = problem_of(error)
            response.raw_headers.extend(echoed)
            await response(scope, receive, send)
            return
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [JSON, length, *echoed]})
        await send({"type": "http.response.body", "body": body})

    async def _decide(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        token = _token(headers.get(b"authorization", b"").decode("latin-1"))
        shown = show_token(self._service, token, scope["headers"])
        check_json(headers.get(b"content-type", b"").decode("latin-1"))
        body = await _read_body(headers, receive)
        asked, with_receipt = parse_request(body), wants_receipt(body)
        seq, draft = await self._sequencer.ask(Question(shown.token_hash, asked, shown.access))
        receipt = await self._receipts.make(seq) if with_receipt else None
        return render(seq, draft.answer, None if receipt is None else receipt.decode())


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """Read the body, up to the limit of a request. Raises TooLarge as soon as there is more."""
    check_announced(headers.get(b"content-length", b"").decode("latin-1"), limit=MAX_REQUEST_BYTES)
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_REQUEST_BYTES:
            raise TooLarge("the body", limit=MAX_REQUEST_BYTES)
    return body


def _token(authorization: str) -> str:
    if authorization[: len(BEARER)].lower() != BEARER:
        raise Unauthenticated(NO_TOKEN, help=NO_TOKEN_HELP)
    return authorization[len(BEARER) :].strip()


def render(seq: int, answer: Answer, receipt: str | None = None) -> bytes:
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
        receipt=receipt,
    )
    return _encode(Evaluation(decision.allowed, context))

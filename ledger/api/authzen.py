"""The decision point: OpenID AuthZEN Authorization API 1.0 (FORMATS §7).

    POST /access/v1/evaluation
    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "resource": {"type": "dataset", "id": "uav-thermal"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}}}

A deny is 200 with `"decision": false`. The answer leaves only after its entry is durable (I1). This is the hot path,
so it is a plain ASGI application: it parses with a typed decoder and does nothing else that the decision does not need.

    POST /access/v1/evaluations

takes many (`ledger.access.evaluations` has the form) and answers `{"evaluations": […]}`, in order. All are decided on
one state and recorded in one transaction. An item that is no request, or not this caller's to ask, is answered with
`"decision": false` and an `error` in its context, and leaves no entry: only decisions are on record.

What is asked about a resource of another type is for a mounted policy (`ledger.access.mounted`), in either.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from ledger.access.evaluations import MAX_BATCH_BYTES, Batch, parse_evaluations
from ledger.access.explain import explain
from ledger.access.mounted import MountedDecision, MountedReason, explain_mounted, parse_either
from ledger.access.request import MAX_REQUEST_BYTES, wants_receipt
from ledger.access.requestable import is_requestable
from ledger.api.acting import NO_TOKEN, NO_TOKEN_HELP
from ledger.api.bearer import Shown, show_token
from ledger.api.problems import problem, problem_of, status_of
from ledger.api.rate import RateLimit
from ledger.api.request_ids import echoed, echoing
from ledger.api.strict import check_announced, check_json
from ledger.bootstrap import Service
from ledger.errors import NotScoped, OblikError, TooLarge, Unauthenticated, Unavailable
from ledger.log.entry import format_time, parse_time
from ledger.services.decisions import Answer, MountedAnswer, Until, check_may_evaluate, question
from ledger.services.denials import REQUESTABLE_FOR
from ledger.services.receipts import Receipts
from ledger.storage.batch import Draft

PATH = "/access/v1/evaluation"
BATCH_PATH = "/access/v1/evaluations"
REQUESTS_PATH = "/access/v1/requests"
PATHS = frozenset((PATH, BATCH_PATH))
BEARER = "bearer "
JSON = (b"content-type", b"application/json")

CONCERNS_ALL = (Unauthenticated, NotScoped, Unavailable)
"""What is wrong with the caller, or the service, and not with an item of a batch, where no item is decided."""

_encode = msgspec.json.Encoder().encode


class AccessRequest(Struct, frozen=True, gc=False):
    """Where, and until when, what was denied can be asked for (draft AuthZEN access request profile)."""

    endpoint: str
    expires_at: str
    binding_token: str
    """The decision's index: no secret, since only its own organisation's applicant may name it."""


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
    access_request: AccessRequest | None = None
    """In a deny that a grant would cure."""


class ItemError(Struct, frozen=True, gc=False):
    """What was wrong with an item of a batch."""

    status: int
    """The HTTP status that it would have had alone."""
    message: str


class Unanswered(Struct, frozen=True, gc=False):
    """The `context` of an item that is not decided, and is not on record."""

    error: ItemError


class MountedContext(Struct, frozen=True, omit_defaults=True, gc=False):
    """The same under a mounted policy: the reason is the row that decided."""

    id: str
    evaluated_at: str
    policy: str
    reasons: tuple[MountedReason, ...]
    errors: tuple[str, ...] = ()
    receipt: str | None = None


class Evaluation(Struct, frozen=True, gc=False):
    """An answer (AuthZEN §5.5)."""

    decision: bool
    context: Context | MountedContext | Unanswered


class Evaluations(Struct, frozen=True, gc=False):
    """The answers of a batch, in order."""

    evaluations: tuple[Evaluation, ...]


class DecisionPoint:
    """The ASGI application that answers evaluations. It stands before FastAPI: what it needs of a request is little."""

    def __init__(self, service: Service, rate: RateLimit) -> None:
        self._service, self._sequencer = service, service.sequencer
        self._receipts = Receipts(service.engine, service.publisher)
        self._rate = rate
        self._requests_at = service.url + REQUESTS_PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors are problem documents, as everywhere."""
        if scope["method"] != "POST":
            refused = problem(405, "Method not allowed", "an evaluation is a POST", headers={"Allow": "POST"})
            await refused(scope, receive, echoing(scope, send))
            return
        headers = dict(scope["headers"])
        added = echoed(headers)
        try:
            body = await self._decide(scope, headers, receive)
        except Exception as error:  # noqa: BLE001 - told apart, and logged where it is a fault, in one place
            response = problem_of(error)
            response.raw_headers.extend(added)
            await response(scope, receive, send)
            return
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [JSON, length, *added]})
        await send({"type": "http.response.body", "body": body})

    async def _decide(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        token = _token(headers.get(b"authorization", b"").decode("latin-1"))
        shown = show_token(self._service, token, scope["headers"])
        self._rate.count(shown.token_hash)
        check_json(headers.get(b"content-type", b"").decode("latin-1"))
        if scope["path"] == PATH:
            return await self._decide_one(shown, await _read_body(headers, receive, limit=MAX_REQUEST_BYTES))
        body = await _read_body(headers, receive, limit=MAX_BATCH_BYTES)
        batch = parse_evaluations(body)
        return await (self._decide_one(shown, body) if batch is None else self._decide_all(shown, batch))

    async def _decide_one(self, shown: Shown, body: bytes) -> bytes:
        asked, with_receipt = parse_either(body), wants_receipt(body)
        seq, draft = await self._sequencer.ask(question(shown.token_hash, asked, shown.access))
        receipt = await self._receipts.make(seq) if with_receipt else None
        return _encode(evaluation(seq, draft.answer, self._requests_at, receipt))

    async def _decide_all(self, shown: Shown, batch: Batch) -> bytes:
        until = None if batch.ends_at is None else Until(batch.ends_at)
        items = [item for item in batch.items if not isinstance(item, OblikError)]
        if items:
            questions = [question(shown.token_hash, item, shown.access, until) for item in items]
            return render_all(batch, await self._sequencer.ask_all(questions), self._requests_at)
        await self._sequencer.run(partial(check_may_evaluate, token_hash=shown.token_hash, access=shown.access))
        return render_all(batch, (), self._requests_at)


async def _read_body(headers: dict[bytes, bytes], receive: Receive, *, limit: int) -> bytes:
    """Read the body, up to the limit. Raises TooLarge as soon as there is more."""
    check_announced(headers.get(b"content-length", b"").decode("latin-1"), limit=limit)
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise TooLarge("the body", limit=limit)
    return body


def _token(authorization: str) -> str:
    if authorization[: len(BEARER)].lower() != BEARER:
        raise Unauthenticated(NO_TOKEN, help=NO_TOKEN_HELP)
    return authorization[len(BEARER) :].strip()


def render_all(batch: Batch, answers: Sequence[tuple[int, Draft] | OblikError | None], requests_at: str) -> bytes:
    """Give the answers of a batch as JSON, in order, up to the one that ends it. Raises what concerns all of it."""
    for answer in answers:
        if isinstance(answer, CONCERNS_ALL) and not any(isinstance(other, tuple) for other in answers):
            raise answer
    return _encode(Evaluations(tuple(_evaluations(batch, iter(answers), requests_at))))


def _evaluations(
    batch: Batch, answers: Iterator[tuple[int, Draft] | OblikError | None], requests_at: str
) -> Iterator[Evaluation]:
    for item in batch.items:
        answer = item if isinstance(item, OblikError) else next(answers)
        if answer is None:
            return
        if isinstance(answer, OblikError):
            found = Evaluation(False, Unanswered(ItemError(status_of(answer), answer.problem)))
        else:
            found = evaluation(answer[0], answer[1].answer, requests_at)
        yield found
        if found.decision is batch.ends_at:
            return


def evaluation(seq: int, answer: Answer | MountedAnswer, requests_at: str, receipt: bytes | None = None) -> Evaluation:
    """Give the answer with its explanation."""
    if isinstance(answer, MountedAnswer):
        return _mounted_evaluation(seq, answer.decision, receipt)
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
        receipt=None if receipt is None else receipt.decode(),
        access_request=_access_request(seq, answer, requests_at),
    )
    return Evaluation(decision.allowed, context)


def _mounted_evaluation(seq: int, decision: MountedDecision, receipt: bytes | None) -> Evaluation:
    context = MountedContext(
        id=str(seq),
        evaluated_at=decision.evaluated_at,
        policy=decision.policy,
        reasons=explain_mounted(decision),
        errors=decision.errors,
        receipt=None if receipt is None else receipt.decode(),
    )
    return Evaluation(decision.allowed, context)


def _access_request(seq: int, answer: Answer, requests_at: str) -> AccessRequest | None:
    if answer.decision.allowed or not is_requestable(answer.decision, answer.facts):
        return None
    expires = parse_time(answer.decision.evaluated_at) + REQUESTABLE_FOR
    return AccessRequest(requests_at, format_time(expires), str(seq))

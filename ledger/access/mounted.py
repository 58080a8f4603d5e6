"""Requests and decisions under a mounted policy (`ledger.access.mount`): the same AuthZEN requests, of other types.

    {"subject": {"type": "user", "id": "bob", "properties": {"role": "admin"}}, "action": {"name": "write"},
     "resource": {"type": "record", "id": "record-2"}}

Of the properties that a request brings along, those that `mount.json` names are taken, in place of the stored ones;
others are ignored. What was taken is in the decision (`brought`), so that it can be derived again.
"""

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ledger.access.mount import Entity, MountedPolicy, Row, Value, check_value
from ledger.access.request import MAX_REQUEST_BYTES, NOT_JSON, Request, check_id, malformed, not_json, parse_request
from ledger.access.shape import check_shape
from ledger.access.vocabulary import RESOURCE_TYPES
from ledger.errors import Malformed, TooLarge, show

PARTS = ("subject", "action", "resource", "context")
"""What a request may bring properties along for."""

Part = Literal["subject", "action", "resource", "context"]
Properties = dict[str, Any]


class MountedRequest(Struct, frozen=True, kw_only=True):
    """A request, flat. Its properties are as they were sent: which of them count is for the policy to say."""

    subject_type: str
    subject_id: str
    action: str
    resource_type: str
    resource_id: str
    properties: dict[str, Properties] = {}
    """By part of the request."""


class AskedEntity(Struct, frozen=True):
    """A subject or a resource, as a request has it (AuthZEN 1.0 §5)."""

    type: str
    id: str
    properties: Properties = {}


class AskedAction(Struct, frozen=True):
    """An action, as a request has it."""

    name: str
    properties: Properties = {}


class _Evaluation(Struct, frozen=True):
    subject: AskedEntity
    action: AskedAction
    resource: AskedEntity
    context: Properties = {}


_decoder = msgspec.json.Decoder(_Evaluation)
_key_encoder = msgspec.json.Encoder(order="sorted")


class _Typed(Struct, frozen=True):
    type: str


class _WithResource(Struct, frozen=True):
    resource: _Typed


_type_decoder = msgspec.json.Decoder(_WithResource)


class MountedDecision(Struct, frozen=True, kw_only=True):
    """An effect with its reason."""

    allowed: bool
    policy: str
    """Digest of the policy that decided."""
    row: Row | None
    """The row that decided: one that denies, or else the last that allows; None where none applies."""
    brought: dict[str, Value]
    """The request's properties that counted, as `subject.role`."""
    errors: tuple[str, ...]
    evaluated_at: str


class MountedReason(Struct, frozen=True, omit_defaults=True):
    """Why a decision is what it is."""

    en: str
    uk: str
    row: int | None = None
    """Line of policy.csv; None where no row applies."""


_NO_ROW = MountedReason(
    "No row of the policy allows this.",
    "Жоден рядок політики цього не дозволяє.",
)


def is_mounted(data: bytes) -> bool:
    """Tell whether a request is for a resource of another type than the main policy decides on."""
    try:
        return _type_decoder.decode(data).resource.type not in RESOURCE_TYPES
    except NOT_JSON:
        return False


def parse_either(data: bytes) -> Request | MountedRequest:
    """Read a request of either kind. Raises TooLarge or Malformed, with a JSON pointer to the field."""
    try:
        return parse_request(data)
    except Malformed:
        if not is_mounted(data):
            raise
        return parse_mounted(data)


def parse_mounted(data: bytes) -> MountedRequest:
    """Read a request. Raises TooLarge or Malformed, with a JSON pointer to the field."""
    if len(data) > MAX_REQUEST_BYTES:
        raise TooLarge("the request", limit=MAX_REQUEST_BYTES)
    try:
        asked = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise malformed(str(error)) from None
    except NOT_JSON as error:
        raise not_json(error) from None
    check_shape(data)
    return mounted_of(asked.subject, asked.action, asked.resource, asked.context)


def mounted_of(subject: AskedEntity, action: AskedAction, resource: AskedEntity, context: Properties) -> MountedRequest:
    """Give the flat form of four entities. Raises Malformed."""
    check_id(subject.id, "/subject/id")
    check_id(resource.id, "/resource/id")
    return MountedRequest(
        subject_type=subject.type,
        subject_id=subject.id,
        action=action.name,
        resource_type=resource.type,
        resource_id=resource.id,
        properties={
            "subject": subject.properties,
            "action": action.properties,
            "resource": resource.properties,
            "context": context,
        },
    )


def take_brought(request: MountedRequest, policy: MountedPolicy) -> dict[str, Value]:
    """Take the properties that count of those that the request brings along.

    Raises Malformed where a type or the action is none of the policy's, or a property that counts has a wrong form.
    """
    named = policy.brought
    known = (
        ("/subject/type", request.subject_type, named.subjects),
        ("/action/name", request.action, named.actions),
        ("/resource/type", request.resource_type, named.resources),
    )
    for pointer, name, names in known:
        if name not in names:
            raise Malformed(pointer, f"{show(name)} is not known here", help=f"one of {', '.join(sorted(names))}")
    counting = {part: names[name] for part, (_, name, names) in zip(PARTS, known, strict=False)}
    counting["context"] = named.context
    return {
        f"{part}.{name}": _take(request.properties[part][name], _pointer(part, name))
        for part, names in counting.items()
        for name in names
        if name in request.properties.get(part, {})
    }


def _pointer(part: str, name: str) -> str:
    return f"/context/{name}" if part == "context" else f"/{part}/properties/{name}"


def _take(value: Any, pointer: str) -> Value:
    try:
        taken: Value = msgspec.convert(value, Value)
    except msgspec.ValidationError:
        forms = "a text, true or false, an integer, or a list of texts"
        raise Malformed(pointer, f"{show(value)} is no property that counts here", help=forms) from None
    check_value(taken, pointer)
    return taken


def decide_mounted(
    request: MountedRequest, brought: dict[str, Value], policy: MountedPolicy, now: str
) -> MountedDecision:
    """Decide. Never raises: what goes wrong inside denies, and is named in `errors`."""
    return _decide(request, brought, policy, now, plain=False)


def decide_mounted_plain(
    request: MountedRequest, brought: dict[str, Value], policy: MountedPolicy, now: str
) -> MountedDecision:
    """Decide the same through Casbin alone, without what is remembered: what `decide_mounted` is held equal to."""
    return _decide(request, brought, policy, now, plain=True)


def _decide(
    request: MountedRequest, brought: dict[str, Value], policy: MountedPolicy, now: str, *, plain: bool
) -> MountedDecision:
    allowed, row = False, None
    errors: tuple[str, ...] = ()
    if not (request.subject_id and request.action and request.resource_id):
        errors = ("an identifier is empty",)
    else:
        entities = _entities(request, brought, policy)
        try:
            outcome = policy.enforce_plain(*entities) if plain else policy.enforce(_key(request, brought), *entities)
            allowed, row = outcome
        except Exception as error:  # noqa: BLE001 - an evaluator that fails must not fail open
            errors = (_said(error),)
    return MountedDecision(
        allowed=allowed, policy=policy.digest, row=row, brought=brought, errors=errors, evaluated_at=now
    )


def _said(error: Exception) -> str:
    """Say what went wrong; of a property that is missing, which. No message of an evaluator is passed on."""
    missing = getattr(error, "attr", None)
    what = f"there is no property `{missing}`" if isinstance(missing, str) else type(error).__name__
    return f"the policy could not be evaluated: {what}"


def _entities(request: MountedRequest, brought: dict[str, Value], policy: MountedPolicy) -> tuple[Entity, ...]:
    stored = {
        "subject": policy.subjects.get((request.subject_type, request.subject_id)),
        "resource": policy.resources.get((request.resource_type, request.resource_id)),
    }
    given: dict[str, dict[str, Value]] = {part: dict(stored.get(part) or {}) for part in PARTS}
    for name, value in brought.items():
        part, _, of = name.partition(".")
        given[part][of] = value
    given["subject"] |= {
        "type": request.subject_type,
        "id": request.subject_id,
        "known": stored["subject"] is not None,
    }
    given["resource"] |= {
        "type": request.resource_type,
        "id": request.resource_id,
        "known": stored["resource"] is not None,
    }
    given["action"] |= {"name": request.action}
    return tuple(Entity(given[part]) for part in PARTS)


def _key(request: MountedRequest, brought: dict[str, Value]) -> bytes:
    """Give what an outcome depends on, besides the policy and its stored facts."""
    asked = (request.subject_type, request.subject_id, request.action, request.resource_type, request.resource_id)
    return hashlib.sha256(_key_encoder.encode((asked, brought))).digest()


def explain_mounted(decision: MountedDecision) -> tuple[MountedReason, ...]:
    """Explain a decision in the words of the policy that made it."""
    if decision.row is not None:
        return (MountedReason(decision.row.en, decision.row.uk, decision.row.line),)
    return () if decision.errors else (_NO_ROW,)

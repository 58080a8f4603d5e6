"""An access evaluation request (AuthZEN 1.0 §5.1), read strictly.

    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "resource": {"type": "dataset", "id": "uav-thermal"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}}}

A context may also have `"receipt": true`: then the answer brings its receipt along. A subject is an `organisation`,
or a `system` of one as `<organisation>/<name>`. Unknown fields are ignored, as the
standard asks. A key that stands twice in one object is refused: what was checked and what was meant could differ.
"""

import json
import re
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ledger.access.vocabulary import ACTIONS, ENVIRONMENTS, RESOURCE_TYPES, SUBJECT_TYPES, TIERS
from ledger.errors import Malformed, TooLarge, show

MAX_REQUEST_BYTES = 65_536
"""An AuthZEN request has some hundred bytes; properties that are ignored may add to it."""

MAX_ID_CHARACTERS = 128

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_COUNTRY = re.compile(r"[A-Z]{3}")
_PLACE = re.compile(r" - at `\$\.?([a-z.]*)`$")


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """A request, flat."""

    subject_type: str
    subject_id: str
    org: str
    """The organisation that the subject is, or acts for."""
    action: str
    resource_type: str
    resource_id: str
    purpose: str
    tier: str
    environment: str
    country: str
    """Where processing takes place, ISO 3166-1 alpha-3."""


Properties = dict[str, msgspec.Raw] | UnsetType
"""Checked to be an object (AuthZEN 1.0 §5), and not read: no clause depends on it."""


class _Subject(Struct, frozen=True, gc=False):
    type: Literal["organisation", "system"]
    id: str
    properties: Properties = UNSET


class _Action(Struct, frozen=True, gc=False):
    name: Literal["train", "tune", "evaluate", "check_interoperability", "improve", "infer", "read_metadata"]
    properties: Properties = UNSET


class _Resource(Struct, frozen=True, gc=False):
    type: Literal["dataset", "weights"]
    id: str
    properties: Properties = UNSET


class _Environment(Struct, frozen=True, gc=False):
    kind: Literal["enclave", "federated", "partner_hosted", "edge"]
    country: str


class _Context(Struct, frozen=True, gc=False):
    purpose: str
    tier: Literal["metadata", "aggregate", "synthetic", "derived", "redacted", "raw"]
    environment: _Environment


class _Evaluation(Struct, frozen=True, gc=False):
    subject: _Subject
    action: _Action
    resource: _Resource
    context: _Context


_decoder = msgspec.json.Decoder(_Evaluation)


class _ReceiptContext(Struct, frozen=True):
    receipt: bool = False


class _WithReceipt(Struct, frozen=True):
    context: _ReceiptContext


_receipt_decoder = msgspec.json.Decoder(_WithReceipt)

_HELP = {
    "/subject/type": f"one of {', '.join(SUBJECT_TYPES)}",
    "/action/name": f"one of {', '.join(ACTIONS)}",
    "/resource/type": f"one of {', '.join(RESOURCE_TYPES)}",
    "/context/tier": f"one of {', '.join(TIERS)}",
    "/context/environment/kind": f"one of {', '.join(ENVIRONMENTS)}",
}

REQUIRED_KEYS = 14
"""All of them are there once the decoder is content, and each key has a colon: with 14 colons, no key stands twice."""


def parse_request(data: bytes) -> Request:
    """Read a request. Raises TooLarge or Malformed, with a JSON pointer to the field."""
    if len(data) > MAX_REQUEST_BYTES:
        raise TooLarge("the request", limit=MAX_REQUEST_BYTES)
    try:
        asked = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("", f"the request is not JSON: {error}") from None
    if data.count(b":") > REQUIRED_KEYS:
        _check_keys(data)
    return _request(asked)


def wants_receipt(data: bytes) -> bool:
    """Tell whether a request asks for its receipt: `"receipt": true` in its context. Raises Malformed."""
    if b'"receipt"' not in data:
        return False
    try:
        return _receipt_decoder.decode(data).context.receipt
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None


def _request(asked: _Evaluation) -> Request:
    context, environment = asked.context, asked.context.environment
    _check_id(asked.subject.id, "/subject/id")
    _check_id(asked.resource.id, "/resource/id")
    _check_id(context.purpose, "/context/purpose")
    if not _COUNTRY.fullmatch(environment.country):
        raise Malformed(
            "/context/environment/country",
            f"{show(environment.country)} is not an ISO 3166-1 alpha-3 code",
            help="three capital letters, for example UKR",
        )
    return Request(
        subject_type=asked.subject.type,
        subject_id=asked.subject.id,
        org=_org(asked.subject),
        action=asked.action.name,
        resource_type=asked.resource.type,
        resource_id=asked.resource.id,
        purpose=context.purpose,
        tier=context.tier,
        environment=environment.kind,
        country=environment.country,
    )


def _org(subject: _Subject) -> str:
    org, slash, name = subject.id.partition("/")
    if subject.type == "organisation":
        if slash:
            raise Malformed("/subject/id", f"{show(subject.id)} is not the id of an organisation")
    elif not name or "/" in name:
        raise Malformed("/subject/id", f"{show(subject.id)} is not of the form <organisation>/<system>")
    return org


def _check_id(text: str, pointer: str) -> None:
    if not text:
        raise Malformed(pointer, "is empty")
    if not _ID.fullmatch(text):
        raise Malformed(
            pointer,
            f"{show(text)} is not an identifier",
            help=f"ASCII letters, digits and . _ : / @ -, at most {MAX_ID_CHARACTERS}",
        )


def _malformed(message: str) -> Malformed:
    """Turn msgspec's place (`$.subject.id`) into a JSON pointer (`/subject/id`), down to a field that is missing."""
    place = _PLACE.search(message)
    pointer = "/" + place[1].replace(".", "/") if place and place[1] else ""
    problem = message[: place.start()] if place else message
    missing = re.search(r"missing required field `(\w+)`", problem)
    if missing is not None:
        pointer, problem = f"{pointer}/{missing[1]}", "is missing"
    return Malformed(pointer, problem, help=_HELP.get(pointer, ""))


def _check_keys(data: bytes) -> None:
    """Refuse a key that stands twice in one object, anywhere in the request."""
    try:
        # Numbers stay text: only keys matter here, and a number of 5,000 digits is legal JSON.
        json.loads(data.decode(), object_pairs_hook=_once, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"the request is not JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"/{twice}", "stands twice in one object")
    return found

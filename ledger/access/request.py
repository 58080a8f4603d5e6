"""An access evaluation request (AuthZEN 1.0 §5.1), read strictly.

    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "resource": {"type": "dataset", "id": "uav-thermal"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}}}

An environment may also have an `id`, by which it was attested, and a `storage_country`, where that is another than the
`country` of processing. A context may also have `"receipt": true`: then the answer brings its receipt along.

A subject is an `organisation`, or a `system` of one as `<organisation>/<name>`. Unknown fields are ignored, as the
standard asks. A key that stands twice in one object is refused: what was checked and what was meant could differ.
"""

import re
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ledger.access.shape import TOO_DEEP_HELP, check_shape
from ledger.access.vocabulary import ACTIONS, ENVIRONMENTS, RESOURCE_TYPES, SUBJECT_TYPES, TIERS
from ledger.errors import Malformed, TooLarge, show

MAX_REQUEST_BYTES = 65_536
"""An AuthZEN request has some hundred bytes; properties that are ignored may add to it."""

MAX_ID_CHARACTERS = 128

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_COUNTRY = re.compile(r"[A-Z]{3}")
_PLACE = re.compile(r" - at `\$\.?([a-z_.]*)`$")


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
    storage_country: str = ""
    """Where it is stored; "" for where it is processed."""
    environment_id: str = ""
    """The organisation's environment by name; "" where it is not named."""


Properties = dict[str, msgspec.Raw] | UnsetType
"""Checked to be an object (AuthZEN 1.0 §5), and not read: no clause depends on it."""


class Subject(Struct, frozen=True, gc=False):
    """Who would use it (AuthZEN 1.0 §5.1)."""

    type: Literal["organisation", "system"]
    id: str
    properties: Properties = UNSET


class Action(Struct, frozen=True, gc=False):
    """What would be done with it."""

    name: Literal["train", "tune", "evaluate", "check_interoperability", "improve", "infer", "read_metadata"]
    properties: Properties = UNSET


class Resource(Struct, frozen=True, gc=False):
    """What would be used."""

    type: Literal["dataset", "weights"]
    id: str
    properties: Properties = UNSET


class _Environment(Struct, frozen=True, gc=False):
    kind: Literal["enclave", "federated", "partner_hosted", "edge"]
    country: str
    storage_country: str | UnsetType = UNSET
    id: str | UnsetType = UNSET


class Context(Struct, frozen=True, gc=False):
    """For what, at which tier, and where."""

    purpose: str
    tier: Literal["metadata", "aggregate", "synthetic", "derived", "redacted", "raw"]
    environment: _Environment


class _Evaluation(Struct, frozen=True, gc=False):
    subject: Subject
    action: Action
    resource: Resource
    context: Context


_decoder = msgspec.json.Decoder(_Evaluation)


class _ReceiptContext(Struct, frozen=True):
    receipt: bool = False


class _WithReceipt(Struct, frozen=True):
    context: _ReceiptContext = _ReceiptContext()


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
        raise malformed(str(error)) from None
    except NOT_JSON as error:
        raise not_json(error) from None
    if data.count(b":") > REQUIRED_KEYS:
        check_shape(data)
    return request_of(asked.subject, asked.action, asked.resource, asked.context)


def wants_receipt(data: bytes) -> bool:
    """Tell whether a request asks for its receipt: `"receipt": true` in its context. Raises Malformed."""
    if b'"receipt"' not in data:
        return False
    try:
        return _receipt_decoder.decode(data).context.receipt
    except msgspec.ValidationError as error:
        raise malformed(str(error)) from None


def request_of(subject: Subject, action: Action, resource: Resource, context: Context) -> Request:
    """Give the flat form of four entities. Raises Malformed."""
    environment = context.environment
    storage_country, environment_id = environment.storage_country, environment.id
    return Request(
        subject_type=subject.type,
        subject_id=subject.id,
        org=check_subject(subject),
        action=action.name,
        resource_type=resource.type,
        resource_id=check_resource(resource),
        purpose=check_context(context),
        tier=context.tier,
        environment=environment.kind,
        country=environment.country,
        storage_country="" if storage_country is UNSET else storage_country,
        environment_id="" if environment_id is UNSET else environment_id,
    )


def check_subject(subject: Subject) -> str:
    """Check what its type does not say. Gives the organisation. Raises Malformed."""
    check_id(subject.id, "/subject/id")
    return _org(subject)


def check_resource(resource: Resource) -> str:
    """Check what its type does not say. Gives the id. Raises Malformed."""
    check_id(resource.id, "/resource/id")
    return resource.id


def check_context(context: Context) -> str:
    """Check what its type does not say. Gives the purpose. Raises Malformed."""
    check_id(context.purpose, "/context/purpose")
    environment = context.environment
    _check_country(environment.country, "/context/environment/country")
    if environment.storage_country is not UNSET:
        _check_country(environment.storage_country, "/context/environment/storage_country")
    if environment.id is not UNSET:
        check_id(environment.id, "/context/environment/id")
    return context.purpose


def _org(subject: Subject) -> str:
    org, slash, name = subject.id.partition("/")
    if subject.type == "organisation":
        if slash:
            raise Malformed("/subject/id", f"{show(subject.id)} is not the id of an organisation")
    elif not name or "/" in name:
        raise Malformed("/subject/id", f"{show(subject.id)} is not of the form <organisation>/<system>")
    return org


def _check_country(text: str, pointer: str) -> None:
    if not _COUNTRY.fullmatch(text):
        raise Malformed(
            pointer,
            f"{show(text)} is not an ISO 3166-1 alpha-3 code",
            help="three capital letters, for example UKR",
        )


def check_id(text: str, pointer: str) -> None:
    """Raise Malformed where a text is no identifier."""
    if not text:
        raise Malformed(pointer, "is empty")
    if not _ID.fullmatch(text):
        raise Malformed(
            pointer,
            f"{show(text)} is not an identifier",
            help=f"ASCII letters, digits and . _ : / @ -, at most {MAX_ID_CHARACTERS}",
        )


NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for bytes that are no JSON; a `ValidationError` is told apart before."""


def not_json(error: Exception) -> Malformed:
    """Give the refusal of bytes that are no JSON, or are nested too deeply to be read."""
    if isinstance(error, RecursionError):
        return Malformed("", "the request is nested too deeply", help=TOO_DEEP_HELP)
    return Malformed("", f"the request is not JSON: {error}")


def malformed(message: str, *, within: str = "") -> Malformed:
    """Turn msgspec's place (`$.subject.id`) into a JSON pointer (`/subject/id`), down to a field that is missing.

    `within` is the pointer to what was read, where that was a part of the request.
    """
    place = _PLACE.search(message)
    pointer = within + ("/" + place[1].replace(".", "/") if place and place[1] else "")
    problem = message[: place.start()] if place else message
    missing = re.search(r"missing required field `(\w+)`", problem)
    if missing is not None:
        pointer, problem = f"{pointer}/{missing[1]}", "is missing"
    return Malformed(pointer, problem, help=_HELP.get(pointer, ""))

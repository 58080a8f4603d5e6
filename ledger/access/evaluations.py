"""A batch of access evaluation requests (AuthZEN 1.0 §7), read strictly.

    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}},
     "evaluations": [{"resource": {"type": "dataset", "id": "uav-thermal"}},
                     {"resource": {"type": "dataset", "id": "sar"}, "action": {"name": "infer"}}],
     "options": {"evaluations_semantic": "deny_on_first_deny"}}

What stands beside `evaluations` is the default of each item; an item's own entity replaces it whole. The body and the
defaults have to be of their form, or all is refused; an item that is not has an error of its own, and the others stand.
"""

from collections.abc import Iterator
from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ledger.access import request as r
from ledger.access.shape import check_shape
from ledger.errors import Malformed, TooLarge

MAX_BATCH_BYTES = 262_144
"""As many requests as a batch may have, each with all of its entities, take about a quarter of it."""

MAX_EVALUATIONS = 200
"""They are decided and written in one transaction; no more than an event loop writes at once (`MAX_BATCH_ON_LOOP`)."""

ENDS_AT: dict[str, bool | None] = {
    "execute_all": None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}
"""AuthZEN 1.0 §7: the decision after which nothing more is evaluated."""


class Batch(Struct, frozen=True):
    """Requests in order, each flat, or with what is wrong with it."""

    items: tuple[r.Request | Malformed, ...]
    ends_at: bool | None
    """The decision that ends it; None where all are made."""


class _Item(Struct, frozen=True, gc=False):
    subject: r.Subject | UnsetType = UNSET
    action: r.Action | UnsetType = UNSET
    resource: r.Resource | UnsetType = UNSET
    context: r.Context | UnsetType = UNSET


class _Options(Struct, frozen=True, gc=False):
    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] | UnsetType = UNSET


class _Batch(_Item, frozen=True):
    evaluations: list[msgspec.Raw] | UnsetType = UNSET
    options: _Options | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Batch)
_item_decoder = msgspec.json.Decoder(_Item)

T = TypeVar("T")


def parse_evaluations(data: bytes) -> Batch | None:
    """Read a batch; None where it has no items, and is a single evaluation. Raises TooLarge or Malformed."""
    if len(data) > MAX_BATCH_BYTES:
        raise TooLarge("the request", limit=MAX_BATCH_BYTES)
    try:
        asked = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise r.malformed(str(error)) from None
    except r.NOT_JSON as error:
        raise r.not_json(error) from None
    if not asked.evaluations:
        return None
    if len(asked.evaluations) > MAX_EVALUATIONS:
        raise TooLarge("the batch", limit=MAX_EVALUATIONS, unit="evaluations")
    return _batch(asked, asked.evaluations, data)


def _batch(asked: _Batch, given: list[msgspec.Raw], data: bytes) -> Batch:
    items = [_read_item(raw) for raw in given]
    # As with a single request: where there are no more colons than keys that were read, no key stands twice.
    if data.count(b":") > _keys_of_batch(asked) + sum(_keys(item) for item in items if isinstance(item, _Item)):
        check_shape(data)
    _check_defaults(asked)
    semantic = asked.options.evaluations_semantic if asked.options else UNSET
    ends_at = ENDS_AT[semantic or "execute_all"]
    return Batch(tuple(_until_denied(asked, items, ends_at=ends_at)), ends_at)


def _until_denied(
    defaults: _Item, items: list[_Item | Malformed], *, ends_at: bool | None
) -> Iterator[r.Request | Malformed]:
    """Give each request; where a deny ends the batch, nothing after one that is denied for its form."""
    for item in items:
        request = item if isinstance(item, Malformed) else _request(defaults, item)
        yield request
        if ends_at is False and isinstance(request, Malformed):
            return


def _read_item(raw: msgspec.Raw) -> _Item | Malformed:
    try:
        return _item_decoder.decode(raw)
    except msgspec.ValidationError as error:
        return r.malformed(str(error))
    except r.NOT_JSON as error:
        raise r.not_json(error) from None  # bytes that are no UTF-8: the whole body is no JSON


def _request(defaults: _Item, item: _Item) -> r.Request | Malformed:
    try:
        return r.request_of(
            _given(item.subject, defaults.subject, "/subject"),
            _given(item.action, defaults.action, "/action"),
            _given(item.resource, defaults.resource, "/resource"),
            _given(item.context, defaults.context, "/context"),
        )
    except Malformed as error:
        return error


def _given(own: T | UnsetType, default: T | UnsetType, pointer: str) -> T:
    found = default if isinstance(own, UnsetType) else own
    if isinstance(found, UnsetType):
        raise Malformed(pointer, "is missing")
    return found


def _check_defaults(defaults: _Item) -> None:
    if defaults.subject:
        r.check_subject(defaults.subject)
    if defaults.resource:
        r.check_resource(defaults.resource)
    if defaults.context:
        r.check_context(defaults.context)


def _keys(item: _Item) -> int:
    """Count the keys of an item, its entities' with them."""
    return (
        3 * (item.subject is not UNSET)
        + 2 * (item.action is not UNSET)
        + 3 * (item.resource is not UNSET)
        + 6 * (item.context is not UNSET)
    )


def _keys_of_batch(asked: _Batch) -> int:
    options = 0 if not asked.options else 1 + (asked.options.evaluations_semantic is not UNSET)
    return 1 + options + _keys(asked)

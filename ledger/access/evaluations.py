"""A batch of access evaluation requests (AuthZEN 1.0 §7), read strictly.

    {"subject": {"type": "system", "id": "acme-jp/trainer-1"}, "action": {"name": "train"},
     "context": {"purpose": "humanitarian.demining", "tier": "redacted",
                 "environment": {"kind": "enclave", "country": "JPN"}},
     "evaluations": [{"resource": {"type": "dataset", "id": "uav-thermal"}},
                     {"resource": {"type": "dataset", "id": "sar"}, "action": {"name": "infer"}}],
     "options": {"evaluations_semantic": "deny_on_first_deny"}}

What stands beside `evaluations` is the default of each item; an item's own entity replaces it whole. The body and the
defaults have to be of their form, or all is refused; an item that is not has an error of its own, and the others stand.

An item whose resource is of another type than datasets and weights is for a mounted policy (`ledger.access.mounted`).
Where a batch has such items, defaults need not be of the form above: each item reads them as who decides on it does.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ledger.access import request as r
from ledger.access.mounted import AskedAction, AskedEntity, MountedRequest, is_mounted, mounted_of
from ledger.access.shape import check_shape
from ledger.access.vocabulary import RESOURCE_TYPES
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

    items: tuple[r.Request | MountedRequest | Malformed, ...]
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


class _Frame(Struct, frozen=True):
    """A batch but for its defaults."""

    evaluations: list[msgspec.Raw] | UnsetType = UNSET
    options: _Options | UnsetType = UNSET


class _Typed(Struct, frozen=True):
    type: str


Decoder = msgspec.json.Decoder[Any]


_decoder = msgspec.json.Decoder(_Batch)
_item_decoder = msgspec.json.Decoder(_Item)
_frame_decoder = msgspec.json.Decoder(_Frame)
_parts_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

_TYPED = msgspec.json.Decoder(_Typed)
_MAIN: dict[str, Decoder] = {
    "subject": msgspec.json.Decoder(r.Subject),
    "action": msgspec.json.Decoder(r.Action),
    "resource": msgspec.json.Decoder(r.Resource),
    "context": msgspec.json.Decoder(r.Context),
}
_MOUNTED: dict[str, Decoder] = {
    "subject": msgspec.json.Decoder(AskedEntity),
    "action": msgspec.json.Decoder(AskedAction),
    "resource": msgspec.json.Decoder(AskedEntity),
    "context": msgspec.json.Decoder(dict[str, Any]),
}

T = TypeVar("T")


def parse_evaluations(data: bytes) -> Batch | None:
    """Read a batch; None where it has no items, and is a single evaluation. Raises TooLarge or Malformed."""
    if len(data) > MAX_BATCH_BYTES:
        raise TooLarge("the request", limit=MAX_BATCH_BYTES)
    try:
        asked = _decoder.decode(data)
    except msgspec.ValidationError as error:
        return _parse_mixed(data, r.malformed(str(error)))
    except r.NOT_JSON as error:
        raise r.not_json(error) from None
    if not asked.evaluations:
        return None
    _check_count(asked.evaluations)
    return _batch(asked, asked.evaluations, data)


def _check_count(given: list[msgspec.Raw]) -> None:
    if len(given) > MAX_EVALUATIONS:
        raise TooLarge("the batch", limit=MAX_EVALUATIONS, unit="evaluations")


def _batch(asked: _Batch, given: list[msgspec.Raw], data: bytes) -> Batch:
    items = [_read_item(raw) for raw in given]
    # As with a single request: where there are no more colons than keys that were read, no key stands twice.
    if data.count(b":") > _keys_of_batch(asked) + sum(_keys(item) for item in items if item is not None):
        check_shape(data)
    _check_defaults(asked)
    mixed = _Mixed(data)
    requests = (
        _request(asked, item) if item is not None else mixed.read(raw) for item, raw in zip(items, given, strict=True)
    )
    return _until_denied(requests, asked.options)


def _until_denied(requests: Iterable[r.Request | MountedRequest | Malformed], options: _Options | UnsetType) -> Batch:
    """Give the batch; where a deny ends it, without what comes after a request that is denied for its form."""
    semantic = options.evaluations_semantic if options else UNSET
    ends_at = ENDS_AT[semantic or "execute_all"]
    return Batch(tuple(requests if ends_at is not False else _until_malformed(requests)), ends_at)


def _until_malformed(
    requests: Iterable[r.Request | MountedRequest | Malformed],
) -> Iterator[r.Request | MountedRequest | Malformed]:
    for request in requests:
        yield request
        if isinstance(request, Malformed):
            return


def _read_item(raw: msgspec.Raw) -> _Item | None:
    """Read an item; None where it is not all of the main policy's form."""
    try:
        return _item_decoder.decode(raw)
    except msgspec.ValidationError:
        return None
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


class _Mixed:
    """Items read part by part, each as who decides on its resource reads it; a default is read once for either."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._read: dict[tuple[str, Decoder], Any] = {}
        self.has_mounted = False

    @cached_property
    def _defaults(self) -> dict[str, msgspec.Raw]:
        return _parts_decoder.decode(self._data)

    def read(self, raw: msgspec.Raw) -> r.Request | MountedRequest | Malformed:
        """Read an item, or tell what is wrong with it."""
        try:
            own = _decode(raw, _parts_decoder)
            if not self._is_for_mounted(own):
                return r.request_of(*(self._part(own, name, decoder) for name, decoder in _MAIN.items()))
            self.has_mounted = True
            return mounted_of(*(self._part(own, name, decoder) for name, decoder in _MOUNTED.items()))
        except Malformed as error:
            return error

    def _is_for_mounted(self, own: dict[str, msgspec.Raw]) -> bool:
        has_resource = "resource" in own or "resource" in self._defaults
        return has_resource and self._part(own, "resource", _TYPED).type not in RESOURCE_TYPES

    def _part(self, own: dict[str, msgspec.Raw], name: str, decoder: Decoder) -> Any:
        if name in own:
            return _decode(own[name], decoder, f"/{name}")
        if name not in self._defaults:
            return _missing(name, decoder)
        found = self._read.get((name, decoder)) or self._read_default(name, decoder)
        if isinstance(found, Malformed):
            raise found.with_traceback(None)
        return found

    def _read_default(self, name: str, decoder: Decoder) -> Any:
        try:
            found = _decode(self._defaults[name], decoder, f"/{name}")
        except Malformed as error:
            found = error
        self._read[name, decoder] = found
        return found


def _missing(name: str, decoder: Decoder) -> dict[str, Any]:
    """Give what stands for a part that is not there: only a mounted policy's context may be left out."""
    if decoder is not _MOUNTED["context"]:
        raise Malformed(f"/{name}", "is missing")
    return {}


def _decode(raw: msgspec.Raw, decoder: Decoder, pointer: str = "") -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise r.malformed(str(error), within=pointer) from None
    except r.NOT_JSON as error:
        raise r.not_json(error) from None


def _parse_mixed(data: bytes, refused: Malformed) -> Batch | None:
    """Read a batch whose defaults are not of the main policy's form.

    Raises `refused`, which says where, unless something is asked about that is a mounted policy's.
    """
    check_shape(data)
    try:
        asked = _frame_decoder.decode(data)
    except msgspec.ValidationError:
        raise refused from None
    if not asked.evaluations and is_mounted(data):
        return None
    given = asked.evaluations or []
    _check_count(given)
    mixed = _Mixed(data)
    items = [mixed.read(raw) for raw in given]
    if not mixed.has_mounted:
        raise refused
    return _until_denied(items, asked.options)


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

"""Canonical JSON: RFC 8785, with limits under which every encoder agrees on the bytes.

    {"at":"2026-11-21T09:30:00.123456Z","n":[1,-2],"title":"Облік"}

- keys are ASCII (RFC 8785 §3.2.3 sorts by UTF-16 unit; for ASCII every order is that order) and occur once;
- numbers are integers within ±(2^53 - 1) (RFC 7493 §2.2), so that no reader's float rounds them; a metric is a string;
- at most MAX_DEPTH objects and lists inside one another, so that what one reader takes another does not refuse;
- no whitespace between tokens, no escape that is not needed, UTF-8.

A sorted-key encoder then gives exactly what RFC 8785 asks for, and decoding can be checked by encoding again.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from ledger.errors import Malformed, TooLarge, show

MAX_INTEGER = 2**53 - 1
"""The last integer that a double holds together with both its neighbours (RFC 7493 §2.2)."""

MAX_DEPTH = 64
"""Levels of objects and lists. Real documents need about ten; Python's own limit depends on who calls."""

MAX_BYTES = 16 * 1024 * 1024
"""A document's size where the caller names no other limit: cards and manifests reach a few MiB."""

_QUICK_DEPTH = 6
"""Levels that the quick decoder knows: its type doubles with each, and a deeper document only takes the exact way."""


def _json_type(depth: int) -> Any:
    """Give the type of a JSON value of at most `depth` levels, with our limits in it, for msgspec to decode by."""
    scalar = None | bool | Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | str
    value: Any = scalar
    for _ in range(depth):
        value = scalar | list[value] | dict[str, value]
    return value


QUICK_VALUE = _json_type(_QUICK_DEPTH)
"""The type by which a decoder refuses floats and integers out of range while it reads, at no cost of its own."""

_encoder = msgspec.json.Encoder(order="sorted")
_quick_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(QUICK_VALUE)
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def encode(value: Any) -> bytes:
    """Encode a JSON value (None, bool, int, str, list or tuple, dict). Raises Malformed with a JSON pointer."""
    check(value)
    return _encoder.encode(value)


def decode(data: bytes, *, limit: int = MAX_BYTES) -> Any:
    """Decode what `encode` gives, and nothing else. Raises Malformed, or TooLarge over `limit` bytes."""
    if len(data) > limit:
        raise TooLarge("the JSON document", limit=limit)
    try:
        value = _quick_decoder.decode(data)
        known_good = data.isascii()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value, known_good = _decode(data), False
    if not known_good:
        check(value)
    _check_bytes(data, _encoder.encode(value))
    return value


def check(value: Any, pointer: str = "") -> None:
    """Check that `value` is within the limits above. Raises Malformed that names the place below `pointer`."""
    _check(value, pointer, MAX_DEPTH)


def _check(value: Any, pointer: str, depth: int) -> None:
    kind = type(value)
    if kind is str:
        _check_text(value, pointer)
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise Malformed(pointer, f"{show(value)} is not within ±(2^53 - 1)", help="write it as a string")
    elif kind in (dict, list, tuple):
        if depth == 0:
            raise Malformed(pointer, f"is nested deeper than {MAX_DEPTH} levels")
        for name, item in _items(value, pointer):
            _check(item, f"{pointer}/{name}", depth - 1)
    elif kind is float:
        raise Malformed(pointer, f"{show(value)} is not an integer", help="write it as a string")
    elif value is not None and kind is not bool:
        raise Malformed(pointer, f"a value of type {show(kind.__name__)} is not JSON")


def _items(value: Any, pointer: str) -> Iterator[tuple[str | int, Any]]:
    """Give the parts of an object or a list, each with its token in a JSON pointer (RFC 6901 §3)."""
    if type(value) is not dict:
        yield from enumerate(value)
        return
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            raise Malformed(pointer, f"the key {show(key)} is not ASCII text")
        yield key.replace("~", "~0").replace("/", "~1"), item


def _check_text(value: str, pointer: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed(pointer, f"{show(ascii(value))} holds half of a surrogate pair") from None


def _decode(data: bytes) -> Any:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("", f"is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise Malformed("", f"is nested deeper than {MAX_DEPTH} levels") from None


def _check_bytes(given: bytes, canonical: bytes) -> None:
    if given != canonical:
        place = next((i for i, (a, b) in enumerate(zip(given, canonical, strict=False)) if a != b), len(canonical))
        raise Malformed("", f"is not canonical JSON from byte {place} on", help="RFC 8785; no key may occur twice")

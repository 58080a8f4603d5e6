"""The forms that fields share, each with the check that refuses anything else.

    identifier   `humanitarian.demining`, `mod-ua`: ASCII letters and digits, then also . _ : -, at most 128
    country      ISO 3166-1 alpha-3 by its form: `UKR`. Which codes are assigned changes, and is the adopter's to know
    time         `2026-11-21T09:30:00.123456Z`: UTC, microseconds, so that order as text is order in time
    set          a tuple of texts in code point order, each once, so that one set has one form in an entry

Every check raises Malformed with the JSON pointer that it is given.
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from ledger.errors import Malformed, TooLarge, show

MAX_JSON_BYTES = 65_536
"""Of a JSON document read by this layer: what is adopted goes into an entry, which is smaller than that (DESIGN §3)."""

T = TypeVar("T")

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_COUNTRY = re.compile(r"[A-Z]{3}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_PLACE = re.compile(r" - at `\$(.*)`$")


def check_identifier(text: str, pointer: str) -> None:
    """Check that `text` is an identifier. Raises Malformed."""
    if not _IDENTIFIER.fullmatch(text):
        raise Malformed(
            pointer, f"{show(text)} is not an identifier", help="ASCII letters, digits and . _ : -, at most 128"
        )


def check_country(text: str, pointer: str) -> None:
    """Check that `text` has the form of an ISO 3166-1 alpha-3 code. Raises Malformed."""
    if not _COUNTRY.fullmatch(text):
        raise Malformed(
            pointer, f"{show(text)} is not an ISO 3166-1 alpha-3 code", help="three capitals, for example UKR"
        )


def parse_time(text: str, pointer: str) -> datetime:
    """Read a time in UTC with microseconds. Raises Malformed."""
    if not _TIME.fullmatch(text):
        raise Malformed(pointer, f"{show(text)} is not a time of the form 2026-11-21T09:30:00.123456Z")
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed(pointer, f"{show(text)} is not a time that exists") from error


def check_set(values: tuple[str, ...], pointer: str) -> None:
    """Check that `values` are sorted, each once, none empty. Raises Malformed at the first that is out of place."""
    for i, value in enumerate(values):
        if not value:
            raise Malformed(f"{pointer}/{i}", "is empty")
    for i, (before, after) in enumerate(pairwise(values), start=1):
        if before >= after:
            raise Malformed(f"{pointer}/{i}", f"{show(after)} is not after {show(before)}: sorted, each once")


def decode(data: bytes, form: type[T]) -> T:
    """Read a JSON document of type `form`. Raises TooLarge, or Malformed naming the place.

    Stricter than RFC 8259 asks: a key that stands twice in an object is refused, since people and programs would read
    different documents.
    """
    if len(data) > MAX_JSON_BYTES:
        raise TooLarge("the JSON document", limit=MAX_JSON_BYTES)
    try:
        value = msgspec.json.decode(data, type=form)
        json.loads(data, object_pairs_hook=_refuse_repeated)
    except msgspec.ValidationError as error:
        raise _located(error) from error
    except (ValueError, RecursionError) as error:  # a DecodeError and a UnicodeDecodeError are ValueErrors
        raise Malformed("", f"is not JSON: {error}") from error
    return value


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise Malformed("", f"the key {show(key)} stands twice in one object")
    return dict(pairs)


def _located(error: msgspec.ValidationError) -> Malformed:
    """Turn msgspec's place (`$.nodes[3].parent`) into a JSON pointer (`/nodes/3/parent`)."""
    text = str(error)
    place = _PLACE.search(text)
    if place is None:
        return Malformed("", text)
    return Malformed(re.sub(r"[.\[]+", "/", place[1]).replace("]", ""), text[: place.start()])

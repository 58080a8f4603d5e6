"""Types learned from JSON objects, so that a decoder fills the same fields again quicker than it fills dictionaries.

    {"id":"g-7","terms":{"tier":"redacted"}}     →  (("id", None), ("terms", (("tier", None),)))

is what an object looks like: its fields in order, each with what the objects in it look like, or None. A type made of
that has these fields, each of which may be missing, and no others; in a field stands any JSON value within the limits
of `ledger.log.canonical`, or an object that looks as learned.

It only makes reading quicker: what is decoded and, encoded again, is the same bytes, is canonical, whatever type it
went through.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from ledger.log import canonical

MAX_FIELDS = 32
"""Fields of an object to learn: with many more, a dictionary is as quick."""

LEVELS = 2
"""Objects within objects to learn: what lies deeper is seldom worth it."""

Look: TypeAlias = tuple[tuple[str, Any], ...]
"""Names of an object's fields, in order, each with the Look of the objects in it, or None."""

_is_name = re.compile(r"[a-z][a-z0-9_]*").fullmatch


def look_of(values: Sequence[Any], levels: int = LEVELS) -> Look | None:
    """Tell what all these values, at least one, look like. None where not all are objects, or they have many fields."""
    if not levels or not all(type(value) is dict for value in values):
        return None
    names = sorted({name for value in values for name in value})
    if not 0 < len(names) <= MAX_FIELDS or not all(map(_is_name, names)):
        return None
    return tuple((name, look_of([value[name] for value in values if name in value], levels - 1)) for name in names)


@lru_cache(maxsize=64)
def type_of(look: Look | None) -> Any:
    """Give the type of what looks so, for msgspec to decode by: of any JSON value for None."""
    if look is None:
        return canonical.QUICK_VALUE
    fields = [(name, type_of(inner) | msgspec.UnsetType, msgspec.UNSET) for name, inner in look]
    return msgspec.defstruct("Learned", fields, frozen=True, forbid_unknown_fields=True)

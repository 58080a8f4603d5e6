"""What every JSON body has to be: each key once in its object, and nested no deeper than a person would write it.

Two programs that read one body differently are how a check is bypassed, so what is ambiguous is refused.
"""

import json
from typing import Any

from ledger.errors import Malformed

MAX_DEPTH = 32
"""Objects and arrays within each other; what the service reads has 6 at the most."""

TOO_DEEP_HELP = f"nest at most {MAX_DEPTH} deep"


def check_shape(data: bytes) -> None:
    """Refuse a key that stands twice in one object, and too deep a nesting, anywhere. Raises Malformed."""
    try:
        # Numbers stay text: only keys matter here, and a number of 5,000 digits is legal JSON.
        value = json.loads(data.decode(), object_pairs_hook=once, parse_int=str, parse_float=str)
    except RecursionError:
        raise Malformed("", "the request is nested too deeply", help=TOO_DEEP_HELP) from None
    except ValueError as error:
        raise Malformed("", f"the request is not JSON: {error}") from None
    check_depth(value)


def check_depth(value: object) -> None:
    """Raise Malformed where a value is nested more than `MAX_DEPTH` deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise Malformed("", "the request is nested too deeply", help=TOO_DEEP_HELP)


def _inner(value: Any) -> list[Any]:
    """Give the objects and arrays right within a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for found in inner if isinstance(found, dict | list)]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs. Raises Malformed where a key stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"/{twice}", "stands twice in one object")
    return found

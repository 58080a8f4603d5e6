"""The shape of JSON bodies: each key once, and so deep."""

import pytest

from ledger.access.shape import MAX_DEPTH, check_depth, check_shape
from ledger.errors import Malformed


def nested(depth: int) -> object:
    value: object = 1
    for number in range(depth):
        value = {"a": value} if number % 2 else [1, value]
    return value


def test_a_value_may_be_so_deep():
    """Up to the limit objects and arrays may lie within each other, with something inside or nothing."""
    check_depth(nested(MAX_DEPTH))
    check_shape(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_a_value_may_not_be_deeper(depth):
    """One more is refused, and so is what no stack would hold."""
    with pytest.raises(Malformed, match="nested too deeply"):
        check_shape(b"[" * depth + b"]" * depth)


def test_a_key_stands_once():
    """The same key in two objects is two keys; twice in one is refused, and named."""
    check_shape(b'{"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}')
    with pytest.raises(Malformed, match="/b: stands twice"):
        check_shape(b'{"a": [{"b": 1, "c": 2, "b": 1}]}')

"""Types that are learned from objects."""

from typing import Any

import msgspec
import pytest

from ledger.log.learned import LEVELS, MAX_FIELDS, look_of, type_of


def test_a_look_has_the_fields_of_all_objects_in_order() -> None:
    """Also within objects, where all values of a field are objects."""
    objects = [{"b": 1, "a": {"y": 1}}, {"a": {"x": "1"}}, {"c": {"z": 1}}, {"c": None}]
    assert look_of(objects) == (("a", (("x", None), ("y", None))), ("b", None), ("c", None))


@pytest.mark.parametrize(
    "values",
    [
        [1],
        [[]],
        [{}],
        [{"a": 1}, 1],
        [{"a-b": 1}],
        [{"": 1}],
        [{"__init__": 1}],
        [{f"n{i}": i for i in range(MAX_FIELDS + 1)}],
    ],
)
def test_what_makes_no_type_has_no_look(values: list[Any]) -> None:
    """No objects, or such that a type would be no quicker for."""
    assert look_of(values) is None


def test_levels_and_fields_are_learned_up_to_their_limits() -> None:
    """The last of the levels, and the last of the fields, are still learned; no more."""
    deep: Any = 1
    for _ in range(LEVELS + 1):
        deep = {"a": deep}
    assert look_of([deep]) == (("a", (("a", None),)),)
    assert len(look_of([{f"n{i}": i for i in range(MAX_FIELDS)}]) or ()) == MAX_FIELDS


def test_a_learned_type_holds_the_values_that_any_may() -> None:
    """Fields may be missing or new in value, not in name; and the limits of numbers stay."""
    decoder = msgspec.json.Decoder(type_of(look_of([{"a": 1, "b": {"c": 1}}])))
    for good in (b"{}", b'{"a":[{"x":null}]}', b'{"b":{}}', b'{"a":"","b":{"c":{"d":true}}}'):
        assert msgspec.json.encode(decoder.decode(good)) == good
    for wrong in (b'{"d":1}', b'{"a":1.5}', b'{"a":9007199254740992}', b'{"b":{"d":1}}', b'{"b":1}', b'{"b":null}'):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(wrong)

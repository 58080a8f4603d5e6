"""Canonical JSON: the bytes of RFC 8785, and nothing else."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, TooLarge
from ledger.log.canonical import MAX_DEPTH, MAX_INTEGER, check, decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@given(VALUES)
def test_bytes_are_those_of_the_rfc8785_package(value: Any) -> None:
    """`encode` gives the bytes of the `rfc8785` package, and `decode` gives the value back."""
    data = encode(value)
    assert rfc8785.dumps(value) == data
    assert value == decode(data)


@given(VALUES)
def test_other_spellings_are_refused(value: Any) -> None:
    """The same value written in any other way does not decode."""
    canonical = encode(value)
    others = [
        json.dumps(value).encode(),
        json.dumps(value, indent=1).encode(),
        json.dumps(value, separators=(",", ":")).encode(),
        b" " + canonical,
        canonical + b"\n",
    ]
    for data in others:
        if data != canonical:
            with pytest.raises(Malformed):
                decode(data)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_malformed(data: bytes) -> None:
    """Whatever decodes is canonical; whatever does not raises Malformed and nothing else."""
    try:
        value = decode(data)
    except Malformed:
        return
    assert data == encode(value)


@given(KEYS, st.integers(0, 7))
def test_every_place_has_its_pointer(key: str, index: int) -> None:
    """A value that does not fit is named by an RFC 6901 pointer, `~` and `/` escaped."""
    escaped = key.replace("~", "~0").replace("/", "~1")
    with pytest.raises(Malformed) as caught:
        encode({"a": [0] * index + [{key: 0.5}]})
    assert f"/a/{index}/{escaped}" == caught.value.pointer


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        1e300,
        float("nan"),
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        10**50,
        b"x",
        {1},
        object(),
        "\ud800",
        {"é": 1},
        {1: 1},
        {None: 1},
    ],
)
def test_what_does_not_fit_is_refused(value: object) -> None:
    """Floats, integers that a double rounds, half surrogates, keys beyond ASCII and what is not JSON do not encode."""
    with pytest.raises(Malformed):
        encode(value)
    with pytest.raises(Malformed) as caught:
        check([value], "/body")
    assert caught.value.pointer == "/body/0"


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b"", ""),
        (b"1.0", ""),
        (b"1e3", ""),
        (b"-0", ""),
        (b"01", ""),
        (b"NaN", ""),
        (b"9007199254740992", ""),
        (b"-9007199254740992", ""),
        (b"1" * 5000, ""),
        (b'{"a":1,"a":1}', ""),
        (b'{"b":1,"a":1}', ""),
        (b'{"a":[1,{"b":2.5}]}', "/a/1/b"),
        (b'{"a":[[[[[[[[9007199254740992]]]]]]]]}', "/a/0/0/0/0/0/0/0/0"),
        ('{"é":1}'.encode(), ""),
        (b'"\\u0041"', ""),
        (b'"\\/"', ""),
        (b'"\\ud800"', ""),
        (b'"\xff"', ""),
        (b'"\xed\xa0\x80"', ""),
        (b"\xef\xbb\xbf1", ""),
        (b"[1,]", ""),
        (b"1 1", ""),
        (b"[" * 60_000 + b"]" * 60_000, ""),
    ],
)
def test_strange_documents_are_refused(data: bytes, pointer: str) -> None:
    """Each known way in which JSON readers differ is refused, and where a field is at fault it is named."""
    with pytest.raises(Malformed) as caught:
        decode(data)
    assert pointer == caught.value.pointer


def test_limits_are_inclusive() -> None:
    """The largest integer and the deepest nesting pass; one more does not."""
    deepest: Any = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    for value in (MAX_INTEGER, -MAX_INTEGER, deepest):
        assert value == decode(encode(value))
    with pytest.raises(Malformed):
        encode([deepest])
    with pytest.raises(Malformed):
        decode(b"[" + encode(deepest) + b"]")


def test_size_is_capped() -> None:
    """`limit` counts bytes and is inclusive."""
    assert decode(b'"abc"', limit=5) == "abc"
    with pytest.raises(TooLarge):
        decode(b'"abc"', limit=4)


def test_a_cycle_is_malformed() -> None:
    """A list that holds itself ends at the depth limit."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Malformed):
        encode(loop)

"""Forms: what the fields of this layer share, read strictly."""

import pytest
from msgspec import Struct

from ledger.errors import Malformed, TooLarge
from ledger.governance.forms import (
    MAX_JSON_BYTES,
    check_country,
    check_identifier,
    check_set,
    decode,
    parse_time,
)


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    x: int


class Outer(Struct, frozen=True, forbid_unknown_fields=True):
    items: tuple[Inner, ...]


@pytest.mark.parametrize("text", ["a", "humanitarian.demining", "mod-ua", "dpv:Purpose", "uav_1", "a" * 128])
def test_identifier_is_taken(text):
    """An identifier is ASCII letters and digits, then also . _ : - up to 128."""
    check_identifier(text, "/id")


@pytest.mark.parametrize("text", ["", ".a", "a b", "a\n", "дані", "a/b", "a|b", "a" * 129])
def test_identifier_is_refused(text):
    """Anything else is refused at the pointer given."""
    with pytest.raises(Malformed) as refused:
        check_identifier(text, "/id")
    assert refused.value.pointer == "/id"


@pytest.mark.parametrize("text", ["", "UA", "ukr", "UKRA", "UK1", "UKR\n", "\u0423\u041a\u0420"])
def test_country_is_refused(text):
    """A country is three ASCII capitals."""
    check_country("UKR", "/country")
    with pytest.raises(Malformed):
        check_country(text, "/country")


def test_time_is_read_to_the_microsecond():
    """A time keeps its microseconds and is in UTC."""
    assert parse_time("2026-11-21T09:30:00.123456Z", "/at").isoformat() == "2026-11-21T09:30:00.123456+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T09:30:00Z",
        "2026-11-21T09:30:00.123Z",
        "2026-11-21T09:30:00.123456+00:00",
        "2026-11-21t09:30:00.123456z",
        "2026-02-30T09:30:00.123456Z",
        "2026-11-21T24:00:00.000000Z",
        "2026-11-21T23:59:60.000000Z",
        "0000-01-01T00:00:00.000000Z",
        "2026-11-21T09:30:00.12345\u0666Z",
        "2026-11-21T09:30:00.123456Z\n",
    ],
)
def test_time_is_refused(text):
    """Whatever would break "order as text is order in time" is refused, and so is a time that does not exist."""
    with pytest.raises(Malformed) as refused:
        parse_time(text, "/at")
    assert refused.value.pointer == "/at"


@pytest.mark.parametrize(("values", "place"), [(("b", "a"), 1), (("a", "a"), 1), (("",), 0), (("a", "b", ""), 2)])
def test_set_is_sorted_and_without_repetition(values, place):
    """A set has one form: sorted, each once, none empty; the first value out of place is named."""
    check_set(("a", "b"), "/set")
    check_set((), "/set")
    with pytest.raises(Malformed) as refused:
        check_set(values, "/set")
    assert refused.value.pointer == f"/set/{place}"


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b'{"items":[{"x":1},{"x":"1"}]}', "/items/1/x"),
        (b'{"items":[{"x":1.5}]}', "/items/0/x"),
        (b'{"items":[{"y":1}]}', "/items/0"),
        (b'{"items":[{"x":1,"x":2}]}', ""),
        (b'{"items":[]}]', ""),
        (b"", ""),
        (b"\xff", ""),
        (b'{"\xff":1}', ""),
        (b"\xef\xbb\xbf{}", ""),
        (b"[" * 60_000, ""),
        (b'{"items":[{"x":' + b"9" * 5_000 + b"}]}", "/items/0/x"),
    ],
)
def test_json_is_read_strictly(data, pointer):
    """Bad JSON, JSON of another form, repeated keys and bottomless nesting are Malformed at their place."""
    assert Outer(items=(Inner(x=1),)) == decode(b'{"items":[{"x":1}]}', Outer)
    with pytest.raises(Malformed) as refused:
        decode(data, Outer)
    assert refused.value.pointer == pointer


def test_bottomless_nesting_is_malformed():
    """JSON that nests deeper than any reader follows is refused, also where any JSON would do."""
    with pytest.raises(Malformed, match="is not JSON"):
        decode(b"[" * 30_000 + b"]" * 30_000, list)


def test_json_has_a_limit():
    """A document over the limit is refused before it is read; one at the limit is read."""
    room = MAX_JSON_BYTES - len(b'{"items":[]}')
    assert Outer(items=()) == decode(b'{"items":[]}' + b" " * room, Outer)
    with pytest.raises(TooLarge):
        decode(b'{"items":[]}' + b" " * (room + 1), Outer)

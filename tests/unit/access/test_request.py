"""Requests: one reading of each body, or a refusal that names the field."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.access.request import MAX_ID_CHARACTERS, MAX_REQUEST_BYTES, Request, parse_request
from ledger.errors import Malformed, TooLarge

BODY = (
    b'{"subject":{"type":"system","id":"acme-jp/trainer-1"},"action":{"name":"train"},'
    b'"resource":{"type":"dataset","id":"uav-thermal"},"context":{"purpose":"humanitarian.demining",'
    b'"tier":"redacted","environment":{"kind":"enclave","country":"JPN"}}}'
)
FIELDS = (
    "/subject", "/subject/type", "/subject/id", "/action", "/action/name", "/resource", "/resource/type",
    "/resource/id", "/context", "/context/purpose", "/context/tier", "/context/environment",
    "/context/environment/kind", "/context/environment/country",
)  # fmt: skip


def changed(pointer, value=None, *, drop=False):
    """Give the body with the value at a pointer replaced, or dropped."""
    body = json.loads(BODY)
    *steps, last = pointer.split("/")[1:]
    place = body
    for step in steps:
        place = place[step]
    if drop:
        del place[last]
    else:
        place[last] = value
    return json.dumps(body).encode()


def refused(body):
    with pytest.raises(Malformed) as caught:
        parse_request(body)
    return caught.value


def test_read():
    """A request is read into its flat form; the organisation is what stands before the slash."""
    expected = Request(
        subject_type="system",
        subject_id="acme-jp/trainer-1",
        org="acme-jp",
        action="train",
        resource_type="dataset",
        resource_id="uav-thermal",
        purpose="humanitarian.demining",
        tier="redacted",
        environment="enclave",
        country="JPN",
    )
    assert expected == parse_request(BODY)


def test_an_organisation_asks_for_itself():
    """An organisation's id is the organisation."""
    body = BODY.replace(b'"system","id":"acme-jp/trainer-1"', b'"organisation","id":"acme-jp"')
    assert parse_request(body).org == "acme-jp"


def test_unknown_fields_are_ignored():
    """What the standard lets others send along changes nothing, numbers of any length included."""
    extra = b',"x":{"a:b":[1,{"id":2}]},"properties":{"n":' + b"9" * 6_000 + b"}}"
    assert parse_request(BODY) == parse_request(BODY[:-1] + extra)


@pytest.mark.parametrize("pointer", FIELDS)
def test_missing(pointer):
    """A field that is missing is named."""
    assert refused(changed(pointer, drop=True)).pointer == pointer


@pytest.mark.parametrize("value", [None, 1, True, [], {}, ""])
@pytest.mark.parametrize("pointer", FIELDS)
def test_wrong_type_or_empty(pointer, value):
    """A value of another type, or an empty one, is refused at its field, or at what it should contain."""
    assert refused(changed(pointer, value)).pointer.startswith(pointer)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/subject/type", "user"),
        ("/subject/id", "acme-jp"),
        ("/subject/id", "/trainer"),
        ("/subject/id", "acme-jp/"),
        ("/subject/id", "acme-jp/a/b"),
        ("/subject/id", "acme\u0000jp/a"),
        ("/subject/id", "acme-jp/трал"),
        ("/action/name", "TRAIN"),
        ("/action/name", "x - at `$.subject.id`"),
        ("/resource/type", "table"),
        ("/resource/id", "uav\n"),
        ("/resource/id", "uav\u202e"),
        ("/resource/id", "a" * (MAX_ID_CHARACTERS + 1)),
        ("/context/purpose", "a b"),
        ("/context/tier", "secret"),
        ("/context/environment/kind", "cloud"),
        ("/context/environment/country", "jpn"),
        ("/context/environment/country", "JP"),
        ("/context/environment/country", "JPN\n"),
    ],
)
def test_bad_value(pointer, value):
    """A word that is not known, or an identifier that is none, is refused at its field."""
    assert refused(changed(pointer, value)).pointer == pointer


def test_organisation_with_a_slash():
    """An organisation's id names no system."""
    body = BODY.replace(b'"system"', b'"organisation"')
    assert refused(body).pointer == "/subject/id"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xef\xbb\xbf" + BODY, BODY + b"x", BODY.replace(b"uav", b"\xff"),
        BODY.decode().encode("utf-16"), BODY[:-1] + b',"x":"\xff"}', BODY[:-1] + b',"x":NaN}',
        BODY.replace(b"uav", rb"\ud800"), BODY[:-1] + b',"x":' + b"[" * 30_000,
        BODY[:-1] + b',"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_not_json(body):
    """What is not one JSON object in UTF-8 is Malformed, and nothing else is raised."""
    refused(body)


def test_size():
    """A body may fill the limit, and one byte more is refused unread."""
    padding = b" " * (MAX_REQUEST_BYTES - len(BODY))
    parse_request(BODY + padding)
    with pytest.raises(TooLarge):
        parse_request(BODY + padding + b" ")


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        (b'"id":"uav-thermal"', b'"id":"uav-thermal","id":"uav-thermal"'),
        (b'"id":"uav-thermal"', b'"id":"other","id":"uav-thermal"'),
        (b'"id":"uav-thermal"', rb'"\u0069d":"other","id":"uav-thermal"'),
        (b'"id":"uav-thermal"', b'"id" \n : "other","id":"uav-thermal"'),
        (b'"action":{"name":"train"}', b'"action":{"name":"infer"},"action":{"name":"train"}'),
        (b'"country":"JPN"', b'"country":"JPN","x":{"y":1,"y":2}'),
        (b'"country":"JPN"', b'"country":"JPN","":1,"":2'),
    ],
)
def test_a_key_twice(once, twice):
    """A key that stands twice in one object is refused, escaped or spaced, in ignored objects too."""
    assert BODY.count(once) == 1
    assert "stands twice" in str(refused(BODY.replace(once, twice)))


class Pairs(list):
    """An object as its pairs, so that a key can stand twice."""


def pairs_of(value):
    return Pairs((key, pairs_of(item)) for key, item in value.items()) if isinstance(value, dict) else value


def written(value):
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{written(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def repeats(value):
    if isinstance(value, Pairs):
        return len({key for key, _ in value}) < len(value) or any(repeats(item) for _, item in value)
    return isinstance(value, list) and any(map(repeats, value))


KEYS = st.sampled_from(["id", "type", "name", "x", ":", '":', "a:b"])
VALUES = st.recursive(
    st.sampled_from(["", ":", '":"', "{", 1, None]),
    lambda inner: st.lists(st.tuples(KEYS, inner), max_size=3).map(Pairs) | st.lists(inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 3), extra=st.lists(st.tuples(KEYS, VALUES), max_size=3))
def test_repetition_is_found_exactly(place, extra):
    """A body is refused if and only if some object of it has a key twice, whatever colons and quotes are about."""
    body = pairs_of(json.loads(BODY))
    body[place][1].extend(extra)
    if repeats(body):
        refused(written(body).encode())
    else:
        assert parse_request(BODY) == parse_request(written(body).encode())

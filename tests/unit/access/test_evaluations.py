"""Batches of requests: defaults, items of their own, and what is refused whole."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.access.evaluations import ENDS_AT, MAX_BATCH_BYTES, MAX_EVALUATIONS, parse_evaluations
from ledger.access.mounted import parse_either
from ledger.access.request import parse_request
from ledger.errors import Malformed, TooLarge
from ledger.storage.sequencer import MAX_BATCH_ON_LOOP

SUBJECT = {"type": "system", "id": "acme-jp/trainer-1"}
CONTEXT = {
    "purpose": "humanitarian.demining",
    "tier": "redacted",
    "environment": {"kind": "enclave", "country": "JPN"},
}
ENTITIES = {
    "subject": SUBJECT,
    "action": {"name": "train"},
    "resource": {"type": "dataset", "id": "uav"},
    "context": CONTEXT,
}
OTHERS = {
    "subject": {"type": "organisation", "id": "orion-pl"},
    "action": {"name": "infer"},
    "resource": {"type": "weights", "id": "w-1"},
    "context": {"purpose": "research", "tier": "derived", "environment": {"kind": "edge", "country": "POL"}},
}


def parsed(body):
    return parse_evaluations(json.dumps(body).encode())


@settings(max_examples=200)
@given(st.sets(st.sampled_from(list(ENTITIES))), st.sets(st.sampled_from(list(ENTITIES))))
def test_an_items_entity_replaces_the_default_whole(default, own):
    """An item is what a single request of its own entities, and else of the defaults, would be; or what that lacks."""
    item = {name: OTHERS[name] for name in own}
    asked = {**{name: ENTITIES[name] for name in default}, **item}
    (found,) = parsed({**{name: ENTITIES[name] for name in default}, "evaluations": [item]}).items
    if asked.keys() == ENTITIES.keys():
        assert parse_request(json.dumps(asked).encode()) == found
    else:
        missing = next(name for name in ENTITIES if name not in asked)
        assert (found.pointer, str(found)) == (f"/{missing}", f"/{missing}: is missing")


def test_an_entity_is_not_merged_into_its_default():
    """An item's context that has a purpose alone lacks all else, whatever the default has."""
    (found,) = parsed({**ENTITIES, "evaluations": [{"context": {"purpose": "research"}}]}).items
    assert isinstance(found, Malformed)
    assert found.pointer == "/context/tier"


RECORDS = {
    "subject": {"type": "user", "id": "bob", "properties": {"role": "admin"}},
    "action": {"name": "write", "properties": {"soft": True}},
    "resource": {"type": "record", "id": "record-1"},
    "context": {"ip": "192.168.1.1"},
}
ANY_PART = {name: st.sampled_from([None, ENTITIES[name], RECORDS[name]]) for name in ENTITIES}


def read(parse, body):
    try:
        return parse(json.dumps(body).encode())
    except Malformed as error:
        return error


@settings(max_examples=400)
@given(st.fixed_dictionaries(ANY_PART), st.fixed_dictionaries(ANY_PART))
def test_an_item_is_read_by_who_decides_on_its_resource(default, own):
    """An item is what a single request of its parts and else the defaults would be, whatever stands beside it."""
    default, own = ({name: part for name, part in parts.items() if part is not None} for parts in (default, own))
    items = parsed({**default, "evaluations": [own, {}, RECORDS, ENTITIES]}).items
    alone = [read(parse_either, {**default, **item}) for item in (own, {}, RECORDS, ENTITIES)]
    for expected, item in zip(alone, items, strict=True):  # of several things that are wrong either names one
        assert item == expected or (isinstance(item, Malformed) and isinstance(expected, Malformed))


def test_a_default_is_read_once():
    """However many items share it, what it holds is held once."""
    body = {**RECORDS, "evaluations": [{"resource": {"type": "record", "id": f"r-{number}"}} for number in range(200)]}
    items = parsed(body).items
    assert len({id(item.properties["subject"]) for item in items}) == 1
    broken = parsed({**body, "subject": {"type": "user"}}).items
    assert len({id(item) for item in broken}) == 1


@pytest.mark.parametrize("body", [ENTITIES, {**ENTITIES, "evaluations": []}, {**ENTITIES, "options": {}}])
def test_without_items_it_is_no_batch(body):
    """A list that is missing or empty is a single evaluation's."""
    assert parsed(body) is None


@pytest.mark.parametrize(
    ("options", "ends_at"),
    [({}, None), *(({"evaluations_semantic": name}, ends_at) for name, ends_at in ENDS_AT.items())],
)
def test_the_semantic_says_what_ends_it(options, ends_at):
    """Each of the three is told apart, and all are made unless it says otherwise; other options are ignored."""
    assert parsed({**ENTITIES, "evaluations": [{}], "options": {**options, "other": 1}}).ends_at is ends_at


BROKEN = [5, None, "x", [], {"subject": 1}, {"resource": {"type": "dataset", "id": ""}}, {"action": {"name": "sell"}}]


@pytest.mark.parametrize("item", BROKEN, ids=repr)
def test_a_broken_item_is_alone_in_it(item):
    """What is wrong with one item is its own, and those beside it stand."""
    items = parsed({**ENTITIES, "evaluations": [{}, item, {}]}).items
    assert [isinstance(found, Malformed) for found in items] == [False, True, False]


def test_where_a_deny_ends_it_nothing_is_read_after_a_broken_item():
    """A broken item is a deny: with deny_on_first_deny it is the last, and with the others it is not."""
    body = {**ENTITIES, "evaluations": [{}, {"action": {}}, {}]}
    counts = {name: len(parsed({**body, "options": {"evaluations_semantic": name}}).items) for name in ENDS_AT}
    assert counts == {"execute_all": 3, "deny_on_first_deny": 2, "permit_on_first_permit": 3}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"evaluations": {}}, "/evaluations"),
        ({"evaluations": None}, "/evaluations"),
        ({"options": 1}, "/options"),
        ({"options": {"evaluations_semantic": "any"}}, "/options/evaluations_semantic"),
        ({"options": {"evaluations_semantic": None}}, "/options/evaluations_semantic"),
        ({"subject": 123}, "/subject"),
        ({"subject": {"type": "system", "id": ""}}, "/subject/id"),
        ({"subject": {"type": "system", "id": "acme-jp"}}, "/subject/id"),
        ({"resource": {"type": "dataset", "id": "a b"}}, "/resource/id"),
        ({"action": {"name": 123}}, "/action/name"),
        ({"context": {**CONTEXT, "purpose": ""}}, "/context/purpose"),
        ({"resource": {**ENTITIES["resource"], "properties": 1}}, "/resource/properties"),
    ],
)
def test_what_is_not_an_items_is_refused_whole(change, pointer):
    """Defaults, list and options have to be of their form, even where every item has entities of its own."""
    with pytest.raises(Malformed) as caught:
        parsed({**ENTITIES, "evaluations": [OTHERS], **change})
    assert caught.value.pointer == pointer


BODY = json.dumps({**ENTITIES, "evaluations": [{}, OTHERS]}).encode()

NOT_ONE_READING = {
    "a key twice at the top": BODY[:-1] + b', "action": {"name": "infer"}}',
    "a key twice in an item": BODY.replace(b'"evaluations": [', b'"evaluations": [{"action": {"name": "train"}, '
                                           b'"action": {"name": "infer"}}, '),
    "a key twice in an item's entity": BODY.replace(b'{"name": "infer"}', b'{"name": "train", "name": "infer"}'),
    "a key twice in what is ignored": BODY[:-1] + b', "x": {"z": 1, "z": 2}}',
    "a key twice in a broken item": BODY.replace(b"[{}", b'[{"subject": 1, "subject": 2}'),
    "the list twice": BODY[:-1] + b', "evaluations": []}',
    "NaN in what is ignored": BODY[:-1] + b', "x": NaN}',
    "invalid UTF-8 in an item": BODY.replace(b"w-1", b"w\xff1"),
    "invalid UTF-8 in what is ignored": BODY[:-1] + b', "x": "\xff"}',
    "nested too deeply": BODY[:-1] + b', "x": ' + b"[" * 40 + b"]" * 40 + b"}",
    "nested far too deeply": BODY[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "nested too deeply in an item": BODY.replace(b"[{}", b"[" + b"[" * 20_000 + b"]" * 20_000),
    "cut short": BODY[:-1],
    "two documents": BODY + BODY,
    "empty": b"",
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_ONE_READING)
def test_what_has_not_one_reading_is_refused_whole(case):
    """A body that is not JSON, has a key twice or is nested too deeply is refused, and not an item of it."""
    assert NOT_ONE_READING[case] != BODY
    with pytest.raises(Malformed):  # without items it is read as the single request that it is
        _ = parse_evaluations(NOT_ONE_READING[case]) or parse_request(NOT_ONE_READING[case])


def test_the_limits():
    """As many items as a batch may have are read, whole ones too, and no more; nor more bytes."""
    most = {"evaluations": [OTHERS] * MAX_EVALUATIONS}
    assert len(parsed(most).items) == MAX_EVALUATIONS
    with pytest.raises(TooLarge, match="over the limit of 200 evaluations"):
        parsed({"evaluations": [OTHERS] * (MAX_EVALUATIONS + 1)})
    with pytest.raises(TooLarge, match="over the limit of 262,144 bytes"):
        parse_evaluations(BODY + b" " * MAX_BATCH_BYTES)
    assert MAX_EVALUATIONS <= MAX_BATCH_ON_LOOP

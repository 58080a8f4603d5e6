"""The catalogue of events: every kind has an example that an entry carries and gives back, byte for byte."""

import hashlib
import importlib.util
import inspect
import json
import types
import typing
from pathlib import Path

import msgspec
import pytest
import rfc8785

from examples import EXAMPLES
from ledger.errors import BadEntry
from ledger.events import CATALOGUE, event_of, replayable
from ledger.log.entry import parse_entry
from ledger.storage.projectors import WITHOUT_TABLE, projected

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
KINDS = sorted(CATALOGUE)
BY_KIND = {(example.event.KIND, example.event.VERSION): example for example in EXAMPLES}

PLAIN = (str, int, bool, type(None))
"""What a body may hold besides structs, tuples, dicts by text and words from a list."""


def _maker():
    spec = importlib.util.spec_from_file_location("make_events", VECTORS / "make_events.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_events = _maker()


def _parse(data: bytes):
    return parse_entry(data, seq=make_events.SEQ, prev=make_events.PREV)


def test_every_kind_has_one_example():
    """A kind that is added without an example in `tests/support/examples.py` is named here."""
    assert sorted(BY_KIND) == KINDS
    assert len(EXAMPLES) == len(CATALOGUE)


def test_every_kind_is_pinned():
    """`tests/vectors/events.json` has the bytes of every kind; a changed wire form is a new version of the kind."""
    pinned = json.loads((VECTORS / "events.json").read_text(encoding="utf-8"))
    made = make_events.vectors()
    assert sorted(pinned) == sorted(f"{kind} v{version}" for kind, version in KINDS)
    for name, vector in pinned.items():
        assert vector == made[name], name
        assert hashlib.sha256(b"\x00" + vector["entry"].encode()).hexdigest() == vector["leaf"]


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_an_event_survives_its_entry(key):
    """An example, written as an entry and read back, is the same event, and its bytes are canonical (RFC 8785)."""
    example = BY_KIND[key]
    data = make_events.entry_of(example)
    entry = _parse(data)
    assert rfc8785.dumps(json.loads(data)) == data
    assert replayable(entry)
    assert event_of(entry) == example.event
    assert (entry.kind, entry.v, entry.by) == (*key, dict(example.by))


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_an_example_says_what_there_is_to_say(key):
    """Every field of an example has another value than its default, but for those that an allow leaves empty."""
    event = BY_KIND[key].event
    left = [
        field.name
        for field in msgspec.structs.fields(event)
        if field.default is not msgspec.NODEFAULT and getattr(event, field.name) == field.default
    ]
    assert left in ([], ["errors"])


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_streams_are_plain_and_named_once(key):
    """Streams are ASCII, `<what>:<id>`, each once, and name ids that the event holds."""
    streams = BY_KIND[key].event.streams()
    assert len(set(streams)) == len(streams)
    body = msgspec.json.encode(BY_KIND[key].event).decode()
    for stream in streams:
        what, _, name = stream.partition(":")
        assert stream.isascii()
        assert what in {"agreement", "dataset", "org", "run", "weights"}
        assert name in body


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_no_body_holds_what_does_not_last(key):
    """No field, however deep, is a float, bytes, a local time, an enum, or anything of unknown shape (DESIGN §7)."""
    odd = {f"{key[0]}: {place}: {form}" for place, form in _odd(CATALOGUE[key], key[0])}
    assert odd == set()


def _odd(form: object, place: str):
    """Walk an annotation down to its plain types; give what is none."""
    parts = None if form in PLAIN else _parts(form)
    if parts is None and form not in PLAIN:
        yield place, form
    for name, part in parts or ():
        yield from _odd(part, place + name)


def _parts(form: object):
    """Give what an annotation is made of, with where it stands; None for one that does not last."""
    origin, within = typing.get_origin(form), typing.get_args(form)
    if origin is typing.Literal:
        return [] if all(isinstance(word, str) for word in within) else None
    if origin in {types.UnionType, typing.Union, tuple}:
        return [("", part) for part in within if part is not Ellipsis]
    if origin is dict and within[0] is str:
        return [("", within[1])]
    if inspect.isclass(form) and issubclass(form, msgspec.Struct):
        hints = typing.get_type_hints(form)
        return [(f".{field.name}", hints[field.name]) for field in msgspec.structs.fields(form)]
    return None


@pytest.mark.parametrize(
    "form", [float, float | None, tuple[float, ...], dict[str, float], dict[int, str], bytes, object]
)
def test_the_walk_finds_what_does_not_last(form):
    """The walk above finds a float wherever it stands."""
    assert list(_odd(tuple[dict[str, form], ...] | None, "x"))


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_every_kind_is_folded_or_said_not_to_be(key):
    """A kind has a projector, or is listed among those that change no table, and never both."""
    assert (CATALOGUE[key] in projected()) != (CATALOGUE[key] in WITHOUT_TABLE)


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_a_kind_says_what_it_is(key):
    """Each kind has a docstring, refuses unknown fields, and seals only what is no field of its body."""
    cls = CATALOGUE[key]
    assert cls.__doc__
    assert cls.__struct_config__.forbid_unknown_fields
    assert cls.__struct_config__.frozen
    assert not cls.SEALABLE & {field.name for field in msgspec.structs.fields(cls)}
    assert set(BY_KIND[key].sensitive) == cls.SEALABLE


@pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]} v{key[1]}")
def test_a_body_of_another_kind_is_refused(key):
    """A field too many, one too few, and one of another type are BadEntry at the entry's index."""
    entry = _parse(make_events.entry_of(BY_KIND[key]))
    required = next(f.name for f in msgspec.structs.fields(CATALOGUE[key]) if f.required)
    less = {name: value for name, value in entry.body.items() if name != required}
    for body in ({**entry.body, "surprise": 1}, less, {**entry.body, required: {"x": []}}):
        with pytest.raises(BadEntry, match=r"entry 17: the body is not one of kind") as raised:
            event_of(msgspec.structs.replace(entry, body=body))
        assert raised.value.seq == 17


def test_what_is_not_known_is_not_replayed():
    """Another kind, and another version of a known one, are no events of this catalogue."""
    entry = _parse(make_events.entry_of(EXAMPLES[0]))
    assert not replayable(msgspec.structs.replace(entry, kind="weather.observed"))
    assert not replayable(msgspec.structs.replace(entry, v=2))

"""An entry: one form, read strictly."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BadEntry, Malformed, TooLarge
from ledger.log.entry import (
    GENESIS_PREV,
    MAX_ENTRY_BYTES,
    MAX_LEARNED,
    Entry,
    Reader,
    _learned_decoder,
    _parse_exactly,
    _parse_quickly,
    format_entry,
    format_time,
    parse_entry,
    parse_time,
)

FIELDS: dict[str, Any] = {
    "about": {"dataset:uav-thermal": (3, 12), "org:acme": (5, 15)},
    "at": "2026-11-21T09:30:00.123456Z",
    "body": {"grant": "g-7", "n": [1, {"deep": [[[[[[[[1]]]]]]]]}], "title": "Облік"},
    "by": {"org": "mod-ua", "person": "o.koval"},
    "kind": "grant.issued",
    "prev": "ab" * 32,
    "sealed": {"justification": "A" * 43},
    "seq": 17,
    "v": 1,
}


def make(**changes: Any) -> Entry:
    return Entry(**FIELDS | changes)


def raw(**changes: Any) -> bytes:
    """Canonical bytes of an entry that `format_entry` might refuse; a change to None removes the field."""
    return rfc8785.dumps({name: value for name, value in (FIELDS | changes).items() if value is not None})


@pytest.mark.parametrize("body", [FIELDS["body"], {}, {"a": 1}, {"a": "я"}])
def test_what_is_formatted_parses_to_the_same(body: dict[str, Any]) -> None:
    """An entry comes back from its bytes, which are RFC 8785's, by the quick way and the exact one."""
    entry = make(body=body)
    data = format_entry(entry)
    assert raw(body=body) == data
    assert entry == parse_entry(data, seq=17)


def test_no_sealed_field_leaves_the_key_out() -> None:
    """`sealed` is absent when there is none; an empty one is refused."""
    data = format_entry(make(sealed={}))
    assert b"sealed" not in data
    assert raw(sealed=None) == data
    with pytest.raises(BadEntry, match="sealed"):
        parse_entry(raw(sealed={}), seq=17)


def test_a_struct_as_body_is_the_object_of_its_fields_in_order() -> None:
    """Fields of a Struct are written in the order of their names, whatever their order in the class."""

    class Body(msgspec.Struct):
        zulu: int
        alpha: str

    data = format_entry(make(body=Body(zulu=1, alpha="x")))
    assert raw(body={"alpha": "x", "zulu": 1}) == data


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"about": {"org:a": [0]}}, "/about"),
        ({"about": {"org:a": [-1, 0]}}, "/about"),
        ({"about": {"org:a": [0, -2]}}, "/about"),
        ({"about": {"org:a": [True, 0]}}, "/about"),
        ({"about": {"org:a": [0, 0, 0]}}, "/about"),
        ({"about": None}, "about"),
        ({"at": "2026-11-21T09:30:00Z"}, "/at"),
        ({"at": "2026-11-21T09:30:00.123456+00:00"}, "/at"),
        ({"at": "2026-02-29T09:30:00.123456Z"}, "/at"),
        ({"at": "2026-11-31T09:30:00.123456Z"}, "/at"),
        ({"at": "2026-11-21T24:00:00.000000Z"}, "/at"),
        ({"at": "0000-11-21T09:30:00.123456Z"}, "/at"),
        ({"at": 5}, "/at"),
        ({"body": []}, "/body"),
        ({"body": None}, "/body"),
        ({"body": {"a": {"ї": 1}}}, "/body/a"),
        ({"body": {"a": 2**53 - 1, "b": [1.5]}}, "/body/b/0"),
        ({"by": {"org": 1}}, "/by"),
        ({"by": "me"}, "/by"),
        ({"kind": "grant"}, "/kind"),
        ({"kind": "grant.Issued"}, "/kind"),
        ({"kind": "grant.issued\n"}, "/kind"),
        ({"kind": ".issued"}, "/kind"),
        ({"prev": "AB" * 32}, "/prev"),
        ({"prev": "ab" * 31}, "/prev"),
        ({"prev": "ab" * 31 + "a\n"}, "/prev"),
        ({"sealed": {"x": "A" * 42}}, "/sealed/x"),
        ({"sealed": {"x": "A" * 42 + "B"}}, "/sealed/x"),
        ({"sealed": {"x": "A" * 42 + "+"}}, "/sealed/x"),
        ({"seq": 18}, "/seq"),
        ({"seq": -1}, "/seq"),
        ({"seq": "17"}, "/seq"),
        ({"v": 0}, "/v"),
        ({"v": True}, "/v"),
        ({"v": None}, "v"),
        ({"extra": 1}, "extra"),
    ],
)
def test_every_field_is_checked(changes: dict[str, Any], place: str) -> None:
    """An entry with one wrong field is refused, with its index and the field named."""
    with pytest.raises(BadEntry) as caught:
        parse_entry(raw(**changes), seq=17)
    assert caught.value.seq == 17
    assert place in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        raw() + b"\n",
        json.dumps(FIELDS).encode(),
        raw().replace(b'"v":1', b'"v":1,"v":1'),
        raw().replace(b'"seq":17', b'"seq":17.0'),
        raw(body={"a": 1}).replace(b'"a":1', b'"a":1.0'),
        raw(body={"a": "A"}).replace(b'"A"', b'"\\u0041"'),
        raw(body={"a": 1, "b": 2}).replace(b'"a":1,"b":2', b'"b":2,"a":1'),
        raw(about={"a": [0, -1], "b": [0, -1]}).replace(b'"a":[0,-1],"b":[0,-1]', b'"b":[0,-1],"a":[0,-1]'),
        b"\xff" + raw(),
        raw()[:-1],
        b'{"body":' + b"[" * 30_000,
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    """Bytes that a lax reader takes for the same entry are refused."""
    with pytest.raises(BadEntry):
        parse_entry(data, seq=17)


def test_every_cut_and_every_flipped_bit_is_refused_or_another_entry() -> None:
    """No damaged copy parses to the same entry, and none raises anything but BadEntry."""
    data = format_entry(make())
    damaged = [data[:i] for i in range(len(data))]
    damaged += [data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :] for i in range(len(data)) for bit in range(8)]
    for copy in damaged:
        try:
            entry = parse_entry(copy, seq=17)
        except BadEntry:
            continue
        assert copy == format_entry(entry) != data


def exactly(data: bytes) -> Entry | None:
    """Read by the rules of `canonical` alone, the slow way that every quicker one has to agree with."""
    try:
        return _parse_exactly(data)
    except (Malformed, TooLarge):
        return None


def parsed(data: bytes, seq: int, prev: str) -> Entry | str:
    """Give the entry, or the words with which it is refused."""
    try:
        return parse_entry(data, seq=seq, prev=prev)
    except BadEntry as error:
        return str(error)


def together(reader: Reader, run: list[bytes], seq: int) -> list[Any] | str:
    """Give entries as plain values, or the words with which the first that is refused is."""
    try:
        entries = reader.read(run, seq=seq, prevs=["ab" * 32] * len(run))
    except BadEntry as error:
        return str(error)
    return [msgspec.to_builtins(entry) for entry in entries]


def one_by_one(run: list[bytes], seq: int) -> list[Any] | str:
    """Do the same with `parse_entry`."""
    found = [parsed(data, index, "ab" * 32) for index, data in enumerate(run, start=seq)]
    refused = [words for words in found if isinstance(words, str)]
    return refused[0] if refused else [msgspec.to_builtins(entry) for entry in found]


BODIES = st.dictionaries(
    st.text('abĐя"\\:', max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.text('ab"\\\n:є/\x1f𝄞', max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "ab", "ñ"]), inner),
        max_leaves=6,
    ),
    max_size=3,
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "about": st.sampled_from([{}, {"a": [0, -1], "b": [0, 2**53]}, {"é": [0, -1]}, {"a": [0]}]),
        "at": st.sampled_from(["2026-02-29T09:30:00.123456Z", "2028-02-29T00:00:00.000000Z", "now"]),
        "body": BODIES,
        "by": st.sampled_from([{}, {"org": "ї"}, {"ї": "a"}, {"org": 1}]),
        "kind": st.sampled_from(["a.b", "grant", "a.є"]),
        "prev": st.sampled_from(["cd" * 32, "AB" * 32, ""]),
        "sealed": st.sampled_from([{}, {"x": "A" * 43}, {"x": "A" * 42}, {"є": "A" * 43}, None]),
        "v": st.sampled_from([0, 1, 2, 2**53]),
    },
)
DAMAGE = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=2), st.integers(0, 2)), max_size=2)


@settings(max_examples=600)
@given(st.lists(st.tuples(CHANGES, DAMAGE), min_size=1, max_size=6), st.integers(1, 3))
def test_entries_read_together_are_those_read_one_by_one(parts: list[Any], some: int) -> None:
    """Whatever entries hold, and whatever is done to their bytes: the same are accepted, the rest in the same words.

    And whatever the reader learned from those before.
    """
    run = []
    for i, (changes, damage) in enumerate(parts):
        fields = {name: value for name, value in (FIELDS | {"seq": 17 + i} | changes).items() if value is not None}
        data = json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
        for place, put, cut in damage:
            at = place % (len(data) + 1)
            data = data[:at] + put + data[at + cut :]
        run.append(data)
    quickly = [_parse_quickly(data) for data in run]
    assert quickly == [exactly(data) if entry is not None else None for data, entry in zip(run, quickly, strict=True)]
    reader = Reader()
    for i in range(0, len(run), some):
        assert one_by_one(run[i : i + some], 17 + i) == together(reader, run[i : i + some], 17 + i)


def test_a_reader_learns_only_so_often() -> None:
    """A ledger whose bodies never look the same does not keep a reader making types."""
    reader, before = Reader(), _learned_decoder.cache_info().misses
    for number in range(MAX_LEARNED + 3):
        run = [raw(body={f"only_here_{number}": 1})]
        assert one_by_one(run, 17) == together(reader, run, 17)
    assert _learned_decoder.cache_info().misses - before == MAX_LEARNED


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1, "b": 2}, {"b": None}),
        ({"a": 1}, {"a": {"n": {"n": {"n": {"n": {"n": {"n": 1}}}}}}}),
        ({"a": 1}, {"a": "ї"}),
        ({"a": {"b": 1}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {"c": 1}}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": [1]}}}),
        ({"a": {"b": 1}}, {"a": None}),
        ({"a": {"b": 1}}, {"a": [{"b": 1}]}),
        ({"class": 1, "self": 1, "name": 1}, {"class": 2}),
        ({"__init__": 1}, {"__init__": 2}),
        ({"a-b": 1, "": 1}, {"a-b": 2}),
        ({f"n{i}": i for i in range(200)}, {"n7": 1}),
    ],
)
def test_a_reader_that_has_learned_fields_still_reads_any(first: dict[str, Any], then: dict[str, Any]) -> None:
    """Fields more or fewer, of other types, and names that no type can have."""
    reader = Reader()
    for _ in range(2):
        for body in (first, then):
            assert together(reader, [raw(body=body)], 17) == one_by_one([raw(body=body)], 17) != []
    for wrong in (
        raw(body=then).replace(b'"body":{', b'"body":{ '),
        raw(body={"a": 1, "b": 2}).replace(b'"a":1,"b":2', b'"b":2,"a":1'),
        raw(body={"a": 1}).replace(b'"a":1', b'"a":1,"a":1'),
        raw(body={"a": {"b": 1}}).replace(b'"b":1', b'"b":1,"b":1'),
        raw(body={"a": {"b": 1, "c": 2}}).replace(b'"b":1,"c":2', b'"c":2,"b":1'),
        *(raw(body={"a": 7}).replace(b"7}", n + b"}") for n in (b"1.5", b"7.0", b"9007199254740992", b"-0")),
    ):
        assert one_by_one([wrong], 17) == together(reader, [wrong], 17)
        assert isinstance(together(reader, [wrong], 17), str)


@pytest.mark.parametrize(
    "run",
    [
        [raw() + b"\n" + raw(seq=18), b""],
        [raw() + b"\n", raw(seq=18)],
        [raw(), b"\n" + raw(seq=18)],
        [raw() + b"\n" + raw(seq=18)],
        [raw()[:100], raw()[100:]],
        [raw(), b""],
    ],
)
def test_lines_that_were_moved_between_entries_are_refused(run: list[bytes]) -> None:
    """The bytes of each entry count, not those of all of them together."""
    assert isinstance(together(Reader(), run, 17), str)


def test_an_entry_over_the_limit_is_refused_among_others() -> None:
    """The limit holds for each."""
    room = MAX_ENTRY_BYTES - len(format_entry(make(body={"a": ""})))
    good, long = (raw(body={"a": "x" * (room + more)}) for more in (0, 1))
    assert one_by_one([good], 17) == together(Reader(), [good], 17)
    assert "65,535" in str(together(Reader(), [long], 17))


def test_long_text_beyond_ascii_is_read_in_no_time() -> None:
    """Text of any script takes time in proportion to its length: 60 kB of it, full of quotes, as any other."""
    data = raw(body={"a": '"є:\\' * 8_000})
    assert one_by_one([data], 17) == together(Reader(), [data], 17)


def test_the_hash_before_may_be_demanded() -> None:
    """With `prev` given, an entry that carries another is refused."""
    assert parse_entry(raw(), seq=17, prev="ab" * 32).prev == "ab" * 32
    with pytest.raises(BadEntry, match="hash of the entry before"):
        parse_entry(raw(), seq=17, prev=GENESIS_PREV.hex())


def test_size_is_capped_at_what_a_bundle_can_say() -> None:
    """65,535 bytes pass in both directions, one more does not."""
    room = MAX_ENTRY_BYTES - len(format_entry(make(body={"a": ""})))
    data = format_entry(make(body={"a": "x" * room}))
    assert len(data) == MAX_ENTRY_BYTES
    assert parse_entry(data, seq=17).seq == 17
    with pytest.raises(TooLarge):
        format_entry(make(body={"a": "x" * (room + 1)}))
    with pytest.raises(BadEntry, match="65,535"):
        parse_entry(raw(body={"a": "x" * (room + 1)}), seq=17)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": {"a": 1.5}},
        {"body": {"a": float("nan")}},
        {"body": {"a": b"x"}},
        {"body": {"a": "\ud800"}},
        {"body": {1: 1}},
        {"by": {"org": "\ud800"}},
        {"by": {"é": "x"}},
        {"kind": "Grant"},
        {"at": "now"},
        {"prev": "00"},
        {"v": 0},
        {"seq": -1},
        {"seq": 2**53},
        {"about": {"x": (0.5, 1)}},
        {"body": None},
        {"body": object()},
    ],
)
def test_nothing_is_written_that_could_not_be_read(changes: dict[str, Any]) -> None:
    """`format_entry` refuses what `parse_entry` would."""
    with pytest.raises(Malformed):
        format_entry(make(**changes))


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive by Hypothesis
def test_times_come_back_and_sort_as_text(moment: datetime) -> None:
    """27 characters, always; the order of texts is the order of times."""
    text = format_time(moment)
    assert len(text) == 27
    assert moment == parse_time(text)
    assert (text < "2026-11-21T09:30:00.123456Z") == (moment < datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC))


def test_other_zones_become_utc_and_naive_times_are_refused() -> None:
    """A zone is converted; a time without one is the caller's mistake."""
    moment = datetime(2026, 11, 21, 11, 30, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2026-11-21T09:30:00.000000Z"
    with pytest.raises(ValueError, match="zone"):
        format_time(datetime(2026, 11, 21))  # noqa: DTZ001 - the thing under test


@pytest.mark.parametrize("text", ["2028-02-29T00:00:00.000000Z", "2026-12-31T23:59:59.999999Z"])
def test_days_at_the_end_of_a_month_are_times(text: str) -> None:
    """What the quick pattern leaves to the calendar passes it."""
    assert parse_entry(raw(at=text), seq=17).at == text


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-21", "20261121T093000.123456Z", "\uff12026-11-21T09:30:00.123456Z", "2026-11-21T09:30:60.000000Z"],
)
def test_other_forms_of_time_are_refused(text: str) -> None:
    """Only the one form is read."""
    with pytest.raises(Malformed):
        parse_time(text)

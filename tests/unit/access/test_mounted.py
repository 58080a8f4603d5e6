"""Mounted policies: read from four texts or refused at the line; closed on every error; by properties that count."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.access import mount as module
from ledger.access.mount import Texts, digest_of, load_mounted
from ledger.access.mounted import (
    MountedRequest,
    decide_mounted,
    decide_mounted_plain,
    explain_mounted,
    is_mounted,
    parse_mounted,
    take_brought,
)
from ledger.errors import Malformed, TooLarge

MODEL = """\
[request_definition]
r = sub, act, res, ctx
[policy_definition]
p = act, when, eft, en, uk
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.act == "*" || p.act == r.act.name) && eval(p.when)
"""
ALLOW = "p, read, r.sub.age >= 18, allow, Adults read., Дорослі читають."
DENY = "p, *, \"has(r.ctx, 'alarm') && r.ctx.alarm\", deny, No alarm., Без тривоги."
MOUNT = {
    "subjects": {"user": ["age"]},
    "actions": {"read": [], "burn": []},
    "resources": {"book": []},
    "context": ["alarm"],
}
FACTS = {"subjects": [{"type": "user", "id": "ann", "properties": {"age": 20}}], "resources": []}
NOW = "2026-11-21T09:30:00.000000Z"


def texts(*rows, model=MODEL, mount=None, facts=None):
    return Texts(
        model=model,
        rows="\n".join(rows or (ALLOW, DENY)),
        mount=json.dumps({**MOUNT, **(mount or {})}),
        facts=json.dumps({**FACTS, **(facts or {})}),
    )


def load(*rows, **changes):
    return load_mounted("test", texts(*rows, **changes))


def refused(*rows, **changes):
    with pytest.raises(Malformed) as caught:
        load(*rows, **changes)
    return caught.value


def ask(policy, subject="ann", action="read", **properties):
    request = MountedRequest(
        subject_type="user",
        subject_id=subject,
        action=action,
        resource_type="book",
        resource_id="b",
        properties=properties,
    )
    brought = take_brought(request, policy)
    decision = decide_mounted(request, brought, policy, NOW)
    assert decide_mounted_plain(request, brought, policy, NOW) == decision
    return decision


def test_the_digest_changes_with_each_text():
    """Each of the four texts changes the digest."""
    one = texts()
    others = {digest_of(msgspec.structs.replace(one, **{name: " "})) for name in one.__struct_fields__}
    assert len(others | {digest_of(one)}) == 5
    assert digest_of(one) == load_mounted("other", one).digest


def test_allow_needs_a_row_and_no_denying_row():
    """A row that allows is enough, unless one denies; the deciding row is named by its line."""
    policy = load()
    assert (ask(policy).allowed, ask(policy).row.line) == (True, 1)
    denied = ask(policy, context={"alarm": True})
    assert (denied.allowed, denied.row.line) == (False, 2)
    nothing = ask(policy, action="burn")
    assert (nothing.allowed, nothing.row) == (False, None)
    assert explain_mounted(nothing)[0].row is None


def test_no_row_at_all_denies():
    """A policy without rows denies everything."""
    assert not ask(load("# nothing")).allowed


def test_a_missing_property_denies_and_says_so():
    """A row that reads what is not there denies, and names the property; so it does beside a row that would allow."""
    decision = ask(load(), subject="bob")
    assert not decision.allowed
    assert decision.errors == ("the policy could not be evaluated: there is no property `age`",)
    assert explain_mounted(decision) == ()
    assert not ask(load("p, read, r.sub.id == 'bob', allow, x, y", ALLOW), subject="bob").allowed


@pytest.mark.parametrize("when", ["r.sub.age > 'x'", "unheard(r.sub)", "unheard", "r.sub.age", "r.sub._values", "1/0"])
def test_an_error_denies(when):
    """What a row cannot evaluate, or evaluates to no yes or no, denies; what the evaluator said is not told."""
    decision = ask(load(f'p, read, "{when}", allow, x, y', "p, read, True, allow, z, z"))
    assert not decision.allowed
    (error,) = decision.errors
    assert error.startswith("the policy could not be evaluated: ")
    assert "r_sub" not in error


def test_what_a_request_brings_counts_where_it_is_named():
    """A named property counts in place of the stored one; one that is not named is ignored, whatever it is."""
    policy = load()
    request = MountedRequest(
        subject_type="user",
        subject_id="ann",
        action="read",
        resource_type="book",
        resource_id="b",
        properties={"subject": {"age": 3, "known": True, "x": {"y": 1.5}}, "resource": {"age": 99}},
    )
    brought = take_brought(request, policy)
    assert brought == {"subject.age": 3}
    assert not decide_mounted(request, brought, policy, NOW).allowed


@pytest.mark.parametrize(
    "value", [1.5, None, {}, [1], ["x", 1], "x" * 1025, 2**53, 2**70, -(2**64), ["x"] * 101, "\ud800"]
)
def test_a_property_that_counts_has_a_form(value):
    """A number with a fraction, null, an object, or too much of anything is refused at its place."""
    request = MountedRequest(
        subject_type="user", subject_id="ann", action="read", resource_type="book", resource_id="b",
        properties={"subject": {"age": value}},
    )  # fmt: skip
    with pytest.raises(Malformed) as caught:
        take_brought(request, load())
    assert caught.value.pointer == "/subject/properties/age"


@pytest.mark.parametrize(
    ("field", "pointer"),
    [("subject_type", "/subject/type"), ("action", "/action/name"), ("resource_type", "/resource/type")],
)
def test_what_is_not_named_is_refused(field, pointer):
    """A type or an action that mount.json does not name is no request, whatever `*` says."""
    known = {"subject_type": "user", "subject_id": "a", "action": "read", "resource_type": "book", "resource_id": "b"}
    with pytest.raises(Malformed) as caught:
        take_brought(MountedRequest(**{**known, field: "unheard-of"}), load())
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("field", ["subject_id", "action", "resource_id"])
def test_empty_identifier(field):
    """A request that was made with an empty identifier is denied before any policy."""
    known = {"subject_type": "user", "subject_id": "a", "action": "read", "resource_type": "book", "resource_id": "b"}
    decision = decide_mounted(MountedRequest(**{**known, field: ""}), {}, load("p, *, True, allow, x, y"), NOW)
    assert not decision.allowed
    assert decision.errors == ("an identifier is empty",)


@pytest.mark.parametrize(
    ("rows", "pointer", "problem"),
    [
        (["p, read, True, allow, x"], "/rows/1", "6 columns"),
        (["# c", "g, read, True, allow, x, y"], "/rows/2", "6 columns"),
        (["p, read, True, permit, x, y"], "/rows/1", "no effect"),
        (["p, read, True, allow, x, "], "/rows/1", "no sentence"),
        ([ALLOW, ALLOW], "/rows/2", "earlier row"),
        (["p, read, r.sub.id == , allow, x, y"], "/rows/1", "no expression"),
        (["p, read, r.sub.id == 'r.smith', allow, x, y"], "/rows/1", "quotes"),
        (["p, read, r.sub.id == 'no!', allow, x, y"], "/rows/1", "quotes"),
    ],
)
def test_a_row_that_is_none(rows, pointer, problem):
    """A row that cannot be read is refused at its line."""
    error = refused(*rows)
    assert error.pointer == pointer
    assert problem in error.problem


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r = sub, act, res, ctx", "r = sub, obj, act"),
        ("allow)) && !some(where (p.eft == deny))", "allow))"),
        ("some(where (p.eft == allow)) && ", ""),
        ("eft, en, uk", "eft, en"),
        ("act, when", "act, act"),
        ("[matchers]", "[role_definition]\ng = _, _\n[matchers]"),
        ("m = (", "n = ("),
        ('"*"', '"r.*"'),
    ],
)
def test_a_model_that_is_none(old, new):
    """Another request, another effect, rows without sentences, or more sections are refused."""
    assert refused(model=MODEL.replace(old, new)).pointer == "/model"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"mount": {"resources": {"dataset": []}}}, "/mount/resources"),
        ({"mount": {"resources": {}}}, "/mount"),
        ({"mount": {"subjects": {"us:er": []}}}, "/mount/subjects"),
        ({"mount": {"subjects": {"user": ["known"]}}}, "/mount/subjects/user"),
        ({"mount": {"context": ["a.b"]}}, "/mount/context"),
        ({"mount": {"surprise": 1}}, "/mount"),
        ({"facts": {"subjects": [{"type": "ghost", "id": "a"}]}}, "/facts/subjects/0"),
        ({"facts": {"subjects": [{"type": "user", "id": ""}]}}, "/facts/subjects/0/id"),
        ({"facts": {"subjects": [{"type": "user", "id": "a"}] * 2}}, "/facts/subjects/1/id"),
        ({"facts": {"resources": [{"type": "book", "id": "a", "properties": {"id": "b"}}]}}, "/facts/resources/0"),
        ({"facts": {"resources": [{"type": "book", "id": "a", "properties": {"x": 1.5}}]}}, "/facts"),
    ],
)
def test_a_mount_that_is_none(changes, pointer):
    """Types of the main policy, names that an entry cannot carry, and facts of no type are refused at their place."""
    assert refused(**changes).pointer == pointer


def test_limits(monkeypatch):
    """Rows, properties, facts and texts are bounded."""
    for name in ("MAX_ROWS", "MAX_PROPERTIES", "MAX_FACTS"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, 0)
            with pytest.raises(TooLarge):
                load()
    with pytest.raises(TooLarge):
        load("#" * (module.MAX_ROWS + 2**20))


def test_memory_is_bounded_and_by_all_that_counts(monkeypatch):
    """Outcomes are remembered by everything that they depend on, and forgotten once there are too many."""
    monkeypatch.setattr(module, "MAX_REMEMBERED_OUTCOMES", 2)
    policy = load()
    for age in (20, 3, 40, 5):
        assert ask_aged(policy, age) is (age >= 18)
        assert len(policy._remembered) <= 2


def ask_aged(policy, age):
    request = MountedRequest(
        subject_type="user", subject_id="ann", action="read", resource_type="book", resource_id="b",
        properties={"subject": {"age": age}},
    )  # fmt: skip
    return decide_mounted(request, take_brought(request, policy), policy, NOW).allowed


def test_threads_do_not_disturb_each_other():
    """Several threads that ask at once are answered as one after the other."""
    policy = load()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda age: ask_aged(policy, age), range(300))) == [age >= 18 for age in range(300)]


def test_nothing_is_logged(caplog):
    """Casbin's own log of denies, which would hold what was asked, stays silent."""
    with caplog.at_level(logging.DEBUG):
        ask(load(), action="burn")
    assert caplog.records == []


def body(**changes):
    parts = {
        "subject": {"type": "user", "id": "a"},
        "action": {"name": "read"},
        "resource": {"type": "book", "id": "b"},
    }
    return json.dumps({**parts, **changes}).encode()


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (body(subject={"type": "user", "id": ""}), "/subject/id"),
        (body(subject={"type": "user"}), "/subject/id"),
        (body(action={"name": 123}), "/action/name"),
        (body(subject="alice"), "/subject"),
        (body(subject={"type": "user", "id": "a", "properties": []}), "/subject/properties"),
        (body(context=[]), "/context"),
        (body(resource={"type": "book", "id": "ключ"}), "/resource/id"),
        (body()[:-1] + b', "action": {"name": "burn"}}', "/action"),
        (b'{"resource": {"type": "book"', ""),
        (body(context={"x": float("nan")}), ""),
    ],
)
def test_a_request_that_is_none(data, pointer):
    """A request is read as strictly as one for the main policy."""
    with pytest.raises(Malformed) as caught:
        parse_mounted(data)
    assert caught.value.pointer == pointer


def test_which_requests_are_for_mounted_policies():
    """Those whose resource has another type than the main policy's; not what has none."""
    assert is_mounted(body())
    assert not is_mounted(body(resource={"type": "dataset", "id": "x"}))
    assert not is_mounted(body(resource={"id": "x"}))
    assert not is_mounted(b"\xff")


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data):
    """Any bytes are a request, or Malformed."""
    is_mounted(data)
    with suppress(Malformed):
        assert isinstance(parse_mounted(data), MountedRequest)

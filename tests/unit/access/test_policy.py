"""Policies: read from text or refused at the line; decided by Casbin, the same with and without memory."""

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.access import policy as module
from ledger.access.clauses import CLAUSES
from ledger.access.policy import DEFINITIONS, MAX_TEXT_BYTES, load_policy
from ledger.access.vocabulary import ACTIONS, TIERS
from ledger.errors import Malformed, TooLarge

MODEL = "\n".join(DEFINITIONS)
ALLOW = 'p, train, *, grant_current, allow, "May train.", "Можна навчати."'
DENY = 'p, *, *, not purpose_permitted, deny, "Purpose, permitted: ""yes"".", "Ціль, дозволена."'


def load(*rows):
    return load_policy("test", MODEL, "\n".join(rows))


def refused(*rows, model=MODEL):
    with pytest.raises(Malformed) as caught:
        load_policy("test", model, "\n".join(rows))
    return caught.value


def test_rows_are_read():
    """A row is read with its commas and quotes; comments and empty lines are not rows."""
    policy = load('# a comment, with "quotes', "", "  " + DENY, ALLOW)
    assert policy.clauses == ("purpose_permitted", "grant_current")
    assert policy.rows[0].en == 'Purpose, permitted: "yes".'
    assert policy.rows[0].uk == "Ціль, дозволена."


def test_digest():
    """The digest is SHA-256 over the canonical JSON of both texts, so it changes with either."""
    canonical = json.dumps({"model": MODEL, "rows": ALLOW}, ensure_ascii=False, separators=(",", ":"))
    assert sha256(canonical.encode()).hexdigest() == load(ALLOW).digest
    assert load(ALLOW).digest != load(ALLOW, "").digest


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("p, train, *, grant_current, allow, x", "columns"),
        ("p, train, *, grant_current, allow, x, y, z", "columns"),
        ("g, train, *, grant_current, allow, x, y", "columns"),
        ("p, fly, *, grant_current, allow, x, y", "`fly` is no action"),
        ("p, train, secret, grant_current, allow, x, y", "`secret` is no tier"),
        ("p, train, *, no_such_clause, allow, x, y", "`no_such_clause` is no clause"),
        ("p, train, *, not no_such_clause, deny, x, y", "`no_such_clause` is no clause"),
        ("p, train, *, not not grant_current, deny, x, y", "is no clause"),
        ("p, train, *, , allow, x, y", "is no clause"),
        ("p, train, *, grant_current, permit, x, y", "`permit` is no effect"),
        ("p, train, *, grant_current, deny, x, y", "cannot deny"),
        ("p, train, *, not grant_current, allow, x, y", "cannot allow"),
        ("p, train, *, not always, deny, x, y", "cannot deny"),
        ("p, train, *, always, deny, x, y", "cannot deny"),
        ("p, train, *, grant_current, allow, , y", "no sentence"),
        ('p, train, *, grant_current, allow, x, "y', "no CSV"),
        ('p, train, *, grant_current, allow, "x"z, y', "no CSV"),
        (ALLOW, "earlier row"),
    ],
)
def test_bad_row(row, problem):
    """A row that is none is refused, at its line."""
    error = refused("# first", ALLOW, row, DENY)
    assert error.pointer == "/rows/3"
    assert problem in str(error)


def test_nothing_allows():
    """A policy without a row that allows is refused: it could only be a mistake."""
    assert "no row that allows" in str(refused(DENY))
    assert "no row that allows" in str(refused(""))


def test_default_allow():
    """A policy that allows while no clause holds is refused."""
    row = 'p, train, raw, always, allow, "x", "y"'
    assert "while no clause holds" in str(refused(row))
    load(row, DENY)


EFFECT = "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))"


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        (EFFECT, "e = !some(where (p.eft == deny))", "/model/6"),
        (EFFECT, "e = some(where (p.eft == allow))", "/model/6"),
        (EFFECT, "e = priority(p.eft) || deny", "/model/6"),
        ("r = sub, act, res, ctx", "r = sub, obj, act", "/model/2"),
        ("p = act, tier,", "p = tier, act,", "/model/4"),
        ("&& says(r.ctx, p.clause)", "", "/model/8"),
        ("&& says(r.ctx, p.clause)", "&& (says(r.ctx, p.clause) || true)", "/model/8"),
        ("[matchers]", "[role_definition]\ng = _, _\n[matchers]", "/model/7"),
        (DEFINITIONS[-1], "", "/model"),
        (DEFINITIONS[-1], DEFINITIONS[-1] + "\nm2 = true", "/model/9"),
        (DEFINITIONS[-1], DEFINITIONS[-1] + " # and more", "/model/8"),
    ],
)
def test_bad_model(old, new, pointer):
    """A model under which rows would be read differently is refused, at its line: a default allow among them."""
    assert MODEL.count(old) == 1
    assert refused(ALLOW, DENY, model=MODEL.replace(old, new)).pointer == pointer


def test_model_with_comments():
    """Comments, empty lines and wide spaces in a model change nothing but the digest."""
    spaced = "# how rows are read\n\n" + MODEL.replace(" && ", "  &&  ")
    assert load_policy("test", spaced, ALLOW).permits_plain("train", "raw", frozenset({"grant_current"}))


def test_texts_that_are_none():
    """Half a surrogate pair is refused, and so is a text over the limit."""
    assert refused(ALLOW, "# \ud800").pointer == "/rows"
    with pytest.raises(TooLarge):
        load_policy("test", MODEL, "#" * (MAX_TEXT_BYTES + 1))


def test_only_line_feeds_end_lines():
    """A separator that some editors show as a new line does not smuggle a row out of a comment."""
    for separator in "\u2028", "\u0085", "\v", "\r":
        assert load(ALLOW, f"# a comment{separator}{DENY}").clauses == ("grant_current",)


def test_clauses_at():
    """A decision depends on the clauses of the rows for its action and tier, and on no other."""
    policy = load(DENY, ALLOW, 'p, infer, raw, not location_permitted, deny, "x", "y"')
    assert policy.clauses_at("train", "raw") == ("purpose_permitted", "grant_current")
    assert policy.clauses_at("infer", "raw") == ("purpose_permitted", "location_permitted")
    assert policy.clauses_at("fly", "raw") == ()


def test_sentence_is_the_rule():
    """A clause's sentence is that of a row that denies without it, wherever that stands."""
    policy = load(ALLOW, 'p, *, *, not grant_current, deny, "A grant is needed.", "Потрібен дозвіл."')
    assert policy.sentences["grant_current"].en == "A grant is needed."


HELD = st.frozensets(st.sampled_from(sorted(CLAUSES)))
ROWS = st.builds(
    lambda action, tier, clause, allows: (action, tier, clause if allows else f"not {clause}", allows),
    st.sampled_from([*ACTIONS[:2], "*"]),
    st.sampled_from([*TIERS[:2], "*"]),
    st.sampled_from(sorted(CLAUSES)[:4]),
    st.booleans(),
)


def oracle(rows, action, tier, held):
    """Tell what the rows say, by the definition: one allows, none denies."""
    applicable = [row for row in rows if row[0] in {"*", action} and row[1] in {"*", tier}]
    allows = any(clause in held for _, _, clause, allows in applicable if allows)
    denies = any(clause.removeprefix("not ") not in held for _, _, clause, allows in applicable if not allows)
    return allows and not denies


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=6, unique=True), helds=st.lists(HELD, min_size=1, max_size=4))
def test_casbin_says_what_the_rows_say(rows, helds):
    """For any rows and clauses: Casbin, its remembered result and the definition agree, and more held never denies."""
    rows = [*rows, ("train", "*", "grant_current", True)]
    texts = [f"p, {a}, {t}, {c}, {'allow' if allows else 'deny'}, x, y" for a, t, c, allows in dict.fromkeys(rows)]
    policy = load(*texts)
    for action in ACTIONS[:3]:
        for tier in TIERS[:3]:
            for held in helds:
                expected = oracle(rows, action, tier, held)
                assert expected is policy.permits_plain(action, tier, held)
                assert expected is policy.permits(action, tier, held)
                assert expected is policy.permits(action, tier, held)
                assert not expected or policy.permits(action, tier, held | {"purpose_permitted"})


def test_memory_is_bounded(monkeypatch):
    """What is remembered never grows past its limit, and forgetting changes no answer."""
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    policy = load(ALLOW)
    for name in CLAUSES:
        assert (name == "grant_current") is policy.permits("train", "raw", frozenset({name}))
        assert len(policy._remembered) <= 3


def test_threads(world):
    """Many threads asking one policy without memory get the answers that one thread gets."""
    everything = frozenset(world.policy.clauses)
    asked = [("train", tier, everything - drop) for tier in TIERS for drop in (set(), {"grant_current"})] * 10
    expected = [world.policy.permits_plain(*one) for one in asked]
    with ThreadPoolExecutor(8) as pool:
        assert expected == list(pool.map(lambda one: world.policy.permits_plain(*one), asked))

"""Agreements: drafted within the template, signed in words that match, and wider than no grant's bounds."""

import re
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from ledger.errors import Conflict, Malformed, TooLarge
from ledger.governance.agreement import (
    Agreement,
    Duty,
    Parties,
    Terms,
    check_grant_within,
    check_text,
    draft,
    parse_template,
    render,
)
from ledger.governance.purposes import parse_nodes, parse_tree

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "agreements" / "data_use" / "v1"
TEMPLATE = parse_template((FOLDER / "terms.json").read_bytes())
EXAMPLE = msgspec.json.decode((FOLDER / "example.json").read_bytes())
TERMS = msgspec.convert(EXAMPLE["terms"], Terms)
PARTIES = msgspec.convert(EXAMPLE["parties"], Parties)
TREE = parse_tree(parse_nodes((ROOT / "examples" / "purposes.json").read_bytes()))
TEXTS = [(FOLDER / name).read_text(encoding="utf-8") for name in ("text.md", "text.uk.md")]


def change(**fields):
    return msgspec.structs.replace(TERMS, **fields)


def template_json(**fields):
    return msgspec.json.encode(msgspec.to_builtins(TEMPLATE) | fields)


def parameters(**fields):
    return template_json(parameters=msgspec.to_builtins(TEMPLATE.parameters) | fields)


def test_the_example_is_within_its_template():
    """The filled set drafts, carries the template's name and version, and keeps its terms."""
    agreement = draft(TEMPLATE, TERMS, PARTIES, TREE.covers)
    assert (agreement.template, agreement.version, agreement.parties) == ("data_use", "1", PARTIES)
    assert msgspec.structs.replace(agreement.terms, obligations=TERMS.obligations) == TERMS
    assert agreement == msgspec.convert(msgspec.to_builtins(agreement), Agreement)


def test_the_template_duties_are_added_and_the_stricter_stays():
    """A draft holds every duty of the template once; a duty that the terms tighten stays tight, others are added."""
    added = (Duty(type="notify_breach", within_hours=0), Duty(type="report_use", within_hours=24))
    drafted = draft(TEMPLATE, change(obligations=added), PARTIES, TREE.covers).terms.obligations
    assert [duty.type for duty in TEMPLATE.duties] == [duty.type for duty in drafted]
    hours = {duty.type: duty.within_hours for duty in drafted}
    assert (hours["notify_breach"], hours["report_use"], hours["delete_on_end"]) == (0, 24, 720)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"purposes": ("humanitarian.demining", "offensive.strike")}, "/terms/purposes/1"),
        ({"purposes": ("unheard.of",)}, "/terms/purposes/0"),
        ({"tier": "raw"}, "/terms/tier"),
        ({"environments": ("edge", "enclave")}, "/terms/environments/0"),
        ({"ends": "2027-12-02T00:00:00.000001Z"}, "/terms/ends"),
        ({"ends": TERMS.starts}, "/terms/ends"),
        ({"obligations": (Duty(type="cite"), Duty(type="report_use", within_hours=73))}, "/terms/obligations/1"),
        ({"countries": ()}, "/terms/countries"),
    ],
)
def test_a_term_beyond_the_template_is_named(fields, pointer):
    """Each term beyond its limit, or ill-formed, is Malformed at its place."""
    with pytest.raises(Malformed) as refused:
        draft(TEMPLATE, change(**fields), PARTIES, TREE.covers)
    assert refused.value.pointer == pointer


def test_an_activity_beyond_the_template_is_named():
    """An activity that is known, but not among the template's, is refused."""
    template = parse_template(parameters(activities=["evaluate"]))
    with pytest.raises(Malformed) as refused:
        draft(template, TERMS, PARTIES, TREE.covers)
    assert refused.value.pointer == "/terms/activities/1"


def test_the_longest_term_is_allowed():
    """Exactly the template's number of days is within it."""
    draft(TEMPLATE, change(ends="2027-12-02T00:00:00.000000Z"), PARTIES, TREE.covers)


@pytest.mark.parametrize(
    ("parties", "pointer"),
    [
        (Parties(provider="", consumer="acme"), "/parties/provider"),
        (Parties(provider="mod-ua", consumer="a|b"), "/parties/consumer"),
        (Parties(provider="acme", consumer="acme"), "/parties/consumer"),
    ],
)
def test_an_agreement_has_two_parties(parties, pointer):
    """Parties are two different organisations, named by identifiers."""
    with pytest.raises(Malformed) as refused:
        draft(TEMPLATE, TERMS, parties, TREE.covers)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (template_json(name=""), "/name"),
        (template_json(version="1/2"), "/version"),
        (template_json(title={"en": "x", "uk": " "}), "/title/uk"),
        (template_json(texts={"en": "0" * 63, "uk": "0" * 64}), "/texts/en"),
        (template_json(texts={"en": "0" * 64, "uk": "A" * 64}), "/texts/uk"),
        (template_json(duties=[{"type": "dance"}]), "/duties/0/type"),
        (template_json(duties=[{"type": "cite", "hours": 1}]), "/duties/0"),
        (template_json(more=1), ""),
        (parameters(purposes=[]), "/parameters/purposes"),
        (parameters(activities=["steal"]), "/parameters/activities/0"),
        (parameters(tier="secret"), "/parameters/tier"),
        (parameters(environments=["enclave", "edge"]), "/parameters/environments/1"),
        (parameters(max_term_days=0), "/parameters/max_term_days"),
        (parameters(max_term_days=3_661), "/parameters/max_term_days"),
        (parameters(max_term_days=1.5), "/parameters/max_term_days"),
        (b"{", ""),
    ],
)
def test_a_template_is_read_strictly(data, pointer):
    """A template with a field that is unknown, missing or not of its form is refused at its place."""
    assert parse_template(template_json()) == TEMPLATE
    with pytest.raises(Malformed) as refused:
        parse_template(data)
    assert refused.value.pointer == pointer


def test_a_template_has_a_limit():
    """A template over the limit is refused."""
    with pytest.raises(TooLarge):
        parse_template(template_json() + b" " * 65_536)


def test_a_grant_no_wider_than_its_agreement():
    """The agreement's own terms, and narrower ones, may be granted."""
    check_grant_within(TERMS, TERMS, TREE.covers)
    check_grant_within(TERMS, change(purposes=("research.perception.benchmarks",), tier="derived"), TREE.covers)


def test_every_wider_field_of_a_grant_is_named_at_once():
    """One error lists all the fields in which a grant is wider, and none in which it is not."""
    grant = change(purposes=("research",), tier="raw", ends="2028-01-01T00:00:00.000000Z")
    with pytest.raises(Conflict) as refused:
        check_grant_within(TERMS, grant, TREE.covers)
    assert {"purposes", "tier", "ends"} == set(re.findall("`(.*?)`", str(refused.value)))


def test_an_ill_formed_grant_is_malformed():
    """An ill-formed grant or agreement is told apart from a wide one."""
    with pytest.raises(Malformed) as refused:
        check_grant_within(TERMS, change(countries=()), TREE.covers)
    assert refused.value.pointer == "/grant/countries"
    with pytest.raises(Malformed) as refused:
        check_grant_within(change(tier="all"), TERMS, TREE.covers)
    assert refused.value.pointer == "/terms/tier"


@pytest.mark.parametrize("text", TEXTS, ids=["en", "uk"])
def test_the_text_states_every_term(text):
    """The text for people, filled, holds each party, each term and each duty with its time, and no brace is left."""
    agreement = draft(TEMPLATE, TERMS, PARTIES, TREE.covers)
    filled = render(text, agreement)
    terms = agreement.terms
    lists = (*terms.purposes, *terms.activities, *terms.environments, *terms.countries, terms.tier)
    for expected in (*(f"`{value}`" for value in lists), "mod-ua", "acme", terms.starts, terms.ends, "data_use 1"):
        assert expected in filled
    assert "| `report_use` | 24 |" in filled
    assert "| `cite` | - |" in filled
    assert "{{" not in filled


@pytest.mark.parametrize("text", TEXTS, ids=["en", "uk"])
def test_the_text_explains_every_duty(text):
    """Each duty of the template is explained in words, in both languages."""
    for duty in TEMPLATE.duties:
        assert f"- `{duty.type}`: " in text


def test_the_texts_have_the_same_sections_and_placeholders():
    """The two languages say the same things in the same order."""
    english, ukrainian = (re.findall(r"^## (\d+)|\{\{(\w+)\}\}|^- `(\w+)`", text, re.MULTILINE) for text in TEXTS)
    assert english == ukrainian


def test_the_template_fixes_its_texts():
    """The digests in terms.json are those of the two texts; any other text is refused."""
    for text in TEXTS:
        check_text(TEMPLATE, text)
        with pytest.raises(Conflict, match=sha256((text + " ").encode()).hexdigest()):
            check_text(TEMPLATE, text + " ")


@pytest.mark.parametrize("placeholder", ["provider", "tier", "duties", "ends"])
def test_a_text_that_leaves_a_term_out_is_refused(placeholder):
    """A text without one of the placeholders is not filled."""
    agreement = draft(TEMPLATE, TERMS, PARTIES, TREE.covers)
    with pytest.raises(Malformed, match=f"does not state `{placeholder}`"):
        render(TEXTS[0].replace("{{" + placeholder + "}}", "…"), agreement)


@pytest.mark.parametrize("unknown", ["price", "", " tier", "ti\ner"])
def test_a_text_with_an_unknown_placeholder_is_refused(unknown):
    """Double braces around anything else are refused, not left standing."""
    agreement = draft(TEMPLATE, TERMS, PARTIES, TREE.covers)
    with pytest.raises(Malformed, match="not a placeholder"):
        render(TEXTS[0] + "{{" + unknown + "}}", agreement)

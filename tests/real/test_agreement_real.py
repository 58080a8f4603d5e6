"""The terms of a real data agreement, stated as facts, beside our template and through our checks."""

import re
from pathlib import Path

import msgspec
import pytest

from ledger.errors import Conflict, Malformed
from ledger.governance.agreement import (
    Duty,
    Parties,
    Terms,
    check_grant_within,
    draft,
    parse_template,
)

pytestmark = pytest.mark.real

TEXT = Path(__file__).resolve().parents[2] / "agreements" / "data_use" / "v1" / "text.md"

SECTIONS = {
    "parties": "Parties",
    "purposes permitted": "Purposes",
    "licence": "Licence and its limits",
    "term": "Term",
    "ownership": "Ownership",
    "transfer": "Transfer",
    "deletion": "Deletion",
    "duties": "Duties",
    "notice": "Notice",
    "results": "Results",
    "breach": "Breach",
    "refusal and appeal": "Refusal and appeal",
}
"""Where our text deals with each term of the real one."""


@pytest.fixture
def facts(shared_data):
    text = (shared_data / "agreements" / "air-force-acceptable-use-terms.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    return {term: content for term, content in rows if term != "term" or content != "content"}


def test_our_text_deals_with_every_term_of_the_real_one(facts):
    """Each term of the real agreement has a section in ours, and no section repeats the other's sentences."""
    assert set(SECTIONS) == set(facts)
    text = TEXT.read_text(encoding="utf-8")
    headings = re.findall(r"^## \d+\. (.+)$", text, re.MULTILINE)
    assert set(SECTIONS.values()) <= set(headings)
    ours = " ".join(text.split())
    assert not [
        content for content in facts.values() for part in content.split("; ") if part in ours and len(part) > 60
    ]


def template_of_facts():
    """State the real agreement's terms in our form: research alone, a year, its duties; nothing on tiers, so any."""
    return parse_template(
        msgspec.json.encode(
            {
                "name": "air_force_acceptable_use",
                "version": "20200211",
                "title": {"en": "Acceptable use", "uk": "Прийнятне використання"},
                "texts": {"en": "0" * 64, "uk": "0" * 64},
                "parameters": {
                    "purposes": ["education", "research"],
                    "activities": ["evaluate", "train"],
                    "tier": "raw",
                    "environments": ["partner_hosted"],
                    "max_term_days": 365,
                },
                "duties": [
                    {"type": "cite"},
                    {"type": "delete_on_end"},
                    {"type": "no_reidentification"},
                    {"type": "no_transfer"},
                    {"type": "notify_breach"},
                    {"type": "safeguard"},
                    {"type": "send_results"},
                ],
            }
        )
    )


TERMS = Terms(
    purposes=("research",),
    activities=("train",),
    tier="raw",
    environments=("partner_hosted",),
    countries=("USA",),
    starts="2026-12-01T00:00:00.000000Z",
    ends="2027-12-01T00:00:00.000000Z",
)
PARTIES = Parties(provider="usaf", consumer="university")


def covers(granted, asked):
    return granted == asked


def test_the_real_terms_can_be_drafted(facts):
    """The real agreement's year, purposes and duties draft as they stand, its notice due at once."""
    assert "one year" in facts["term"]
    assert "at once" in facts["notice"]
    agreement = draft(template_of_facts(), TERMS, PARTIES, covers)
    assert Duty(type="notify_breach", within_hours=0) in agreement.terms.obligations
    assert len(agreement.terms.obligations) == 7


def test_the_real_terms_bind():
    """A day over the year, another purpose, and a slower notice are refused; so is a grant beyond them."""
    for fields, pointer in (
        ({"ends": "2027-12-02T00:00:00.000000Z"}, "/terms/ends"),
        ({"purposes": ("marketing",)}, "/terms/purposes/0"),
        ({"obligations": (Duty(type="notify_breach", within_hours=24),)}, "/terms/obligations/0"),
    ):
        with pytest.raises(Malformed) as refused:
            draft(template_of_facts(), msgspec.structs.replace(TERMS, **fields), PARTIES, covers)
        assert refused.value.pointer == pointer
    with pytest.raises(Conflict, match="`countries`"):
        check_grant_within(TERMS, msgspec.structs.replace(TERMS, countries=("GBR", "USA")), covers)

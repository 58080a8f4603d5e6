"""Agreements: a template sets limits, terms are drafted within it, and a grant lies within the terms.

    template  ──draft──▶  agreement (terms, parties)  ──check_grant_within──▶  grant

A template is a folder of two halves (`agreements/data_use/v1/`): `terms.json` for machines, read by `parse_template`,
and `text.md` and `text.uk.md` for people, filled by `render`. The first names the SHA-256 of the other two, so that the
digest of `terms.json`, which stands in the ledger, fixes all that was signed (`check_text`).

    {"name": "data_use", "version": "1", "title": {"en": "Data use agreement", "uk": "Угода про використання даних"},
     "texts": {"en": "<64 hex>", "uk": "<64 hex>"},
     "parameters": {"purposes": ["humanitarian", "research"], "activities": ["evaluate", "train"], "tier": "redacted",
                    "environments": ["enclave", "federated"], "max_term_days": 365},
     "duties": [{"type": "cite"}, {"type": "report_use", "within_hours": 72}]}

The text holds `{{provider}}`, `{{tier}}` and so on (`_values` lists them), each at least once and nothing else in
double braces: a text that leaves a term out would let people sign what they were not told. `{{duties}}` becomes the
rows of a table, duty and hours.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256

from msgspec import Struct, structs

from ledger.errors import Conflict, Malformed, show
from ledger.governance.forms import check_identifier, decode, parse_time
from ledger.governance.terms import (
    TIMED_DUTIES,
    Covers,
    Duty,
    Terms,
    check_duties,
    check_scope,
    check_terms,
    laxer_duties,
    uncovered,
    wider_fields,
)
from ledger.governance.tiers import within

__all__ = [
    "Agreement",
    "Covers",
    "Duty",
    "Parameters",
    "Parties",
    "Template",
    "Terms",
    "Texts",
    "check_grant_within",
    "check_text",
    "draft",
    "parse_template",
    "render",
]

MAX_TERM_DAYS = 3_660
"""Ten years and the leap days: no template may offer longer without someone asking again."""

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Texts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something in each of the two languages: a title, or the SHA-256 of a text."""

    en: str
    uk: str


class Parameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits within which terms are drafted. `tier` is the highest that may be agreed, `max_term_days` in days."""

    purposes: tuple[str, ...]
    activities: tuple[str, ...]
    tier: str
    environments: tuple[str, ...]
    max_term_days: int


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine-readable half of a template. Its duties are fixed: terms may add to them and tighten them."""

    name: str
    version: str
    title: Texts
    texts: Texts
    parameters: Parameters
    duties: tuple[Duty, ...]


class Parties(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of the organisation that owns the data and of the one that is to use it."""

    provider: str
    consumer: str


class Agreement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms between parties, drafted from a version of a template. `terms.obligations` holds every duty."""

    template: str
    version: str
    parties: Parties
    terms: Terms


def parse_template(data: bytes) -> Template:
    """Read `terms.json`. Raises TooLarge, or Malformed naming the place."""
    template = decode(data, Template)
    check_identifier(template.name, "/name")
    check_identifier(template.version, "/version")
    for language in ("en", "uk"):
        if not getattr(template.title, language).strip():
            raise Malformed(f"/title/{language}", "is empty")
        if not _SHA256.fullmatch(getattr(template.texts, language)):
            raise Malformed(f"/texts/{language}", f"{show(getattr(template.texts, language))} is not a SHA-256 in hex")
    _check_parameters(template.parameters, "/parameters")
    check_duties(template.duties, "/duties")
    return template


def _check_parameters(limits: Parameters, pointer: str) -> None:
    check_scope(limits.purposes, limits.activities, limits.tier, limits.environments, pointer)
    if not 0 < limits.max_term_days <= MAX_TERM_DAYS:
        raise Malformed(
            f"{pointer}/max_term_days", f"{show(limits.max_term_days)} days is not between 1 and {MAX_TERM_DAYS:,}"
        )


def check_text(template: Template, text: str) -> None:
    """Check that `text` is one of the two that the template names. Raises Conflict."""
    digest = sha256(text.encode()).hexdigest()
    if digest not in (template.texts.en, template.texts.uk):
        raise Conflict(f"the text with SHA-256 {show(digest)} is not one of template {show(template.name)}")


def draft(template: Template, terms: Terms, parties: Parties, covers: Covers) -> Agreement:
    """Draft an agreement: check that each term lies within the template's limits, and add the template's duties.

    Raises Malformed at the first term that is ill-formed or beyond its limit (`/terms/tier`, `/terms/purposes/1`), and
    at the party that is no organisation's id, or both parties at once.
    """
    check_identifier(parties.provider, "/parties/provider")
    check_identifier(parties.consumer, "/parties/consumer")
    if parties.provider == parties.consumer:
        raise Malformed(
            "/parties/consumer", f"{show(parties.consumer)} is the provider too: an agreement has two parties"
        )
    check_terms(terms, "/terms")
    _check_within(terms, template.parameters, covers)
    bound = structs.replace(terms, obligations=_merged(template.duties, terms.obligations))
    return Agreement(template=template.name, version=template.version, parties=parties, terms=bound)


def _check_within(terms: Terms, limits: Parameters, covers: Covers) -> None:
    beyond = {
        "purposes": uncovered(terms.purposes, limits.purposes, covers),
        "activities": tuple(value for value in terms.activities if value not in limits.activities),
        "environments": tuple(value for value in terms.environments if value not in limits.environments),
    }
    for field, values in beyond.items():
        if values:
            place = getattr(terms, field).index(values[0])
            raise Malformed(f"/terms/{field}/{place}", f"{show(values[0])} is not among what the template permits")
    if not within(terms.tier, limits.tier):
        raise Malformed("/terms/tier", f"{show(terms.tier)} is above the template's {show(limits.tier)}")
    if parse_time(terms.ends, "/terms/ends") - parse_time(terms.starts, "/terms/starts") > timedelta(
        limits.max_term_days
    ):
        raise Malformed("/terms/ends", f"{show(terms.ends)} is more than {limits.max_term_days} days after the start")


def _merged(fixed: tuple[Duty, ...], added: tuple[Duty, ...]) -> tuple[Duty, ...]:
    """Give all duties, sorted by type; where both name a type, the added one, which may only be stricter."""
    if laxer := laxer_duties(added, fixed):
        place = [duty.type for duty in added].index(laxer[0])
        raise Malformed(f"/terms/obligations/{place}", f"{show(laxer[0])} leaves more time than the template does")
    duties = {duty.type: duty for duty in fixed + added}
    return tuple(duties[type_] for type_ in sorted(duties))


def check_grant_within(terms: Terms, grant_terms: Terms, covers: Covers) -> None:
    """Check that a grant on `grant_terms` is no wider than its agreement's `terms`.

    Raises Malformed (`/terms/…`, `/grant/…`) where either is ill-formed, and one Conflict that names every field in
    which the grant is wider.
    """
    check_terms(terms, "/terms")
    check_terms(grant_terms, "/grant")
    if wider := wider_fields(grant_terms, terms, covers):
        raise Conflict(f"the grant is wider than its agreement in {', '.join(show(field) for field in wider)}")


def render(text_md: str, agreement: Agreement) -> str:
    """Fill a template's text for people.

    Raises Malformed where the text holds a placeholder that is not one, or lacks one. `check_text` tells whether it is
    the template's text at all.
    """
    values = _values(agreement)
    found = set(_PLACEHOLDER.findall(text_md))
    if unknown := sorted(found - values.keys()):
        raise Malformed("", f"the text holds {show(unknown[0])} in double braces, which is not a placeholder")
    if missing := sorted(values.keys() - found):
        raise Malformed("", f"the text does not state {show(missing[0])}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text_md)


def _values(agreement: Agreement) -> Mapping[str, str]:
    """Give each placeholder's text. In what `draft` made, all are identifiers, codes or times: nothing to Markdown."""
    terms, parties = agreement.terms, agreement.parties
    return {
        "activities": _listed(terms.activities),
        "consumer": parties.consumer,
        "countries": _listed(terms.countries),
        "duties": "\n".join(_row(duty) for duty in terms.obligations),
        "ends": terms.ends,
        "environments": _listed(terms.environments),
        "provider": parties.provider,
        "purposes": _listed(terms.purposes),
        "starts": terms.starts,
        "template": f"{agreement.template} {agreement.version}",
        "tier": f"`{terms.tier}`",
    }


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _row(duty: Duty) -> str:
    return f"| `{duty.type}` | {duty.within_hours if duty.type in TIMED_DUTIES else '-'} |"

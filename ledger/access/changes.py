"""What would turn a deny into an allow: the fewest clauses that have to hold besides, and the fewest acts that do it.

    outlook_for("train", "redacted", decision.findings, policy)
    → Outlook(clauses=("environment_permitted", "location_permitted"),
              changes=(Change(act="grant", by=("partner.applicant", "owner.steward", "owner.security"), …),),
              instead=Instead(fields=("country", "environment"), …))

The clauses come from the policy itself: it is asked which of the failing ones it cannot do without, and then for the
fewest others with which it allows. One more clause that holds never turns an allow into a deny
(`ledger.access.policy`), so this is exact. An act may turn several clauses at once (a grant names purpose, tier and
place), and each clause is turned by one act; so the acts of the fewest clauses are the fewest acts.

`changes` leave the request as it was. `instead` names what of the request to change, where that alone is enough.
"""

from collections.abc import Sequence
from itertools import combinations

from msgspec import Struct

from ledger.access.clauses import Finding
from ledger.access.explain import NO_RULE, REMEDIES, Sentence
from ledger.access.policy import Policy


class Act(Struct, frozen=True):
    """Something that people can do, and who."""

    name: str
    by: tuple[str, ...]
    """`partner.<role>`, `owner.<role>` or `originator`; all of them take part."""
    said: Sentence
    for_everyone: bool = False
    """It changes a rule for everyone, and the asker's organisation has no part in it."""


class Change(Struct, frozen=True, omit_defaults=True):
    """One act, and the clauses that it would turn."""

    act: str
    by: tuple[str, ...]
    clauses: tuple[str, ...]
    en: str
    uk: str
    for_everyone: bool = False


class Instead(Struct, frozen=True):
    """What to ask for otherwise: fields of the request."""

    fields: tuple[str, ...]
    en: str
    uk: str


class Outlook(Struct, frozen=True):
    """What would turn a deny into an allow. Empty for an allow."""

    clauses: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    instead: Instead | None = None


_ACTS = (
    Act("enrolment", ("owner.administrator", "owner.security"), REMEDIES["subject_in_good_standing"]),
    Act("agreement", ("owner.steward", "owner.legal", "partner.signatory"), REMEDIES["agreement_in_force"]),
    Act(
        "grant",
        ("partner.applicant", "owner.steward", "owner.security"),
        Sentence(
            "The organisation can ask for access to just this, under an agreement that permits it; the owner's "
            "officials decide, with legal and ethics where tier or purpose calls for them.",
            "Організація може подати запит саме на такий доступ за угодою, що його допускає; рішення ухвалять посадові "
            "особи власника, а за певного рівня чи цілі ще юристи та етична служба.",
        ),
    ),
    Act("purposes", ("owner.steward",), REMEDIES["purpose_not_prohibited"], for_everyone=True),
    Act(
        "version",
        ("owner.steward",),
        Sentence(
            "The owner's steward can register a version at this tier.",
            "Розпорядник даних власника може зареєструвати версію на цьому рівні доступу.",
        ),
    ),
    Act(
        "release",
        ("originator",),
        Sentence(
            "Only the originators of the resource and of what it is derived from can release it further.",
            "Розширити доступ можуть лише ті, від кого походить ресурс і все, з чого його створено.",
        ),
    ),
    Act("authorisation", ("owner.legal",), REMEDIES["purpose_authorised"]),
    Act("attestation", ("owner.security",), REMEDIES["environment_attested"]),
    Act("lifting", ("owner.steward", "owner.security"), REMEDIES["not_paused"]),
    Act("closure", ("owner.security",), REMEDIES["no_open_incident"]),
    Act(
        "policy",
        ("owner.security", "owner.legal"),
        Sentence("The owner can adopt a policy that allows it.", "Власник може ухвалити політику, яка це дозволяє."),
        for_everyone=True,
    ),
)
ACTS = {act.name: act for act in _ACTS}

OF_THE_GRANT = (
    "grant_current",
    "activity_permitted",
    "purpose_permitted",
    "tier_within_grant",
    "quota_left",
    "environment_permitted",
    "environment_attested",
    "location_permitted",
)
"""Clauses that want a grant, and, but for the attestation, that a grant made for the request would turn."""

_TURNED_BY = {
    **dict.fromkeys(OF_THE_GRANT, "grant"),
    "environment_attested": "attestation",
    "purpose_authorised": "authorisation",
    "not_paused": "lifting",
    "no_open_incident": "closure",
    "subject_in_good_standing": "enrolment",
    "agreement_in_force": "agreement",
    "purpose_not_prohibited": "purposes",
    "resource_available": "version",
    "releasable_to_partner": "release",
    "lineage_permits": "release",
}
_SUPPLIED_BY = {"party": "enrolment", "grant": "grant", "purpose": "purposes", "resource": "version"}
"""What a clause has to do with and finds missing (`Finding.detail`)."""

_FIELDS = {
    "activity_permitted": ("action",),
    "purpose_permitted": ("purpose",),
    "purpose_not_prohibited": ("purpose",),
    "tier_within_grant": ("tier",),
    "resource_available": ("tier",),
    "environment_permitted": ("environment",),
    "location_permitted": ("country",),
}
_BOUNDS = {"purposes": "purpose", "countries": "country"}
"""Bounds of a resource that another request could keep to, by name of what is to be changed."""

_FIELDS_UK = {
    "action": "вид використання",
    "purpose": "ціль",
    "tier": "рівень доступу",
    "environment": "середовище",
    "country": "країну",
}


def outlook_for(action: str, tier: str, findings: Sequence[Finding], policy: Policy) -> Outlook:
    """Give the fewest clauses and acts that would turn a deny into an allow; an empty outlook for an allow."""
    held = frozenset(finding.clause for finding in findings if finding.holds)
    failing = {finding.clause: finding for finding in findings if not finding.holds}
    if policy.permits(action, tier, held):
        return Outlook()
    if not policy.permits(action, tier, held.union(failing)):
        return Outlook((NO_RULE,), (_change(ACTS["policy"], (NO_RULE,)),), None)
    clauses = _fewest(action, tier, held, failing, policy)
    turned = [failing[name] for name in clauses]
    return Outlook(clauses, _changes(turned), _instead(turned))


def _fewest(
    action: str, tier: str, held: frozenset[str], failing: dict[str, Finding], policy: Policy
) -> tuple[str, ...]:
    """Search by size: first what the policy cannot do without, then the fewest others with which it allows."""
    everything = held.union(failing)
    needed = [name for name in failing if not policy.permits(action, tier, everything - {name})]
    others = [name for name in failing if name not in needed]
    found: list[tuple[str, ...]] = []
    for size in range(len(others) + 1):
        found += [more for more in combinations(others, size) if policy.permits(action, tier, held.union(needed, more))]
        if found:
            break
    best = min(found, key=lambda more: _cost([failing[name] for name in (*needed, *more)]))
    return tuple(name for name in failing if name in needed or name in best)


def _cost(findings: Sequence[Finding]) -> tuple[int, int]:
    """Rank by what changes a rule for everyone, then by the number of acts."""
    changes = _changes(findings)
    return sum(change.for_everyone for change in changes), len(changes)


def _changes(findings: Sequence[Finding]) -> tuple[Change, ...]:
    found: dict[str, list[str]] = {}
    for finding in findings:
        found.setdefault(_act_for(finding), []).append(finding.clause)
    return tuple(_change(_act(name), tuple(clauses)) for name, clauses in found.items())


def _act_for(finding: Finding) -> str:
    missing = finding.detail.get("missing", "")
    return _SUPPLIED_BY.get(missing) or _TURNED_BY.get(finding.clause, finding.clause)


def _act(name: str) -> Act:
    """Give an act; what has none of its own is the owner's to change."""
    return ACTS.get(name) or Act(name, ("owner.steward", "owner.security"), REMEDIES[name])


def _change(act: Act, clauses: tuple[str, ...]) -> Change:
    return Change(act.name, act.by, clauses, act.said.en, act.said.uk, act.for_everyone)


def _instead(findings: Sequence[Finding]) -> Instead | None:
    """Name the fields of the request to be changed, where each clause is one that they can turn."""
    fields = [_fields(finding) for finding in findings]
    if not all(fields):
        return None
    names = tuple(sorted({name for some in fields for name in some}))
    en = f"Ask with another {', '.join(names)}, within what the grant allows."
    uk = f"Змініть у запиті {', '.join(_FIELDS_UK[name] for name in names)} в межах дозволу."
    return Instead(names, en, uk)


def _fields(finding: Finding) -> tuple[str, ...]:
    missing = finding.detail.get("missing", "")
    if finding.clause == "lineage_permits" and not missing:
        bounds = finding.detail.get("refused_by", "").split(", ")
        return tuple(_BOUNDS[bound] for bound in bounds) if all(bound in _BOUNDS for bound in bounds) else ()
    if missing in {"purpose", "resource"}:
        return ("purpose",) if missing == "purpose" else ("tier",)
    return () if missing else _FIELDS.get(finding.clause, ())

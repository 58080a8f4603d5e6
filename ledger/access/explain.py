"""Explanations: for each clause whether it held, in words, with its evidence, and for a deny what would change it."""

# ruff: noqa: RUF001 - Ukrainian letters look like Latin ones, and are meant

from msgspec import Struct

from ledger.access.clauses import Finding
from ledger.access.decide import Decision, Obligation
from ledger.access.policy import Policy

NO_RULE = "no_rule_allows"


class Sentence(Struct, frozen=True, gc=False):
    """The same in both languages."""

    en: str
    uk: str


class Reason(Struct, frozen=True, omit_defaults=True, gc=False):
    """One clause of a decision."""

    clause: str
    held: bool
    en: str
    """The rule, as the policy words it."""
    uk: str
    entries: tuple[int, ...]
    """Ledger indexes of the entries that it rests on."""
    detail: dict[str, str] = {}
    remedy: Sentence | None = None
    """For what stands in the way: what would change it, and who can."""


class Explanation(Struct, frozen=True, gc=False):
    """What the asker is told besides yes or no."""

    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...]


REMEDIES = {
    "subject_in_good_standing": Sentence(
        "The owner's administrator and security officer can enrol or reinstate the organisation.",
        "Зареєструвати організацію або поновити її участь можуть адміністратор і служба безпеки власника.",
    ),
    "agreement_in_force": Sentence(
        "The parties can sign an agreement; the owner can resume one that is suspended.",
        "Сторони можуть підписати угоду, а дію призупиненої угоди може поновити власник.",
    ),
    "grant_current": Sentence(
        "The organisation can ask for access; the owner's officials decide.",
        "Організація може подати запит на доступ, а рішення ухвалять посадові особи власника.",
    ),
    "activity_permitted": Sentence(
        "Ask for an activity that the grant names, or request access for this one.",
        "Оберіть вид використання, названий у дозволі, або подайте запит на доступ для цього.",
    ),
    "purpose_permitted": Sentence(
        "Ask for a purpose that the grant covers, or request access for this one.",
        "Оберіть ціль, яку охоплює дозвіл, або подайте запит на доступ для цієї.",
    ),
    "purpose_not_prohibited": Sentence(
        "The organisation cannot change this. Only the owner can, by adopting other purposes.",
        "Організація цього змінити не може. Це може зробити лише власник, ухваливши інший перелік цілей.",
    ),
    "tier_within_grant": Sentence(
        "Ask for a tier that shows no more than the grant allows, or request access at this one.",
        "Оберіть рівень доступу в межах дозволу або подайте запит на доступ на цьому рівні.",
    ),
    "environment_permitted": Sentence(
        "Work in an environment that the grant names, or request access for this one.",
        "Працюйте в середовищі, названому в дозволі, або подайте запит на доступ для цього.",
    ),
    "location_permitted": Sentence(
        "Work in a country that the grant names, or request access for this one.",
        "Працюйте в країні, названій у дозволі, або подайте запит на доступ для цієї.",
    ),
    "resource_available": Sentence(
        "Ask for a tier at which the resource is open; the owner's steward can register a new version.",
        "Оберіть рівень доступу, на якому ресурс відкрито; нову версію може зареєструвати розпорядник даних власника.",
    ),
    "releasable_to_partner": Sentence(
        "Only the originator can release it, with another label.",
        "Відкрити ресурс може лише той, від кого він походить, надавши йому іншу мітку.",
    ),
    "lineage_permits": Sentence(
        "Only the originators of what it is derived from can widen the bounds.",
        "Розширити межі можуть лише ті, від кого походить усе, з чого створено ресурс.",
    ),
    "purpose_authorised": Sentence(
        "The owner's legal officer can record the authorisation of the authority that may give it.",
        "Юрист власника може внести до реєстру дозвіл органу, уповноваженого його надати.",
    ),
    "quota_left": Sentence(
        "The organisation can request access for more runs; the owner's officials decide.",
        "Організація може подати запит на доступ для більшої кількості запусків, а рішення ухвалять посадові особи.",
    ),
    "environment_attested": Sentence(
        "Name an environment whose attestation is in force; the owner's security officer can record one.",
        "Укажіть середовище з чинною атестацією; внести її може служба безпеки власника.",
    ),
    "not_paused": Sentence(
        "Two of the owner's officials, in different roles, can lift the pause.",
        "Скасувати призупинення можуть дві посадові особи власника з різними ролями.",
    ),
    "no_open_incident": Sentence(
        "The owner's security officer can close the incident.",
        "Закрити інцидент може служба безпеки власника.",
    ),
}
"""For each clause, what would change it and who can."""

_NO_RULE = Reason(
    NO_RULE,
    False,
    "A row of the policy must allow this activity at this tier.",
    "Рядок політики має дозволяти цей вид використання на цьому рівні доступу.",
    (),
    {},
    Sentence("The owner can adopt a policy that allows it.", "Власник може ухвалити політику, яка це дозволяє."),
)


def explain(decision: Decision, policy: Policy) -> Explanation:
    """Explain a decision in the words of the policy that made it."""
    reasons = tuple([_reason(finding, policy, denied=not decision.allowed) for finding in decision.findings])
    if not decision.allowed and not decision.errors and all(finding.holds for finding in decision.findings):
        reasons = (*reasons, _NO_RULE)
    return Explanation(reasons, decision.obligations)


def _reason(finding: Finding, policy: Policy, *, denied: bool) -> Reason:
    said = policy.sentences[finding.clause]
    remedy = REMEDIES.get(finding.clause) if denied and not finding.holds else None
    return Reason(finding.clause, finding.holds, said.en, said.uk, finding.entries, finding.detail, remedy)

"""Requestable denials (draft AuthZEN access request profile): denies that a grant within the agreement would cure.

Whether officials give one is theirs to decide. A deny that rests on anything else, a prohibited purpose, a label, an
agreement that is not in force, a policy without a row, is not requestable: asking would change nothing.
"""

from collections.abc import Iterable

from ledger.access.clauses import Finding
from ledger.access.decide import Decision
from ledger.access.facts import Agreement, Facts
from ledger.access.vocabulary import tier_within

CURABLE = frozenset(
    {
        "grant_current",
        "activity_permitted",
        "purpose_permitted",
        "tier_within_grant",
        "environment_permitted",
        "location_permitted",
        "quota_left",
    }
)
"""Clauses that another grant under the same agreement may make hold."""

WITHOUT_GRANT = CURABLE | {"agreement_in_force", "environment_attested"}
"""Where there is no grant there is no agreement to judge either, nor whether it asks for an attestation."""


def is_requestable(decision: Decision, facts: Facts) -> bool:
    """Tell whether a request for access could turn the decision into an allow."""
    failed = [finding for finding in decision.findings if not finding.holds]
    if decision.allowed or decision.errors or not failed:
        return False
    grant = next((grant for grant in facts.grants if grant.id == decision.grant), None)
    if grant is None:
        return all(_lacks_grant(finding) for finding in failed)
    return all(_is_agreed(finding, facts, grant.agreement) for finding in failed)


def may_be_cured(failed: Iterable[str]) -> bool:
    """Tell the same of what a record names; whether the agreement covers it is checked when access is requested."""
    names = frozenset(failed)
    return bool(names) and names <= WITHOUT_GRANT


def _lacks_grant(finding: Finding) -> bool:
    return finding.clause in WITHOUT_GRANT and finding.detail.get("missing", "grant") == "grant"


def _is_agreed(finding: Finding, facts: Facts, agreement: Agreement) -> bool:
    """Tell whether the agreement covers what was asked, so that only the grant stands in the way."""
    asked = finding.detail.get("asked", "")
    if finding.clause == "purpose_permitted":
        return facts.purpose is not None and not agreement.purposes.isdisjoint(facts.purpose.path)
    if finding.clause == "tier_within_grant":
        return tier_within(asked, agreement.tier)
    sets = {
        "activity_permitted": agreement.activities,
        "environment_permitted": agreement.environments,
        "location_permitted": agreement.countries,
    }
    return finding.clause in {"grant_current", "quota_left"} or asked in sets.get(finding.clause, ())

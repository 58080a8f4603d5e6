"""The decision: request, facts, policy and time in, a decision out. Pure, and closed: an error denies, and says so."""

from functools import lru_cache
from operator import attrgetter

from msgspec import Struct

from ledger.access.clauses import CLAUSES, Finding
from ledger.access.facts import Facts, Grant
from ledger.access.policy import Policy
from ledger.access.request import Request


class Obligation(Struct, frozen=True, gc=False):
    """What the asker has to do because of an allow; a client that does not know a type must not proceed."""

    id: str
    type: str
    properties: dict[str, str]


@lru_cache(maxsize=64)
def _report_use(within_hours: int) -> Obligation:
    return Obligation("report-use", "report_use", {"within_hours": str(within_hours)})


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """An effect with its reasons."""

    allowed: bool
    policy: str
    """Digest of the policy that decided."""
    grant: str | None
    """The grant that was considered, if the party has one on the resource."""
    findings: tuple[Finding, ...]
    """For each clause that the policy names for the action and tier, in its order."""
    errors: tuple[str, ...]
    obligations: tuple[Obligation, ...]
    evaluated_at: str


class _Considered(Struct, frozen=True, gc=False):
    grant: Grant | None
    findings: tuple[Finding, ...]
    errors: tuple[str, ...]
    failures: int


def decide(request: Request, facts: Facts, policy: Policy, now: str) -> Decision:
    """Decide. Never raises: what goes wrong inside denies, and is named in `errors`."""
    return _decide(request, facts, policy, now, plain=False)


def decide_plain(request: Request, facts: Facts, policy: Policy, now: str) -> Decision:
    """Decide the same through Casbin alone, without what is remembered: what `decide` is held equal to."""
    return _decide(request, facts, policy, now, plain=True)


def _decide(request: Request, facts: Facts, policy: Policy, now: str, *, plain: bool) -> Decision:
    considered = _consider(request, facts, policy, now)
    allowed, errors = False, considered.errors
    if not (request.subject_id and request.org and request.action and request.resource_id and request.purpose):
        errors = (*errors, "an identifier is empty")
    elif not errors:
        held = frozenset([finding.clause for finding in considered.findings if finding.holds])
        permits = policy.permits_plain if plain else policy.permits
        try:
            allowed = permits(request.action, request.tier, held)
        except Exception as error:  # noqa: BLE001 - an evaluator that fails must not fail open
            errors = (f"the policy could not be evaluated: {type(error).__name__}",)
    grant = considered.grant
    return Decision(
        allowed=allowed,
        policy=policy.digest,
        grant=grant.id if grant is not None else None,
        findings=considered.findings,
        errors=errors,
        obligations=(_report_use(grant.agreement.report_within_hours),) if allowed and grant is not None else (),
        evaluated_at=now,
    )


def _consider(request: Request, facts: Facts, policy: Policy, now: str) -> _Considered:
    """Choose the grant: the first for which all clauses hold, else the one that fails fewest, the latest of equals.

    An error counts whichever grant it came from, so that an allow never depends on which was tried first.
    """
    names = policy.clauses_at(request.action, request.tier)
    if len(facts.grants) < 2:  # noqa: PLR2004 - nothing to choose from
        return _evaluate(request, facts, facts.grants[0] if facts.grants else None, names, now)
    candidates = sorted(facts.grants, key=attrgetter("seq"))
    tried = [_evaluate(request, facts, grant, names, now) for grant in candidates]
    best = min(reversed(tried), key=attrgetter("failures"))
    if best.failures == 0:
        best = next(found for found in tried if found.failures == 0)
    errors = tuple(dict.fromkeys(error for found in tried for error in found.errors))
    return _Considered(best.grant, best.findings, errors, best.failures)


def _evaluate(request: Request, facts: Facts, grant: Grant | None, names: tuple[str, ...], now: str) -> _Considered:
    findings: list[Finding] = []
    errors: list[str] = []
    failures = 0
    for name in names:
        try:
            finding = CLAUSES[name](request, facts, grant, now)
        except Exception as error:  # noqa: BLE001 - a clause that fails holds nothing (deny on error)
            finding = Finding(name, False, ())
            errors.append(f"clause {name} failed: {type(error).__name__}")
        findings.append(finding)
        failures += not finding.holds
    return _Considered(grant, tuple(findings), tuple(dict.fromkeys(errors)), failures)

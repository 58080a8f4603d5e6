"""A policy that is to be adopted, run over the decisions that were recorded: who would have gained, who lost.

Every decision of [since, size) is decided under the other policy, on the request, the facts and the time that it was
decided on; replay (`ledger.services.replay`) puts these together, and has to derive what was recorded. What came of it
is a document, canonical JSON (`ledger.log.canonical`), whose SHA-256 is the dry-run's digest:

    {"cases":[{"action":"train","clauses":["location_permitted"],"gains":true,"org":"acme-jp",
               "resource":"dataset:uav-thermal","seq":45,"tier":"redacted"}],
     "decisions":6,"format":"oblik-dry-run/1",
     "gained":{"by_clause":{"location_permitted":1},"by_org":{"acme-jp":1},"by_resource":{…},"count":1},
     "lost":{"by_clause":{},"by_org":{},"by_resource":{},"count":0},
     "policy":"<digest>","root":"<64 hex>","since":0,"size":61}

It names the position of the ledger (`size` and the Merkle root at that size), so whoever has the ledger, however long
it is by then, runs the same again with `--until` and comes to the same digest.
"""

import hashlib
from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec import Struct

from ledger.access.decide import Decision, decide
from ledger.access.explain import NO_RULE
from ledger.access.policy import Policy
from ledger.errors import BadEntry, Malformed, show
from ledger.events.decisions import DecisionRecorded
from ledger.log import canonical
from ledger.services.replay import Derived
from ledger.services.sources import Source
from ledger.services.verifying import Progress, replay

FORMAT = "oblik-dry-run/1"

MAX_CASES = 1_000
"""Decisions listed one by one, the first; all are counted. A person reads fewer."""


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision that would have come out otherwise."""

    seq: int
    gains: bool
    org: str
    resource: str
    action: str
    tier: str
    clauses: tuple[str, ...]
    """Of what is gained, those that failed and are not asked for any more; of what is lost, those that would fail."""


class Counted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many decisions, and of whom. A decision counts under each of its clauses."""

    count: int
    by_org: dict[str, int]
    by_resource: dict[str, int]
    by_clause: dict[str, int]


class DryRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of a dry-run, and over what."""

    policy: str
    since: int
    size: int
    root: str
    decisions: int
    gained: Counted
    lost: Counted
    cases: tuple[Case, ...]
    format: str = FORMAT


def format_dry_run(found: DryRun) -> bytes:
    """Give the document."""
    return canonical.encode(msgspec.to_builtins(found))


def parse_dry_run(data: bytes) -> DryRun:
    """Read a document. Raises Malformed, or TooLarge, where it is not exactly what `format_dry_run` gives."""
    try:
        found = msgspec.convert(canonical.decode(data), DryRun)
    except msgspec.ValidationError as error:
        raise Malformed("", f"is not the document of a dry-run: {error}") from None
    if found.format != FORMAT:
        raise Malformed("/format", f"{show(found.format)} is not `{FORMAT}`")
    return found


def digest_of(data: bytes) -> str:
    """Give a dry-run's digest: SHA-256, in hex, over its document."""
    return hashlib.sha256(data).hexdigest()


def dry_run(
    source: Callable[[], Source],
    policy: Policy,
    *,
    since: int = 0,
    until: int | None = None,
    progress: Progress | None = None,
) -> DryRun:
    """Run a policy over the recorded decisions of a ledger, which is verified.

    Raises Malformed where the range is not within it, BadEntry where a decision in it is not derived as recorded.
    """
    tally = _Tally(policy)
    verified, replayed = replay(source, since=since, until=until, each=tally.add, progress=progress)
    for finding in replayed.findings:
        raise BadEntry(finding.seq, finding.problem)
    return DryRun(
        policy=policy.digest,
        since=since,
        size=verified.size if until is None else until,
        root=(verified.root if until is None else verified.roots[until]).hex(),
        decisions=replayed.decisions,
        gained=tally.counted(gains=True),
        lost=tally.counted(gains=False),
        cases=tuple(tally.cases),
    )


class _Tally:
    """Decides each decision again under another policy, and counts what comes out otherwise."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._counts: Counter[tuple[bool, str, str]] = Counter()
        """By (gained or lost, what it is counted by, the name there)."""
        self.cases: list[Case] = []

    def add(self, derived: Derived) -> None:
        """Decide one under the other policy."""
        event = derived.event
        decision = decide(derived.request, derived.facts, self._policy, event.evaluated_at)
        if decision.allowed != event.allowed:
            self._count(derived.seq, event, decision)

    def _count(self, seq: int, event: DecisionRecorded, decision: Decision) -> None:
        asked, gains = event.asked, decision.allowed
        clauses = _clauses(event, decision)
        self._counts.update([(gains, "", ""), (gains, "org", event.org), (gains, "resource", asked.resource)])
        self._counts.update((gains, "clause", clause) for clause in clauses)
        if len(self.cases) < MAX_CASES:
            case = Case(
                seq=seq,
                gains=gains,
                org=event.org,
                resource=asked.resource,
                action=asked.action,
                tier=asked.tier,
                clauses=clauses,
            )
            self.cases.append(case)

    def counted(self, *, gains: bool) -> Counted:
        """Give what was gained, or lost."""
        return Counted(
            count=self._counts[gains, "", ""],
            by_org=self._by(gains, "org"),
            by_resource=self._by(gains, "resource"),
            by_clause=self._by(gains, "clause"),
        )

    def _by(self, gains: bool, what: str) -> dict[str, int]:
        return {name: count for (how, by, name), count in sorted(self._counts.items()) if (how, by) == (gains, what)}


def _clauses(event: DecisionRecorded, decision: Decision) -> tuple[str, ...]:
    """Name what made the difference: a clause on one side alone, or else that no row allowed."""
    failing = {finding.clause for finding in decision.findings if not finding.holds}
    found = sorted(failing.symmetric_difference(event.failed))
    return tuple(found) or (NO_RULE,)

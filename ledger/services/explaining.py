"""Explaining: every clause of a decision, what it rests on, and the fewest acts that would turn a deny.

A decision that is on record keeps its outcome, its failing clauses and the entries that all clauses rest on together.
The rest is derived again, and `derived` says from what:

    replayed    the state folded from the ledger up to the decision (`oblik explain`): as exact as replay
    facts       the present facts, at the decision's time, under its policy: taken only where what comes out is the
                recorded decision to the last field. Facts carry the entry that they rest on, so they are those of then
    recorded    the entry alone, where a fact has changed since: held or not, the sentences; not which clause rests on
                which entry, nor the values
    evaluated   a hypothetical request, on the present facts

A hypothetical request is not put on record: nothing is allowed by its answer, no use can be reported under it, and it
tells the caller nothing that a recorded question would not. It takes the permission that asking takes.
"""

from collections.abc import Callable
from typing import Literal

import sqlalchemy as sa
from msgspec import Struct

from ledger.access.changes import OF_THE_GRANT, Outlook, outlook_for
from ledger.access.clauses import Finding
from ledger.access.decide import Decision, decide
from ledger.access.explain import Reason, explain
from ledger.access.policy import Policy, load_policy
from ledger.access.request import Request
from ledger.errors import BadEntry, NotFound, OblikError, Unavailable
from ledger.events import event_of, replayable
from ledger.events.decisions import DecisionRecorded
from ledger.log.entry import parse_entry
from ledger.services.caller import Access, Caller, authenticate
from ledger.services.decisions import Answer, Evaluator, Question, asked_again, record
from ledger.services.replay import Derived
from ledger.services.sources import Source
from ledger.services.verifying import Progress, replay
from ledger.storage.engine import snapshot
from ledger.storage.facts import FactReader
from ledger.storage.reading import read_entry, read_head
from ledger.storage.tables import AdoptedPolicyRow, table
from ledger.storage.transaction import read_attachment

ADOPTED = table(AdoptedPolicyRow)

How = Literal["replayed", "facts", "recorded", "evaluated"]


class Explained(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An explanation."""

    outcome: Literal["allow", "deny"]
    derived: How
    evaluated_at: str
    policy: str
    reasons: tuple[Reason, ...]
    entries: tuple[int, ...]
    """Ledger indexes of all that the clauses rest on."""
    outlook: Outlook
    """What would turn a deny."""
    id: str | None = None
    """Ledger index of the decision."""
    hypothetical: bool = False
    """Nothing was decided: this permits no use."""
    grant: str | None = None
    version: str | None = None
    errors: tuple[str, ...] = ()


def explain_decision(
    engine: sa.Engine, token_hash: str, owner: str, *, seq: int, now: str, access: Access | None = None
) -> Explained:
    """Explain a decision on record, to the organisation that it was about and to the owner's readers.

    Raises NotFound for others, whether there is such a decision or not.
    """
    with snapshot(engine) as connection:
        caller = authenticate(connection, token_hash, now=now, access=access)
        event = _recorded(connection, seq)
        if event is None or not _may_see(caller, event, owner):
            raise NotFound("decision", seq)
        policy, request = _policy_of(connection, event.policy), asked_again(event)
        facts = FactReader().gather(connection, [request], state_seq=read_head(connection).state_seq)[0]
    decision = decide(request, facts, policy, event.evaluated_at)
    if record(request, facts, decision, event.state_seq) == event:
        return _explained(decision, policy, request, seq=seq, event=event, derived="facts")
    return _explained(_as_recorded(event, policy), policy, request, seq=seq, event=event, derived="recorded")


def _recorded(connection: sa.Connection, seq: int) -> DecisionRecorded | None:
    try:
        entry = parse_entry(read_entry(connection, seq).data, seq=seq)
    except NotFound:
        return None
    event = event_of(entry) if replayable(entry) else None
    return event if isinstance(event, DecisionRecorded) else None


def _may_see(caller: Caller, event: DecisionRecorded, owner: str) -> bool:
    return (caller.org == owner and "read" in caller.scopes) or (
        caller.org == event.org and not caller.scopes.isdisjoint({"evaluate", "read"})
    )


def _policy_of(connection: sa.Connection, digest: str) -> Policy:
    row = connection.execute(ADOPTED.select().where(ADOPTED.c.digest == digest)).one_or_none()
    if row is None:
        raise Unavailable("the policy of this decision is not indexed", help="the operator runs `oblik rebuild`")
    model, rows = (read_attachment(connection, sha256).decode() for sha256 in (row.model_sha256, row.rows_sha256))
    return load_policy(row.name, model, rows)


def _as_recorded(event: DecisionRecorded, policy: Policy) -> Decision:
    """Put together what the entry has of a decision; what no grant was there for is known to lack one."""
    names = policy.clauses_at(event.asked.action, event.asked.tier)
    return Decision(
        allowed=event.allowed,
        policy=event.policy,
        grant=event.grant,
        findings=tuple(Finding(name, name not in event.failed, (), _known(name, event)) for name in names),
        errors=event.errors,
        obligations=(),
        evaluated_at=event.evaluated_at,
    )


def _known(name: str, event: DecisionRecorded) -> dict[str, str]:
    of_the_grant = name in {*OF_THE_GRANT, "agreement_in_force"}
    return {"missing": "grant"} if of_the_grant and event.grant is None and name in event.failed else {}


def _explained(
    decision: Decision,
    policy: Policy,
    request: Request,
    *,
    derived: How,
    seq: int | None = None,
    event: DecisionRecorded | None = None,
    version: str | None = None,
) -> Explained:
    entries = {entry for finding in decision.findings for entry in finding.entries}
    denied = not decision.allowed and not decision.errors
    return Explained(
        outcome="allow" if decision.allowed else "deny",
        derived=derived,
        evaluated_at=decision.evaluated_at,
        policy=decision.policy,
        reasons=explain(decision, policy).reasons,
        entries=event.rests_on if event is not None else tuple(sorted(entries)),
        outlook=outlook_for(request.action, request.tier, decision.findings, policy) if denied else Outlook(),
        id=None if seq is None else str(seq),
        hypothetical=seq is None,
        grant=decision.grant,
        version=event.version if event is not None else version,
        errors=decision.errors,
    )


def explain_request(engine: sa.Engine, question: Question, owner: str, *, now: str) -> Explained:
    """Explain what a request would be answered at present, to whoever may ask it. Raises what asking raises."""
    with snapshot(engine) as connection:
        state_seq = read_head(connection).state_seq
        (draft,) = Evaluator(owner=owner)(connection, [question], now=now, state_seq=state_seq)
    if isinstance(draft, OblikError):
        raise draft
    if draft is None:
        raise RuntimeError("a question that is alone was not answered")
    answer: Answer = draft.answer
    resource = answer.facts.resource
    version = resource.ref if resource is not None else None
    return _explained(answer.decision, answer.policy, question.request, derived="evaluated", version=version)


def explain_from(source: Callable[[], Source], seq: int, *, progress: Progress | None = None) -> Explained:
    """Explain a decision from the ledger alone, which is verified.

    Raises NotFound where the entry is none, and Unverified where it is not derived as recorded.
    """
    found: list[Derived] = []
    if not 0 <= seq < source().size:
        raise NotFound("decision", seq)
    _, replayed = replay(source, since=seq, until=seq + 1, each=found.append, progress=progress)
    for finding in replayed.findings:
        raise BadEntry(finding.seq, finding.problem)
    if not found:
        raise NotFound("decision", seq)
    derived = found[0]
    return _explained(
        derived.decision, derived.policy, derived.request, seq=seq, event=derived.event, derived="replayed"
    )

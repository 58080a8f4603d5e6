"""Deciding: from requests to drafts of entries, with the caller checked on the same state as everything else."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct

from ledger.access.decide import Decision, decide
from ledger.access.facts import Facts
from ledger.access.mount import MountedPolicy
from ledger.access.mounted import MountedDecision, MountedRequest
from ledger.access.policy import Policy, load_policy
from ledger.access.request import Request
from ledger.errors import Forbidden, OblikError, Unavailable
from ledger.events.decisions import Asked, DecisionRecorded
from ledger.services.caller import Access, Caller, authenticate, check_caller, read_callers, require_scope
from ledger.services.mounted import Mounts, check_may_ask, find_policy
from ledger.services.mounted import answer as answer_mounted
from ledger.storage.batch import Answered, Draft
from ledger.storage.facts import FactReader
from ledger.storage.tables import PolicyRow, table
from ledger.storage.transaction import Transaction, read_attachment

POLICY = table(PolicyRow)


class Until(Struct, frozen=True, eq=False):
    """What questions asked together share where a decision ends them: none after it is answered (AuthZEN 1.0 §7)."""

    allowed: bool
    """The decision that does. An error counts as a deny."""


class Question(Struct, frozen=True, gc=False):
    """A request, and the hash of the token it came with; or the access token, and what its client is known by."""

    token_hash: str
    request: Request
    access: Access | None = None
    until: Until | None = None


class MountedQuestion(Struct, frozen=True, gc=False):
    """The same, for what a mounted policy decides on."""

    token_hash: str
    request: MountedRequest
    access: Access | None = None
    until: Until | None = None


class MountedAsker(Struct, frozen=True, gc=False):
    """One who may ask under a mounted policy, and that policy."""

    caller: Caller
    policy: MountedPolicy


def question(
    token_hash: str, request: Request | MountedRequest, access: Access | None, until: Until | None = None
) -> Question | MountedQuestion:
    """Give the question that a request of either kind is."""
    if isinstance(request, Request):
        return Question(token_hash, request, access, until)
    return MountedQuestion(token_hash, request, access, until)


class Answer(Struct, frozen=True, gc=False):
    """What the asker is told besides the index: a decision, under a policy, about a version of the resource."""

    decision: Decision
    policy: Policy
    facts: Facts


class MountedAnswer(Struct, frozen=True, gc=False):
    """The same under a mounted policy."""

    decision: MountedDecision


class Evaluator:
    """Answers questions from one state of the ledger. Remembers callers and facts while `state_seq` stands still."""

    def __init__(self, *, owner: str) -> None:
        self._owner = owner
        self._facts = FactReader()
        self._policies = Policies()
        self._mounts = Mounts()
        self._callers: dict[str, Caller | None] = {}
        self._callers_at: int | None = None

    def __call__(
        self,
        connection: sa.Connection,
        questions: Sequence[Question | MountedQuestion],
        *,
        now: str,
        state_seq: int,
    ) -> Sequence[Answered]:
        """Answer each question, in order: a draft of its entry, the error for its asker, or None after the end."""
        callers = self._read_callers(connection, {q.token_hash for q in questions}, state_seq)
        policy = self._policies.in_force(connection, state_seq=state_seq)
        asking = [
            self._asker(callers[q.token_hash], q, policy, now)
            if isinstance(q, Question)
            else self._mounted_asker(connection, callers[q.token_hash], q, now, state_seq)
            for q in questions
        ]
        may = [
            q.request
            for q, asker in zip(questions, asking, strict=True)
            if isinstance(asker, Caller) and isinstance(q, Question)
        ]
        # Facts are read for those alone who may ask: strangers must not fill the memory, nor cost queries.
        facts = iter(self._facts.gather(connection, may, state_seq=state_seq))
        answers: list[Answered] = []
        ended: set[Until | None] = set()
        for question, asker in zip(questions, asking, strict=True):
            answer: Answered = None
            found = next(facts) if isinstance(asker, Caller) else None
            if question.until not in ended:
                if isinstance(question, MountedQuestion):
                    answer = _answer_mounted(asker, question.request, now, state_seq)
                elif isinstance(asker, Caller) and found is not None and policy is not None:
                    answer = _answer(asker, question.request, found, policy, now, state_seq)
                else:
                    answer = asker if isinstance(asker, OblikError) else None
                if question.until is not None and _is_allowed(answer) is question.until.allowed:
                    ended.add(question.until)
            answers.append(answer)
        return answers

    def _asker(self, caller: Caller | None, question: Question, policy: Policy | None, now: str) -> Caller | OblikError:
        """Give the caller where it may ask, or the error for it."""
        try:
            known = check_caller(caller, now=now, access=question.access)
            self._check_may_ask(known, question.request)
            if policy is None:
                raise Unavailable("no policy has been adopted, so nothing can be allowed", help="adopt a policy first")
        except OblikError as error:
            return error
        return known

    def _mounted_asker(
        self, connection: sa.Connection, caller: Caller | None, question: MountedQuestion, now: str, state_seq: int
    ) -> MountedAsker | OblikError:
        """Give the same under the policy that is mounted for what is asked about."""
        try:
            known = check_caller(caller, now=now, access=question.access)
            require_scope(known, "evaluate")
            policies = self._mounts.in_force(connection, state_seq=state_seq)
            policy = find_policy(policies, question.request.resource_type)
            check_may_ask(known, self._owner)
        except OblikError as error:
            return error
        return MountedAsker(known, policy)

    def _check_may_ask(self, caller: Caller, request: Request) -> None:
        require_scope(caller, "evaluate")
        if caller.org not in {request.org, self._owner}:
            raise Forbidden(f"`{caller.name}` may ask for `{caller.org}` only, not for `{request.org}`")

    def _read_callers(self, connection: sa.Connection, hashes: set[str], state_seq: int) -> dict[str, Caller | None]:
        if self._callers_at != state_seq:
            self._callers, self._callers_at = {}, state_seq
        unknown = hashes - self._callers.keys()
        if unknown:
            found = read_callers(connection, unknown)
            # Tokens that do not exist are not remembered: guesses must not fill the memory.
            self._callers.update(found)
            return {**self._callers, **dict.fromkeys(unknown - found.keys())}
        return self._callers


def _is_allowed(answer: Answered) -> bool:
    return isinstance(answer, Draft) and bool(answer.answer.decision.allowed)


def _answer(  # noqa: PLR0917
    caller: Caller, request: Request, facts: Facts, policy: Policy, now: str, state_seq: int
) -> Draft:
    decision = decide(request, facts, policy, now)
    return Draft(record(request, facts, decision, state_seq), caller.by, Answer(decision, policy, facts))


def _answer_mounted(
    asker: Caller | MountedAsker | OblikError, request: MountedRequest, now: str, state_seq: int
) -> Answered:
    if not isinstance(asker, MountedAsker):
        return asker if isinstance(asker, OblikError) else None
    try:
        event, decision = answer_mounted(request, asker.policy, now=now, state_seq=state_seq)
    except OblikError as error:
        return error
    return Draft(event, asker.caller.by, MountedAnswer(decision))


class Policies:
    """The policy in force, loaded once for each digest."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._policy: Policy | None = None

    def in_force(self, connection: sa.Connection, *, state_seq: int) -> Policy | None:
        """Give the policy in force at `state_seq`, None where none has been adopted."""
        if self._at != state_seq:
            row = connection.execute(POLICY.select()).one_or_none()
            if row is None:
                self._policy = None
            elif self._policy is None or self._policy.digest != row.digest:
                self._policy = load_policy(
                    row.name,
                    read_attachment(connection, row.model_sha256).decode(),
                    read_attachment(connection, row.rows_sha256).decode(),
                )
            self._at = state_seq
        return self._policy


def check_may_evaluate(tx: Transaction, token_hash: str, access: Access | None = None) -> None:
    """Raise Unauthenticated or Forbidden where a caller may not ask at all."""
    require_scope(authenticate(tx.connection, token_hash, now=tx.now, access=access), "evaluate")


def record(request: Request, facts: Facts, decision: Decision, state_seq: int) -> DecisionRecorded:
    """Give a decision as the event that the ledger keeps."""
    return DecisionRecorded(
        asked=Asked(
            action=request.action,
            country=request.country,
            environment=request.environment,
            purpose=request.purpose,
            resource=f"{request.resource_type}:{request.resource_id}",
            subject=f"{request.subject_type}:{request.subject_id}",
            tier=request.tier,
            environment_id=request.environment_id,
            storage_country=request.storage_country,
        ),
        org=request.org,
        allowed=decision.allowed,
        failed=tuple(f.clause for f in decision.findings if not f.holds),
        rests_on=tuple(sorted({seq for f in decision.findings for seq in f.entries})),
        policy=decision.policy,
        evaluated_at=decision.evaluated_at,
        state_seq=state_seq,
        grant=decision.grant,
        version=facts.resource.ref if facts.resource is not None else None,
        errors=decision.errors,
    )


def asked_again(event: DecisionRecorded) -> Request:
    """Give the request that a recorded decision answered."""
    subject_type, _, subject_id = event.asked.subject.partition(":")
    resource_type, _, resource_id = event.asked.resource.partition(":")
    return Request(
        subject_type=subject_type,
        subject_id=subject_id,
        org=event.org,
        action=event.asked.action,
        resource_type=resource_type,
        resource_id=resource_id,
        purpose=event.asked.purpose,
        tier=event.asked.tier,
        environment=event.asked.environment,
        country=event.asked.country,
        storage_country=event.asked.storage_country,
        environment_id=event.asked.environment_id,
    )

"""Replay (I5): from entries and attachments alone, fold the state and derive every decision again.

The fold runs over a fresh SQLite database in memory, through the projectors that the live tables were written by. For
each recorded decision the request, facts and policy of that moment are put together and decided on again; whatever
differs from what was recorded is a finding.

Of a range [since, until), the state is folded from the first entry on, decisions before `since` are not derived, and
entries from `until` on are not looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.pool import StaticPool
from sqlmodel import SQLModel

from ledger.access.decide import Decision, decide
from ledger.access.facts import Facts
from ledger.access.policy import Policy
from ledger.access.request import Request
from ledger.errors import Malformed
from ledger.events import Event, event_of, replayable
from ledger.events.decisions import DecisionRecorded, MountedDecisionRecorded
from ledger.log.entry import Entry
from ledger.services.decisions import Policies, asked_again, record
from ledger.services.findings import Finding
from ledger.services.mounted import Mounts, derive_again
from ledger.services.sources import Attachment
from ledger.storage.facts import FactReader
from ledger.storage.rebuild import Fold
from ledger.storage.tables import AttachmentRow, table
from ledger.storage.tail import NO_ENTRY

E = TypeVar("E", DecisionRecorded, MountedDecisionRecorded)

Progress = Callable[[int], None]
MAX_PENDING = 500
"""Decisions derived together, between changes of state, so that their facts are read at once."""


class Replayed(Struct, frozen=True, kw_only=True):
    """What a replay found."""

    entries: int
    """Those that were folded."""
    decisions: int
    """Those that were derived again."""
    findings: Sequence[Finding]
    unknown: dict[str, int]
    """Kinds that this version does not know, replayed as nothing."""


class Derived(Struct, frozen=True, kw_only=True):
    """A recorded decision, and all that it was derived from again."""

    seq: int
    event: DecisionRecorded
    request: Request
    facts: Facts
    policy: Policy
    decision: Decision


class Replay:
    """Folds entries in order, deriving decisions again as they come.

    `each` is given those that the policy for datasets and weights made.
    """

    def __init__(
        self,
        attachments: Iterable[Attachment],
        *,
        since: int = 0,
        until: int | None = None,
        each: Callable[[Derived], None] | None = None,
    ) -> None:
        self._since, self._until, self._each = since, until, each
        engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        SQLModel.metadata.create_all(engine)
        self._connection = engine.connect()
        rows = [{"sha256": digest, "media_type": kind, "data": data} for digest, kind, data in attachments]
        if rows:
            self._connection.execute(table(AttachmentRow).insert(), rows)
        self._fold = Fold(self._connection)
        self._facts, self._policies, self._mounts = FactReader(), Policies(), Mounts()
        self._state_seq = NO_ENTRY
        self._unknown: set[int] = set()
        """Entries since then of kinds that are not known here: they may have moved it, for who wrote them."""
        self._pending: list[tuple[int, DecisionRecorded]] = []
        self._mounted: list[tuple[int, MountedDecisionRecorded]] = []
        self._findings: list[Finding] = []
        self._entries = self._decisions = 0

    def add(self, entry: Entry) -> None:
        """Take the next entry. Raises BadEntry where its body is not of its kind."""
        if self._until is not None and entry.seq >= self._until:
            return
        self._entries += 1
        event = event_of(entry) if replayable(entry) else None
        if isinstance(event, DecisionRecorded):
            self._put_off(self._pending, entry.seq, event)
        elif isinstance(event, MountedDecisionRecorded):
            self._put_off(self._mounted, entry.seq, event)
        elif event is None or event.CHANGES_STATE:
            self._settle()
            self._fold.apply(entry)
            if event is None:
                self._unknown.add(entry.seq)
            else:
                self._state_seq, self._unknown = entry.seq, set()
        else:
            self._fold.apply(entry)

    def _put_off(self, pending: list[tuple[int, E]], seq: int, event: E) -> None:
        if seq >= self._since:
            pending.append((seq, event))
        if len(pending) >= MAX_PENDING:
            self._settle()

    def finish(self) -> Replayed:
        """Derive what is pending, and tell what was found."""
        self._settle()
        self._connection.close()
        return Replayed(
            entries=self._entries,
            decisions=self._decisions,
            findings=tuple(sorted(self._findings, key=attrgetter("seq"))),
            unknown=self._fold.unknown,
        )

    def _settle(self) -> None:
        self._settle_mounted()
        if not self._pending:
            return
        requests = [asked_again(event) for _, event in self._pending]
        facts = self._facts.gather(self._connection, requests, state_seq=self._state_seq)
        policy = self._policies.in_force(self._connection, state_seq=self._state_seq)
        for (seq, event), request, found in zip(self._pending, requests, facts, strict=True):
            self._decisions += 1
            if policy is None:
                self._findings.append(Finding(seq, "was decided before any policy was adopted"))
                continue
            decision = decide(request, found, policy, event.evaluated_at)
            derived = record(request, found, decision, self._state_seq_for(event))
            if derived != event:
                self._findings.append(Finding(seq, _difference(event, derived)))
            if self._each is not None:
                self._each(
                    Derived(seq=seq, event=event, request=request, facts=found, policy=policy, decision=decision)
                )
        self._pending.clear()

    def _settle_mounted(self) -> None:
        if not self._mounted:
            return
        policies = self._mounts.in_force(self._connection, state_seq=self._state_seq)
        for seq, event in self._mounted:
            self._decisions += 1
            try:
                derived = derive_again(event, policies, self._state_seq_for(event))
            except Malformed as error:
                self._findings.append(Finding(seq, f"cannot be derived: {error.problem}"))
                continue
            if derived != event:
                self._findings.append(Finding(seq, _difference(event, derived)))
        self._mounted.clear()

    def _state_seq_for(self, event: DecisionRecorded | MountedDecisionRecorded) -> int:
        """Give the index that is to stand there; entries of kinds not known here may have moved it."""
        return event.state_seq if event.state_seq in self._unknown else self._state_seq


def _difference(recorded: Event, derived: Event) -> str:
    """Name each field in which the two differ."""
    fields = [name for name in recorded.__struct_fields__ if getattr(recorded, name) != getattr(derived, name)]
    parts = [
        f"{name} is recorded as {getattr(recorded, name)!r}, derived as {getattr(derived, name)!r}" for name in fields
    ]
    return "; ".join(parts)

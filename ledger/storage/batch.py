"""One batch of work, in one transaction (DESIGN §4): evaluate │ lock head │ check state_seq │ append │ commit.

Questions (decisions) are evaluated before the lock is taken, on facts that are not older than the `state_seq` that this
writer's last batch left behind; under the lock, where `state_seq` has moved since, they are evaluated again (I4). They
are placed before the batch's commands, so that no command of this batch can come between a decision and its entry.

A command that raises is rolled back alone. One that returns an `OblikError` is refused to its caller, and what it
appended stays: that is how a refusal is put on record. Whatever else is raised, the batch failed as a whole.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import OblikError
from ledger.events import Event
from ledger.log.entry import format_time
from ledger.storage.engine import be_hasty, locked
from ledger.storage.tail import StreamHead, Tail, lock_head, read_state_seq, read_streams
from ledger.storage.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")


class Draft(Struct, frozen=True, gc=False):
    """An event that is ready to be appended, and what its asker is to be told besides its index."""

    event: Event
    by: dict[str, str]
    answer: Any


Answered = Draft | OblikError | None


class Evaluate(Protocol):
    """Answers questions from the state that `connection` sees; pure otherwise.

    Gives for each question, in order, a draft or the error to raise to its asker; None where it is not to be answered,
    because one before it ended what was asked together. Nothing is written for an error, nor for None.
    """

    def __call__(
        self, connection: sa.Connection, questions: Sequence[Any], *, now: str, state_seq: int
    ) -> "Sequence[Answered]":
        """Answer the questions, in order."""
        ...


Command = Callable[[Transaction], T]


class Question(Struct, frozen=True, gc=False):
    """Work for `Evaluate`; what is neither this nor `Questions` is a command."""

    payload: Any


class Questions(Struct, frozen=True, gc=False):
    """Work for `Evaluate` that is asked together: it is answered in one batch, and on record without a gap."""

    payloads: tuple[Any, ...]


class Ticket(Generic[T]):
    """Work that waits, and where its outcome goes."""

    __slots__ = ("count", "error", "future", "loop", "outcome", "work")

    def __init__(
        self, work: Any, future: "Future[T] | asyncio.Future[T]", loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.work = work
        self.count = len(work.payloads) if isinstance(work, Questions) else 1
        self.future = future
        self.loop = loop
        self.outcome: Any = None
        self.error: BaseException | None = None


class Timing(Struct, frozen=True):
    """How a batch went, in seconds."""

    waited: float
    """For the head's lock."""
    committed: float
    """In COMMIT."""
    evaluated_again: bool
    """Whether the state had moved before the lock (I4)."""


class Observer(Protocol):
    """Is told of every batch, after it."""

    def batch(self, answers: Sequence[Answered], entries: int, timing: Timing) -> None:
        """Take in a batch that was committed: what its questions got, and how many entries it has."""
        ...

    def failure(self) -> None:
        """Take in a batch that is not known to be written."""
        ...


class BatchWriter:
    """Writes batches over one connection of its own, one at a time. Remembers where the ledger ended.

    `hasty`: raises at once where another process is writing, instead of waiting for its turn (`is_busy`).
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        evaluate: Evaluate,
        clock: Callable[[], datetime],
        observers: Sequence[Observer] = (),
        hasty: bool = False,
    ) -> None:
        self._engine, self._evaluate, self._clock, self._observers = engine, evaluate, clock, observers
        self.hasty = hasty
        self._connection: sa.Connection | None = None
        self._streams: dict[str, StreamHead] = {}
        self._known_size = -1
        self._state_seq: int | None = None

    def write(self, batch: list[Ticket[Any]]) -> None:
        """Run one batch, and note in each ticket what came of it. Raises what the database raises: nothing holds."""
        connection = self._connect()
        questions = [ticket for ticket in batch if isinstance(ticket.work, Question | Questions)]
        payloads = _payloads(questions)
        answers, basis = self._prepare(connection, payloads), self._state_seq
        begun = perf_counter()
        with locked(connection):
            head = lock_head(connection)
            got_it = perf_counter()
            tail = self._tail(connection, head)
            again = bool(payloads) and basis != tail.state_seq
            if again:
                answers = self._evaluate(connection, payloads, now=self._now(), state_seq=tail.state_seq)
            tail.preload({name for a in answers if isinstance(a, Draft) for name in a.event.streams()})
            rest = iter(answers)
            for ticket in questions:
                _place(tail, ticket, rest)
            for ticket in batch:
                if not isinstance(ticket.work, Question | Questions):
                    _run(connection, tail, ticket)
            tail.write(connection)
            written = perf_counter()
        timing = Timing(got_it - begun, perf_counter() - written, again)
        self._streams, self._known_size, self._state_seq = tail.remembered_streams(), tail.size, tail.state_seq

        self._tell(lambda observer: observer.batch(answers, tail.size - head.size, timing))

    def fail(self) -> None:
        """Let go of the connection after a failure, and tell of it."""
        self.forget()
        self._tell(lambda observer: observer.failure())

    def _tell(self, what: Callable[[Observer], None]) -> None:
        """Tell the observers. Whatever goes wrong there, the batch is what it is."""
        for observer in self._observers:
            try:
                what(observer)
            except Exception as error:  # noqa: BLE001
                log.warning("an observer of batches failed: %s: %s", type(error).__name__, error)

    def _prepare(self, connection: sa.Connection, payloads: list[Any]) -> Sequence[Answered]:
        """Evaluate before the lock, as of the `state_seq` that was seen last: facts may be newer than it, never older.

        Facts that are remembered need no transaction; those that have to be read are read in one.
        """
        if not payloads:
            return ()
        try:
            if self._state_seq is None:
                self._state_seq = read_state_seq(connection)
            return self._evaluate(connection, payloads, now=self._now(), state_seq=self._state_seq)
        finally:
            if connection.in_transaction():
                connection.rollback()

    def _tail(self, connection: sa.Connection, head: sa.Row[Any]) -> Tail:
        streams = self._streams if head.size == self._known_size else {}
        return Tail(head, now=self._now(), streams=streams, read_streams=lambda names: read_streams(connection, names))

    def _now(self) -> str:
        return format_time(self._clock())

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            if self.hasty:
                be_hasty(self._connection)
        return self._connection

    def forget(self) -> None:
        """Let go of the connection: after a failure it is not known what it, or what was remembered, is worth."""
        connection, self._connection, self._known_size = self._connection, None, -1
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except sa.exc.SQLAlchemyError as error:
                log.debug("closing a connection: %s", error)


def _payloads(questions: list[Ticket[Any]]) -> list[Any]:
    payloads: list[Any] = []
    for ticket in questions:
        if isinstance(ticket.work, Question):
            payloads.append(ticket.work.payload)
        else:
            payloads += ticket.work.payloads
    return payloads


def _place(tail: Tail, ticket: Ticket[Any], answers: Iterator[Answered]) -> None:
    """Append what the ticket's questions came to, and note it there."""
    if isinstance(ticket.work, Questions):
        ticket.outcome = [_append(tail, next(answers)) for _ in ticket.work.payloads]
        return
    placed = _append(tail, next(answers))
    if isinstance(placed, OblikError):
        ticket.error = placed
    else:
        ticket.outcome = placed


def _append(tail: Tail, answer: Answered) -> tuple[int, Draft] | OblikError | None:
    if not isinstance(answer, Draft):
        return answer
    try:
        return tail.append(answer.event, answer.by), answer
    except OblikError as error:  # too large for an entry: refused before anything of it was appended
        return error


def _run(connection: sa.Connection, tail: Tail, ticket: Ticket[Any]) -> None:
    """Run one command in a savepoint of its own."""
    mark = tail.mark()
    try:
        with connection.begin_nested():
            outcome = ticket.work(Transaction(connection, tail))
    except sa.exc.OperationalError:
        raise  # the database itself: the whole batch fails
    except Exception as error:  # noqa: BLE001 - the command's own doing: it alone is told
        tail.restore(mark)
        ticket.error = error
        return
    if isinstance(outcome, OblikError):
        ticket.error = outcome  # refused, on record
    else:
        ticket.outcome = outcome

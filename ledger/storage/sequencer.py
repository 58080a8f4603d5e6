"""The write path (DESIGN §4): one sequencer a process, group commit, one lock on one row.

    callers ──submit / ask──▶ queue ──▶ batch: evaluate │ lock head │ check state_seq │ append │ commit ──▶ answers

A batch is what waited while the last one was committed. Questions (decisions) are evaluated before the lock is taken,
on facts read at some `state_seq`; under the lock, where `state_seq` has moved since, they are evaluated again (I4).
They are placed before the batch's commands, so that no command of this batch can come between a decision and its
entry. Nobody is answered before the commit has returned (I1).

A command that raises is rolled back alone. One that returns an `OblikError` is refused to its caller, and what it
appended stays: that is how a refusal is put on record. If the batch's transaction fails as a whole, every caller in
it is told `Unavailable`, and nothing was allowed.
"""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import OblikError, Unavailable
from ledger.events import Event
from ledger.log.entry import format_time
from ledger.storage.engine import locked
from ledger.storage.tables import HeadRow, table
from ledger.storage.tail import StreamHead, Tail, lock_head, read_streams
from ledger.storage.transaction import Transaction

log = logging.getLogger(__name__)

HEAD = table(HeadRow)
READ_STATE_SEQ = sa.select(HEAD.c.state_seq)
T = TypeVar("T")

MAX_BATCH = 2_000
"""Entries in one transaction: bounds how long the head stays locked (about 50 ms)."""

MAX_WAITING = 20_000
"""Work accepted and not yet committed; beyond it callers are told to come back, instead of waiting for seconds."""


LINGER_SECONDS = 0.001
"""How long a batch waits for callers who were just answered to come back: one large batch costs less than two. A caller
who is alone is never kept waiting."""


class Draft(Struct, frozen=True):
    """An event that is ready to be appended, and what its asker is to be told besides its index."""

    event: Event
    by: dict[str, str]
    answer: Any


class Evaluate(Protocol):
    """Answers questions from the state that `connection` sees; pure otherwise.

    Gives for each question, in order, a draft or the error to raise to its asker. Nothing is written for an error.
    """

    def __call__(
        self, connection: sa.Connection, questions: Sequence[Any], *, now: str, state_seq: int
    ) -> Sequence[Draft | OblikError]:
        """Answer the questions, in order."""
        ...


Command = Callable[[Transaction], T]


class Ticket(Generic[T]):
    """Work that waits, and where its outcome goes."""

    __slots__ = ("error", "future", "loop", "outcome", "work")

    def __init__(
        self, work: Any, future: "Future[T] | asyncio.Future[T]", loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.work = work
        self.future = future
        self.loop = loop
        self.outcome: Any = None
        self.error: BaseException | None = None


class _Question(Struct, frozen=True):
    payload: Any


class Sequencer:
    """The only writer of this process. Thread-safe; answers threads and event loops alike."""

    def __init__(self, engine: sa.Engine, *, evaluate: Evaluate, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._evaluate = evaluate
        self._clock = clock
        self._queue: SimpleQueue[Ticket[Any] | None] = SimpleQueue()
        self._connection: sa.Connection | None = None
        self._streams: dict[str, StreamHead] = {}
        self._known_size = -1
        self._expected = 0
        self._accepting = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sequencer", daemon=True)
        self._thread.start()

    # Asking -----------------------------------------------------------------------------------------------------------

    def submit(self, command: Command[T]) -> "Future[T]":
        """Run a command in the next batch, for a caller that is a thread."""
        future: Future[T] = Future()
        self._enqueue(Ticket(command, future, None))
        return future

    async def run(self, command: Command[T]) -> T:
        """Run a command in the next batch, for a caller on an event loop."""
        outcome: T = await self._wait(command)
        return outcome

    async def ask(self, question: object) -> tuple[int, Draft]:
        """Have a question evaluated and its answer recorded. Returns the entry's index and the draft."""
        outcome: tuple[int, Draft] = await self._wait(_Question(question))
        return outcome

    def ask_from_thread(self, question: object) -> "Future[tuple[int, Draft]]":
        """Ask, for a caller that is a thread."""
        future: Future[tuple[int, Draft]] = Future()
        self._enqueue(Ticket(_Question(question), future, None))
        return future

    def close(self) -> None:
        """Finish what waits, then stop."""
        with self._accepting:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    async def _wait(self, work: Any) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._enqueue(Ticket(work, future, loop))
        return await future

    def _enqueue(self, ticket: Ticket[Any]) -> None:
        with self._accepting:  # whatever is queued comes before the end of the queue, and so is answered
            if self._closed:
                raise Unavailable("the service is shutting down")
            if self._queue.qsize() >= MAX_WAITING:
                raise Unavailable("too much is waiting to be written", help="try again in a second")
            self._queue.put(ticket)

    # Working ----------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            batch, more = self._collect()
            if batch:
                self._settle_batch(batch)
            if not more:
                break
        if self._connection is not None:
            self._connection.close()

    def _collect(self) -> tuple[list[Ticket[Any]], bool]:
        """Wait for work, then take what is there. The flag is False when it is time to stop."""
        first = self._queue.get()
        if first is None:
            return [], False
        batch = [first]
        deadline = time.monotonic() + LINGER_SECONDS
        try:
            while len(batch) < MAX_BATCH:
                ticket = self._next(deadline if len(batch) < self._expected else 0)
                if ticket is None:
                    return batch, False
                batch.append(ticket)
        except Empty:
            pass
        return batch, True

    def _next(self, deadline: float) -> Ticket[Any] | None:
        """Take what is next in the queue; wait for it until the deadline. Raises Empty."""
        try:
            return self._queue.get_nowait()
        except Empty:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            return self._queue.get(timeout=left)

    def _settle_batch(self, batch: list[Ticket[Any]]) -> None:
        try:
            self._write(batch)
            _answer(batch)
        except BaseException as error:  # noqa: BLE001 - the thread has to live on, and nobody may wait for ever
            log.warning("a batch of %d was not answered: %s", len(batch), error)
            _refuse(batch, error)
            _answer(batch)
        self._expected = len(batch) + self._queue.qsize()

    def _write(self, batch: list[Ticket[Any]]) -> None:
        try:
            self._commit(batch)
        except BaseException as error:  # noqa: BLE001 - whatever went wrong, nobody in the batch may take it for success
            log.warning("a batch of %d is not known to be written: %s", len(batch), error)
            _refuse(batch, error)
            self._forget_connection()

    def _commit(self, batch: list[Ticket[Any]]) -> None:
        """Run one batch: steps 1 to 4 of DESIGN §4."""
        connection = self._connect()
        questions = [ticket for ticket in batch if isinstance(ticket.work, _Question)]
        payloads = [ticket.work.payload for ticket in questions]
        basis, answers = self._prepare(connection, payloads)
        with locked(connection):
            head = lock_head(connection)
            tail = self._tail(connection, head)
            if payloads and basis != tail.state_seq:
                answers = self._evaluate(connection, payloads, now=self._now(), state_seq=tail.state_seq)
            tail.preload({name for a in answers if isinstance(a, Draft) for name in a.event.streams()})
            for ticket, answer in zip(questions, answers, strict=True):
                _place(tail, ticket, answer)
            for ticket in batch:
                if not isinstance(ticket.work, _Question):
                    _run(connection, tail, ticket)
            tail.write(connection)
        self._streams, self._known_size = tail.remembered_streams(), tail.size

    def _prepare(self, connection: sa.Connection, payloads: list[Any]) -> tuple[int, Sequence[Draft | OblikError]]:
        """Evaluate before the lock. `state_seq` is read first: facts may be newer than it, never older."""
        if not payloads:
            return -1, ()
        with connection.begin():
            basis = connection.execute(READ_STATE_SEQ).scalar_one()
            return basis, self._evaluate(connection, payloads, now=self._now(), state_seq=basis)

    def _tail(self, connection: sa.Connection, head: sa.Row[Any]) -> Tail:
        streams = self._streams if head.size == self._known_size else {}
        return Tail(head, now=self._now(), streams=streams, read_streams=lambda names: read_streams(connection, names))

    def _now(self) -> str:
        return format_time(self._clock())

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _forget_connection(self) -> None:
        """Start afresh: after a failure it is not known what the connection, or what was remembered, is worth."""
        connection, self._connection, self._known_size = self._connection, None, -1
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except sa.exc.SQLAlchemyError as error:
                log.debug("closing a failed connection: %s", error)


def _place(tail: Tail, ticket: Ticket[Any], answer: Draft | OblikError) -> None:
    if isinstance(answer, OblikError):
        ticket.error = answer
        return
    try:
        ticket.outcome = (tail.append(answer.event, answer.by), answer)
    except OblikError as error:  # too large for an entry: refused before anything of it was appended
        ticket.error = error


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


def _refuse(batch: list[Ticket[Any]], error: BaseException) -> None:
    for ticket in batch:
        ticket.error = _as_unavailable(error)


def _as_unavailable(error: BaseException) -> OblikError:
    if isinstance(error, OblikError):
        return error
    return Unavailable(
        "the ledger did not confirm that it was written; nothing was allowed",
        help="try again; the operator's log says why",
    )


def _answer(batch: list[Ticket[Any]]) -> None:
    """Tell everyone, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Ticket[Any]]] = {}
    for ticket in batch:
        if ticket.loop is None:
            _settle(ticket)
        else:
            by_loop.setdefault(ticket.loop, []).append(ticket)
    for loop, tickets in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, tickets)
        except RuntimeError:  # the loop is closed: its callers are gone
            log.debug("%d answers had nobody left to hear them", len(tickets))


def _settle_all(tickets: list[Ticket[Any]]) -> None:
    for ticket in tickets:
        _settle(ticket)


def _settle(ticket: Ticket[Any]) -> None:
    try:
        if ticket.error is not None:
            ticket.future.set_exception(ticket.error)
        else:
            ticket.future.set_result(ticket.outcome)
    except (asyncio.InvalidStateError, concurrent.futures.InvalidStateError):
        log.debug("a caller hung up before its answer; what was written stands")

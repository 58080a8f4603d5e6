"""The write path (DESIGN §4): one sequencer a process, group commit, one lock on one row.

    callers ──submit / ask──▶ intake ──▶ batch: one transaction ──▶ answers

A batch is what waited while the last one was committed; callers who were answered then are waited for, for a moment,
since one large batch costs less than two. Nobody is answered before the commit has returned (I1). If the batch's
transaction fails as a whole, every caller in it is told `Unavailable`, and nothing was allowed.

Batches are written by a thread. Where committing needs this machine's disk alone (SQLite), questions asked on an event
loop are written there instead: handing them to a thread and back costs as much as deciding them. Whoever writes has the
pen. The loop never waits for it, nor for another process: then the thread writes, which has the patience.
"""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from ledger.errors import OblikError, Unavailable
from ledger.storage.batch import BatchWriter, Command, Draft, Evaluate, Observer, Question, Questions, Ticket
from ledger.storage.engine import commits_locally, is_busy
from ledger.storage.intake import Intake

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BATCH = 2_000
"""Entries in one transaction: bounds how long the head stays locked (about 50 ms)."""

MAX_BATCH_ON_LOOP = 200
"""The same where an event loop writes: bounds how long it does nothing else."""

PATIENCE_SECONDS, PATIENCE_SECONDS_EACH, MAX_PATIENCE_SECONDS = 0.001, 0.0001, 0.005
"""How long callers who were just answered are waited for: about what it takes to answer each, and to hear from it. One
who is alone is never kept waiting."""


class Sequencer:
    """The only writer of this process. Thread-safe; answers threads and event loops alike."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        evaluate: Evaluate,
        clock: Callable[[], datetime],
        observers: Sequence[Observer] = (),
    ) -> None:
        writer = partial(BatchWriter, engine, evaluate=evaluate, clock=clock, observers=observers)
        self._writer, self._on_loop = writer(), writer(hasty=True)
        self._may_write_on_loop = commits_locally(engine)
        self._pen = threading.Lock()
        self._intake: Intake[Ticket[Any]] = Intake()
        self._answered = 0
        self._turns: dict[asyncio.AbstractEventLoop, asyncio.Handle] = {}
        self._thread = threading.Thread(target=self._work, name="sequencer", daemon=True)
        self._thread.start()

    # Asking -----------------------------------------------------------------------------------------------------------

    def submit(self, command: Command[T]) -> "Future[T]":
        """Run a command in the next batch, for a caller that is a thread."""
        return self._submit(command)

    async def run(self, command: Command[T]) -> T:
        """Run a command in the next batch, for a caller on an event loop."""
        outcome: T = await asyncio.wrap_future(self._submit(command))
        return outcome

    def ask_from_thread(self, question: object) -> "Future[tuple[int, Draft]]":
        """Have a question evaluated and its answer recorded, for a caller that is a thread."""
        return self._submit(Question(question))

    def ask(self, question: object) -> "asyncio.Future[tuple[int, Draft]]":
        """Have a question evaluated and its answer recorded, for a caller on an event loop: (index, draft)."""
        return self._ask(Question(question))

    def ask_all(self, questions: Sequence[object]) -> "asyncio.Future[list[tuple[int, Draft] | OblikError | None]]":
        """Have questions evaluated on one state, and their answers recorded in one batch, without a gap.

        Gives for each, in order, its entry's index and the draft, or its error; None where one before it ended them.
        """
        return self._ask(Questions(tuple(questions)))

    def _ask(self, work: Question | Questions) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        waiting = self._intake.add(Ticket(work, future, loop))
        if loop not in self._turns or waiting == self._answered:
            self._plan_turn(loop, complete=waiting >= self._answered)
        return future

    def close(self) -> None:
        """Finish what waits, then stop."""
        self._intake.close()
        self._thread.join()

    def _submit(self, work: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._intake.add(Ticket(work, future, None))
        self._intake.call()
        return future

    # Working ----------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._is_needed():
            with self._pen:
                self._settle_batch(self._writer, self._intake.take(MAX_BATCH))
        with self._pen:
            self._writer.forget()
            self._on_loop.forget()

    def _is_needed(self) -> bool:
        """Wait for work. False once the intake is closed, nothing waits, and the loop has nothing to put back."""
        if self._intake.wait():
            return True
        with self._pen:
            return len(self._intake) > 0

    def _plan_turn(self, loop: asyncio.AbstractEventLoop, *, complete: bool) -> None:
        """Take the turn once all who are ready have asked; where some are expected back, a moment later."""
        planned = self._turns.pop(loop, None)
        if planned is not None:
            planned.cancel()
        patience = min(PATIENCE_SECONDS + self._answered * PATIENCE_SECONDS_EACH, MAX_PATIENCE_SECONDS)
        self._turns[loop] = (
            loop.call_soon(self._take_turn, loop) if complete else loop.call_later(patience, self._take_turn, loop)
        )

    def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have written what waits: here and now, where that may be done, or by the thread."""
        self._turns.pop(loop, None)
        if not self._may_write_on_loop or not self._pen.acquire(blocking=False):
            self._intake.call()
            return
        try:
            self._write_on_loop(loop)
        finally:
            self._pen.release()

    def _write_on_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._intake.take(MAX_BATCH_ON_LOOP)
        # A command may take its time: it is for the thread.
        are_questions = all(isinstance(ticket.work, Question | Questions) for ticket in batch)
        if not are_questions or not self._settle_batch(self._on_loop, batch, here=loop):
            self._intake.put_back(batch)
            self._intake.call()
        elif len(self._intake):
            loop.call_soon(self._take_turn, loop)

    def _settle_batch(
        self, writer: BatchWriter, batch: list[Ticket[Any]], *, here: asyncio.AbstractEventLoop | None = None
    ) -> bool:
        """Write the batch and answer it. False where another process is writing, and nothing was done."""
        if not batch:  # somebody else was first: no transaction for nothing
            return True
        try:
            if not self._write(writer, batch):
                return False
            self._answered = len(batch) + len(self._intake)
            _answer(batch, here)
        except BaseException as error:  # noqa: BLE001 - the thread has to live on, and nobody may wait for ever
            log.warning("a batch of %d was not answered: %s", len(batch), error)
            _refuse(batch, error)
            _answer(batch, here)
        return True

    def _write(self, writer: BatchWriter, batch: list[Ticket[Any]]) -> bool:
        try:
            writer.write(batch)
        except BaseException as error:  # noqa: BLE001 - whatever went wrong, nobody in the batch may take it for success
            if writer.hasty and is_busy(error):
                return False
            log.warning("a batch of %d is not known to be written: %s", len(batch), error)
            _refuse(batch, error)
            writer.fail()
        return True


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


def _answer(batch: list[Ticket[Any]], here: asyncio.AbstractEventLoop | None) -> None:
    """Tell everyone, with one wake-up for each event loop that is not `here`."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Ticket[Any]]] = {}
    for ticket in batch:
        if ticket.loop is None or ticket.loop is here:
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

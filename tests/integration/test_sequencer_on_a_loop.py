"""Questions that are asked on an event loop: written there where committing is local, and by the thread otherwise."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from programs import PATIENCE
from promised import entries_in, own_engine
from world import World, open_world, question, revocation

from ledger.errors import Unavailable
from ledger.storage import batch as batches
from ledger.storage.tables import HeadRow, table

CALLERS = 20


def asked_together(world: World, count: int = CALLERS) -> list[int]:
    """Ask so many questions at once on one loop, and give the indexes of their entries."""

    async def ask() -> list[int]:
        answers = await asyncio.gather(*(world.service.sequencer.ask(question()) for _ in range(count)))
        return [seq for seq, _ in answers]

    return asyncio.run(asyncio.wait_for(ask(), PATIENCE))


@contextmanager
def writers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Note of each batch the thread that wrote it, and its size."""
    true, seen = batches.BatchWriter.write, []

    def write(self: batches.BatchWriter, batch: list) -> None:
        true(self, batch)
        seen.append((threading.current_thread().name, len(batch)))

    monkeypatch.setattr(batches.BatchWriter, "write", write)
    yield seen


def test_those_who_ask_together_are_one_batch(world: World, monkeypatch: pytest.MonkeyPatch):
    """On SQLite the loop's own thread writes it; for a database server, which is waited for, another thread does."""
    with writers(monkeypatch) as seen:
        for _ in range(10):  # the publisher writes, too, now and then, and is not waited for on the loop
            seqs = asked_together(world)
            assert list(range(seqs[0], seqs[0] + CALLERS)) == seqs
    assert {size for _, size in seen} == {CALLERS}
    on_loop = (threading.current_thread().name, CALLERS) in seen
    assert on_loop == (world.service.engine.dialect.name == "sqlite")


def test_a_turn_for_which_nothing_is_left_opens_no_transaction(world: World, monkeypatch: pytest.MonkeyPatch):
    """Where the thread was first, the loop's turn writes nothing; and the callers it expects back stay expected."""

    async def turn() -> None:
        world.service.sequencer._take_turn(asyncio.get_running_loop())

    asked_together(world, 7)
    expected = world.service.sequencer._answered
    with writers(monkeypatch) as seen:
        asyncio.run(turn())
    assert ([], 7) == (seen, expected) == (seen, world.service.sequencer._answered)


def test_a_command_is_never_run_on_the_loop(world: World, monkeypatch: pytest.MonkeyPatch):
    """What may take its time leaves the loop to its other callers, and is not overtaken by questions behind it."""

    async def both() -> None:
        questions = [asyncio.ensure_future(world.service.sequencer.ask(question())) for _ in range(3)]
        await asyncio.sleep(0)  # they are in the intake, and their turn has not come
        await world.service.sequencer.run(lambda tx: tx.append(revocation(), {"org": "mod-ua", "person": "test"}))
        answers = await asyncio.gather(*questions)
        assert all(isinstance(draft.answer.decision.allowed, bool) for _, draft in answers)

    with writers(monkeypatch) as seen:
        asyncio.run(asyncio.wait_for(both(), PATIENCE))
    assert sum(size for _, size in seen) == 4
    assert all(name == "sequencer" for name, size in seen if size != 3)


def test_the_loop_waits_for_no_other_process(world: World):
    """While another connection has the lock, the loop goes on; the question is answered once the lock is let go."""

    async def meanwhile(release: sa.RootTransaction) -> int:
        asked = asyncio.ensure_future(world.service.sequencer.ask(question()))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not asked.done()
        release.rollback()
        return (await asyncio.wait_for(asked, PATIENCE))[0]

    asked_together(world, 1)
    with own_engine(world.settings.database_url) as engine, engine.connect() as other:
        other.execution_options(lock_head=True)
        holding = other.begin()
        other.execute(table(HeadRow).select().with_for_update())
        seq = asyncio.run(meanwhile(holding))
    assert len(entries_in(world.service.engine)) - 1 == seq


def test_two_loops_share_one_sequencer(world: World):
    """Each loop sees to it that its own questions are answered, whichever of them writes."""
    found: list[list[int]] = []
    loops = [threading.Thread(target=lambda: found.append(asked_together(world))) for _ in range(2)]
    for thread in loops:
        thread.start()
    for thread in loops:
        thread.join(PATIENCE)
    seqs = sorted(seq for some in found for seq in some)
    assert list(range(seqs[0], seqs[0] + 2 * CALLERS)) == seqs


def test_a_loop_that_ended_keeps_nobody_waiting(world: World):
    """A question whose loop was closed before its turn is written with the next one, or not: that one is answered."""

    async def hang_up() -> None:
        asyncio.ensure_future(world.service.sequencer.ask(question()))  # noqa: RUF006 - given up on purpose
        await asyncio.sleep(0)

    asked_together(world, 3)  # so that others are expected back
    asyncio.run(hang_up())
    assert len(asked_together(world, 1)) == 1


def test_what_waits_on_a_loop_is_settled_when_the_sequencer_closes(world: World):
    """Closing answers what was accepted, and turns away what comes after."""

    async def close() -> None:
        asked = [asyncio.ensure_future(world.service.sequencer.ask(question())) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(world.service.sequencer.close)
        assert len(await asyncio.wait_for(asyncio.gather(*asked), PATIENCE)) == 3
        with pytest.raises(Unavailable):
            await world.service.sequencer.ask(question())

    asyncio.run(close())


def test_a_failed_batch_on_the_loop_is_told_and_forgotten(world: World, monkeypatch: pytest.MonkeyPatch):
    """Where the batch fails, its callers are told Unavailable, and the next one is written."""
    monkeypatch.setattr(batches, "lock_head", lambda _: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(Unavailable):
        asked_together(world, 1)
    monkeypatch.undo()
    assert len(asked_together(world, 2)) == 2


def test_what_the_loop_puts_back_while_the_sequencer_closes_is_settled(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Where another process writes just then, the thread does not end before it has written what the loop could not."""
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    sequencer = world.service.sequencer
    at_the_pen = threading.Event()

    class Pen:
        """The pen, which says that the thread is waiting for it."""

        def __init__(self, pen: Any) -> None:
            self.acquire, self.release = pen.acquire, pen.release

        def __enter__(self) -> None:
            at_the_pen.set()
            self.acquire()

        def __exit__(self, *_: object) -> None:
            self.release()

    def busy(_batch: object) -> None:
        threading.Thread(target=sequencer.close).start()
        assert at_the_pen.wait(PATIENCE)
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise sa.exc.OperationalError("", {}, locked)

    monkeypatch.setattr(sequencer, "_pen", Pen(sequencer._pen))
    monkeypatch.setattr(sequencer._on_loop, "write", busy)

    async def ask() -> Any:
        return await asyncio.wait_for(sequencer.ask(question()), PATIENCE)

    seq, draft = asyncio.run(ask())
    assert (seq, draft.event.allowed) == (draft.event.state_seq + 1, True)
    world.service.close()

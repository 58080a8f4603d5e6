"""Threads that others wait for: whatever goes wrong in one, nobody waits for ever, and the next is served."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from programs import PATIENCE
from world import BY, World, open_world, question

from ledger.bootstrap import open_service
from ledger.errors import Unavailable
from ledger.events.data import DatasetRegistered
from ledger.services import stamping, witnessed
from ledger.services.publishing import Publisher
from ledger.storage import batch as batches
from ledger.storage import intake as intakes
from ledger.storage import sequencer as sequencers
from ledger.storage.engine import open_engine
from ledger.storage.publication import Publication

DATASET = DatasetRegistered(id="one", owner="mod-ua", title="a set")
PUBLISHED = Publication(size=1, root=bytes(32), note=b"")


@pytest.fixture
def lone(tmp_path) -> Iterator[World]:
    """Give a ledger in service, on SQLite."""
    made = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    yield made
    made.service.close()


@pytest.mark.parametrize("step", ["_answer", "_refuse"])
def test_a_batch_that_cannot_be_answered_is_answered_unavailable(lone: World, step: str, monkeypatch):
    """Where even the answering fails, callers are told Unavailable, and the sequencer serves the next batch."""
    true, broken = getattr(sequencers, step), [MemoryError()]

    def failing(*arguments) -> None:
        if broken:
            raise broken.pop()
        true(*arguments)

    monkeypatch.setattr(sequencers, step, failing)
    if step == "_refuse":
        monkeypatch.setattr(batches, "lock_head", lambda _: sys.exit("interrupted"))
    assert isinstance(lone.service.sequencer.ask_from_thread(question()).exception(PATIENCE), Unavailable)
    monkeypatch.undo()
    assert lone.ask()[1].event.allowed


def test_nobody_who_asks_while_it_closes_waits_for_ever(lone: World, monkeypatch):
    """What comes between the check and the queue while the sequencer closes is answered, or turned away at once."""
    sequencer = open_service(lone.settings, clock=lone.clock).sequencer
    between, closing = threading.Event(), threading.Event()
    true = intakes.MAX_WAITING

    class Slow(int):
        def __le__(self, other: object) -> bool:  # asked after it saw that the intake is open
            between.set()
            closing.wait(0.2)
            return true <= other

    monkeypatch.setattr(intakes, "MAX_WAITING", Slow(true))
    told = []
    asker = threading.Thread(target=lambda: told.append(sequencer.submit(lambda tx: tx.append(DATASET, BY))))
    asker.start()
    assert between.wait(PATIENCE)
    closer = threading.Thread(target=sequencer.close)
    closer.start()
    closer.join(0.05)
    closing.set()
    for thread in (asker, closer):
        thread.join(PATIENCE)
    assert told[0].result(PATIENCE) >= 0


@pytest.mark.parametrize("broken", ["leads", "notify"])
def test_a_publisher_outlives_what_breaks_beside_it(broken: str):
    """A lock file that cannot be opened, or a display that fails, costs no one who waits for a checkpoint."""

    def fail(*_: object) -> bool:
        raise OSError("no space left on device")

    leads = fail if broken == "leads" else lambda: True
    publisher = Publisher(lambda: PUBLISHED, interval=3600, leads=leads, notify=fail)
    try:
        assert [publisher.fresh().result(PATIENCE) for _ in range(3)] == [PUBLISHED] * 3
    finally:
        publisher.close()


class SetBack:
    """A clock that a test sets."""

    now = datetime(2026, 11, 21, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_a_clock_set_back_does_not_make_anyone_wait_for_witnesses(lone: World):
    """Patience with witnesses is lost after ten seconds of the clock, though it was set back by a day between."""
    clock, seen = SetBack(), []
    shower = witnessed.Witnessed(lone.service.engine, None, [], clock=clock, shown=seen.append)  # type: ignore[arg-type]
    size = lone.append(DATASET) + 1
    lone.checkpoint()
    note = lone.checkpoint()
    published = Publication(size=size + 1, root=bytes(32), note=note, public_size=0)
    for now in (timedelta(0), timedelta(days=-1), witnessed.PATIENCE - timedelta(days=1)):
        clock.now = SetBack.now + now
        shower._show = lambda note, size: seen.append((note, size))  # type: ignore[method-assign]
        shower.take(published)
    assert [(note, size + 1)] == seen


def test_a_clock_set_back_does_not_stop_time_stamps(lone: World):
    """An authority is asked again when the clock was set back, since nobody knows how long ago the last stamp was."""
    clock = SetBack()
    stamper = stamping.Stamping(lone.service.engine, (), interval=timedelta(hours=1), clock=clock)
    stamper(lone.checkpoint())
    assert not stamper.is_due()
    clock.now = SetBack.now - timedelta(days=1)
    assert stamper.is_due()


@pytest.mark.postgres
def test_a_connection_to_postgresql_is_bounded(postgres_url: str):
    """The server ends a transaction that does nothing, and the client a connection that is silent."""
    engine = open_engine(postgres_url)
    with engine.connect() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        }
        parameters = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()
    assert shown == {"lock_timeout": "30s", "idle_in_transaction_session_timeout": "1min"}
    assert tuple(
        parameters[name] for name in ("tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")
    ) == ("30000", "10", "5", "4")

"""A service, or a witness, in a process of its own that fails or dies at one instruction, as it is told.

`Mortal` starts `live` or `witness` in a process forked from a server that has everything imported, and speaks with it
over a pipe. The fault is made here, around the product's functions; the product has no hook for it. It strikes once.
"""

import errno
import logging
import os
import secrets
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psycopg
import sqlalchemy as sa
import uvicorn
from fault_cells import (
    ANSWER,
    DISTRIBUTING,
    FAILED,
    KILLED_AFTER,
    KILLED_BEFORE,
    LOST,
    PUBLISHING,
    UNAVAILABLE,
    WITNESSING,
    WRITING,
)
from programs import PATIENCE
from promised import one_batch
from world import BY, Clock, World, question

from ledger.api.witness import create_app
from ledger.bootstrap import open_service, open_witness
from ledger.errors import Unavailable
from ledger.events.data import DatasetRegistered
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import parse_note
from ledger.services import cosigning, publishing
from ledger.settings import Settings, WitnessSettings
from ledger.storage import anchor as anchors
from ledger.storage import batch as batches
from ledger.storage import sequencer as sequencers
from ledger.storage import tail
from ledger.storage import tiles as tile_stores
from ledger.storage.publication import read_publication
from ledger.storage.tiles import FolderTiles
from ledger.storage.transaction import Transaction

CONTEXT = get_context("forkserver")

Acknowledged = list[tuple[int, str]]
"""(index, id of a dataset; "" for a decision)"""


# The process, seen from the test --------------------------------------------------------------------------------------


class Mortal:
    """A process that runs one of this module's functions; `hear` gives LOST once it is gone."""

    def __init__(self, target: Callable[..., None], *arguments: object) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=target, args=(theirs, *arguments))
        self.process.start()
        theirs.close()

    def hear(self) -> Any:
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError("nothing was heard")
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            return LOST

    def tell(self) -> None:
        """Have it go on."""
        self._pipe.send("go on")

    def end(self) -> int | None:
        """Wait until it is gone. Returns its exit code, negative for a signal."""
        self.process.join(PATIENCE)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.end()
        self._pipe.close()


@contextmanager
def mortal(target: Callable[..., None], *arguments: object) -> Iterator[Mortal]:
    """Start a process; it is dead when this ends."""
    started = Mortal(target, *arguments)
    try:
        yield started
    finally:
        started.kill()


# Faults ---------------------------------------------------------------------------------------------------------------


@dataclass
class Strike:
    """One fault. It strikes the first call for which `at` holds, after `spared` of them."""

    fault: str
    error: Callable[[], BaseException]
    at: Callable[..., bool] = lambda *_: True
    spared: int = 0
    for_ever: bool = False
    """It strikes again, each time."""
    heard_before: bool = False
    """The caller has its answer before it strikes."""
    heard_after: bool = False
    """The caller has its answer after the effect, before the process dies."""
    heard: threading.Event = field(default_factory=threading.Event)
    struck: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def around(self, target: object, name: str) -> None:
        """Have it strike around a function."""
        true = getattr(target, name)

        def guarded(*arguments: Any, **named: Any) -> Any:
            if self._is_due(arguments):
                self._strike(partial(true, *arguments, **named))
            return true(*arguments, **named)

        setattr(target, name, guarded)

    def _is_due(self, arguments: tuple[Any, ...]) -> bool:
        if (self.struck.is_set() and not self.for_ever) or not self.at(*arguments):
            return False
        self.spared -= 1
        return self.spared < 0

    def _strike(self, effect: Callable[[], Any]) -> None:
        """Do it or not, then die or raise."""
        self.struck.set()
        if self.heard_before:
            self.heard.wait(PATIENCE)
        if self.fault == KILLED_BEFORE:
            die()
        if self.fault != FAILED:
            effect()
        if self.fault == KILLED_AFTER:
            if self.heard_after:
                self.heard.wait(PATIENCE)
            die()
        self.done.set()
        raise self.error()


def die() -> None:
    """End at this instruction, as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(PATIENCE)


def lost() -> sa.exc.OperationalError:
    """Make what SQLAlchemy raises where the connection is gone, or the disk."""
    return sa.exc.OperationalError("a statement", {}, Exception("the database is gone"))


def named(*parts: str) -> Callable[..., bool]:
    """Hold for a path that has one of these parts."""
    return lambda path, *_: any(part in path.parts for part in parts)


def aimed(step: str, fault: str, engine: sa.Engine) -> tuple[Strike, Any, str]:
    """Give the fault at a step, and the function (object, name) that it strikes around."""
    if step == "at commit":
        return Strike(fault, partial(driver_error, engine), at=once_inserted()), engine.dialect, "do_commit"
    if step == "at storing a witnessed size":
        strike = Strike(fault, partial(driver_error, engine), at=once_grown(engine), for_ever=True)
        return strike, engine.dialect, "do_commit"
    if step == "at swapping the publication":
        return Strike(fault, partial(driver_error, engine), at=while_swapping()), engine.dialect, "do_commit"
    full = partial(OSError, errno.ENOSPC, "no space left on device")
    broken = partial(OSError, errno.EIO, "input/output error")
    return {
        "before the lock": (Strike(fault, lost), batches.BatchWriter, "_prepare"),
        "after the lock": (Strike(fault, lost), batches, "lock_head"),
        "between insert and head": (Strike(fault, lost), tail, "insert_entries"),
        "after commit, before the answer": (Strike(fault, MemoryError, heard_after=True), sequencers, "_answer"),
        "at signing": (Strike(fault, partial(Unavailable, "the token is gone")), publishing, "sign_checkpoint"),
        "at the anchor": (Strike(fault, broken), anchors, "write_durably"),
        "at writing a tile": (
            Strike(fault, full, at=in_path("tile"), heard_before=True),
            tile_stores,
            "replace_file",
        ),
        "at replacing the checkpoint": (
            Strike(fault, broken, at=in_path("checkpoint"), heard_before=True),
            tile_stores,
            "replace_file",
        ),
    }[step]


def driver_error(engine: sa.Engine) -> Exception:
    """Make what a driver raises where COMMIT fails."""
    if engine.dialect.name == "sqlite":
        return sqlite3.OperationalError("disk I/O error")
    return psycopg.OperationalError("server closed the connection unexpectedly")


def once_inserted() -> Callable[..., bool]:
    """Hold from when the next entries are inserted."""
    true, inserted = tail.insert_entries, threading.Event()

    def insert(*arguments: Any) -> None:
        true(*arguments)
        inserted.set()

    tail.insert_entries = insert
    return lambda _connection: inserted.is_set()


def while_swapping() -> Callable[..., bool]:
    """Hold within the swap of the publication, in its thread."""
    true, swapping = publishing.swap_publication, threading.local()

    def swap(*arguments: Any) -> bool:
        swapping.now = True
        try:
            return true(*arguments)
        finally:
            swapping.now = False

    publishing.swap_publication = swap
    return lambda _connection: getattr(swapping, "now", False)


def in_path(part: str) -> Callable[..., bool]:
    return lambda path, _data: part in path.parts


def once_grown(engine: sa.Engine) -> Callable[..., bool]:
    """Hold where a witness is about to store a larger size: it may be asked for the last one again."""
    largest = "SELECT coalesce(max(size), 0) FROM cosigned"
    with engine.connect() as connection:
        before = connection.exec_driver_sql(largest).scalar_one()
    return lambda connection: connection.execute(largest).fetchall()[0][0] > before


# What a service does --------------------------------------------------------------------------------------------------


def live(talk: Connection, settings: Settings, kind: str, step: str, fault: str) -> None:
    """Serve: say `ready`; when told so, do what fails, and say what was told; when told so, show that all goes on."""
    world, overheard = opened(settings), Overheard()
    published(world)
    talk.send("ready")
    talk.recv()
    strike = Strike(fault, lost)
    if kind == WITNESSING:  # it strikes in the witness
        told = publish(world, lambda: None)
    else:
        strike, target, name = aimed(step, fault, world.service.engine)
        told = JOURNEYS[kind](world, lambda: strike.around(target, name))
    talk.send(told)
    strike.heard.set()
    if kind in {DISTRIBUTING, WITNESSING}:
        talk.send(overheard.line())
    talk.recv()
    talk.send(go_on(world))


def serve_on(talk: Connection, settings: Settings) -> None:
    """Serve again, after a death: show that everything goes on."""
    talk.send(go_on(opened(settings)))


def opened(settings: Settings) -> World:
    cosigning.Cosigning.__init__.__kwdefaults__["first_pause"] = 0.05
    clock = Clock()
    return World(open_service(settings, clock=clock), settings, clock, "")


Told = tuple[str, Acknowledged]
Arm = Callable[[], None]


def write(world: World, arm: Arm) -> Told:
    """Have a decision and three entries of one command written in one batch."""
    names = [secrets.token_hex(8) for _ in range(3)]

    def register(tx: Transaction) -> Acknowledged:
        return [(tx.append(DatasetRegistered(id=name, owner="mod-ua", title="a set"), BY), name) for name in names]

    with one_batch(world.service.sequencer):
        arm()
        asked = world.service.sequencer.ask_from_thread(question())
        written = world.service.sequencer.submit(register)
    told = {outcome(asked), outcome(written)}
    assert len(told) == 1, told
    return told.pop(), [] if asked.exception() else [(asked.result()[0], ""), *written.result()]


def publish(world: World, arm: Arm) -> Told:
    """Have an entry written, then a checkpoint that covers it."""
    _, acknowledged = write(world, lambda: None)
    arm()
    return outcome(world.service.publisher.fresh()), acknowledged


JOURNEYS = {WRITING: write, PUBLISHING: publish, DISTRIBUTING: publish}


def outcome(future: "Future[Any]") -> str:
    """Give what a caller is told. Raises what it must never be told."""
    error = future.exception(PATIENCE)
    if error is not None and not isinstance(error, Unavailable):
        raise error
    return UNAVAILABLE if error else ANSWER


def go_on(world: World) -> Told:
    """Publish, write and publish, everywhere; then close."""
    published(world)
    told = write(world, lambda: None)
    published(world)
    world.service.close()
    return told


def published(world: World) -> None:
    """Publish what is committed, and wait until tile store and witnesses have it too."""
    note = world.checkpoint()
    if world.settings.tiles:
        store = FolderTiles(Path(world.settings.tiles))
        until(lambda: store.read("checkpoint") == note)
    if world.settings.witnesses:
        text = parse_note(note)[0]
        until(lambda: shown(world).startswith(text) and last_cosigned(world) == parse_checkpoint(text).size)


def last_cosigned(world: World) -> int | None:
    return world.service.distribution.witnessed.cosigning.status()[0].size


def shown(world: World) -> bytes:
    with world.service.engine.connect() as connection:
        publication = read_publication(connection)
    return b"" if publication is None else publication.public


def until(done: Callable[[], bool]) -> None:
    """Wait for what another thread or process does. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


class Overheard(logging.Handler):
    """What the operator's log says of tiles and witnesses."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: SimpleQueue[str] = SimpleQueue()
        for part in ("distributing", "cosigning"):
            logging.getLogger(f"ledger.services.{part}").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put(record.getMessage())

    def line(self) -> str:
        return self._lines.get(timeout=PATIENCE)


# What a witness does --------------------------------------------------------------------------------------------------


def witness(talk: Connection, data: Path, port: int, fault: str) -> None:
    """Serve a witness on a port, and say `ready`. With a fault, say `struck` once it has struck."""
    served = open_witness(WitnessSettings(data=data, logs=data / "logs"))
    if fault:
        strike, target, name = aimed("at storing a witnessed size", fault, served.engine)
        strike.around(target, name)
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(create_app(served), log_level="critical", ws="none"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    talk.send("ready")
    if fault:
        strike.done.wait(PATIENCE)
        talk.send("struck")
    talk.recv()

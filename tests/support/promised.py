"""What the promise suites share: a batch made on purpose, the database as values, chains made anew."""

import hashlib
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa
import uvicorn
from programs import PATIENCE

from ledger.api.app import create_app
from ledger.bootstrap import Service
from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.entry import GENESIS_PREV, Entry, format_entry, parse_entry
from ledger.log.export import Header, format_export
from ledger.services.replay import Attachment, Replayed
from ledger.services.sources import DatabaseSource, ExportSource
from ledger.services.verifying import Verified, replay, verify
from ledger.storage.engine import open_engine, snapshot
from ledger.storage.reading import read_entries
from ledger.storage.sequencer import Sequencer
from ledger.storage.tables import LEDGER, PROJECTIONS, table

Rows = dict[str, list[tuple[Any, ...]]]


# Batches --------------------------------------------------------------------------------------------------------------


def let_go(sequencer: Sequencer) -> None:
    """Have the sequencer, which rests between two batches, let go of its connections."""
    sequencer._writer.forget()
    sequencer._on_loop.forget()


@contextmanager
def one_batch(sequencer: Sequencer) -> Iterator[None]:
    """Hold the sequencer between two batches, without the lock: all that is submitted meanwhile is one batch."""
    submitted, between, leave = threading.Event(), threading.Event(), threading.Event()

    def pause(_: object) -> None:
        between.set()
        leave.wait(PATIENCE)

    held = sequencer.submit(lambda _tx: submitted.wait(PATIENCE))
    held.add_done_callback(pause)  # runs in the sequencer's own thread, after its commit
    submitted.set()
    assert between.wait(PATIENCE)
    try:
        yield
    finally:
        leave.set()


# The database as values -----------------------------------------------------------------------------------------------


def rows_of(engine: sa.Engine, tables: Iterable[Any] = (*LEDGER, *PROJECTIONS)) -> Rows:
    """Read whole tables, each sorted by its primary key."""
    with engine.connect() as connection:
        found = {}
        for target in map(table, tables):
            rows = connection.execute(target.select().order_by(*target.primary_key.columns))
            found[target.name] = [tuple(row) for row in rows]
        return found


def stored(engine: sa.Engine) -> list[bytes]:
    """Read the bytes of all entries."""
    with engine.connect() as connection:
        return [row.data for row in read_entries(connection, 0, 2**53)]


def entries_in(engine: sa.Engine) -> list[Entry]:
    """Read all entries."""
    return [parse_entry(data, seq=seq) for seq, data in enumerate(stored(engine))]


def verified(engine: sa.Engine) -> Verified:
    """Verify the ledger in a database. Raises what `verify` raises."""
    with snapshot(engine) as connection:
        return verify(DatabaseSource(connection))[0]


def replayed(engine: sa.Engine) -> Replayed:
    """Replay the ledger in a database."""
    with snapshot(engine) as connection:
        return replay(lambda: DatabaseSource(connection))[1]


def replayed_file(lines: Sequence[bytes]) -> tuple[Verified, Replayed]:
    """Verify and replay an exported ledger."""
    return replay(lambda: ExportSource(lines))


# Chains and trees, by hand --------------------------------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf as RFC 9162 §2.1.1 says, without the code under test."""
    return hashlib.sha256(b"\x00" + data).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Hash a tree from its leaf hashes, by the recursion of RFC 9162 §2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def chained(entries: Iterable[Entry]) -> list[bytes]:
    """Write entries with their chain made anew, as whoever controls the database could."""
    prev, written = GENESIS_PREV, []
    for entry in entries:
        written.append(format_entry(msgspec.structs.replace(entry, prev=prev.hex())))
        prev = leaf_hash(written[-1])
    return written


def exported(entries: Sequence[bytes], attachments: Sequence[Attachment], signers: Sequence[Any]) -> list[bytes]:
    """Give the lines of an export of these entries, with a checkpoint that the ledger's own keys signed."""
    opening = parse_entry(entries[0], seq=0).body
    root = tree_hash([leaf_hash(data) for data in entries])
    note = sign_checkpoint(Checkpoint(origin=opening["origin"], size=len(entries), root=root), signers)
    header = Header(
        attachments=len(attachments),
        entries=len(entries),
        origin=opening["origin"],
        vkeys=tuple(opening["vkeys"]),
    )
    return list(format_export(header, entries, attachments, note))


# Other ways in ------------------------------------------------------------------------------------------------------


@contextmanager
def own_engine(url: str) -> Iterator[sa.Engine]:
    """Open a database on connections of one's own."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def over_http(service: Service) -> Iterator[httpx.Client]:
    """Serve on a free port of this machine, and give a client. The service is closed at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="promised")
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=PATIENCE) as http:
            yield http
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
        service.close()

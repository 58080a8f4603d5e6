"""Streams: sealing all of them, and giving one whole, with proof, to those whom it concerns.

A stream is read from its end, by the backlinks in its entries: decisions pay nothing for it when they are written.

All streams are read and hashed before the sequencer has the lock; under it, only those again that moved meanwhile:

    read size and heads ──▶ hash ──▶ lock │ read what moved since that size ──▶ hash it ──▶ append
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, Malformed, NotFound, show
from ledger.events.streams import StreamsSealed
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import parse_entry
from ledger.log.note import parse_note
from ledger.log.proof import prove_inclusion
from ledger.log.stream_file import FORMAT, Header, Proved, format_stream_file
from ledger.log.streams import StreamLeaf, StreamTree, prove_absence, prove_stream
from ledger.services.caller import Caller, require_role, require_scope
from ledger.services.reading import MAX_PAGE
from ledger.storage.batch import Command
from ledger.storage.publication import read_publication
from ledger.storage.reading import StoredEntry, read_entry, read_head, tree_reader
from ledger.storage.streams import read_all_streams, read_latest_seal, read_sealed_heads, read_stream_head
from ledger.storage.tail import NO_ENTRY
from ledger.storage.transaction import Transaction

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

FILE_PAGE = 200
"""Entries of a stream file read on one connection: a slow reader of the file keeps none of them for long."""


class Heads(Struct, frozen=True):
    """The heads of all streams, hashed: no older than the first `size` entries."""

    size: int
    tree: StreamTree


def read_heads(connection: sa.Connection) -> Heads:
    """Read and hash the heads of all streams. The size is read first: heads may be newer than it, never older."""
    size = read_head(connection).size
    return Heads(size, StreamTree(read_all_streams(connection)))


def seal_all(tx: Transaction, by: dict[str, str], heads: Heads) -> int:
    """Commit to the head of every stream; `heads`, for this once, says where they stood. Returns the entry's index."""
    heads.tree.move(tx.streams_since(heads.size))
    count, root = heads.tree.seal()
    return tx.append(StreamsSealed(size=tx.next_seq, count=count, root=root.hex()), by)


def is_sealed(connection: sa.Connection, size: int) -> bool:
    """Tell whether the last of `size` entries sealed the streams."""
    return read_latest_seal(connection) == size - 1


def seal_if_moved(tx: Transaction, by: dict[str, str], heads: Heads) -> int | None:
    """Seal the streams, unless nothing was written since they were sealed last: then None."""
    return None if is_sealed(tx.connection, tx.next_seq) else seal_all(tx, by, heads)


def heads_to_seal(connection: sa.Connection, caller: Caller, owner: str) -> Heads:
    """Read the heads for someone who may have them sealed: an administrator or an auditor."""
    require_role(caller, "administrator", "auditor", org=owner)
    return read_heads(connection)


def seal_now(tx: Transaction, caller: Caller, owner: str, heads: Heads) -> int:
    """Seal the streams at someone's wish: an administrator's or an auditor's."""
    require_role(caller, "administrator", "auditor", org=owner)
    return seal_all(tx, caller.by, heads)


class PeriodicSeal:
    """Seals the streams once in `interval`, where something was written since."""

    def __init__(
        self,
        engine: sa.Engine,
        submit: Callable[[Command[int | None]], object],
        *,
        owner: str,
        interval: timedelta,
        clock: Clock,
    ) -> None:
        self._engine, self._submit, self._by = engine, submit, {"org": owner, "system": "seals"}
        self._interval, self._clock, self._last = interval, clock, clock()
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        """Begin to seal, if it is time and the last time is over. Never waits for it."""
        now = self._clock()
        working = self._thread is not None and self._thread.is_alive()
        if now - self._last >= self._interval and not working:
            self._last = now
            self._thread = threading.Thread(target=self._seal, name="seal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for what was begun."""
        if self._thread is not None:
            self._thread.join()

    def _seal(self) -> None:
        """Read and hash in a thread of its own, which may take seconds; then it is for the sequencer to do."""
        try:
            with self._engine.connect() as connection:
                if is_sealed(connection, read_head(connection).size):
                    return
                heads = read_heads(connection)
            self._submit(lambda tx: seal_if_moved(tx, self._by, heads))
        except Exception as error:  # noqa: BLE001 - it is tried again after the next interval
            log.warning("the streams were not sealed: %s: %s", type(error).__name__, error)


class StandingStream(Struct, frozen=True, kw_only=True):
    """Where a stream stood when the streams were sealed last."""

    name: str
    size: int
    last_seq: int
    seal: StoredEntry
    leaves: Sequence[StreamLeaf]
    """Its head; the heads of its neighbours where there was none."""


def page_of_stream(
    connection: sa.Connection, caller: Caller, owner: str, *, name: str, before: int | None, limit: int
) -> list[StoredEntry]:
    """Give up to `limit` entries of a stream, newest first: from its end, or before an entry that is in it.

    Raises NotFound where the stream, or that entry of it, does not exist or is not the caller's to see.
    """
    _check_may_read(caller, owner, name)
    if not 1 <= limit <= MAX_PAGE:
        raise Malformed("/limit", f"is not between 1 and {MAX_PAGE:,}")
    if before is not None:
        last_seq = _previous(read_entry(connection, before), name)
    else:
        head = read_stream_head(connection, name)
        if head is None:
            raise NotFound("stream", name)
        last_seq = head[1]
    return list(_walk(connection, name, last_seq, limit))


def standing(connection: sa.Connection, caller: Caller, owner: str, *, name: str) -> StandingStream:
    """Prove where a stream stood when the streams were sealed last.

    That there was none is proved to the owner's readers alone, since the proof names its neighbours: for others it is
    Conflict, as it is for all before the first seal.
    """
    _check_may_read(caller, owner, name)
    sealed = read_sealed_heads(connection)
    if sealed is None:
        raise Conflict("the streams were never sealed", help="ask the owner for it")
    if name not in sealed.heads and caller.org != owner:
        raise Conflict(f"the stream {show(name)} was not there at the latest seal, entry {sealed.seq}")
    seal = read_entry(connection, sealed.seq)
    if name not in sealed.heads:
        neighbours = prove_absence(sealed.heads, name)
        return StandingStream(name=name, size=0, last_seq=NO_ENTRY, seal=seal, leaves=neighbours)
    leaf = prove_stream(sealed.heads, name)
    return StandingStream(name=name, size=leaf.size, last_seq=leaf.last_seq, seal=seal, leaves=(leaf,))


class StreamFile(Struct, frozen=True, kw_only=True):
    """A stream file that is about to be written."""

    origin: str
    stands: StandingStream
    checkpoint: bytes
    size: int
    """Of the tree that the checkpoint and the proofs are of."""


def note_over_seal(connection: sa.Connection) -> bytes | None:
    """Give the checkpoint that everybody is shown, where it covers the latest seal; None where it takes a newer one."""
    publication, sealed = read_publication(connection), read_latest_seal(connection)
    if publication is None or sealed is None or sealed >= publication.public_size:
        return None
    return publication.public


def open_stream_file(connection: sa.Connection, caller: Caller, owner: str, *, name: str, note: bytes) -> StreamFile:
    """Fix what a stream file will hold: the stream at its latest seal, under a signed checkpoint.

    Raises Conflict where the streams were sealed after the checkpoint was signed.
    """
    stands = standing(connection, caller, owner, name=name)
    checkpoint = parse_checkpoint(parse_note(note)[0])
    if stands.seal.seq >= checkpoint.size:
        raise Conflict("the streams were sealed just now", help="ask again")
    return StreamFile(origin=checkpoint.origin, stands=stands, checkpoint=note, size=checkpoint.size)


def stream_file_lines(engine: sa.Engine, file: StreamFile) -> Iterator[bytes]:
    """Give the lines of a stream file. What is in it never changes any more, so that it needs no one snapshot."""
    stands = file.stands
    header = Header(
        entries=stands.size,
        format=FORMAT,
        origin=file.origin,
        sealed=stands.seal.seq,
        size=file.size,
        stream=stands.name,
    )
    with engine.connect() as connection:
        seal = _proved(connection, stands.seal, file.size)
    return format_stream_file(header, file.checkpoint, seal, stands.leaves, _entries(engine, file))


def _entries(engine: sa.Engine, file: StreamFile) -> Iterator[Proved]:
    last_seq, name = file.stands.last_seq, file.stands.name
    while last_seq != NO_ENTRY:
        with engine.connect() as connection:
            page = list(_walk(connection, name, last_seq, FILE_PAGE))
            proved = [_proved(connection, entry, file.size) for entry in page]
        yield from proved
        last_seq = _previous(page[-1], name)


def _proved(connection: sa.Connection, entry: StoredEntry, size: int) -> Proved:
    return entry.data, prove_inclusion(entry.seq, size, tree_reader(connection))


def _walk(connection: sa.Connection, name: str, last_seq: int, limit: int) -> Iterator[StoredEntry]:
    """Follow a stream back from entry `last_seq`."""
    for _ in range(limit):
        if last_seq == NO_ENTRY:
            return
        found = read_entry(connection, last_seq)
        yield found
        last_seq = _previous(found, name)


def _previous(entry: StoredEntry, name: str) -> int:
    """Give the index of the entry before this one in the stream. Raises NotFound where it is not in the stream."""
    about = parse_entry(entry.data, seq=entry.seq).about
    if name not in about:
        raise NotFound(f"entry of the stream {show(name)}", entry.seq)
    return about[name][1]


def _check_may_read(caller: Caller, owner: str, name: str) -> None:
    """Raise NotFound unless the caller is the owner's, or the stream is its own organisation's."""
    require_scope(caller, "read")
    if caller.org != owner and name != f"org:{caller.org}":
        raise NotFound("stream", name)

"""Publishing: the committed head, signed, at an interval and whenever somebody waits for a receipt.

    head ──sign──▶ anchor (file) ──▶ compare and swap in the database ──▶ waiting receipts, witnesses, tiles

Nothing is signed before what is there was looked at: the new checkpoint has to be of a tree that begins with the tree
of the last one, as the database and as the anchor remember it. Nothing is given out before both remember the new one.
A database that was set back to an older backup therefore stops publishing; `check_published` finds it at the start.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeAlias, TypeVar

import sqlalchemy as sa
from msgspec.structs import replace

from ledger.errors import Misconfigured, OblikError, Unavailable
from ledger.log.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from ledger.log.note import Signer, Verifier, parse_note
from ledger.log.proof import root_at
from ledger.services.keys import signers_at
from ledger.storage.anchor import Anchor
from ledger.storage.engine import snapshot
from ledger.storage.publication import Publication, read_publication, swap_publication
from ledger.storage.reading import Head, read_head, tree_reader

log = logging.getLogger(__name__)

MAX_LOST_RACES = 10
"""Publishers that came first, each with an older head than this one's, before this one gives up."""

SET_BACK_HELP = "restore the newest backup of the database; nothing is signed that contradicts what was published"

Notify: TypeAlias = Callable[[Publication], None]
T = TypeVar("T")


def publish(engine: sa.Engine, *, origin: str, signers: Sequence[Signer], anchor: Anchor, show: bool) -> Publication:
    """Sign the committed head, unless that was done. Gives what is published then.

    `show` makes it at once the checkpoint that everybody is shown; otherwise that waits for witnesses. Raises
    Misconfigured where the ledger is not the one whose checkpoints were published, and Unavailable.
    """
    for _ in range(MAX_LOST_RACES):
        old, new = _prepare(engine, origin=origin, signers=signers, anchor=anchor)
        if show:
            new = replace(new, public_size=new.size, public=new.note) if new.public_size < new.size else new
        if new is old or swap_publication(engine, old, new):
            return new
        with engine.connect() as connection:
            theirs = read_publication(connection)
        if theirs is not None and theirs.size >= new.size:  # whoever came first covers what was to be signed here
            return theirs
    raise Unavailable("other publishers were faster, again and again", help="try again")


def _prepare(
    engine: sa.Engine, *, origin: str, signers: Sequence[Signer], anchor: Anchor
) -> tuple[Publication | None, Publication]:
    """Sign the head that is committed now, and have the anchor remember it. Gives (what to replace, with what)."""
    with snapshot(engine) as connection:
        old, head = read_publication(connection), read_head(connection)
        if old is not None and (old.size, old.root) == (head.size, head.root):
            return old, old
        if old is not None:
            _check_begins_with(connection, head, old.size, old.root, "the database itself")
        in_force = signers_at(connection, signers, size=head.size)
        note = sign_checkpoint(Checkpoint(origin=origin, size=head.size, root=head.root), in_force)
        anchor.move(note, follows=lambda known: _follows(connection, head, known, origin=origin, where=anchor.name))
    if old is None:
        return None, Publication(size=head.size, root=head.root, note=note)
    return old, replace(old, size=head.size, root=head.root, note=note)


def _follows(connection: sa.Connection, head: Head, known: bytes | None, *, origin: str, where: str) -> bool:
    """Tell whether the head is newer than the checkpoint that is known. Raises Misconfigured where it contradicts."""
    if known is None:
        return True
    last = parse_checkpoint(parse_note(known)[0])
    if last.origin != origin:
        raise Misconfigured(f"{where} remembers a checkpoint of `{last.origin}`, another ledger")
    if last.size > head.size and read_newer_head(connection, head).size >= last.size:
        return False  # another publisher has been faster
    _check_begins_with(connection, head, last.size, last.root, where)
    return last.size < head.size


def read_newer_head(connection: sa.Connection, head: Head) -> Head:
    """Read the head as it is now, outside the snapshot in which `head` was read."""
    with connection.engine.connect() as another:
        now = read_head(another)
    return now if now.size > head.size else head


def _check_begins_with(connection: sa.Connection, head: Head, size: int, root: bytes, where: str) -> None:
    """Raise Misconfigured unless the ledger begins with the tree that was published."""
    if size > head.size:
        raise Misconfigured(
            f"the ledger has {head.size:,} entries, but {where} has a checkpoint of {size:,}: it was set back",
            help=SET_BACK_HELP,
        )
    if root_at(size, tree_reader(connection)) != root:
        raise Misconfigured(
            f"the ledger is not the one of which {where} has a checkpoint of {size:,} entries", help=SET_BACK_HELP
        )


def check_published(
    engine: sa.Engine, note: bytes | None, *, verifiers: Sequence[Verifier], origin: str, where: str
) -> None:
    """Raise Misconfigured where the ledger does not contain what it published, as `where` remembers it.

    Only a checkpoint that the log's own keys signed counts: others have nothing to say. Raises BadNote, BadCheckpoint.
    """
    if note is None:
        return
    published = open_checkpoint(note, verifiers, origin=origin)
    with snapshot(engine) as connection:
        _check_begins_with(connection, read_head(connection), published.size, published.root, where)


class Publisher:
    """Publishes at an interval if this process leads, and at once when somebody waits. Thread-safe."""

    def __init__(
        self, publish_now: Callable[[], Publication], *, interval: float, leads: Callable[[], bool], notify: Notify
    ) -> None:
        self._publish_now, self._interval, self._leads, self._notify = publish_now, interval, leads, notify
        self._wake, self._lock, self._closed = threading.Event(), threading.Lock(), False
        self._waiting: list[Future[Publication]] = []
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._thread.start()

    def fresh(self) -> "Future[Publication]":
        """Give a checkpoint that covers all that is committed now. Raises Unavailable into the future."""
        future: Future[Publication] = Future()
        with self._lock:
            if self._closed:
                raise Unavailable("the service is shutting down")
            self._waiting.append(future)
        self._wake.set()
        return future

    async def fresh_soon(self) -> Publication:
        """Give the same to a caller on an event loop."""
        return await asyncio.wrap_future(self.fresh())

    def close(self) -> None:
        """Publish once more for who waits, then stop."""
        with self._lock:
            self._closed = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        closed = False
        while not closed:
            with self._lock:
                waiting, self._waiting, closed = self._waiting, [], self._closed
            self._serve(waiting)
            if not closed:
                self._wake.wait(self._interval)
                self._wake.clear()

    def _serve(self, waiting: list["Future[Publication]"]) -> None:
        leads = self._try(self._leads)
        if not waiting and not leads:
            return
        published = self._publish_for(waiting)
        if published is not None and leads:
            self._try(partial(self._notify, published))

    @staticmethod
    def _try(step: Callable[[], T]) -> T | None:
        """Do what nobody waits for; whatever goes wrong in it, the thread has to live on."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001
            log.warning("publishing: %s: %s", type(error).__name__, error)
            return None

    def _publish_for(self, waiting: list["Future[Publication]"]) -> Publication | None:
        try:
            published = self._publish_now()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, who waits has to hear of it
            log.warning("no checkpoint was published: %s", error)
            told = error if isinstance(error, OblikError) else Unavailable("no checkpoint could be published")
            for future in waiting:
                if future.set_running_or_notify_cancel():
                    future.set_exception(told)
            return None
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(published)
        return published

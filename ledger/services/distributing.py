"""What happens to a checkpoint once it is signed: it is shown to everybody, and its tiles are written out.

One process does it, whoever holds the leadership. Nothing here is waited for by a decision.
"""

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa
from msgspec.structs import replace

from ledger.errors import OblikError
from ledger.services.tiles import export_tiles
from ledger.storage.publication import Publication, read_publication, swap_publication
from ledger.storage.tiles import TileStore

log = logging.getLogger(__name__)


def show_to_all(engine: sa.Engine, note: bytes, size: int) -> bool:
    """Make a signed checkpoint the one that everybody is shown, unless that is a newer one already."""
    while True:
        with engine.connect() as connection:
            old = read_publication(connection)
        if old is None or old.public_size > size or old.public == note:
            return False
        if swap_publication(engine, old, replace(old, public_size=size, public=note)):
            return True


class Background:
    """One thread that does the newest of what it is offered, and leaves out what was overtaken."""

    def __init__(self, name: str, work: Callable[[bytes], None]) -> None:
        self._name, self._work = name, work
        self._wake, self._note, self._closed, self._problem = threading.Event(), b"", False, ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, note: bytes) -> None:
        """Hand over a checkpoint. Never waits."""
        self._note = note
        self._wake.set()

    def close(self) -> None:
        """Do what was offered last, then stop."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed or self._note:
            self._wake.wait()
            self._wake.clear()
            note, self._note = self._note, b""
            if note:
                self._try(note)

    def _try(self, note: bytes) -> None:
        try:
            self._work(note)
            self._say("")
        except OblikError as error:
            self._say(str(error))
        except Exception as error:  # noqa: BLE001 - the thread has to live on, for the next checkpoint
            self._say(f"{type(error).__name__}: {error}")

    def _say(self, problem: str) -> None:
        """Log a change of state, once."""
        if problem != self._problem:
            log.warning("%s: %s", self._name, problem or "works again")
        self._problem = problem


class Distribution:
    """Takes each checkpoint as it is published, in the process that leads."""

    def __init__(self, engine: sa.Engine, tiles: TileStore | None) -> None:
        self._engine = engine
        self._tiles = None if tiles is None else Background("tiles", self._writer(tiles))

    def _writer(self, tiles: TileStore) -> Callable[[bytes], None]:
        def write(note: bytes) -> None:
            export_tiles(self._engine, tiles, note=note)

        return write

    def take(self, published: Publication) -> None:
        """Hand a checkpoint on. Never waits for anybody."""
        if self._tiles is not None and published.public:
            self._tiles.offer(published.public)

    def close(self) -> None:
        """Finish what was begun."""
        if self._tiles is not None:
            self._tiles.close()

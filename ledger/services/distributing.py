"""What happens to a checkpoint once it is signed: it is cosigned, stamped, and its tiles are written out.

One process does it, whoever holds the leadership. Nothing here is waited for by a decision.
"""

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa

from ledger.errors import OblikError
from ledger.services.stamping import Stamping
from ledger.services.tiles import export_tiles
from ledger.services.witnessed import Witnessed
from ledger.storage.publication import Publication
from ledger.storage.tiles import TileStore

log = logging.getLogger(__name__)


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
    """Takes each checkpoint as it is published, in the process that leads. Nothing here waits for anybody."""

    def __init__(self, engine: sa.Engine, tiles: TileStore | None, stamping: Stamping | None) -> None:
        self._engine = engine
        self._tiles = None if tiles is None else Background("tiles", self._writer(tiles))
        self._stamping = None if stamping is None else Background("time-stamps", stamping)
        self.witnessed: Witnessed | None = None

    def _writer(self, tiles: TileStore) -> Callable[[bytes], None]:
        def write(note: bytes) -> None:
            export_tiles(self._engine, tiles, note=note)

        return write

    def take(self, published: Publication) -> None:
        """Hand a checkpoint on, to be cosigned and stamped, and shown."""
        if self.witnessed is not None:
            self.witnessed.take(published)
        elif published.public:
            self.shown(published.public)
        if self._stamping is not None:
            self._stamping.offer(published.note)

    def shown(self, note: bytes) -> None:
        """Write the tiles of a checkpoint that everybody is shown now."""
        if self._tiles is not None:
            self._tiles.offer(note)

    def close(self) -> None:
        """Finish what was begun."""
        for part in (self.witnessed, self._stamping, self._tiles):
            if part is not None:
                part.close()

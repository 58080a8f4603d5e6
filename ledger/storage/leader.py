"""Which of several processes does what only one has to do. Being it is convenience: safety never rests on it.

On PostgreSQL it is who holds an advisory lock of the database; with SQLite, who holds the lock of a file beside it.
"""

import fcntl
import logging
from pathlib import Path
from typing import IO, Protocol

import sqlalchemy as sa

log = logging.getLogger(__name__)

ADVISORY_LOCK = 0x6F626C696B  # "oblik"
TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(:key)")
PING = sa.text("SELECT 1")


class Leadership(Protocol):
    """One process at a time holds it; when that process ends, however it ends, another may."""

    def held(self) -> bool:
        """Take it if it is free. Tell whether this process holds it."""
        ...

    def release(self) -> None:
        """Let another process have it."""
        ...


def leadership(engine: sa.Engine, folder: Path) -> Leadership:
    """Choose by the engine; `folder` is that of the SQLite database's data."""
    if engine.dialect.name == "postgresql":
        return _Advisory(engine)
    return _FileLock(folder / "publisher.lock")


class _FileLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def held(self) -> bool:
        if self._file is not None:
            return True
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class _Advisory:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None

    def held(self) -> bool:
        try:
            return self._still() or self._try()
        except sa.exc.SQLAlchemyError as error:
            log.warning("who publishes could not be asked: %s", error)
            self.release()
            return False

    def _still(self) -> bool:
        if self._connection is None:
            return False
        self._connection.execute(PING)  # the lock is the session's: it ends when the connection does
        return True

    def _try(self) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.execute(TRY_LOCK, {"key": ADVISORY_LOCK}).scalar_one():
            self._connection = connection
            return True
        connection.close()
        return False

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # closes the session, and with it the lock
            connection.close()

"""The last checkpoint signed, remembered in a file outside the database, so that a database that was set back shows.

The file only moves forward: whoever moves it holds its lock, and looks at what is there first.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from ledger.errors import Unavailable


class Anchor:
    """The file. Safe between threads and processes of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """What an operator knows it by."""
        return str(self._path)

    def read(self) -> bytes | None:
        """Give the signed checkpoint that is remembered; None where none is. Raises Unavailable."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"`{self._path}` cannot be read: {error.strerror}") from error

    def move(self, note: bytes, *, follows: Callable[[bytes | None], bool]) -> None:
        """Remember `note`, durably, if it `follows` what is there; otherwise leave that. Raises Unavailable."""
        try:
            with self._path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if follows(self.read()):
                    write_durably(self._path, note)
        except OSError as error:
            raise Unavailable(f"`{self._path}` cannot be written: {error.strerror}") from error


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file whole, so that after a crash it is the old or the new one. Raises OSError."""
    replace_file(path, data)
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Do the same, but that it is durable only once its folder is synced. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

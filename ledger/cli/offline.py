"""What the offline commands read from, and how they show that they are getting on."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ledger.errors import Malformed, Misconfigured, TooLarge, show
from ledger.log.kept import MAX_KEPT_BYTES, Kept, parse_kept
from ledger.remote.log import UrlPlace
from ledger.services.sources import DatabaseSource, ExportSource, Source
from ledger.services.tiles_source import TilesSource
from ledger.storage.engine import open_engine, snapshot
from ledger.storage.places import FolderPlace
from ledger.storage.schema import check_schema

SQLITE_MAGIC = b"SQLite format 3\0"

REDRAW_EVERY = 1_000
"""Entries between two looks at the bar: redrawing is not what the time is for."""

WORTH_WORKERS = 100_000
"""Entries from which on worker processes save more time than they take to start, which is about half a second."""


class Bar:
    """A progress bar that costs nothing for each entry."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress, self._task, self._behind = progress, task, 0

    def expect(self, total: int) -> None:
        """Say how many there are."""
        self._progress.update(self._task, total=total)  # type: ignore[arg-type]

    def advance(self, count: int) -> None:
        """Say that so many more are done."""
        self._behind += count
        if self._behind >= REDRAW_EVERY:
            self.flush()

    def flush(self) -> None:
        """Show where it stands."""
        self._progress.advance(self._task, self._behind)  # type: ignore[arg-type]
        self._behind = 0


@contextmanager
def progress_bar(what: str, *, hidden: bool) -> Iterator[Bar]:
    """Show a bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        bar = Bar(progress, progress.add_task(what, total=None))
        yield bar
        bar.flush()


@contextmanager
def open_source(source: str) -> Iterator[Callable[[], Source]]:
    """Open a ledger for reading, as often as asked: a database, an exported file, tiles in a folder or at a URL.

    Raises Misconfigured. The token for a URL is in OBLIK_TOKEN.
    """
    if source.startswith(("http://", "https://")):
        with UrlPlace(source, os.environ.get("OBLIK_TOKEN", "")) as place:
            yield lambda: TilesSource(place)
        return
    if Path(source).is_dir():
        with FolderPlace(Path(source)) as place:
            yield lambda: TilesSource(place)
        return
    url = _database_url(source)
    if url is None:
        with Path(source).open("rb") as file:
            yield lambda: ExportSource.of_file(file)
        return
    engine = open_existing(url, read_only=True)
    check_schema(engine)
    with snapshot(engine) as connection:
        yield lambda: DatabaseSource(connection, url=url)


def workers_for(size: int) -> int:
    """Give how many processes to verify so many entries with, where nobody said."""
    return (
        1 if size < WORTH_WORKERS else len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    )


def read_kept(path: Path) -> Kept | None:
    """Read what an earlier verification kept; None where there is no such file. Raises Misconfigured."""
    try:
        with path.open("rb") as file:
            return parse_kept(file.read(MAX_KEPT_BYTES + 1))
    except FileNotFoundError:
        return None
    except (Malformed, TooLarge) as error:
        raise Misconfigured(f"{show(str(path))} does not let a verification go on: {error}") from None
    except OSError as error:
        raise Misconfigured(f"{show(str(path))} cannot be read: {error.strerror}") from None


def write_kept(path: Path, data: bytes) -> None:
    """Replace what was kept, at once. Raises Misconfigured."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise Misconfigured(f"{show(str(path))} cannot be written: {error.strerror}") from None


def open_existing(url: str, *, read_only: bool = False) -> sa.Engine:
    """Make the engine for a database that is there: SQLite would make an empty one where a path is mistyped."""
    engine = open_engine(url)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and not Path(path).exists():
        raise Misconfigured(f"the database {show(path)} is missing", help="check the path; `oblik init` makes one")
    return open_engine(url, read_only=True) if read_only else engine


def _database_url(source: str) -> str | None:
    """Give the URL of a database; None where the source is an exported file."""
    if "://" in source:
        return source
    try:
        with Path(source).open("rb") as file:
            magic = file.read(len(SQLITE_MAGIC))
    except OSError as error:
        raise Misconfigured(f"{show(source)} cannot be read: {error.strerror}") from None
    return f"sqlite:///{source}" if magic == SQLITE_MAGIC else None


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only once it is whole. Raises Misconfigured where it cannot."""
    try:
        with _new_file(path) as target:
            yield target
    except FileExistsError as error:
        there = error.filename2 or error.filename
        raise Misconfigured(f"`{there}` is there already", help="it is never overwritten") from None
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be written: {error.strerror}") from None


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only once it is whole. Raises FileExistsError where one is there."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(path))
    partial = path.with_name(path.name + ".partial")
    with partial.open("xb") as target:
        try:
            yield target
            target.flush()
            os.link(partial, path)  # unlike a rename, it never replaces
        finally:
            partial.unlink()

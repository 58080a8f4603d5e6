"""Parts of a ledger, small enough to be verified at once, and read by whoever gets them: this process or a worker.

    Part(start=2048, stop=4096, offset=1437184, length=1380352)

An export is read by offset and length, a database by index. This module imports no database, so that a worker on a
file stays small.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from ledger.log.verify import Span, verify_span

PART_ENTRIES = 2_048
"""Entries in a part: a multiple of 256, so that a part of the tree goes with it; some 1.3 MB."""


class Part(Struct, frozen=True, kw_only=True):
    """Entries [start, stop); in an export, the bytes of their lines."""

    start: int
    stop: int
    offset: int = 0
    length: int = 0


class Place(Struct, frozen=True, kw_only=True):
    """Where another process finds the same ledger: a file, or the URL of a database."""

    file: str = ""
    database: str = ""


class Run(Struct, frozen=True):
    """The entries of a part, as stored."""

    data: list[bytes]
    leaves: list[bytes] | None = None
    """The leaf hashes stored beside them, where there are any."""


ReadPart = Callable[[Part], Run | None]
"""Gives the entries of a part; None where they are not there in their order."""


def verify_part(read: ReadPart, part: Part) -> Span | None:
    """Verify the entries of a part among themselves. None where they are not all there, or one is at fault."""
    run = read(part)
    if run is None or len(run.data) != part.stop - part.start:
        return None
    return verify_span(part.start, run.data, run.leaves)


@contextmanager
def part_reader(place: Place) -> Iterator[ReadPart]:
    """Open a ledger to read parts of it."""
    if place.file:
        with Path(place.file).open("rb") as file:
            yield partial(read_lines, file)
        return
    from ledger.services.sources import read_rows  # noqa: PLC0415 - brings SQLAlchemy with it
    from ledger.storage.engine import open_engine, snapshot  # noqa: PLC0415 - likewise

    with snapshot(open_engine(place.database, read_only=True)) as connection:
        yield partial(read_rows, connection)


def read_lines(file: BinaryIO, part: Part) -> Run | None:
    """Read the lines of a part of an export."""
    file.seek(part.offset)
    *data, rest = file.read(part.length).split(b"\n")
    return None if rest else Run(data)

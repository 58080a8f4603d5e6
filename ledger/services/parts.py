"""Parts of a ledger, small enough to be held and verified at once, by this process or by a worker.

    Part(offset=4194062, length=4193921)        bytes of a file: lines, each to its end
    Part(start=2048, stop=4096)                 rows of a database, by index

What is read of a part is a `Run`. This module imports no database, so that a worker on a file stays small.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from ledger.log.verify import Span, verify_span

PART_ENTRIES = 2_048
"""Entries in a part of a database: some 1.3 MB, and 134 MB at the very most."""

PART_BYTES = 4 * 1024 * 1024
"""Bytes that a part of a file is cut from: at least 63 entries, usually some 6,000."""


class Part(Struct, frozen=True, kw_only=True):
    """Where a run of entries is stored."""

    start: int = 0
    stop: int = 0
    offset: int = 0
    length: int = 0


class Place(Struct, frozen=True, kw_only=True):
    """Where another process finds the same ledger: a file, or the URL of a database."""

    file: str = ""
    database: str = ""


class Run(Struct, frozen=True):
    """Consecutive entries as stored, at least one."""

    start: int
    """Index of the first."""
    data: list[bytes]
    leaves: list[bytes] | None = None
    """The leaf hashes stored beside them, where there are any."""


class _Numbered(Struct):
    """What an entry says of its own index."""

    seq: int


ReadPart = Callable[[Part], Run | None]
"""Gives the entries of a part; None where they are not there, or not in their order."""

_decode_number = msgspec.json.Decoder(_Numbered).decode


def verify_run(run: Run | None) -> Span | None:
    """Verify a run by itself. None where there is none, or an entry is at fault."""
    return verify_span(run.start, run.data, run.leaves) if run else None


@contextmanager
def part_reader(place: Place) -> Iterator[ReadPart]:
    """Open a ledger to read parts of it."""
    if place.file:
        with Path(place.file).open("rb") as file:
            yield partial(read_lines, file)
        return
    from ledger.services.sources import read_rows  # noqa: PLC0415 - brings SQLAlchemy with it
    from ledger.storage.engine import open_engine, snapshot  # noqa: PLC0415 - likewise

    engine = open_engine(place.database, read_only=True)
    try:
        with snapshot(engine) as connection:
            yield partial(read_rows, connection)
    finally:
        engine.dispose()


def read_lines(file: BinaryIO, part: Part) -> Run | None:
    """Read the lines of a part of a file. Their index is what the first one says: whoever joins them knows better."""
    file.seek(part.offset)
    *data, rest = file.read(part.length).split(b"\n")
    if rest or not data:
        return None
    try:
        return Run(_decode_number(data[0]).seq, data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None

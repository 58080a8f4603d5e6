"""What a witness remembers: for each log the last checkpoint that it cosigned, in an SQLite file of its own.

    cosigned(origin_sha256, size, root, note)      one row a log; `origin_sha256` in hex

Check and store are one transaction (`BEGIN IMMEDIATE`, `synchronous=FULL`), so that any number of processes may serve
one witness over one file, and what was answered survives a power cut. A trigger refuses what no rule may ever ask for:
a smaller tree, another root for one size, a log forgotten.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Misconfigured, Unavailable
from ledger.log.witnessing import Cosigned
from ledger.storage.engine import locked, open_engine

SCHEMA = (
    """CREATE TABLE cosigned (
        origin_sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL
    ) STRICT""",
    """CREATE TRIGGER cosigned_goes_on BEFORE UPDATE ON cosigned
        WHEN NEW.origin_sha256 <> OLD.origin_sha256 OR NEW.size < OLD.size
            OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
        BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END""",
    """CREATE TRIGGER cosigned_stays BEFORE DELETE ON cosigned
        BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END""",
)
READ = "SELECT size, root, note FROM cosigned WHERE origin_sha256 = ?"
WRITE = """INSERT INTO cosigned (size, root, note, origin_sha256) VALUES (?, ?, ?, ?)
    ON CONFLICT (origin_sha256) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note"""

LOST_HELP = "restore the newest copy; a witness whose memory is lost is retired, and a new one made under another name"


class Kept(Struct, frozen=True):
    """A row: what was cosigned, and the note as it was cosigned."""

    cosigned: Cosigned
    note: bytes


def check_absent(path: Path) -> None:
    """Raise Misconfigured where there is a file: a witness's memory is never overwritten, nor given other keys."""
    if path.exists():
        raise Misconfigured(f"`{path}` is there already", help="make a witness elsewhere")


def create_witnessed(path: Path) -> None:
    """Make an empty file. Raises Misconfigured where one is there."""
    check_absent(path)
    engine = open_engine(f"sqlite:///{path}")
    with engine.connect() as connection, locked(connection):
        for statement in SCHEMA:
            connection.exec_driver_sql(statement)
    engine.dispose()


def open_witnessed(path: Path) -> sa.Engine:
    """Open a file that `create_witnessed` made. Raises Misconfigured where there is none."""
    if not path.exists():
        raise Misconfigured(f"the witness's memory `{path}` is missing", help=LOST_HELP)
    engine = open_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(READ, ("",)).all()
    except sa.exc.DatabaseError as error:
        raise Misconfigured(f"`{path}` is not a witness's memory: {error.orig}", help=LOST_HELP) from None
    return engine


def advance(engine: sa.Engine, origin: str, rule: Callable[[Cosigned | None], Kept]) -> Kept:
    """Store what `rule` makes of what is stored, as one atomic step; durable once this gives it.

    What `rule` raises leaves everything as it was. Raises Unavailable where the file cannot be written.
    """
    name = digest(origin)
    with _available(), engine.connect() as connection, locked(connection):
        last = _read(connection, name)
        new = rule(last.cosigned if last else None)
        values = (new.cosigned.size, new.cosigned.root, new.note, name)
        connection.exec_driver_sql(WRITE, values)
    return new


def read_note(engine: sa.Engine, origin_sha256: str) -> bytes | None:
    """Give the last note cosigned of a log, by the SHA-256 of its origin in hex; None where there is none."""
    with _available(), engine.connect() as connection, connection.begin():
        kept = _read(connection, origin_sha256)
    return kept.note if kept else None


def digest(origin: str) -> str:
    """Give the SHA-256 of an origin in hex: the name of a log in addresses."""
    return sha256(origin.encode()).hexdigest()


def _read(connection: sa.Connection, name: str) -> Kept | None:
    row = connection.exec_driver_sql(READ, (name,)).one_or_none()
    return Kept(Cosigned(row.size, row.root), row.note) if row else None


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise Unavailable(f"the witness's memory cannot be used: {error}", help="nothing was cosigned") from error

"""How each engine is opened, locked, and given entries in bulk: everything that differs between SQLite and PostgreSQL.

SQLite: WAL, `synchronous=FULL` (a commit that was answered survives a power cut), `BEGIN IMMEDIATE` as the lock.
PostgreSQL: `SELECT … FOR UPDATE` on the one head row as the lock, binary COPY for entries.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql

from ledger.errors import Misconfigured, show

SQLITE_BUSY_SECONDS = 30
"""How long a SQLite writer waits for another process's batch before it gives up and answers 503."""

POSTGRES_LOCK_SECONDS = 30
"""The same for the head row on PostgreSQL."""

POSTGRES_IDLE_SECONDS = 60
"""How long a transaction of ours may do nothing before the server ends it, and lets go of the head's lock: a process
that stopped in mid-batch keeps nobody else from writing."""

POSTGRES_SILENT_SECONDS = 30
"""How long a server may leave what it was sent unacknowledged before its connection counts as lost. Otherwise a machine
that is cut off would leave a batch, and all who wait for it, hanging for the kernel's quarter of an hour."""

KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 10, 5, 4
"""The same for a connection on which an answer is awaited: asked after 10 s, every 5 s, lost after 4 silences."""

SQLITE_ROWS_A_STATEMENT = 64
"""Rows in one INSERT: enough to make a batch of decisions one step, few enough to be compiled in no time."""

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "secure_delete=ON")
"""Of every connection that writes to SQLite; the last has what was erased overwritten, not only forgotten (I9)."""

POSTGRES_LIVENESS = {
    "connect_timeout": 10,
    "tcp_user_timeout": POSTGRES_SILENT_SECONDS * 1000,
    "keepalives": 1,
    "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
    "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
    "keepalives_count": KEEPALIVE_COUNT,
}
"""libpq's parameters by which a dead server is noticed; over a Unix socket they mean nothing."""

EntryTuple = tuple[int, bytes, bytes]
"""(seq, leaf hash, canonical bytes), as stored."""


def open_engine(url: str, *, read_only: bool = False) -> sa.Engine:
    """Make the engine for a database URL. Nothing is connected to yet. Raises Misconfigured on an unusable URL.

    `read_only` opens an SQLite file without writing to it, or beside it more than SQLite has to; on PostgreSQL it is
    for the role to say.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise Misconfigured(
            f"database URL {show(url)} cannot be read", help="write `sqlite:///path` or `postgresql://user@host/name`"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite_to_read(parsed) if read_only else _open_sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise Misconfigured(
        f"database engine {show(parsed.get_backend_name())} is not supported", help="use SQLite or PostgreSQL"
    )


def _open_sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,  # what is written stays out of errors, and so out of logs
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        lock = connection.get_execution_options().get("lock_head", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if lock else "BEGIN")

    return engine


def _open_sqlite_to_read(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    query = {"mode": "ro", "uri": "true"}
    if not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK):
        query["immutable"] = "1"  # on a medium that cannot be written to, SQLite has to be told that nobody does
    return sa.create_engine(url.set(database=f"file:{quote(str(path))}", query=query), hide_parameters=True)


def _open_postgresql(url: sa.URL) -> sa.Engine:
    session = {
        "lock_timeout": f"{POSTGRES_LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{POSTGRES_IDLE_SECONDS}s",
        "timezone": "UTC",
    }
    # READ COMMITTED: what is read after the head is locked is what the last writer committed (DESIGN §4).
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            **POSTGRES_LIVENESS,
            "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        },
    )


def commits_locally(engine: sa.Engine) -> bool:
    """Tell whether a commit waits for this machine's disk alone, and not for a server."""
    return engine.dialect.name == "sqlite"


def be_hasty(connection: sa.Connection) -> None:
    """Have a connection to SQLite raise at once where another one is writing (`is_busy`)."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA busy_timeout = 0")


def is_busy(error: BaseException) -> bool:
    """Tell whether an error of the database says that another connection is writing."""
    driver_error = error.orig if isinstance(error, sa.exc.OperationalError) else None
    return getattr(driver_error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


@contextmanager
def locked(connection: sa.Connection) -> Iterator[None]:
    """Run a transaction that excludes every other writer from its first statement (SQLite) or its head read on."""
    connection.execution_options(lock_head=True)
    try:
        with connection.begin():
            yield
    finally:
        connection.execution_options(lock_head=False)


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Connect to read one state of the database, whatever is written meanwhile."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # SQLite's every transaction is one
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def insert_entries(connection: sa.Connection, rows: Sequence[EntryTuple]) -> None:
    """Insert entries, the quickest way the engine has."""
    insert_rows(connection, "entry", rows)


def insert_rows(connection: sa.Connection, into: str, rows: Sequence[EntryTuple]) -> None:
    """Insert rows of (seq, leaf, data) into a table of ours."""
    if connection.dialect.name == "sqlite":
        _insert_sqlite(connection, f"INSERT INTO {into} (seq, leaf, data) VALUES ", "", rows)  # noqa: S608 - ours
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {into} (seq, leaf, data) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "bytea", "bytea"])
        for row in rows:
            copy.write_row(row)


def upsert(connection: sa.Connection, target: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; one whose primary key is there already replaces the rest of that row."""
    if connection.dialect.name == "sqlite":
        head, values_of, tail = _upsert_text(target)
        _insert_sqlite(connection, head, tail, [values_of(row) for row in rows])
    elif rows:
        connection.execute(_upsert(target), list(rows))


def _insert_sqlite(connection: sa.Connection, head: str, tail: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows with each statement: the driver lets go of the interpreter at every one of its steps."""
    for start in range(0, len(rows), SQLITE_ROWS_A_STATEMENT):
        part = rows[start : start + SQLITE_ROWS_A_STATEMENT]
        marks = "(" + ",".join("?" * len(part[0])) + ")"
        connection.exec_driver_sql(head + ",".join([marks] * len(part)) + tail, tuple(chain.from_iterable(part)))


def select_by_pairs(connection: sa.Connection, first: sa.Column[str], second: sa.Column[str]) -> sa.Select[Any]:
    """Select rows of a table by pairs of values in two columns: `pairs`, a JSON array of arrays of two texts.

    For SQLite, `(a, b) IN (…)` is a scan of the whole table; a join on what is wanted goes through the index.
    """
    return _select_by_pairs(connection.dialect.name, first, second)


@lru_cache
def _select_by_pairs(dialect: str, first: sa.Column[str], second: sa.Column[str]) -> sa.Select[Any]:
    pairs = sa.bindparam("pairs", type_=sa.Text())
    if dialect == "sqlite":
        wanted = sa.func.json_each(pairs).table_valued("value", name="wanted").alias("wanted")
        parts = [sa.func.json_extract(wanted.c.value, f"$[{place}]") for place in (0, 1)]
    else:
        array = sa.cast(pairs, postgresql.JSONB)
        wanted = sa.func.jsonb_array_elements(array).table_valued(sa.column("value", postgresql.JSONB), name="wanted")
        parts = [wanted.c.value[place].astext for place in (0, 1)]
    matching = sa.and_(first == parts[0], second == parts[1])
    return sa.select(first.table).select_from(wanted.join(first.table, matching))


@lru_cache
def _upsert_text(target: sa.Table) -> tuple[str, Callable[[dict[str, Any]], Any], str]:
    keys = [column.name for column in target.primary_key.columns]
    names = [column.name for column in target.columns]
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    columns, conflict = (", ".join(f'"{name}"' for name in some) for some in (names, keys))
    head = f'INSERT INTO "{target.name}" ({columns}) VALUES '  # noqa: S608 - names of our own tables
    return head, itemgetter(*names), f" ON CONFLICT ({conflict}) DO UPDATE SET {changes}"


@lru_cache
def _upsert(target: sa.Table) -> sa.Insert:
    statement = postgresql.insert(target)
    keys = list(target.primary_key.columns)
    changes = {column.name: statement.excluded[column.name] for column in target.columns if column not in keys}
    replacing: sa.Insert = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    return replacing

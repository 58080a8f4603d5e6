"""Opening a ledger: its first entries, and its first administrator."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Misconfigured
from ledger.events import event_of, replayable
from ledger.events.registry import CredentialIssued, LedgerOpened, MemberAppointed
from ledger.log.entry import GENESIS_PREV, format_time, parse_entry
from ledger.services.caller import new_token
from ledger.storage.engine import locked
from ledger.storage.reading import read_entry, read_head
from ledger.storage.tables import HeadRow, table
from ledger.storage.tail import NO_ENTRY, Tail, lock_head, read_streams
from ledger.storage.transaction import Transaction

HEAD = table(HeadRow)

FIRST_CREDENTIAL_DAYS = 7
"""The first administrator's token: long enough to enrol the officials who replace it."""


class Opened(Struct, frozen=True):
    """A new ledger: the first administrator's token is shown here and never again."""

    administrator: str
    token: str
    expires: str


def refuse_second(engine: sa.Engine) -> None:
    """Raise Misconfigured where the database holds a ledger already: before keys or anything else is made."""
    with engine.connect() as connection:
        _refuse_second(connection)


def _refuse_second(connection: sa.Connection) -> None:
    if connection.execute(sa.select(HEAD.c.size)).first() is not None:
        raise Misconfigured(
            "the database holds a ledger already", help="it is never overwritten: choose another folder or database"
        )


def open_ledger(
    engine: sa.Engine, *, origin: str, owner: str, administrator: str, vkeys: Sequence[str], now: datetime
) -> Opened:
    """Write the first three entries. Raises Misconfigured where the database holds a ledger already."""
    token, digest = new_token()
    expires = format_time(now.astimezone(UTC) + timedelta(days=FIRST_CREDENTIAL_DAYS))
    with engine.connect() as connection, locked(connection):
        _refuse_second(connection)
        empty = {"id": 1, "size": 0, "leaf": GENESIS_PREV, "edge": b"", "state_seq": NO_ENTRY, "at": ""}
        connection.execute(HEAD.insert(), empty)
        tail = Tail(
            lock_head(connection),
            now=format_time(now),
            streams={},
            read_streams=lambda names: read_streams(connection, names),
        )
        tx, by = Transaction(connection, tail), {"org": owner, "system": "init"}
        tx.append(LedgerOpened(origin=origin, owner=owner, vkeys=tuple(vkeys)), by)
        tx.append(MemberAppointed(org=owner, person=administrator, roles=("administrator",)), by)
        first = CredentialIssued(
            id="first-administrator",
            org=owner,
            holder=administrator,
            holder_type="person",
            scopes=("govern", "read"),
            token_sha256=digest,
            expires=expires,
        )
        tx.append(first, by)
        tail.write(connection)
    return Opened(administrator, token, expires)


def read_opening(connection: sa.Connection) -> LedgerOpened:
    """Read the first entry: whose ledger this is, and which keys sign it. Raises Misconfigured."""
    if read_head(connection).size == 0:
        raise Misconfigured("the ledger has no first entry", help="restore the database from a backup")
    first = parse_entry(read_entry(connection, 0).data, seq=0)
    opening = event_of(first) if replayable(first) else None
    if not isinstance(opening, LedgerOpened):
        raise Misconfigured("the ledger does not begin with `ledger.opened`", help="restore it from a backup")
    return opening

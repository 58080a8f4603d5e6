"""What was last said of the ledger to outsiders: one row, that is compared and swapped before anything is published.

Whatever the number of publishers, each checkpoint follows the one before it in this row, so that no two disagree.
"""

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from ledger.storage.engine import locked
from ledger.storage.tables import PublicationRow, TimestampRow, table

PUBLICATION, TIMESTAMP = table(PublicationRow), table(TimestampRow)


class Publication(Struct, frozen=True, kw_only=True):
    """The checkpoint signed last, and the one that everybody is shown: the same, or one that witnesses cosigned."""

    size: int
    root: bytes
    note: bytes
    public_size: int = 0
    public: bytes = b""


class Timestamp(Struct, frozen=True, kw_only=True):
    """A time-stamp (RFC 3161) over a checkpoint."""

    size: int
    authority: str
    note: bytes
    token: bytes


def read_publication(connection: sa.Connection) -> Publication | None:
    """Read what was published last; None where nothing was."""
    row = connection.execute(PUBLICATION.select()).one_or_none()
    if row is None:
        return None
    return Publication(size=row.size, root=row.root, note=row.note, public_size=row.public_size, public=row.public)


def swap_publication(engine: sa.Engine, old: Publication | None, new: Publication) -> bool:
    """Put `new` in the place of `old`, durably. False, and nothing is changed, where something else stands there."""
    values = {"size": new.size, "root": new.root, "note": new.note}
    values |= {"public_size": new.public_size, "public": new.public}
    with engine.connect() as connection, locked(connection):
        if old is None:
            return _insert_first(connection, values)
        same = sa.and_(PUBLICATION.c.note == old.note, PUBLICATION.c.public == old.public)
        return connection.execute(PUBLICATION.update().where(same).values(values)).rowcount == 1


def _insert_first(connection: sa.Connection, values: dict[str, object]) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(PUBLICATION.insert(), {"id": 1, **values})
    except sa.exc.IntegrityError:  # another publisher was the first
        return False
    return True


def show_to_all(engine: sa.Engine, note: bytes, size: int) -> bool:
    """Make a signed checkpoint the one that everybody is shown. False where that is this one already, or newer."""
    while True:
        with engine.connect() as connection:
            old = read_publication(connection)
        if old is None or old.public_size > size or old.public == note:
            return False
        if swap_publication(engine, old, replace(old, public_size=size, public=note)):
            return True


def add_timestamp(engine: sa.Engine, stamp: Timestamp) -> None:
    """Keep a time-stamp; where this authority has stamped the checkpoint already, the first one stays."""
    row = {"size": stamp.size, "authority": stamp.authority, "note": stamp.note, "token": stamp.token}
    try:
        with engine.connect() as connection, locked(connection):
            connection.execute(TIMESTAMP.insert(), row)
    except sa.exc.IntegrityError:
        return


def read_timestamps(connection: sa.Connection) -> list[Timestamp]:
    """Read all time-stamps, in order of the size."""
    query = TIMESTAMP.select().order_by(TIMESTAMP.c.size, TIMESTAMP.c.authority)
    return [
        Timestamp(size=row.size, authority=row.authority, note=row.note, token=row.token)
        for row in connection.execute(query)
    ]

"""Reading streams: where each stands now, and where each stood when they were last sealed."""

import sqlalchemy as sa
from msgspec import Struct

from ledger.storage.tables import SealedStreamRow, StreamRow, StreamSealRow, table
from ledger.storage.tail import StreamHead

STREAM, SEALED, SEAL = table(StreamRow), table(SealedStreamRow), table(StreamSealRow)


class SealedHeads(Struct, frozen=True):
    """The heads that the latest `streams.sealed`, entry `seq`, committed to."""

    seq: int
    heads: dict[str, StreamHead]


def read_stream_head(connection: sa.Connection, name: str) -> StreamHead | None:
    """Read where one stream stands; None where there is none."""
    row = connection.execute(STREAM.select().where(STREAM.c.name == name)).one_or_none()
    return (row.size, row.last_seq) if row is not None else None


def read_all_streams(connection: sa.Connection) -> dict[str, StreamHead]:
    """Read where every stream stands."""
    return {row.name: (row.size, row.last_seq) for row in connection.execute(STREAM.select())}


def read_streams_since(connection: sa.Connection, size: int) -> dict[str, StreamHead]:
    """Read where those streams stand that an entry from index `size` on belongs to."""
    rows = connection.execute(STREAM.select().where(STREAM.c.last_seq >= size))
    return {row.name: (row.size, row.last_seq) for row in rows}


def read_sealed_heads(connection: sa.Connection) -> SealedHeads | None:
    """Read the heads under the latest seal, in one statement, so that they are of one moment; None before the first."""
    rows = connection.execute(sa.select(SEALED, SEAL.c.seq).join_from(SEALED, SEAL, sa.true())).all()
    if not rows:
        return None
    return SealedHeads(rows[0].seq, {row.name: (row.size, row.last_seq) for row in rows})


def read_latest_seal(connection: sa.Connection) -> int | None:
    """Read the index of the latest `streams.sealed`; None before the first."""
    found: int | None = connection.execute(sa.select(SEAL.c.seq)).scalar_one_or_none()
    return found

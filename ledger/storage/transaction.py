"""What a command may do inside a batch's transaction: read, append events, attach documents."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from ledger.errors import NotFound, TooLarge
from ledger.events import Event
from ledger.events.streams import StreamsSealed
from ledger.log.sealed import seal
from ledger.storage.projectors import project
from ledger.storage.streams import read_streams_since
from ledger.storage.tables import AttachmentRow, DisclosureRow, table
from ledger.storage.tail import StreamHead, Tail

ATTACHMENT, DISCLOSURE = table(AttachmentRow), table(DisclosureRow)

MAX_ATTACHMENT_BYTES = 16 * 1024 * 1024
"""Cards and manifests of large datasets reach a few MiB; more than this belongs beside the data."""

SALT_BYTES = 16
"""128 bits, the least that RFC 9901 §9.3 advises."""


class Transaction:
    """One command's view of the batch. `now` is what the clock says; entries carry it, or the last one's if later."""

    def __init__(self, connection: sa.Connection, tail: Tail) -> None:
        self.connection = connection
        self.now = tail.now
        self._tail = tail

    @property
    def next_seq(self) -> int:
        """The index that the next entry will have."""
        return self._tail.size

    @property
    def prev(self) -> str:
        """The leaf hash, in hex, that the next entry will carry of the one before it."""
        return self._tail.leaf.hex()

    def append(self, event: Event, by: dict[str, str], *, sensitive: Mapping[str, str] | None = None) -> int:
        """Append the event and fold it into the tables. Returns its index.

        `sensitive` values go beside the ledger; the entry carries salted commitments to them (I9).
        """
        sealed, disclosures = {}, []
        for name, value in (sensitive or {}).items():
            if name not in event.SEALABLE:
                raise ValueError(f"`{name}` of {event.KIND} is not declared as sealable")
            sealed[name], disclosure = seal(name, value, secrets.token_bytes(SALT_BYTES))
            disclosures.append({"commitment": sealed[name], "data": disclosure})
        seq = self._tail.append(event, by, sealed)
        if disclosures:
            self.connection.execute(DISCLOSURE.insert(), [row | {"seq": seq} for row in disclosures])
        if isinstance(event, StreamsSealed):
            self._tail.write_streams(self.connection)
        project(self.connection, event, seq, by)
        return seq

    def erase(self, commitment: str) -> None:
        """Delete the value behind a sealed field, if it is there."""
        self.connection.execute(DISCLOSURE.delete().where(DISCLOSURE.c.commitment == commitment))

    def streams_since(self, size: int) -> dict[str, StreamHead]:
        """Read where those streams stand that moved from index `size` on, this batch's entries included."""
        self._tail.write_streams(self.connection)
        return read_streams_since(self.connection, size)

    def attach(self, data: bytes, media_type: str) -> str:
        """Keep a document beside the ledger. Returns its SHA-256 in hex, by which entries name it."""
        if len(data) > MAX_ATTACHMENT_BYTES:
            raise TooLarge("the attached document", limit=MAX_ATTACHMENT_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        known = self.connection.execute(sa.select(ATTACHMENT.c.sha256).where(ATTACHMENT.c.sha256 == digest)).first()
        if known is None:
            self.connection.execute(ATTACHMENT.insert(), {"sha256": digest, "media_type": media_type, "data": data})
        return digest

    def attachment(self, digest: str) -> bytes:
        """Read a document back. Raises NotFound."""
        return read_attachment(self.connection, digest)

    def rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        """Read from the state as this batch has made it so far."""
        return list(self.connection.execute(query))

    def row(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        """Read at most one row."""
        return self.connection.execute(query).one_or_none()


def read_attachment(connection: sa.Connection, digest: str) -> bytes:
    """Read a document by its SHA-256 in hex. Raises NotFound."""
    query = sa.select(ATTACHMENT.c.data).where(ATTACHMENT.c.sha256 == digest)
    data: bytes | None = connection.execute(query).scalar_one_or_none()
    if data is None:
        raise NotFound("attachment", digest)
    return data

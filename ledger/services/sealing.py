"""Sealed fields (I9): who is shown a value, erasing one, and holding what is kept against what was committed to.

Nobody sees a value through the service by role or scope alone: an official names each reader, on record, and never
themselves. A reader who is named may see the entry too, since a value proves nothing without its commitment.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, Forbidden, Gone, NotFound, Unverified, show
from ledger.events import CATALOGUE, event_of
from ledger.events.sealing import FieldDisclosed, FieldErased
from ledger.log.entry import Entry, parse_entry
from ledger.log.sealed import open_sealed
from ledger.services.caller import Caller, require_enrolled, require_role, require_scope
from ledger.services.findings import Finding
from ledger.services.registry import get_organisation
from ledger.storage.reading import may_read_disclosures, read_disclosure, read_disclosures, read_entry
from ledger.storage.tables import CredentialRow, DisclosureReaderRow, ErasedFieldRow, table
from ledger.storage.transaction import Transaction

CREDENTIAL, READER, ERASED = table(CredentialRow), table(DisclosureReaderRow), table(ErasedFieldRow)

Field = tuple[int, str]
"""(index of the entry, name of the field)"""


def disclose(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    entry: int,
    field: str,
    org: str,
    reader: str,
    reader_type: str,
    reason: str,
) -> int:
    """Name a reader of a sealed field: a steward's, security's or legal's to do, for someone else.

    Raises NotFound where there is no such field, value or holder of a token, Gone where the value was erased, and
    Conflict where the reader was named before or its organisation is not enrolled.
    """
    require_role(caller, "steward", "security", "legal", org=owner)
    sealed = _sealed(tx.connection, entry, field)
    _check_kept(tx.connection, sealed, field)
    _check_reader(tx, caller, org, reader, reader_type)
    named = _named(tx.connection, (entry, field), org, reader_type, reader)
    if named is not None:
        raise Conflict(f"`{org}/{reader}` was named by entry {named}")
    disclosed = FieldDisclosed(
        entry=entry,
        field=field,
        concerns=tuple(sorted(sealed.about)),
        org=org,
        reader=reader,
        reader_type="person" if reader_type == "person" else "system",
        reason=reason,
    )
    return tx.append(disclosed, caller.by)


def _check_reader(tx: Transaction, caller: Caller, org: str, reader: str, reader_type: str) -> None:
    if (caller.org, caller.holder, caller.holder_type) == (org, reader, reader_type):
        raise Forbidden("nobody names themselves as a reader", help="ask a colleague who may")
    if get_organisation(tx, org).status != "enrolled":
        raise Conflict(f"organisation {show(org)} is not enrolled")
    holder = sa.and_(
        CREDENTIAL.c.org == org,
        CREDENTIAL.c.holder == reader,
        CREDENTIAL.c.holder_type == reader_type,
        CREDENTIAL.c.revoked_seq.is_(None),
    )
    if not tx.rows(sa.select(CREDENTIAL.c.id).where(holder).limit(1)):
        raise NotFound(f"{reader_type} of `{org}` with a token called", reader)


def erase(tx: Transaction, caller: Caller, owner: str, *, entry: int, field: str, reason: str) -> int:
    """Erase the value of a sealed field, for good: security's or legal's to do. The entry stays as it is.

    Raises NotFound where there is no such field, and Gone where its value was erased before.
    """
    require_role(caller, "security", "legal", org=owner)
    sealed = _sealed(tx.connection, entry, field)
    _check_not_erased(tx.connection, (entry, field))
    tx.erase(sealed.sealed[field])
    erased = FieldErased(entry=entry, field=field, concerns=tuple(sorted(sealed.about)), reason=reason)
    return tx.append(erased, caller.by)


def disclosure_for(connection: sa.Connection, caller: Caller, *, entry: int, field: str) -> bytes:
    """Give the disclosure of a sealed field to a reader who was named for it, and has the scope `read`.

    Raises NotFound for everyone else, whether there is one or not, and Gone where it was erased.
    """
    require_scope(caller, "read")
    require_enrolled(caller)
    if _named(connection, (entry, field), caller.org, caller.holder_type, caller.holder) is None:
        raise NotFound("disclosure to you of", f"{entry}/{field}")
    return _check_kept(connection, _sealed(connection, entry, field), field)


def is_reader_of(connection: sa.Connection, caller: Caller, *, entry: int) -> bool:
    """Tell whether the caller was named as a reader of any field of this entry."""
    query = sa.select(READER.c.seq).where(
        READER.c.entry == entry,
        READER.c.org == caller.org,
        READER.c.reader_type == caller.holder_type,
        READER.c.reader == caller.holder,
    )
    return connection.execute(query.limit(1)).first() is not None


def _named(connection: sa.Connection, field: Field, org: str, reader_type: str, reader: str) -> int | None:
    """Give the index of the entry that named the reader, None where none did."""
    query = sa.select(READER.c.seq).where(
        sa.and_(READER.c.entry == field[0], READER.c.field == field[1]),
        sa.and_(READER.c.org == org, READER.c.reader_type == reader_type, READER.c.reader == reader),
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def _sealed(connection: sa.Connection, seq: int, field: str) -> Entry:
    """Read an entry that has this sealed field. Raises NotFound."""
    entry = parse_entry(read_entry(connection, seq).data, seq=seq)
    if field not in entry.sealed:
        raise NotFound(f"sealed field of entry {seq} called", field)
    return entry


def _check_kept(connection: sa.Connection, entry: Entry, field: str) -> bytes:
    """Give the disclosure. Raises Gone where it was erased, NotFound where it is missing without an entry saying so."""
    _check_not_erased(connection, (entry.seq, field))
    data = read_disclosure(connection, entry.sealed[field])
    if data is None:
        raise NotFound(f"value of entry {entry.seq} called", field)
    return data


def _check_not_erased(connection: sa.Connection, field: Field) -> None:
    query = sa.select(ERASED.c.seq).where(ERASED.c.entry == field[0], ERASED.c.field == field[1])
    seq = connection.execute(query).scalar_one_or_none()
    if seq is not None:
        raise Gone(f"the value of {show(field[1])} was erased by entry {seq}")


# Verification ---------------------------------------------------------------------------------------------------------


class Sealing(Struct, frozen=True, kw_only=True):
    """What a verified history has sealed, and what of it a database still keeps."""

    kept: int
    """Values that are there, each the one that its entry committed to."""
    withheld: int
    """Values that are not there, and that no entry erased: all of them, in an export."""
    erased: int
    """Values that an entry says were erased."""
    findings: tuple[Finding, ...]
    """Values that were erased and are there all the same; erasures of what was never sealed."""

    @property
    def total(self) -> int:
        """How many fields were sealed."""
        return self.kept + self.withheld + self.erased


NOTHING_SEALED = Sealing(kept=0, withheld=0, erased=0, findings=())


class SealedFields:
    """Collects what entries seal and erase, one after the other; then holds the disclosures against them."""

    def __init__(self) -> None:
        self._sealed: dict[str, Field] = {}
        """By commitment."""
        self._erased: dict[Field, int] = {}
        """The index of the entry that erased it."""

    def add(self, entry: Entry) -> None:
        """Take the next entry. Raises BadEntry where it is an erasure whose body is not one."""
        for name, commitment in entry.sealed.items():
            self._sealed[commitment] = (entry.seq, name)
        if CATALOGUE.get((entry.kind, entry.v)) is FieldErased:
            event = event_of(entry)
            assert isinstance(event, FieldErased)  # noqa: S101 - what the line above says
            self._erased.setdefault((event.entry, event.field), entry.seq)

    def check(self, disclosures: Iterable[tuple[str, int, bytes]]) -> Sealing:
        """Check each disclosure (commitment, index of its entry, bytes).

        Raises Unverified at one that no entry committed to, or that is not what its entry committed to.
        """
        fields, kept = set(self._sealed.values()), 0
        findings = [
            Finding(seq, f"erases {show(field[1])} of entry {field[0]}, which sealed no such field")
            for field, seq in self._erased.items()
            if field not in fields
        ]
        for commitment, stored_seq, data in disclosures:
            field = self._open(commitment, stored_seq, data)
            kept += field not in self._erased
            if field in self._erased:
                erased_by = self._erased[field]
                findings.append(Finding(erased_by, f"erased {show(field[1])} of entry {field[0]}; its value is kept"))
        erased = len(fields & self._erased.keys())
        return Sealing(kept=kept, withheld=len(fields) - kept - erased, erased=erased, findings=tuple(findings))

    def _open(self, commitment: str, stored_seq: int, data: bytes) -> Field:
        field = self._sealed.get(commitment)
        if field is None or field[0] != stored_seq:
            raise Unverified(f"no entry {stored_seq} committed to the disclosure kept as {show(commitment)}")
        try:
            open_sealed({field[1]: commitment}, data)
        except Unverified as error:
            raise Unverified(f"{show(field[1])} of entry {field[0]}: {error.problem}") from None
        return field


def check_disclosures(connection: sa.Connection, sealed: SealedFields) -> Sealing:
    """Hold the disclosures in a database against the entries that `sealed` has taken. Raises Unverified.

    Where the database role is not let see them, they count as withheld.
    """
    return sealed.check(read_disclosures(connection) if may_read_disclosures(connection) else ())

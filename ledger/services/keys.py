"""The log's keys while it is in service: which are in force, and how the operator changes them.

A change is entries (`ledger.events.keys`), written by the system `keys` of the owner, as `oblik init` writes the first
ones: on the machine that has database and keys, under the head's lock. A process that has the keys of before goes on
deciding; it signs no checkpoint until it has been started with the present ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, Misconfigured, NotFound, Unavailable, show
from ledger.events.key_history import is_last_of_type, key_label, key_type
from ledger.events.keys import LogKeyIntroduced, LogKeyRetired
from ledger.log.entry import format_time
from ledger.log.introduction import Introducer, check_introduction, sign_introduction
from ledger.log.note import Signer, format_vkey
from ledger.services.setup import read_opening
from ledger.storage.engine import locked
from ledger.storage.tables import LogKeyRow, table
from ledger.storage.tail import Tail, lock_head, read_streams
from ledger.storage.transaction import Transaction

LOG_KEY = table(LogKeyRow)


class Rotated(Struct, frozen=True, kw_only=True):
    """What a rotation came to: verifier keys, and the size of the ledger from which on they sign."""

    introduced: tuple[str, ...]
    retired: tuple[str, ...]
    size: int


def read_keys(connection: sa.Connection, *, size: int | None = None) -> tuple[str, ...]:
    """Read the verifier keys in force after the first `size` entries; after all by default.

    Keys come in the order in which they were introduced, Ed25519 first. With the `size` of a head that was read before,
    a change that is committed meanwhile makes no difference.
    """
    before = sa.true() if size is None else LOG_KEY.c.seq < size
    left = LOG_KEY.c.retired_seq.is_(None)
    after = left if size is None else left | (LOG_KEY.c.retired_seq >= size)
    rows = connection.execute(sa.select(LOG_KEY.c.vkey, LOG_KEY.c.seq).where(before, after))
    return tuple(row.vkey for row in sorted(rows, key=lambda row: (row.seq, key_type(row.vkey), row.vkey)))


def read_all_keys(connection: sa.Connection) -> tuple[str, ...]:
    """Read every verifier key that was ever in force: older checkpoints are signed by keys that are retired."""
    return tuple(connection.execute(sa.select(LOG_KEY.c.vkey).order_by(LOG_KEY.c.seq, LOG_KEY.c.vkey)).scalars())


def signers_at(connection: sa.Connection, signers: Sequence[Signer], *, size: int) -> tuple[Signer, ...]:
    """Give those signers whose keys are in force at `size`, all of them. Raises Unavailable where one is missing."""
    given = {format_vkey(signer): signer for signer in signers}
    wanted = read_keys(connection, size=size)
    missing = [key_label(vkey) for vkey in wanted if vkey not in given]
    if missing:
        problem = f"the log's keys have changed: {show(', '.join(missing))} is in force, and not loaded"
        raise Unavailable(problem, help="start the service again, with the present keys")
    return tuple(given[vkey] for vkey in wanted)


def rotate_keys(
    engine: sa.Engine,
    *,
    old: Sequence[Introducer],
    new: Sequence[Signer],
    reason: str,
    keep_old: bool = False,
    now: datetime,
) -> Rotated:
    """Introduce the `new` keys, each by an old one of its type, and retire those of the old that they replace.

    Raises Misconfigured, with nothing written, where `old` are not the keys in force, or have no key of a new one's
    type.
    """
    with _system(engine, now) as (tx, by):
        _check_present(tx.connection, old)
        introduced = tuple(_introduce(tx, by, old, signer) for signer in new)
        types = {signer.algorithm for signer in new}
        replaced = [format_vkey(signer) for signer in old if signer.algorithm in types and not keep_old]
        for vkey in replaced:
            tx.append(LogKeyRetired(vkey=vkey, reason=reason), by)
        return Rotated(introduced=introduced, retired=tuple(replaced), size=tx.next_seq)


def retire_key(engine: sa.Engine, *, key_id: str, reason: str, now: datetime) -> Rotated:
    """Retire the key in force with this id, in hex. Raises NotFound, or Conflict for the last of its type."""
    with _system(engine, now) as (tx, by):
        in_force = read_keys(tx.connection)
        found = next((vkey for vkey in in_force if key_label(vkey).endswith(f"+{key_id}")), None)
        if found is None:
            raise NotFound("key in force with the id", key_id)
        if is_last_of_type(found, in_force):
            problem = f"the key {show(key_label(found))} is the last of its type"
            raise Conflict(problem, help="introduce another first: `oblik keys rotate`")
        tx.append(LogKeyRetired(vkey=found, reason=reason), by)
        return Rotated(introduced=(), retired=(found,), size=tx.next_seq)


@contextmanager
def _system(engine: sa.Engine, now: datetime) -> Iterator[tuple[Transaction, dict[str, str]]]:
    """Run a transaction of the owner's system `keys`, under the head's lock."""
    with engine.connect() as connection, locked(connection):
        tail = Tail(
            lock_head(connection),
            now=format_time(now),
            streams={},
            read_streams=lambda names: read_streams(connection, names),
        )
        yield Transaction(connection, tail), {"org": read_opening(connection).owner, "system": "keys"}
        tail.write(connection)


def _check_present(connection: sa.Connection, old: Sequence[Signer]) -> None:
    if {format_vkey(signer) for signer in old} != set(read_keys(connection)):
        raise Misconfigured("the log's keys were changed meanwhile", help="look at what was done, and start again")


def _introduce(tx: Transaction, by: dict[str, str], old: Sequence[Introducer], signer: Signer) -> str:
    introducer = next((one for one in old if one.algorithm == signer.algorithm), None)
    if introducer is None:
        raise Misconfigured(f"no key in force has the type {signer.algorithm:#04x} of the new one")
    vkey, prev = format_vkey(signer), tx.prev
    proof = sign_introduction(introducer, vkey=vkey, prev=prev)
    check_introduction(proof, vkey=vkey, prev=prev, by=[format_vkey(introducer)])  # what is written stays for ever
    tx.append(LogKeyIntroduced(vkey=vkey, proof=proof), by)
    return vkey

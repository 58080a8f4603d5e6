"""Reading the ledger from outside: head, entries, checkpoint, proofs."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Forbidden, Malformed, NotFound
from ledger.log.entry import parse_entry
from ledger.log.proof import prove_consistency, prove_inclusion, root_at
from ledger.services.caller import Caller, require_scope
from ledger.services.sealing import is_reader_of
from ledger.storage.reading import Head, StoredEntry, proof_reader, read_entries, read_entry, read_head

MAX_PAGE = 1_000
"""Entries in one answer: about 600 kB."""


class InclusionProof(Struct, frozen=True, kw_only=True):
    """RFC 9162 §2.1.3: from the leaf's sibling up."""

    index: int
    size: int
    leaf: bytes
    root: bytes
    hashes: Sequence[bytes]


class ConsistencyProof(Struct, frozen=True, kw_only=True):
    """RFC 9162 §2.1.4."""

    old_size: int
    new_size: int
    old_root: bytes
    new_root: bytes
    hashes: Sequence[bytes]


def page_of_entries(
    connection: sa.Connection, caller: Caller, owner: str, *, start: int, limit: int
) -> list[StoredEntry]:
    """Give up to `limit` entries from index `start`. For the owner's holders of the `read` scope."""
    check_reads_all(caller, owner)
    if not 1 <= limit <= MAX_PAGE:
        raise Malformed("/limit", f"is not between 1 and {MAX_PAGE:,}")
    head = read_head(connection)
    return list(read_entries(connection, start, min(start + limit, head.size)))


def check_reads_all(caller: Caller, owner: str) -> None:
    """Raise Forbidden unless the caller is one of the owner's readers."""
    require_scope(caller, "read")
    if caller.org != owner:
        own = f"`/ledger/v1/streams/org:{caller.org}/entries` has those that concern you"
        raise Forbidden(f"the whole ledger is for readers of `{owner}`", help=own)


def one_entry(connection: sa.Connection, caller: Caller, owner: str, *, seq: int) -> StoredEntry:
    """Give one entry, to a holder of the `read` scope: the owner's; whomever it concerns; whoever was shown a field.

    Raises NotFound for others, whether there is such an entry or not.
    """
    require_scope(caller, "read")
    found = read_entry(connection, seq)
    if caller.org == owner or f"org:{caller.org}" in parse_entry(found.data, seq=seq).about:
        return found
    if not is_reader_of(connection, caller, entry=seq):
        raise NotFound("entry", seq)
    return found


def inclusion_proof(connection: sa.Connection, *, index: int, size: int | None) -> InclusionProof:
    """Prove that the entry at `index` is in the tree of `size` entries (the present one by default)."""
    head = read_head(connection)
    size = _size(head, size, "/size")
    if not 0 <= index < size:
        raise NotFound(f"entry in a tree of {size:,}", index)
    read = proof_reader(connection)
    return InclusionProof(
        index=index,
        size=size,
        leaf=read_entry(connection, index).leaf,
        root=head.root if size == head.size else root_at(size, read),
        hashes=prove_inclusion(index, size, read),
    )


def consistency_proof(connection: sa.Connection, *, old: int, new: int | None) -> ConsistencyProof:
    """Prove that the tree of `new` entries (the present one by default) begins with that of `old`."""
    head = read_head(connection)
    new = _size(head, new, "/new")
    if not 1 <= old <= new:
        raise Malformed("/old", f"is not between 1 and {new:,}")
    read = proof_reader(connection)
    return ConsistencyProof(
        old_size=old,
        new_size=new,
        old_root=root_at(old, read),
        new_root=head.root if new == head.size else root_at(new, read),
        hashes=prove_consistency(old, new, read),
    )


def _size(head: Head, size: int | None, pointer: str) -> int:
    if size is None:
        return head.size
    if not 1 <= size <= head.size:
        raise Malformed(pointer, f"is not between 1 and {head.size:,}, the present size")
    return size

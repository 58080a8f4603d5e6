"""Receipts: what a partner keeps of a decision, to prove for ever, offline, that it was told so."""

import sqlalchemy as sa

from ledger.errors import Forbidden, NotFound
from ledger.events.decisions import DecisionRecorded
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import parse_entry
from ledger.log.note import parse_note
from ledger.log.proof import prove_inclusion
from ledger.log.receipt import format_receipt
from ledger.services.caller import Caller
from ledger.services.reading import one_entry
from ledger.storage.publication import read_publication
from ledger.storage.reading import read_entry, tree_reader


def note_over(connection: sa.Connection, caller: Caller, owner: str, *, seq: int) -> bytes | None:
    """Give the checkpoint that everybody is shown, where it covers the entry; None where a newer one is needed.

    For who may read the entry, who made it, and the organisation whose decision it is. Raises NotFound to all others,
    whether there is such an entry or not.
    """
    _check_concerned(connection, caller, owner, seq)
    publication = read_publication(connection)
    if publication is None or seq >= publication.public_size:
        return None
    return publication.public


def _check_concerned(connection: sa.Connection, caller: Caller, owner: str, seq: int) -> None:
    entry = parse_entry(read_entry(connection, seq).data, seq=seq)
    own_decision = entry.kind == DecisionRecorded.KIND and f"org:{caller.org}" in entry.about
    if own_decision or entry.by == caller.by:
        return
    try:
        one_entry(connection, caller, owner, seq=seq)
    except Forbidden:
        raise NotFound("entry", seq) from None


def receipt(connection: sa.Connection, seq: int, note: bytes) -> bytes:
    """Give the receipt of an entry under a signed checkpoint. Raises NotFound where that does not cover it."""
    size = parse_checkpoint(parse_note(note)[0]).size
    if seq >= size:
        raise NotFound(f"entry in a tree of {size:,}", seq)
    entry = read_entry(connection, seq)
    return format_receipt(entry.data, seq, prove_inclusion(seq, size, tree_reader(connection)), note)

"""Receipts: what a partner keeps of a decision, to prove for ever, offline, that it was told so."""

import asyncio
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from ledger.errors import Forbidden, NotFound, OblikError
from ledger.events.decisions import DecisionRecorded
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import parse_entry
from ledger.log.note import parse_note
from ledger.log.proof import prove_inclusions
from ledger.log.receipt import format_receipt
from ledger.services.caller import Caller
from ledger.services.publishing import Publisher
from ledger.services.reading import one_entry
from ledger.storage.publication import read_publication
from ledger.storage.reading import proof_reader, read_entry


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
    return receipts(connection, [seq], note)[seq]


def receipts(connection: sa.Connection, seqs: Sequence[int], note: bytes) -> dict[int, bytes]:
    """Give the receipts of several entries by their index. Raises NotFound where the checkpoint lacks one of them."""
    size = parse_checkpoint(parse_note(note)[0]).size
    if max(seqs) >= size:
        raise NotFound(f"entry in a tree of {size:,}", max(seqs))
    proofs = prove_inclusions(seqs, size, proof_reader(connection))
    entries = [read_entry(connection, seq).data for seq in seqs]
    return {
        seq: format_receipt(entry, seq, proof, note) for seq, entry, proof in zip(seqs, entries, proofs, strict=True)
    }


class Receipts:
    """Makes receipts for callers on one event loop: those who were answered together wait for one checkpoint."""

    def __init__(self, engine: sa.Engine, publisher: Publisher) -> None:
        self._engine, self._publisher = engine, publisher
        self._seqs: list[int] = []
        self._batch: asyncio.Task[Mapping[int, bytes]] | None = None

    async def make(self, seq: int) -> bytes | None:
        """Give the receipt of an entry; None where no checkpoint can be signed now: it can be proved later."""
        self._seqs.append(seq)
        self._batch = self._batch or asyncio.create_task(self._make_all())
        return (await asyncio.shield(self._batch)).get(seq)  # one who hangs up takes nobody's receipt along

    async def _make_all(self) -> Mapping[int, bytes]:
        """Begin once all who are ready have asked; who asks later is of the next batch, with its own checkpoint."""
        seqs, self._seqs, self._batch = self._seqs, [], None
        try:
            published = await self._publisher.fresh_soon()
        except OblikError:
            return {}
        return await asyncio.to_thread(self._prove, seqs, published.note)

    def _prove(self, seqs: Sequence[int], note: bytes) -> Mapping[int, bytes]:
        with self._engine.connect() as connection:
            return receipts(connection, seqs, note)

"""Receipts made together, and the reader of proofs, which remembers what can no longer change."""

import asyncio

import pytest
import sqlalchemy as sa
from world import OWNER, World

from ledger.errors import BadProof, Unavailable
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.merkle import hash_leaf
from ledger.log.note import parse_note
from ledger.log.proof import check_inclusion, root_at
from ledger.log.proof_file import parse_proof_file
from ledger.services.publishing import Publisher
from ledger.services.reading import inclusion_proof
from ledger.services.receipts import Receipts
from ledger.storage.reading import MAX_REMEMBERED_TILES, proof_reader, tree_reader

EVENT = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
GONE = sa.text('DELETE FROM subtree WHERE level = 1 AND "index" = 1')


def check_receipt(data: bytes, seq: int) -> bytes:
    """Check a receipt's proof, whoever signed. Gives the checkpoint in it."""
    found = parse_proof_file(data)
    checkpoint = parse_checkpoint(parse_note(found.note)[0])
    assert seq == found.index
    check_inclusion(seq, checkpoint.size, hash_leaf(found.extra), found.hashes, checkpoint.root)
    return found.note


def test_who_asks_together_waits_for_one_checkpoint(world: World):
    """Receipts asked for at one time are each right, and are under one checkpoint; the next has a newer one."""
    receipts = Receipts(world.service.engine, world.service.publisher)

    async def ask() -> tuple[list[bytes], bytes]:
        first = world.append(*[EVENT] * 5)
        together = await asyncio.gather(*(receipts.make(first - n) for n in range(5)))
        last = world.append(EVENT)
        return [check_receipt(data, first - n) for n, data in enumerate(together)], check_receipt(
            await receipts.make(last), last
        )

    notes, last = asyncio.run(ask())
    assert len(set(notes)) == 1
    assert last != notes[0]


def test_who_hangs_up_takes_no_receipt_along(world: World):
    """Callers that are cancelled while they wait leave their neighbours' receipts whole."""
    receipts = Receipts(world.service.engine, world.service.publisher)
    last = world.append(EVENT, EVENT)

    async def ask() -> bytes | None:
        leaving, staying = (asyncio.create_task(receipts.make(seq)) for seq in (last - 1, last))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    check_receipt(asyncio.run(ask()), last)


def test_without_a_checkpoint_there_is_no_receipt(world: World):
    """Where nothing can be signed nobody is refused: all are told that there is no receipt now."""

    def refuse() -> None:
        raise Unavailable("no key")

    publisher = Publisher(refuse, interval=3600, leads=lambda: False, notify=lambda _: None)
    receipts = Receipts(world.service.engine, publisher)

    async def ask() -> list[bytes | None]:
        return await asyncio.gather(receipts.make(0), receipts.make(1))

    assert asyncio.run(ask()) == [None, None]
    publisher.close()


def test_remembered_tiles_grow_with_the_tree(world: World):
    """On one connection, proofs of every entry check at every size, before and after tiles have grown."""
    with world.service.engine.connect() as connection:
        for _ in range(3):
            connection.rollback()
            size = world.append(*[EVENT] * 300) + 1
            for index in range(0, size, 7):
                proof = inclusion_proof(connection, index=index, size=None)
                assert proof.size == size
                check_inclusion(index, size, proof.leaf, proof.hashes, proof.root)
        assert set(connection.info["tiles"]) == {(1, 0)}


def test_a_gap_is_not_remembered(world: World):
    """Where a row is missing there is no proof that needs it, and none with hashes in the wrong places."""
    world.append(*[EVENT] * 1100)
    with world.service.engine.begin() as connection:
        connection.execute(GONE)
    with world.service.engine.connect() as connection:
        read = proof_reader(connection)
        with pytest.raises(BadProof):
            read([(8, 1)])
        with pytest.raises(BadProof):
            read([(8, 0), (8, 3)])
        assert read([(8, 2)]) == tree_reader(connection)([(8, 2)])
        assert not connection.info["tiles"]


def test_what_was_published_is_not_compared_with_a_memory(world: World):
    """`tree_reader` sees what the database holds now, whatever a reader of proofs remembers of it."""
    size = world.append(*[EVENT] * 600) + 1
    with world.service.engine.connect() as connection:
        proof_reader(connection)([(8, 0), (8, 1)])
        connection.execute(GONE)
        with pytest.raises(BadProof):
            root_at(size, tree_reader(connection))
        connection.rollback()


def test_few_tiles_are_remembered(world: World):
    """A connection remembers so many tiles, and then forgets the oldest."""
    world.append(*[EVENT] * 300)
    with world.service.engine.connect() as connection:
        connection.info["tiles"] = {(9, n): [bytes(32)] for n in range(MAX_REMEMBERED_TILES)}
        proof_reader(connection)([(8, 0)])
        assert len(connection.info["tiles"]) == MAX_REMEMBERED_TILES
        assert (9, 0) not in connection.info["tiles"]

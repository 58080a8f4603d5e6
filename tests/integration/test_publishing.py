"""Publishing: what is signed follows what was signed, whoever signs, and a ledger that was set back is found out."""

import itertools
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from world import ORIGIN, OWNER, World, open_world

from ledger.bootstrap import open_service
from ledger.errors import Misconfigured, Unavailable
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.note import format_vkey
from ledger.log.proof import check_consistency
from ledger.services.publishing import Publisher, publish
from ledger.services.reading import consistency_proof
from ledger.storage.anchor import Anchor
from ledger.storage.leader import leadership
from ledger.storage.publication import Publication, read_publication, swap_publication

EVENT = MemberAppointed(org=OWNER, person="p", roles=("auditor",))


def opened(world: World, note: bytes) -> Checkpoint:
    return open_checkpoint(note, [parse_vkey(format_vkey(s)) for s in world.service.signers], origin=ORIGIN)


def publish_now(world: World, *, anchor: Path | None = None, show: bool = True) -> Publication:
    service = world.service
    kept = Anchor(anchor or world.settings.anchor)
    return publish(service.engine, origin=ORIGIN, signers=service.signers, anchor=kept, show=show)


def publication(world: World) -> Publication | None:
    with world.service.engine.connect() as connection:
        return read_publication(connection)


def test_what_is_committed_is_published_and_remembered(world):
    """A fresh checkpoint covers the head; the database, the anchor and everybody have the same one."""
    seq = world.append(EVENT)
    note = world.checkpoint()
    assert opened(world, note).size == seq + 1
    assert world.settings.anchor.read_bytes() == note
    stored = publication(world)
    assert (stored.size, stored.note, stored.public_size, stored.public) == (seq + 1, note, seq + 1, note)


def test_nothing_new_is_not_signed_again(world):
    """Where nothing was written since, the checkpoint stays the same bytes."""
    assert world.checkpoint() == world.checkpoint()


def test_every_checkpoint_continues_the_one_before(world):
    """The tree of each begins with the tree of the one before."""
    checkpoints = []
    for _ in range(5):
        world.append(EVENT)
        checkpoints.append(opened(world, world.checkpoint()))
    for old, new in itertools.pairwise(checkpoints):
        with world.service.engine.connect() as connection:
            proof = consistency_proof(connection, old=old.size, new=new.size)
        check_consistency(old.size, new.size, old.root, new.root, proof.hashes)


def test_publishers_at_once_never_disagree(world):
    """Two services, each signing while both write: for one size there is one root, and sizes only grow."""
    other = World(open_service(world.settings, clock=world.clock), world.settings, world.clock, "")
    try:

        def live(one: World) -> list[bytes]:
            return [(one.append(EVENT), one.checkpoint())[1] for _ in range(25)]

        with ThreadPoolExecutor() as pool:
            notes = [note for told in pool.map(live, [world, other]) for note in told]
    finally:
        other.service.close()
    checkpoints = {opened(world, note) for note in notes}
    assert len({checkpoint.size for checkpoint in checkpoints}) == len(checkpoints)
    last = max(checkpoints, key=lambda checkpoint: checkpoint.size)
    with world.service.engine.connect() as connection:
        for checkpoint in checkpoints - {last}:
            proof = consistency_proof(connection, old=checkpoint.size, new=last.size)
            check_consistency(checkpoint.size, last.size, checkpoint.root, last.root, proof.hashes)


def test_only_what_was_compared_is_swapped(world):
    """A publisher that did not see the last publication changes nothing."""
    world.checkpoint()
    before = publication(world)
    stale = Publication(size=1, root=bytes(32), note=b"stale")
    assert not swap_publication(world.service.engine, stale, stale)
    assert not swap_publication(world.service.engine, None, stale)
    assert publication(world) == before


@pytest.mark.parametrize("keep_anchor", [True, False])
def test_a_contradiction_is_never_signed(world, keep_anchor, tmp_path):
    """Where the database's publication, or the anchor alone, names another tree of that size, nothing is signed."""
    world.service.publisher.close()
    size = world.append(EVENT)
    forged = Checkpoint(origin=ORIGIN, size=size - 3, root=b"\x07" * 32)
    note = sign_checkpoint(forged, world.service.signers)
    if keep_anchor:
        world.settings.anchor.write_bytes(note)
    else:
        world.settings.anchor.unlink(missing_ok=True)
        swap_publication(
            world.service.engine, publication(world), Publication(size=forged.size, root=forged.root, note=note)
        )
    before = publication(world)
    with pytest.raises(Misconfigured, match="not the one of which"):
        publish_now(world)
    assert publication(world) == before
    assert not keep_anchor or world.settings.anchor.read_bytes() == note


def test_the_anchor_of_another_ledger_is_refused(world):
    """A data folder mixed up with another ledger's stops publishing."""
    world.service.publisher.close()
    world.append(EVENT)
    other = sign_checkpoint(Checkpoint(origin="other.example/log", size=1, root=bytes(32)), world.service.signers[:1])
    world.settings.anchor.write_bytes(other)
    with pytest.raises(Misconfigured, match="another ledger"):
        publish_now(world)


def test_an_anchor_that_cannot_be_written_stops_publishing(world):
    """Nothing is swapped in that the anchor does not remember."""
    world.service.publisher.close()
    world.append(EVENT)
    before = publication(world)
    with pytest.raises(Unavailable, match="cannot be written"):
        publish_now(world, anchor=world.settings.data / "missing" / "anchor")
    assert publication(world) == before


def test_a_database_that_was_set_back_is_refused_at_the_start(tmp_path):
    """Restored from an older backup, behind what was published: the service does not start, and says why."""
    backup = tmp_path / "backup.db"
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    world.checkpoint()
    with sqlite3.connect(tmp_path / "ledger.db") as source, sqlite3.connect(backup) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    world.append(EVENT)
    world.checkpoint()
    world.service.close()
    for beside in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (tmp_path / beside).unlink(missing_ok=True)
    shutil.copy(backup, tmp_path / "ledger.db")
    with pytest.raises(Misconfigured, match="it was set back"):
        open_service(world.settings)


def test_a_history_that_was_rewritten_is_refused_at_the_start(tmp_path):
    """Another ledger of the same size and keys, put in the published one's place, is found by its root."""
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    size = opened(world, world.checkpoint()).size
    world.service.close()
    forged = Checkpoint(origin=ORIGIN, size=size, root=b"\x07" * 32)
    world.settings.anchor.write_bytes(sign_checkpoint(forged, world.service.signers))
    with pytest.raises(Misconfigured, match="not the one of which"):
        open_service(world.settings)


def test_one_process_leads_until_it_ends(database_url, engine, tmp_path):
    """Of two, one holds the leadership, again and again, and the other gets it when it is released."""
    first, second = leadership(engine, tmp_path), leadership(engine, tmp_path)
    assert [first.held(), second.held(), first.held()] == [True, False, True]
    first.release()
    assert second.held()
    assert not first.held()
    second.release()


def test_whoever_waits_is_told_when_nothing_can_be_published():
    """A fault reaches each who waits as Unavailable, and the publisher lives on."""
    faults = [RuntimeError("a fault"), None]
    published = Publication(size=1, root=bytes(32), note=b"")

    def now() -> Publication:
        fault = faults.pop(0) if len(faults) > 1 else None
        if fault:
            raise fault
        return published

    publisher = Publisher(now, interval=3600, leads=lambda: False, notify=lambda _: None)
    with pytest.raises(Unavailable):
        publisher.fresh().result(30)
    assert publisher.fresh().result(30) == published
    publisher.close()
    with pytest.raises(Unavailable, match="shutting down"):
        publisher.fresh()


def test_a_publication_is_one_row(engine):
    """The table cannot hold a second publication."""
    row = {"size": 1, "root": b"", "note": b"", "public_size": 0, "public": b""}
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(
            sa.text("INSERT INTO publication VALUES (2, :size, :root, :note, :public_size, :public)"), row
        )

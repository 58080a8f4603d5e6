"""I2: one history without fork, gap or loss, whatever dies while it is written; what was acknowledged is there."""

import json
import os
import random
import signal
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from programs import PATIENCE, Program, program, say
from promised import leaf_hash, one_batch, rows_of, stored, tree_hash, verified
from world import BY, ORIGIN, World, grant, question

from ledger.errors import Conflict, Unavailable
from ledger.events.data import DatasetRegistered
from ledger.events.sharing import GrantRevoked
from ledger.log.checkpoint import open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.note import format_vkey
from ledger.log.proof import check_consistency
from ledger.services.reading import consistency_proof
from ledger.storage.anchor import Anchor
from ledger.storage.publication import read_publication
from ledger.storage.rebuild import rebuild
from ledger.storage.tables import PROJECTIONS
from ledger.storage.transaction import Transaction

PROCESSES, THREADS, ROUNDS = 8, 16, 8
LONGEST_LIFE = 0.004
"""Seconds for which a writer lives on, at most, after as many acknowledgements as it was given."""

VERIFICATIONS = 100
"""How often the whole ledger is verified in between, at most: it grows with every writer."""

Acknowledged = list[tuple[int, str]]
Published = list[tuple[int, str]]
"""Size and root of each checkpoint."""


def dataset(name: str) -> DatasetRegistered:
    return DatasetRegistered(id=name, owner="mod-ua", title="a set")


def check_history(world: World, acknowledged: Acknowledged) -> None:
    """Check, by hand and by `verify`, that the ledger is one chain, and that what was acknowledged is in it."""
    data = stored(world.service.engine)
    bodies = [json.loads(entry) for entry in data]
    leaves = [leaf_hash(entry) for entry in data]
    assert list(range(len(data))) == [body["seq"] for body in bodies]
    assert ["00" * 32, *(leaf.hex() for leaf in leaves[:-1])] == [body["prev"] for body in bodies]
    assert acknowledged == [(seq, bodies[seq]["body"]["id"]) for seq, _ in acknowledged]
    assert len(acknowledged) == len({seq for seq, _ in acknowledged})
    found = verified(world.service.engine)
    assert (len(data), tree_hash(leaves)) == (found.size, found.root)


def check_state(world: World) -> None:
    """Check that the tables are what the entries make them, and nothing besides."""
    before = rows_of(world.service.engine, PROJECTIONS)
    rebuild(world.service.engine)
    assert before == rows_of(world.service.engine, PROJECTIONS)


# Many at once ---------------------------------------------------------------------------------------------------------


def test_many_processes_of_many_threads_write_one_chain(world: World):
    """8 processes of 16 threads that append at once leave one gapless chain with all that each was told."""
    url = world.settings.database_url
    with ExitStack() as stack:
        crowds = [stack.enter_context(program("crowd", url, f"p{number}", str(THREADS))) for number in range(PROCESSES)]
        assert [crowd.hear() for crowd in crowds] == [["ready"]] * PROCESSES
        for number in range(ROUNDS):
            for crowd in crowds:
                crowd.tell(str(number))
            assert [crowd.hear() for crowd in crowds] == [["done"]] * PROCESSES
        told = [[(int(index), name) for index, name in crowd.finish()] for crowd in crowds]
    acknowledged = [line for lines in told for line in lines]
    appended = PROCESSES * sum(1 + (thread + n) % 3 for thread in range(THREADS) for n in range(ROUNDS))
    assert appended == len(acknowledged)
    check_history(world, acknowledged)
    check_state(world)


# Death ----------------------------------------------------------------------------------------------------------------


def test_kill_9_loses_nothing_that_was_acknowledged_or_published(
    world: World, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
):
    """A writer that is killed at any moment leaves a ledger that verifies, with all that it had acknowledged.

    Every checkpoint that was published, by anyone, is consistent with the last.
    """
    kills: int = request.config.getoption("--kills")
    dice = random.Random()
    acknowledged: Acknowledged = []
    published: Published = []
    world.service.publisher.close()  # the writers publish
    with program("nursery", world.settings.database_url, str(world.settings.data)) as nursery:
        assert nursery.hear() == ["ready"]
        for number in range(kills):
            life = live_and_die(nursery, dice)
            acknowledged += life[0]
            published += [*life[1], *remembered(world, life[1])]
            if number % max(1, kills // VERIFICATIONS) == 0:
                verified(world.service.engine)
    assert acknowledged
    check_history(world, acknowledged)
    check_published(world, published)
    check_state(world)
    assert world.ask()[1].event.allowed
    told = f"{len(acknowledged):,} entries acknowledged, {len(set(published)):,} checkpoints published"
    with capsys.disabled():
        say(f"{world.service.engine.name}: {kills:,} kills, {told}")


def live_and_die(nursery: Program, dice: random.Random) -> tuple[Acknowledged, Published]:
    """Have a writer born and killed. Returns what it acknowledged in its life, and what it published."""
    nursery.tell("next")
    _, pid = nursery.hear()
    lines = [nursery.hear() for _ in range(dice.randrange(16))]
    time.sleep(dice.random() * LONGEST_LIFE)
    os.kill(int(pid), signal.SIGKILL)
    while (line := nursery.hear())[0] != "dead":
        lines.append(line)
    assert str(int(signal.SIGKILL)) == line[1]
    assert ["fault"] not in lines
    told = [(int(words[1]), words[2], words[0]) for words in lines]
    acknowledged = [(index, name) for index, name, word in told if word == "acknowledged"]
    return acknowledged, [(size, root) for size, root, word in told if word == "published"]


def remembered(world: World, told: Published) -> Published:
    """Read what is remembered of a dead writer's checkpoints. Returns what the database and the anchor have.

    The database has at least what was given out, and the anchor at least what the database has.
    """
    keys = [parse_vkey(format_vkey(signer)) for signer in world.service.signers]
    with world.service.engine.connect() as connection:
        stored = read_publication(connection)
    anchored = Anchor(world.settings.anchor).read()
    assert stored is not None or not told
    assert anchored is not None or stored is None
    notes = [*([stored.note, stored.public] if stored else []), *([anchored] if anchored else [])]
    checkpoints = [open_checkpoint(note, keys, origin=ORIGIN) for note in notes]
    sizes = [*[size for size, _ in told], *[checkpoint.size for checkpoint in checkpoints]]
    assert sorted(sizes) == sizes
    return [(checkpoint.size, checkpoint.root.hex()) for checkpoint in checkpoints]


def check_published(world: World, published: Published) -> None:
    """Check, as whoever kept them can, that every checkpoint is of a beginning of the last one's tree."""
    size, root = max(published)
    assert tree_hash([leaf_hash(entry) for entry in stored(world.service.engine)[:size]]).hex() == root
    with world.service.engine.connect() as connection:
        for old, old_root in set(published):
            proof = consistency_proof(connection, old=old, new=size)
            check_consistency(old, size, bytes.fromhex(old_root), bytes.fromhex(root), proof.hashes)


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_lost_connections_lose_nothing_that_was_acknowledged(world: World):
    """Connections that the server ends at random moments cost callers an error, never an entry they were told of."""
    acknowledged: Acknowledged = []
    stop = threading.Event()

    def write(thread: int) -> None:
        number = 0
        while not stop.is_set():
            name, number = f"set-{thread}-{number}", number + 1
            future = world.service.sequencer.submit(lambda tx, name=name: tx.append(dataset(name), BY))
            error = future.exception(PATIENCE)
            if error is None:
                acknowledged.append((future.result(), name))
            else:
                refused.append(error)

    refused: list[BaseException] = []
    writers = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for writer in writers:
        writer.start()
    with world.service.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        while len(refused) < 25:
            other.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    stop.set()
    for writer in writers:
        writer.join(PATIENCE)
    assert {Unavailable} == {type(error) for error in refused}
    check_history(world, acknowledged)
    check_state(world)


# Neighbours -----------------------------------------------------------------------------------------------------------


def fail(tx: Transaction) -> None:
    """Append across a tile's boundary, to streams old and new, revoke a grant, attach a document; then fail."""
    for number in range(300):
        tx.append(dataset(f"failed-{number}"), BY)
    tx.append(GrantRevoked(id="grant-1", org="acme-jp", resource="dataset:uav", reason="never"), BY)
    tx.attach(b"never", "text/plain")
    raise Conflict("does not fit")


def fail_in_the_database(tx: Transaction) -> None:
    """Break a constraint."""
    tx.append(dataset("once"), BY)
    tx.append(dataset("twice"), BY)
    tx.append(dataset("twice"), BY)


def fail_by_mistake(tx: Transaction) -> None:
    """Raise what is none of our errors."""
    tx.append(dataset("mistaken"), BY)
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("failing", "error"),
    [(fail, Conflict), (fail_in_the_database, sa.exc.IntegrityError), (fail_by_mistake, ZeroDivisionError)],
)
def test_a_command_that_fails_is_rolled_back_alone(world: World, failing, error):
    """A failing command leaves nothing, streams and tree included, and its neighbours in the batch stay whole."""
    before = len(stored(world.service.engine))
    sequencer = world.service.sequencer
    with one_batch(sequencer):
        asked = sequencer.ask_from_thread(question())
        first = sequencer.submit(lambda tx: tx.append(dataset("first"), BY))
        failed = sequencer.submit(failing)
        second = sequencer.submit(lambda tx: [tx.append(dataset(f"second-{n}"), BY) for n in range(300)])
        failed_again = sequencer.submit(failing)
        third = sequencer.submit(lambda tx: tx.append(dataset("third"), BY))
    assert (error, error) == (type(failed.exception(PATIENCE)), type(failed_again.exception(PATIENCE)))
    assert before == asked.result(PATIENCE)[0]
    assert (before + 1, before + 2, before + 302) == (first.result(), second.result()[0], third.result())
    names = ["first", *(f"second-{n}" for n in range(300)), "third"]
    check_history(world, [(before + 1 + n, name) for n, name in enumerate(names)])
    check_state(world)
    assert before + 303 == len(stored(world.service.engine))
    assert world.ask()[1].event.allowed  # its revocation was never


def test_a_refusal_on_record_keeps_what_it_wrote(world: World):
    """A command that returns its error is refused to its caller, and the entry that says why stays."""

    def refuse(tx: Transaction) -> Conflict:
        return Conflict(f"on record in entry {tx.append(dataset('refused'), BY)}")

    size = len(stored(world.service.engine))
    error = world.service.sequencer.submit(refuse).exception(PATIENCE)
    assert f"on record in entry {size}" == str(error)
    check_history(world, [(size, "refused")])


def test_a_caller_that_gave_up_does_not_hurt_the_batch(world: World):
    """Callers that cancel while they wait leave their neighbours answered, and the chain whole."""
    sequencer = world.service.sequencer
    size = len(stored(world.service.engine))
    with one_batch(sequencer):
        told = [sequencer.submit(lambda tx, n=n: tx.append(dataset(f"set-{n}"), BY)) for n in range(9)]
        assert all(future.cancel() for future in told[::2])
    assert [size + 1, size + 3, size + 5, size + 7] == [future.result(PATIENCE) for future in told[1::2]]
    check_history(world, [(size + n, f"set-{n}") for n in range(9)])
    check_state(world)


class Fickle(Future):
    """A caller's future that is cancelled at the very moment at which it is answered."""

    def set_result(self, result: object) -> None:
        self.cancel()
        super().set_result(result)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_caller_that_gives_up_while_it_is_answered_does_not_hurt_the_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """A cancellation that comes at the moment of the answer is the caller's own loss alone."""
    sequencer = world.service.sequencer
    with one_batch(sequencer), monkeypatch.context() as patched:
        patched.setattr("ledger.storage.sequencer.Future", Fickle)
        sequencer.submit(lambda tx: tx.append(dataset("fickle"), BY))
        patched.undo()
        neighbour = sequencer.submit(lambda tx: tx.append(dataset("steady"), BY))
    last = neighbour.result(5)
    assert len(stored(world.service.engine)) - 1 == last


def test_a_batch_that_is_lost_leaves_no_memory_behind(world: World):
    """After a batch that failed as a whole, the next one continues streams and tree from what is committed."""
    sequencer = world.service.sequencer

    def lose(tx: Transaction) -> None:
        tx.append(dataset("lost"), BY)
        raise sa.exc.OperationalError("…", {}, Exception("the disk is gone"))

    with one_batch(sequencer):
        lost = [sequencer.submit(lambda tx: tx.append(grant(2), BY)), sequencer.submit(lose)]
    assert [Unavailable] * 2 == [type(future.exception(PATIENCE)) for future in lost]
    size = world.append(dataset("kept"))
    check_history(world, [(size, "kept")])
    check_state(world)
    assert size + 1 == len(stored(world.service.engine))

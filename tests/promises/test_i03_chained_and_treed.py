"""I3: entries carry the hash of the one before; the same hashes are a tree's leaves; checkpoints commit to both."""

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from programs import PATIENCE
from promised import chained, entries_in, exported, leaf_hash, stored, tree_hash, verified
from world import BY, OWNER, START, World, open_world

from ledger.bootstrap import open_service
from ledger.errors import BadCheckpoint, BadEntry, BadNote, BadProof, OblikError, Unverified
from ledger.events.data import DatasetRegistered
from ledger.events.decisions import Quantity, UseAnomalous
from ledger.keys import create_keys
from ledger.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import parse_entry
from ledger.log.note import format_vkey, open_note
from ledger.log.proof import check_consistency, check_inclusion
from ledger.log.verify import Replica
from ledger.services.reading import consistency_proof, inclusion_proof
from ledger.services.sources import DatabaseSource, ExportSource
from ledger.services.verifying import export, verify
from ledger.storage.tables import EntryRow, HeadRow, SubtreeRow, table

ENTRY, HEAD, SUBTREE = table(EntryRow), table(HeadRow), table(SubtreeRow)

MANY = 640
"""Entries across two boundaries of a tile."""


def datasets(start: int, count: int) -> list[DatasetRegistered]:
    return [DatasetRegistered(id=f"set-{n}", owner=OWNER, title="a set") for n in range(start, start + count)]


@pytest.fixture
def asked(world: World) -> World:
    """Give a world in which decisions were made: some forty entries."""
    for country in ("JPN", "USA", "JPN"):
        world.ask(country=country)
    return world


# In the database ------------------------------------------------------------------------------------------------------


class Tampering:
    """Changes a stored ledger past its triggers, looks what `verify` finds, and takes the change back."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.rows = connection.execute(ENTRY.select().order_by(ENTRY.c.seq)).all()
        self.size = len(self.rows)

    def finds(self, *changes: sa.Executable) -> OblikError | None:
        """Make the changes. Returns what `verify` raises."""
        with self.connection.begin_nested() as savepoint:
            for change in changes:
                self.connection.execute(change)
            try:
                verify(DatabaseSource(self.connection))
            except OblikError as error:
                return error
            finally:
                savepoint.rollback()
        return None

    def named(self, *changes: sa.Executable) -> int | None:
        """Make the changes. Returns the index of the entry that `verify` names."""
        error = self.finds(*changes)
        return error.seq if isinstance(error, BadEntry) else None

    def write(self, seq: int, data: bytes, leaf: bytes) -> sa.Executable:
        return ENTRY.update().where(ENTRY.c.seq == seq).values(data=data, leaf=leaf)

    def remove(self, seq: int) -> sa.Executable:
        return ENTRY.delete().where(ENTRY.c.seq == seq)

    def insert(self, seq: int, data: bytes) -> list[sa.Executable]:
        """Make room at `seq`, and put the bytes there, rightly hashed."""
        away = ENTRY.update().where(ENTRY.c.seq >= seq).values(seq=-ENTRY.c.seq - 2)
        back = ENTRY.update().where(ENTRY.c.seq < 0).values(seq=-ENTRY.c.seq - 1)
        return [away, back, ENTRY.insert().values(seq=seq, data=data, leaf=leaf_hash(data))]


@contextmanager
def tampering(world: World) -> Iterator[Tampering]:
    """Open a transaction that is rolled back, in which the triggers are gone."""
    with world.service.engine.connect() as connection, connection.begin() as transaction:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER entry_no_update")
            connection.exec_driver_sql("DROP TRIGGER entry_no_delete")
        else:
            connection.exec_driver_sql("ALTER TABLE entry DISABLE TRIGGER USER")
        yield Tampering(connection)
        transaction.rollback()


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def test_the_triggers_refuse_what_the_tests_below_do(asked: World):
    """Entries are append-only for whoever comes through SQL: neither UPDATE nor DELETE passes."""
    for change in (ENTRY.update().values(leaf=b""), ENTRY.delete()):
        with asked.service.engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="append-only"):
            connection.execute(change)


def test_every_changed_byte_of_a_stored_entry_is_found_and_named(asked: World):
    """A change of any byte of an entry is found, whether its stored leaf hash is left or made to fit, and named."""
    with tampering(asked) as t:
        assert t.finds() is None
        for seq in (0, 20, t.size - 1):
            row = t.rows[seq]
            changed = [flipped(row.data, position) for position in range(len(row.data))]
            assert [seq] * len(changed) == [t.named(t.write(seq, data, row.leaf)) for data in changed]


def test_a_changed_byte_in_each_stored_entry_is_found_and_named(asked: World):
    """One changed byte is found in whichever entry it is."""
    dice = random.Random(3)
    with tampering(asked) as t:
        changes = [t.write(r.seq, flipped(r.data, dice.randrange(len(r.data))), r.leaf) for r in t.rows]
        assert list(range(t.size)) == [t.named(change) for change in changes]


def test_an_entry_that_is_rewritten_with_its_hash_breaks_the_chain_behind_it(asked: World):
    """A rewritten entry with a leaf hash that fits it is found where the next one follows, the last one at the head."""
    with tampering(asked) as t:
        for row in t.rows[1:]:
            data = row.data.replace(b'"at":"2026', b'"at":"2027') if row.seq == t.size - 1 else _retold(row.data)
            error = t.finds(t.write(row.seq, data, leaf_hash(data)))
            if row.seq < t.size - 1:
                assert f"entry {row.seq + 1}: /prev:" in str(error)
            else:
                assert BadCheckpoint is type(error)


def _retold(data: bytes) -> bytes:
    """Change who acted: an entry that is well-formed by itself."""
    entry = json.loads(data)
    entry["by"]["system"] = "forger"
    return json.dumps(entry, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def test_swapped_stored_entries_are_found_and_named(asked: World):
    """Two entries that changed places are found at the first of them."""
    with tampering(asked) as t:
        pairs = [*itertools.pairwise(range(t.size)), (0, t.size - 1), (3, 17), (t.size - 9, t.size - 2)]
        for i, j in pairs:
            first, second = t.rows[i], t.rows[j]
            assert i == t.named(t.write(i, second.data, second.leaf), t.write(j, first.data, first.leaf))


def test_each_removed_stored_entry_is_found_and_named(asked: World):
    """An entry that is gone is missed at its index, and so is the first of those cut off at the end."""
    with tampering(asked) as t:
        assert list(range(t.size)) == [t.named(t.remove(seq)) for seq in range(t.size)]
        cuts = [[t.remove(seq) for seq in range(start, t.size)] for start in range(t.size)]
        assert list(range(t.size)) == [t.named(*cut) for cut in cuts]


def test_entries_that_stand_under_other_indexes_are_found(asked: World):
    """An entry has to be stored under the index that it states, be one of them moved or all."""
    with tampering(asked) as t:
        for seq in range(t.size):
            assert seq == t.named(ENTRY.update().where(ENTRY.c.seq == seq).values(seq=t.size + 3))
        assert t.named(ENTRY.update().values(seq=-ENTRY.c.seq - 7)) == 0
        assert t.named(ENTRY.update().values(seq=ENTRY.c.seq + 700)) == 0


def test_each_inserted_stored_entry_is_found_and_named(asked: World):
    """An entry too many is found where it stands, be it a copy or one made to follow the one before it."""
    with tampering(asked) as t:
        for seq in range(1, t.size):
            assert seq == t.named(*t.insert(seq, t.rows[seq - 1].data))
            forged = chained([*entries_in_rows(t), entries_in_rows(t)[-1]])[-1]
            assert seq == t.named(*t.insert(seq, forged))


def entries_in_rows(t: Tampering) -> list:
    return [parse_entry(row.data, seq=row.seq) for row in t.rows]


def test_each_changed_stored_leaf_hash_is_found_and_named(asked: World):
    """The leaf hash beside an entry has to be the entry's."""
    with tampering(asked) as t:
        changes = [t.write(row.seq, row.data, flipped(row.leaf, row.seq % 32)) for row in t.rows]
        assert list(range(t.size)) == [t.named(change) for change in changes]


def following(t: Tampering) -> bytes:
    """Make an entry that follows the last one as it should."""
    last = entries_in_rows(t)[-1]
    about = {name: (ordinal + 1, last.seq) for name, (ordinal, _) in last.about.items()}
    added = msgspec.structs.replace(last, seq=t.size, about=about)
    return chained([*entries_in_rows(t), added])[-1]


def test_rows_past_the_head_are_found(asked: World):
    """What stands past the head is no part of the ledger, be it an entry or not, and is not passed over."""
    with tampering(asked) as t:
        for data in (b"{}", t.rows[-1].data):
            assert t.size == t.named(ENTRY.insert().values(seq=t.size, data=data, leaf=leaf_hash(data)))
        data = following(t)
        assert BadEntry is type(t.finds(ENTRY.insert().values(seq=t.size, data=data, leaf=leaf_hash(data))))
        assert BadEntry is type(t.finds(ENTRY.insert().values(seq=-7, data=data, leaf=leaf_hash(data))))


def test_an_entry_that_follows_past_the_head_is_named(asked: World):
    """An entry that continues the chain past the head is named by its own index."""
    with tampering(asked) as t:
        data = following(t)
        assert t.size == t.named(ENTRY.insert().values(seq=t.size, data=data, leaf=leaf_hash(data)))


def test_a_changed_head_is_found(asked: World):
    """The head has to state the size and the right edge that the entries lead to."""
    with tampering(asked) as t:
        head = t.connection.execute(HEAD.select()).one()
        for position in range(len(head.edge)):
            assert BadCheckpoint is type(t.finds(HEAD.update().values(edge=flipped(head.edge, position))))
        for size in range(2 * t.size):
            assert size == t.size or isinstance(t.finds(HEAD.update().values(size=size)), OblikError)


@pytest.mark.parametrize("column", ["leaf", "state_seq", "at"])
def test_a_head_that_misleads_the_next_writer_is_found(asked: World, column: str):
    """What the next entry would be chained, timed and decided by is held against the entries too."""
    with tampering(asked) as t:
        wrong = {"leaf": bytes(32), "state_seq": 1, "at": "2027-01-01T00:00:00.000000Z"}[column]
        assert t.finds(HEAD.update().values({column: wrong})) is not None


def test_a_history_rewritten_whole_is_found_by_a_kept_checkpoint(asked: World):
    """Whoever rewrites entries, hashes and head cannot make an earlier checkpoint fit, nor shorten what it counts."""
    kept = signed(asked)
    with tampering(asked) as t:
        entries = entries_in_rows(t)
        told = msgspec.structs.replace(entries[9], by={"org": OWNER, "system": "forger"})
        rewritten = chained([*entries[:9], told, *entries[10:]])
        shortened = [row.data for row in t.rows[:-1]]
    for data in (rewritten, shortened):
        replica = Replica()
        for entry in data:
            replica.add(entry)
        with pytest.raises(BadCheckpoint):
            replica.check(kept)


def signed(world: World) -> Checkpoint:
    """Give the checkpoint over the committed head, opened with the keys that the first entry names."""
    return open_checkpoint(world.checkpoint(), verifiers(world), origin=world.service.origin)


def verifiers(world: World) -> list:
    return [parse_vkey(vkey) for vkey in json.loads(stored(world.service.engine)[0])["body"]["vkeys"]]


# In an exported file --------------------------------------------------------------------------------------------------


@pytest.fixture
def file(asked: World) -> list[bytes]:
    """Give the lines of an export."""
    with export(asked.service.engine, note=asked.checkpoint()) as lines:
        return list(lines)


def finds(lines: Sequence[bytes]) -> OblikError | None:
    try:
        verify(ExportSource(lines))
    except OblikError as error:
        return error
    return None


def test_every_changed_byte_of_an_exported_entry_is_found_and_named(file: list[bytes]):
    """A file has no hash beside an entry: a change is named there, or where the next one does not follow from it."""
    assert finds(file) is None
    size = json.loads(file[0])["entries"]
    dice = random.Random(3)
    places = [(seq, position) for seq in (0, 20, size - 1) for position in range(len(file[1 + seq]))]
    places += [(seq, dice.randrange(len(file[1 + seq]))) for seq in range(size)]
    for seq, position in places:
        error = finds([*file[: 1 + seq], flipped(file[1 + seq], position), *file[2 + seq :]])
        if isinstance(error, BadEntry) and error.seq == seq + 1:
            assert "is not the hash of the entry before it" in str(error)
        elif isinstance(error, BadCheckpoint):
            assert size - 1 == seq
        else:
            assert (BadEntry, seq) == (type(error), getattr(error, "seq", None))


def test_swapped_removed_and_inserted_lines_are_found_and_named(file: list[bytes]):
    """In a file, too, an entry has its place."""
    size = json.loads(file[0])["entries"]
    for seq in range(size - 1):
        at = 1 + seq
        swapped = [*file[:at], file[at + 1], file[at], *file[at + 2 :]]
        removed = [*file[:at], *file[at + 1 :]]
        doubled = [*file[: at + 1], *file[at:]]
        assert [seq, seq, seq + 1] == [finds(lines).seq for lines in (swapped, removed, doubled)]


def test_a_file_that_is_cut_or_goes_on_is_found(file: list[bytes]):
    """A file ends with its checkpoint, and nowhere else."""
    size = json.loads(file[0])["entries"]
    for end in range(1, len(file)):
        error = finds(file[:end])
        assert (end - 1 if end <= size else None) == getattr(error, "seq", None)
        assert isinstance(error, Unverified)
    assert Unverified is type(finds([*file, file[-1]]))


SIGNATURE = "\\n— test.oblik.example/ledger "


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        pytest.param(0, '"entries":41', '"entries":40', id="fewer entries"),
        pytest.param(0, '"attachments":2', '"attachments":1', id="fewer attachments"),
        pytest.param(0, "oblik-export/1", "oblik-export/2", id="format"),
        pytest.param(-2, '"base64":"', '"base64":"AAAA', id="attachment"),
        pytest.param(-1, "ledger\\n41\\n", "ledger\\n42\\n", id="checkpoint"),
    ],
)
def test_other_lines_that_were_changed_are_found(file: list[bytes], line: int, old: str, new: str):
    """Header, attachments and checkpoint have to fit the entries."""
    assert isinstance(finds(changed(file, line, old, new)), Unverified)


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        pytest.param(0, '"origin":"test', '"origin":"best', id="origin"),
        pytest.param(0, '"vkeys":["test', '"vkeys":["best', id="keys"),
        pytest.param(-1, SIGNATURE, SIGNATURE.replace("test", "best"), id="a signature's name"),
    ],
)
def test_lines_that_say_otherwise_than_the_first_entry_are_found(file: list[bytes], line: int, old: str, new: str):
    """Origin and keys are those of the first entry, and all of its keys signed."""
    assert finds(changed(file, line, old, new)) is not None


def changed(file: list[bytes], line: int, old: str, new: str) -> list[bytes]:
    lines = list(file)
    lines[line] = lines[line].decode().replace(old, new, 1).encode()
    assert lines != file
    return lines


def test_an_attachment_that_was_changed_in_the_database_is_found(asked: World):
    """Attachments are held against their hashes wherever they are read from."""
    with tampering(asked) as t:
        error = t.finds(sa.text("UPDATE attachment SET data = data || data"))
        assert isinstance(error, Unverified)


def test_entries_that_break_a_rule_are_found_although_their_chain_fits(asked: World, file: list[bytes]):
    """With chain, tree and checkpoint made anew, an entry that breaks its streams or the order of time is named."""
    entries = entries_in(asked.service.engine)

    def named(seq: int, **fields: object) -> int:
        forged = [*entries[:seq], msgspec.structs.replace(entries[seq], **fields), *entries[seq + 1 :]]
        error = finds(exported(chained(forged), (), asked.service.signers))
        assert BadEntry is type(error)
        return error.seq

    for seq in range(1, len(entries)):
        assert seq == named(seq, at="2001-01-01T00:00:00.000000Z")
        for name, (ordinal, last) in entries[seq].about.items():
            assert seq == named(seq, about={**entries[seq].about, name: (ordinal + 1, last)})
            assert seq == named(seq, about={**entries[seq].about, name: (ordinal, last + 1)})
    assert finds(exported(chained(entries), (), asked.service.signers)) is None


def test_a_checkpoint_by_other_keys_is_refused(asked: World, tmp_path: Path):
    """A checkpoint counts only if the keys of the first entry signed it."""
    strangers = create_keys(tmp_path / "strangers", origin=asked.service.origin)
    assert BadNote is type(finds(exported(stored(asked.service.engine), (), strangers)))


# The tree -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(world: World) -> World:
    """Give a world of MANY entries, written in batches of many sizes."""
    size = len(stored(world.service.engine))
    for most in (1, 2, 30, 200, 255, MANY):
        count = min(most, MANY - size)
        world.append(*datasets(size, count))
        size += count
    return world


def test_entries_carry_the_hash_of_the_one_before(many: World):
    """Computed by hand: `prev` is the leaf hash of the entry before, and the head's root that of the leaves."""
    data = stored(many.service.engine)
    leaves = [leaf_hash(entry) for entry in data]
    assert ["0" * 64, *(leaf.hex() for leaf in leaves[:-1])] == [json.loads(entry)["prev"] for entry in data]
    assert (MANY, tree_hash(leaves)) == (signed(many).size, signed(many).root)
    assert tree_hash(leaves) == verified(many.service.engine).root


def test_inclusion_is_proved_from_storage_for_every_entry(many: World):
    """For each entry, in trees around the boundaries of tiles, the proof leads to the root made by hand."""
    leaves = [leaf_hash(entry) for entry in stored(many.service.engine)]
    with many.service.engine.connect() as connection:
        for size in (1, 2, 255, 256, 257, 512, 513, MANY):
            root = tree_hash(leaves[:size])
            step = 1 if size in {257, MANY} else 7
            for index in {*range(0, size, step), size - 1}:
                proof = inclusion_proof(connection, index=index, size=size)
                assert (leaves[index], root) == (proof.leaf, proof.root)
                check_inclusion(index, size, leaves[index], proof.hashes, root)


def test_consistency_is_proved_from_storage_for_every_size(many: World):
    """From each earlier size a proof leads to the present tree, and to those at the boundaries of tiles."""
    leaves = [leaf_hash(entry) for entry in stored(many.service.engine)]
    roots = {size: tree_hash(leaves[:size]) for size in range(1, MANY + 1)}
    with many.service.engine.connect() as connection:
        for new in (256, 257, 513, MANY):
            for old in range(1, new + 1, 1 if new == MANY else 11):
                proof = consistency_proof(connection, old=old, new=new)
                assert (roots[old], roots[new]) == (proof.old_root, proof.new_root)
                check_consistency(old, new, roots[old], roots[new], proof.hashes)


def test_proofs_from_storage_hold_across_65_536_entries(world: World):
    """Where a second level of tiles begins, proofs from storage lead to the roots made by hand."""
    size = len(stored(world.service.engine))
    goal = 65_536 + 300
    while size < goal:
        count = min(9_000, goal - size)
        world.append(*anomalies(count))
        size += count
    leaves = [leaf_hash(entry) for entry in stored(world.service.engine)]
    sizes = (256, 65_535, 65_536, 65_537, goal)
    roots = {size: tree_hash(leaves[:size]) for size in sizes}
    with world.service.engine.connect() as connection:
        for size in sizes:
            for index in {0, 255, 256, 4_097, 65_279, 65_280, 65_535, 65_536, size - 1}:
                if index < size:
                    proof = inclusion_proof(connection, index=index, size=size)
                    check_inclusion(index, size, leaves[index], proof.hashes, roots[size])
        for old, new in itertools.combinations(sizes, 2):
            proof = consistency_proof(connection, old=old, new=new)
            check_consistency(old, new, roots[old], roots[new], proof.hashes)
    assert (goal, roots[goal]) == (signed(world).size, signed(world).root)


def anomalies(count: int) -> list:
    """Make events that touch no table."""
    event = UseAnomalous(
        problem="the report names no decision",
        decision=0,
        org="acme-jp",
        resource="dataset:uav",
        version="",
        quantity=Quantity(files=1),
        started="2026-11-21T09:30:00.000000Z",
        ended="2026-11-21T09:30:00.000000Z",
    )
    return [event] * count


def test_a_changed_hash_of_the_tree_cannot_pass_for_a_proof(many: World):
    """Whoever changes a stored hash above the leaves makes proofs that do not lead to the signed root."""
    checkpoint = signed(many)
    with tampering(many) as t:
        row = t.connection.execute(SUBTREE.select().where(SUBTREE.c.index == 1)).one()
        t.connection.execute(SUBTREE.update().where(SUBTREE.c.index == 1).values(hash=flipped(row.hash, 5)))
        proof = inclusion_proof(t.connection, index=3, size=None)
        with pytest.raises(BadProof):
            check_inclusion(3, MANY, proof.leaf, proof.hashes, checkpoint.root)


@pytest.mark.parametrize("change", ["hash", "removed", "added"])
def test_a_changed_hash_of_the_tree_is_found(many: World, change: str):
    """Stored hashes above the leaves are held against those that the entries lead to."""
    with tampering(many) as t:
        second = SUBTREE.c.index == 1
        assert t.finds(
            {
                "hash": SUBTREE.update().where(second).values(hash=bytes(32)),
                "removed": SUBTREE.delete().where(second),
                "added": SUBTREE.insert().values(level=1, index=99, hash=bytes(32)),
            }[change]
        )


def test_the_checkpoint_is_signed_by_both_keys(asked: World):
    """The checkpoint opens with the Ed25519 key alone and with the ML-DSA-44 key alone, and commits to the head."""
    note = asked.checkpoint()
    leaves = [leaf_hash(entry) for entry in stored(asked.service.engine)]
    keys = verifiers(asked)
    assert [format_vkey(signer) for signer in asked.service.signers] == json.loads(stored(asked.service.engine)[0])[
        "body"
    ]["vkeys"]
    assert 2 == len(keys) == len(open_note(note, keys).signed_by)
    for key in keys:
        opened = open_checkpoint(note, [key], origin=asked.service.origin)
        assert (len(leaves), tree_hash(leaves)) == (opened.size, opened.root)
    forged = sign_checkpoint(Checkpoint(origin=asked.service.origin, size=1, root=bytes(32)), asked.service.signers[:1])
    with pytest.raises(BadNote):
        open_checkpoint(forged, keys[1:], origin=asked.service.origin)


# Time -----------------------------------------------------------------------------------------------------------------


def test_time_never_decreases_whatever_the_clocks_do(world: World):
    """Neither a clock that steps back, nor a restart, nor another process with a slow clock makes `at` decrease."""
    slow = open_service(world.settings, clock=lambda: START - timedelta(days=400))
    steps = (timedelta(hours=-1), timedelta(days=-300), timedelta(hours=2), timedelta(microseconds=-1))
    for number, step in enumerate(steps):
        world.clock.now += step
        world.ask()
        slow.sequencer.submit(lambda tx, n=number: tx.append(datasets(n, 1)[0], BY)).result(PATIENCE)
        world.append(*datasets(100 + number, 1))
    slow.close()
    times = [entry.at for entry in entries_in(world.service.engine)]
    assert sorted(times) == times
    assert len(set(times)) > 1
    assert len(times) == verified(world.service.engine).size


def test_a_new_ledger_says_its_time(tmp_path: Path):
    """The first entry's time is the clock's, and later ones are not before it."""
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    times = [entry.at for entry in entries_in(world.service.engine)]
    world.service.close()
    assert START.strftime("%Y-%m-%dT%H:%M:%S") == times[0][:19]
    assert sorted(times) == times

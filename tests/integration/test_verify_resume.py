"""Verification that goes on from what an earlier one kept."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
from promised import chained, entries_in, exported, own_engine
from world import OWNER, World

from ledger.errors import BadCheckpoint, BadEntry, Unverified
from ledger.events.data import DatasetRegistered
from ledger.log.kept import parse_kept
from ledger.services import sources, verifying
from ledger.services.sources import DatabaseSource, ExportSource
from ledger.services.verifying import Verified, export, verify
from ledger.storage.engine import snapshot
from ledger.storage.tables import HeadRow, SubtreeRow, table

HEAD, SUBTREE = table(HeadRow), table(SubtreeRow)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a small ledger into many parts, and keep it often."""
    monkeypatch.setattr(sources, "PART_ENTRIES", 64)
    monkeypatch.setattr(sources, "PART_BYTES", 30_000)
    monkeypatch.setattr(verifying, "KEEP_EVERY", 100)


@pytest.fixture
def filled(world: World) -> World:
    """Give a world of some 600 entries."""
    for start in range(0, 600, 50):
        world.append(*(DatasetRegistered(id=f"set-{n}", owner=OWNER, title="a set") for n in range(start, start + 50)))
    return world


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ctrl-C, at a moment of the test's choice."""


class Memory:
    """Keeps in memory what is to be kept; stops a verification after so many times."""

    def __init__(self, stop_after: int = 0) -> None:
        self.kept: list[bytes] = []
        self.stop_after = stop_after

    def keep(self, data: bytes) -> None:
        self.kept.append(data)
        if len(self.kept) == self.stop_after:
            raise Interrupted

    @property
    def size(self) -> int:
        return parse_kept(self.kept[-1]).size


def file_of(world: World, path: Path) -> Path:
    with export(world.service.engine, note=world.checkpoint()) as lines:
        path.write_bytes(b"".join(lines))
    return path


def from_file(
    path: Path, memory: Memory, *, workers: int = 1, progress: Callable[[int], None] | None = None
) -> Verified:
    """Verify an export, going on from the memory."""
    with path.open("rb") as opened:
        kept = parse_kept(memory.kept[-1]) if memory.kept else None
        source = ExportSource.of_file(opened)
        return verify(source, kept=kept, keep=memory.keep, workers=workers, progress=progress)[0]


def from_database(connection: sa.Connection, memory: Memory, *, url: str = "", workers: int = 1) -> Verified:
    """Verify a database, going on from the memory."""
    kept = parse_kept(memory.kept[-1]) if memory.kept else None
    return verify(DatabaseSource(connection, url=url), kept=kept, keep=memory.keep, workers=workers)[0]


def test_an_interrupted_verification_goes_on_to_the_same_end(filled: World, tmp_path: Path, database_url: str) -> None:
    """Stopped after 100 entries or more, from a file and a database, with workers and without."""
    path = file_of(filled, tmp_path / "ledger.jsonl")
    whole = from_file(path, Memory())
    for workers in (1, 2):
        memory, seen = Memory(stop_after=2), []
        with pytest.raises(Interrupted):
            from_file(path, memory, workers=workers)
        assert 200 <= memory.size < 400
        before = memory.size
        assert whole == from_file(path, memory, workers=workers, progress=seen.append)
        assert (before, whole.size) == (seen[0], sum(seen))
        assert whole.size == memory.size
        memory = Memory(stop_after=2)
        with own_engine(database_url) as engine, snapshot(engine) as connection:
            with pytest.raises(Interrupted):
                from_database(connection, memory, url=database_url, workers=workers)
            assert whole.root == from_database(connection, memory, url=database_url, workers=workers).root
            assert whole.size == memory.size


def test_a_ledger_that_grew_is_verified_from_where_it_was(filled: World, tmp_path: Path) -> None:
    """From one export to the next, and with nothing new; what comes out is what a whole verification says."""
    memory = Memory()
    first = from_file(file_of(filled, tmp_path / "first"), memory)
    assert first == from_file(tmp_path / "first", memory)
    filled.append(DatasetRegistered(id="later", owner=OWNER, title="a set"))
    second = file_of(filled, tmp_path / "second")
    assert from_file(second, Memory()) == from_file(second, memory)
    with filled.service.engine.connect() as connection:
        assert from_database(connection, memory).size == first.size + 1


def test_another_history_is_refused(filled: World, tmp_path: Path) -> None:
    """One that was rewritten up to where the memory ends, one of another ledger, and one that was cut short."""
    path, memory = file_of(filled, tmp_path / "ledger.jsonl"), Memory(stop_after=3)
    with pytest.raises(Interrupted):
        from_file(path, memory)
    entries, signers = entries_in(filled.service.engine), filled.service.signers
    from msgspec.structs import replace

    for seq, named in ((5, memory.size - 1), (0, 0)):
        told = [*entries[:seq], replace(entries[seq], by={"org": OWNER, "system": "forger"}), *entries[seq + 1 :]]
        (tmp_path / "other").write_bytes(b"".join(exported(chained(told), (), signers)))
        with pytest.raises(BadEntry, match="not the one that was verified before") as caught:
            from_file(tmp_path / "other", memory)
        assert named == caught.value.seq
    (tmp_path / "short").write_bytes(b"".join(exported(chained(entries[: memory.size - 1]), (), signers)))
    with pytest.raises(Unverified, match=f"{memory.size} entries were verified before, and there are"):
        from_file(tmp_path / "short", memory)


def test_faults_after_the_memory_are_named_and_faults_before_it_are_not_looked_for(
    filled: World, tmp_path: Path
) -> None:
    """The memory is trusted for what it says was verified, and for nothing else."""
    path, memory = file_of(filled, tmp_path / "ledger.jsonl"), Memory(stop_after=3)
    with pytest.raises(Interrupted):
        from_file(path, memory)
    lines = path.read_bytes().splitlines(keepends=True)

    def with_fault_at(seq: int) -> Path:
        changed = [*lines[: seq + 1], lines[seq + 1].replace(b'"at":"2026', b'"at":"2025'), *lines[seq + 2 :]]
        (tmp_path / "changed").write_bytes(b"".join(changed))
        return tmp_path / "changed"

    for seq in (memory.size, memory.size + 1, len(entries_in(filled.service.engine)) - 1):
        with pytest.raises(BadEntry) as caught:
            from_file(with_fault_at(seq), memory)
        assert seq == caught.value.seq
    assert from_file(with_fault_at(memory.size - 2), memory).signed


def test_the_head_and_the_new_rows_of_the_tree_are_still_held_against_the_entries(filled: World) -> None:
    """Of the tree's rows those are looked at that were completed since; of the head all."""
    filled.service.publisher.close()  # its row, committed meanwhile, would be in the way of the changes below
    memory = Memory(stop_after=3)
    with filled.service.engine.connect() as connection, connection.begin() as transaction:
        with pytest.raises(Interrupted):
            from_database(connection, memory)
        assert 256 < memory.size < 512
        for change, found in (
            (SUBTREE.update().where(SUBTREE.c.index == 1).values(hash=bytes(32)), True),
            (SUBTREE.delete().where(SUBTREE.c.index == 1), True),
            (SUBTREE.update().where(SUBTREE.c.index == 0).values(hash=bytes(32)), False),
            (HEAD.update().values(leaf=bytes(32)), True),
            (HEAD.update().values(state_seq=1), True),
        ):
            with connection.begin_nested() as savepoint:
                connection.execute(change)
                with pytest.raises(BadCheckpoint) if found else nullcontext():
                    from_database(connection, _copy(memory))
                savepoint.rollback()
        transaction.rollback()


def _copy(memory: Memory) -> Memory:
    copy = Memory()
    copy.kept = memory.kept[-1:]
    return copy

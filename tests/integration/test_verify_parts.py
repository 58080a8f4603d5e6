"""Verification by parts, here and in worker processes: the same answer as one by one, and nothing left behind."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from programs import PATIENCE
from promised import chained, entries_in, exported, leaf_hash, own_engine, rows_of
from world import OWNER, World

from ledger.errors import OblikError, Unavailable
from ledger.events.data import DatasetRegistered
from ledger.services import sources, verifying, workers
from ledger.services.parts import Part, Place
from ledger.services.sources import DatabaseSource, ExportSource
from ledger.services.verifying import Verified, verify
from ledger.storage.engine import snapshot
from ledger.storage.tables import EntryRow, table

ENTRY = table(EntryRow)
MANY = 600


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a small ledger into many parts."""
    monkeypatch.setattr(sources, "PART_ENTRIES", 64)
    monkeypatch.setattr(sources, "PART_BYTES", 30_000)


@pytest.fixture
def filled(world: World) -> World:
    """Give a world of some 600 entries."""
    events = [DatasetRegistered(id=f"set-{n}", owner=OWNER, title=f"набір {n}") for n in range(MANY)]
    for start in range(0, MANY, 50):
        world.append(*events[start : start + 50])
    return world


@pytest.fixture
def file(filled: World, tmp_path: Path) -> Path:
    """Give its export."""
    path = tmp_path / "ledger.jsonl"
    with verifying.export(filled.service.engine, note=filled.checkpoint()) as lines:
        path.write_bytes(b"".join(lines))
    return path


def outcome(path: Path, *, count: int) -> Verified | tuple[type, str]:
    """Verify an export. `count` is that of the workers; with 0, each entry is read by itself."""
    with path.open("rb") as opened:
        try:
            source = ExportSource.of_file(opened)
            return verify(source, each=None if count else lambda _: None, workers=count or 1)[0]
        except OblikError as error:
            return type(error), str(error)


def test_parts_and_workers_verify_what_one_by_one_does(filled: World, file: Path, database_url: str) -> None:
    """An export and a database, by parts in this process, and with two and three workers."""
    expected = outcome(file, count=0)
    assert isinstance(expected, Verified)
    assert expected.signed
    assert [expected] * 3 == [outcome(file, count=count) for count in (1, 2, 3)]
    for count in (1, 2):
        by_parts: list[int] = []
        with file.open("rb") as opened:
            verify(ExportSource.of_file(opened), progress=by_parts.append, workers=count)
        assert sum(by_parts) == expected.size
        assert min(by_parts) > 1  # the last part too, which holds the checkpoint
        seen: list[int] = []
        with own_engine(database_url) as engine, snapshot(engine) as connection:
            source = DatabaseSource(connection, url=database_url)
            found, _ = verify(source, progress=seen.append, workers=count)
        assert (expected.size, expected.root, expected.origin) == (found.size, found.root, found.origin)
        assert sum(seen) == found.size
        assert max(seen) == 64  # by parts, and not one by one


def test_lines_that_are_no_file_verify(file: Path) -> None:
    """Lines from anywhere are read once; workers cannot find them, and are done without."""
    expected = outcome(file, count=0)
    lines = file.read_bytes().splitlines(keepends=True)
    assert expected == verify(ExportSource(lines), workers=2)[0]
    assert expected == verify(ExportSource(io.BytesIO(file.read_bytes())))[0]


def damaged(lines: list[bytes], dice: random.Random) -> list[bytes]:
    """Give the lines with something done to them."""
    at = dice.randrange(len(lines))
    line = lines[at]
    place = dice.randrange(len(line))
    changes = (
        [line[:place] + bytes([line[place] ^ 1 << dice.randrange(8)]) + line[place + 1 :]],
        [line[:place]],
        [line, line],
        [line[:-1]],
        [line[:-1] + b" \n"],
        [line[:place] + b"\n" + line[place:]],
        [b"x" * 70_000 + b"\n"],
        [],
    )
    return [*lines[:at], *dice.choice(changes), *lines[at + 1 :]]


def test_every_fault_in_a_file_is_told_in_the_words_of_one_by_one(file: Path, tmp_path: Path) -> None:
    """Whatever is done to a line, by parts the same entry is named for the same reason; workers change nothing."""
    lines, path, dice = file.read_bytes().splitlines(keepends=True), tmp_path / "changed", random.Random(5)
    for number in range(150):
        path.write_bytes(b"".join(damaged(lines, dice)))
        expected = outcome(path, count=0)
        assert expected == outcome(path, count=1)
        if number % 25 == 0:
            assert expected == outcome(path, count=2)


def test_a_fault_at_the_edge_of_a_part_is_told_in_the_words_of_one_by_one(
    filled: World, file: Path, tmp_path: Path
) -> None:
    """With chain, tree and checkpoint made anew: time, stream and index, at the first and last entry of a part."""
    entries, path = entries_in(filled.service.engine), tmp_path / "changed"
    from msgspec.structs import replace

    for seq in (63, 64, 65, 255, 256, 257, 512):
        entry = entries[seq]
        [(name, (ordinal, last))] = entry.about.items() if len(entry.about) == 1 else [next(iter(entry.about.items()))]
        for changes in (
            {"at": "2001-01-01T00:00:00.000000Z"},
            {"about": {**entry.about, name: (ordinal + 1, last)}},
            {"about": {**entry.about, name: (ordinal, last + 1)}},
            {"about": {**entry.about, "org:new": (1, -1)}},
            {"seq": seq + 1},
        ):
            told = [*entries[:seq], replace(entry, **changes), *entries[seq + 1 :]]
            path.write_bytes(b"".join(exported(chained(told), (), filled.service.signers)))
            expected = outcome(path, count=0)
            assert isinstance(expected, tuple)
            assert f"entry {seq}: " in expected[1]
            assert expected == outcome(path, count=1)
            if seq == 64:
                assert expected == outcome(path, count=2)


def test_every_fault_in_a_database_is_told_in_the_words_of_one_by_one(filled: World, database_url: str) -> None:
    """Rows that are gone, moved, past the head or before the first, other bytes, other leaf hashes, other indexes."""
    with filled.service.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER entry_no_update")
            connection.exec_driver_sql("DROP TRIGGER entry_no_delete")
        else:
            connection.exec_driver_sql("ALTER TABLE entry DISABLE TRIGGER USER")
        rows = connection.execute(ENTRY.select().order_by(ENTRY.c.seq)).all()
    size, row = len(rows), rows[200]
    wrong = row.data.replace(b'"at":"2026', b'"at":"2025', 1)
    at = ENTRY.update().where(ENTRY.c.seq == row.seq)
    faults: list[sa.Executable] = [
        at.values(data=wrong),
        at.values(data=wrong, leaf=leaf_hash(wrong)),
        at.values(leaf=bytes(32)),
        at.values(seq=size + 3),
        at.values(seq=-1),
        ENTRY.delete().where(ENTRY.c.seq == size - 1),
        ENTRY.delete().where(ENTRY.c.seq >= 100),
        ENTRY.insert().values(seq=size, data=row.data, leaf=row.leaf),
        ENTRY.insert().values(seq=-5, data=row.data, leaf=row.leaf),
        ENTRY.update().values(seq=ENTRY.c.seq + 10_000),
    ]
    for number, fault in enumerate(faults):
        before = rows_of(filled.service.engine, [EntryRow])
        with filled.service.engine.begin() as connection:
            connection.execute(fault)
        expected = _stored_outcome(database_url, count=0)
        assert isinstance(expected, tuple), number
        assert [expected, expected] == [_stored_outcome(database_url, count=count) for count in (1, 2)]
        with filled.service.engine.begin() as connection:
            connection.execute(ENTRY.delete())
            names = [column.name for column in ENTRY.columns]
            connection.execute(ENTRY.insert(), [dict(zip(names, old, strict=True)) for old in before["entry"]])
    assert isinstance(_stored_outcome(database_url, count=2), Verified)


def _stored_outcome(url: str, *, count: int) -> Verified | tuple[type, str]:
    with own_engine(url) as engine, snapshot(engine) as connection:
        try:
            source = DatabaseSource(connection, url=url)
            return verify(source, each=None if count else lambda _: None, workers=count or 1)[0]
        except OblikError as error:
            return type(error), str(error)


def test_a_worker_that_is_killed_is_told_of(file: Path) -> None:
    """It is no fault of the ledger, and no answer either."""
    with workers.Worker(Place(file=str(file))) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="ended before"):
            _asked(worker)


def _asked(worker: workers.Worker) -> None:
    worker.send(Part(start=0, stop=1))
    worker.receive()


def test_workers_end_with_their_parent(file: Path) -> None:
    """A parent that is killed leaves no process behind."""
    starts = (
        "import sys\nfrom ledger.services.workers import Worker\nfrom ledger.services.parts import Place\n"
        f"workers = [Worker(Place(file={str(file)!r})) for _ in range(2)]\n"
        "print(*[w.pid for w in workers], flush=True)\nsys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Tell whether a process runs: one that nobody has buried yet does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_imports_nothing_from_the_folder_that_it_runs_in(file: Path, tmp_path: Path, monkeypatch) -> None:
    """A folder of somebody else's may hold a module of any name."""
    for name in ("ledger", "msgspec", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')\n", "utf-8")
    expected = outcome(file, count=1)
    monkeypatch.chdir(tmp_path)
    assert expected == outcome(file, count=2)

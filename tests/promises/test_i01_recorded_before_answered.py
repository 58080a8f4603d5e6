"""I1: an answer leaves the service only after its entry is durable; where it cannot be written, nothing is allowed."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest
import sqlalchemy as sa
from programs import PATIENCE, program
from promised import let_go, one_batch, own_engine, replayed, rows_of, stored, verified
from served import Served, check_problem, serving
from world import World, question, revocation

from ledger.bootstrap import Service, open_service
from ledger.errors import Unavailable
from ledger.events.data import DatasetRegistered
from ledger.storage import engine as engines
from ledger.storage import intake as intakes
from ledger.storage.transaction import Transaction

ASKS = 20
BRIEFLY = 0.2
"""Seconds that a writer waits for the lock in these tests."""

BODY = {
    "subject": {"type": "system", "id": "acme-jp/trainer-1"},
    "action": {"name": "train"},
    "resource": {"type": "dataset", "id": "uav"},
    "context": {
        "purpose": "humanitarian.demining",
        "tier": "redacted",
        "environment": {"kind": "enclave", "country": "JPN"},
    },
}


def dataset(name: str) -> DatasetRegistered:
    return DatasetRegistered(id=name, owner="mod-ua", title="a set")


# Recorded, then answered ----------------------------------------------------------------------------------------------


def test_another_process_reads_each_answer_at_the_moment_it_is_given(world: World):
    """When a caller is told an index, another process finds the entry there, committed."""
    seen: list[tuple[int, str]] = []
    with program("onlooker", world.settings.database_url) as onlooker:
        assert onlooker.hear() == ["ready"]

        def look(answered: Future) -> None:
            told = answered.result()
            seq = told[0] if isinstance(told, tuple) else told
            onlooker.tell(str(seq))
            seen.append((seq, onlooker.hear()[0]))

        for number in range(ASKS):
            with one_batch(world.service.sequencer):
                asked = world.service.sequencer.ask_from_thread(question())
                written = world.service.sequencer.submit(lambda tx, n=number: tx.append(dataset(f"set-{n}"), {}))
                for future in (asked, written):
                    future.add_done_callback(look)  # runs while the answer is being given
        with one_batch(world.service.sequencer):
            pass  # by now every look has been taken
    digests = [hashlib.sha256(data).hexdigest() for data in stored(world.service.engine)]
    assert len(seen) == 2 * ASKS
    assert [(seq, digests[seq]) for seq, _ in seen] == seen


@pytest.fixture
def served(database_url: str, tmp_path) -> Iterator[Served]:
    with serving(database_url, tmp_path) as made:
        yield made


def test_each_answer_over_http_is_readable_from_another_connection(served: Served):
    """When an HTTP client has its answer, a connection of the client's own finds the entry, and it says the same."""
    with own_engine(served.world.settings.database_url) as engine:

        def ask(number: int) -> tuple[bool, bool]:
            country = "JPN" if number % 2 else "USA"
            body = {**BODY, "context": {**BODY["context"], "environment": {"kind": "enclave", "country": country}}}
            answer = served.post("/access/v1/evaluation", "trainer", body).json()
            with engine.connect() as connection:
                query = sa.text("SELECT data FROM entry WHERE seq = :seq")
                data = connection.execute(query, {"seq": int(answer["context"]["id"])}).scalar_one()
            return answer["decision"], json.loads(data)["body"]["allowed"]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(8 * ASKS)))
    assert [(bool(number % 2),) * 2 for number in range(8 * ASKS)] == answers


# Not recorded, not answered -------------------------------------------------------------------------------------------

Fault = Callable[[Service], AbstractContextManager[list[Callable[[Transaction], object]]]]
"""Breaks the database under a service; gives commands that have to be in the batch for it to break."""


@contextmanager
def locked_by_another(service: Service) -> Iterator[list]:
    """Have another connection hold the lock for longer than a writer waits."""
    with own_engine(service.engine.url.render_as_string(hide_password=False)) as engine, engine.connect() as other:
        other.execution_options(lock_head=True)
        with other.begin():
            other.execute(sa.text("SELECT * FROM head" + (" FOR UPDATE" if is_postgres(service) else "")))
            yield []


@contextmanager
def on_each_connection(service: Service, *statements: str) -> Iterator[list]:
    """Run these statements first on every connection that the service opens."""

    def spoil(connection, _record) -> None:
        for statement in statements:
            connection.execute(statement)

    sa.event.listen(service.engine, "connect", spoil)
    reconnect(service)
    try:
        yield []
    finally:
        sa.event.remove(service.engine, "connect", spoil)
        reconnect(service)


def reconnect(service: Service) -> None:
    """Have the service open its connections anew."""
    let_go(service.sequencer)
    service.engine.dispose()


def read_only(service: Service) -> AbstractContextManager[list]:
    """Have SQLite refuse to write, as it does for a file that is read-only (which nothing is to root)."""
    return on_each_connection(service, "PRAGMA query_only = ON")


@contextmanager
def full(service: Service) -> Iterator[list]:
    """Have SQLite get no page more, as on a full disk."""
    with service.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with on_each_connection(service, f"PRAGMA max_page_count = {pages}"):
        yield [lambda tx: tx.attach(bytes(1 << 20), "application/octet-stream")]


@contextmanager
def refused_at_commit(service: Service) -> Iterator[list]:
    """Have the COMMIT itself fail: SQLite is made to deny it, PostgreSQL to end the connection."""

    def spoil(connection: sa.Connection) -> None:
        if is_postgres(service):
            terminate(service, connection)
        else:
            connection.connection.driver_connection.set_authorizer(deny_commit)

    sa.event.listen(service.engine, "commit", spoil)
    try:
        yield []
    finally:
        sa.event.remove(service.engine, "commit", spoil)


def deny_commit(action: int, argument: str | None, *_: object) -> int:
    return int(action == 22 and argument == "COMMIT")  # SQLITE_TRANSACTION; 1 is SQLITE_DENY


@contextmanager
def lost_in_mid_batch(service: Service) -> Iterator[list]:
    """Have the server end the connection while the batch is being written."""

    def lose(tx: Transaction) -> int:
        terminate(service, tx.connection)
        return tx.append(dataset("lost"), {})

    yield [lose]


@contextmanager
def read_only_server(service: Service) -> Iterator[list]:
    """Have the server take no write, as a standby does."""
    with on_each_connection(service, "SET default_transaction_read_only = on", "COMMIT") as commands:
        yield commands


def terminate(service: Service, victim: sa.Connection) -> None:
    pid = victim.connection.driver_connection.info.backend_pid
    with service.engine.connect() as other:
        assert other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid}).scalar_one()


def is_postgres(service: Service) -> bool:
    return service.engine.dialect.name == "postgresql"


FAULTS = [
    pytest.param("sqlite", locked_by_another, id="sqlite-locked"),
    pytest.param("sqlite", read_only, id="sqlite-read-only"),
    pytest.param("sqlite", full, id="sqlite-full"),
    pytest.param("sqlite", refused_at_commit, id="sqlite-commit"),
    pytest.param("postgresql", locked_by_another, id="postgresql-locked", marks=pytest.mark.postgres),
    pytest.param("postgresql", lost_in_mid_batch, id="postgresql-lost", marks=pytest.mark.postgres),
    pytest.param("postgresql", refused_at_commit, id="postgresql-commit", marks=pytest.mark.postgres),
    pytest.param("postgresql", read_only_server, id="postgresql-read-only", marks=pytest.mark.postgres),
]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have writers wait briefly for the lock."""
    monkeypatch.setattr(engines, "SQLITE_BUSY_SECONDS", BRIEFLY)
    monkeypatch.setattr(engines, "POSTGRES_LOCK_SECONDS", BRIEFLY)


@pytest.mark.parametrize(("database_url", "fault"), FAULTS, indirect=["database_url"])
def test_whoever_is_in_a_batch_that_fails_is_told_unavailable(world: World, fault: Fault, brief):
    """A batch that cannot be written allows nothing, tells everyone in it so, and leaves not a byte behind."""
    before = rows_of(world.service.engine)
    service = open_service(world.settings, clock=world.clock)
    sequencer = service.sequencer
    with one_batch(sequencer):
        breaking = fault(service)
        commands = breaking.__enter__()
        told = [
            sequencer.ask_from_thread(question()),
            sequencer.submit(lambda tx: tx.append(dataset("unheard-of"), {})),
            sequencer.ask_from_thread(question(country="USA")),
            *map(sequencer.submit, commands),
            sequencer.submit(lambda tx: tx.append(revocation(), {})),
        ]
    errors = [future.exception(PATIENCE) for future in told]
    with one_batch(sequencer):
        breaking.__exit__(None, None, None)
    assert [Unavailable] * len(told) == [type(error) for error in errors]
    assert before == rows_of(world.service.engine)

    seq, draft = sequencer.ask_from_thread(question()).result(PATIENCE)
    service.close()
    assert (len(before["entry"]), True) == (seq, draft.event.allowed)
    assert seq + 1 == verified(world.service.engine).size
    assert replayed(world.service.engine).findings == ()


def test_http_answers_503_while_the_ledger_cannot_be_written(database_url: str, tmp_path, brief):
    """While another holds the ledger, HTTP answers 503 with a problem document and allows nothing; then it recovers."""
    with serving(database_url, tmp_path) as served:
        before = rows_of(served.world.service.engine)
        with locked_by_another(served.world.service), ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(served.post, "/access/v1/evaluation", "trainer", BODY) for _ in range(3)]
            revoked = pool.submit(served.post, "grants/grant-1/revocation", "steward", {"reason": "test"})
            answers = [future.result(PATIENCE) for future in (*asked, revoked)]
        for answer in answers:
            problem = check_problem(answer, 503)
            assert "nothing was allowed" in problem["detail"]
            assert "decision" not in problem
            assert answer.headers["retry-after"].isdecimal()
        assert before == rows_of(served.world.service.engine)
        assert served.post("/access/v1/evaluation", "trainer", BODY).json()["decision"]
        assert len(before["entry"]) + 1 == verified(served.world.service.engine).size


def test_more_work_than_can_wait_is_turned_away(world: World, monkeypatch: pytest.MonkeyPatch):
    """Beyond the limit of what waits, a caller is told Unavailable at once, and those before it are served."""
    monkeypatch.setattr(intakes, "MAX_WAITING", 3)
    with one_batch(world.service.sequencer):
        accepted = [world.service.sequencer.ask_from_thread(question()) for _ in range(3)]
        with pytest.raises(Unavailable):
            world.service.sequencer.ask_from_thread(question())
    first = accepted[0].result(PATIENCE)[0]
    assert [first, first + 1, first + 2] == [future.result(PATIENCE)[0] for future in accepted]


def test_a_service_that_shuts_down_settles_what_it_accepted(world: World):
    """Closing finishes what waits, and turns away what comes after."""
    service = open_service(world.settings, clock=world.clock)
    with one_batch(service.sequencer):
        accepted = [service.sequencer.ask_from_thread(question()) for _ in range(5)]
    service.close()
    assert all(future.done() for future in accepted)
    assert [future.result()[1].event.allowed for future in accepted] == [True] * 5
    with pytest.raises(Unavailable):
        service.sequencer.ask_from_thread(question())

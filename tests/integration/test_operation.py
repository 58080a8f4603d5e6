"""What operators are told: alive, ready, measured, traced, logged; and that the service ends without losing anyone."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import records
import sqlalchemy as sa
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from promised import own_engine
from served import Served, check_problem, evaluation, serving
from witnesses import free_port
from world import World, open_world

from ledger.api import operation
from ledger.api.app import create_app
from ledger.cli.logs import JsonLines
from ledger.errors import Misconfigured
from ledger.services import traces
from ledger.settings import settings_from
from ledger.storage.tables import HeadRow, table

EVALUATE = "/access/v1/evaluation"
START_SECONDS = 60


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Served]:
    with serving(database_url, tmp_path) as made:
        yield made


def figures(served: Served, token: str = "auditor") -> dict[str, float]:
    """Scrape the metrics: each sample by its name and labels."""
    response = served.send("GET", "/metrics", token)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


# Alive and ready ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_a_service_at_rest_is_alive_and_ready(served: Served, path: str):
    """No token is needed, and nothing is written by asking."""
    before = served.size
    assert served.http.get(path).json() == {"status": "ok"}
    assert before == served.size


def test_who_cannot_write_is_alive_and_not_ready(served: Served, monkeypatch: pytest.MonkeyPatch):
    """While another process holds the head's lock, it is not ready; afterwards it is again."""
    monkeypatch.setattr(operation, "READY_SECONDS", 0.2)
    with own_engine(served.world.settings.database_url) as engine, engine.connect() as other:
        other.execution_options(lock_head=True)
        with other.begin():
            other.execute(table(HeadRow).select().with_for_update())
            assert "no transaction" in check_problem(served.http.get("/readyz"), 503)["detail"]
            assert served.http.get("/livez").status_code == 200
    assert served.http.get("/readyz").status_code == 200


def test_strangers_who_ask_whether_it_is_ready_fill_no_queue(served: Served, monkeypatch: pytest.MonkeyPatch):
    """However many ask while the ledger lets nobody write, one transaction waits for all of them."""
    monkeypatch.setattr(operation, "READY_SECONDS", 0.05)
    tried: list[object] = []
    monkeypatch.setattr(operation, "_nothing", tried.append)
    with own_engine(served.world.settings.database_url) as engine, engine.connect() as other:
        other.execution_options(lock_head=True)
        with other.begin():
            other.execute(table(HeadRow).select().with_for_update())
            assert [served.http.get("/readyz").status_code for _ in range(10)] == [503] * 10
    wait_until(lambda: served.http.get("/readyz").status_code == 200)
    assert len(tried) <= 2


def test_who_is_about_to_end_is_not_ready(served: Served):
    """While it drains, it still decides, and says that it is not ready."""
    served.world.service.draining.set()
    assert "shutting down" in check_problem(served.http.get("/readyz"), 503)["detail"]
    assert served.post(EVALUATE, "trainer", evaluation()).json()["decision"]


# Measured -------------------------------------------------------------------------------------------------------------


def test_decisions_are_counted(served: Served):
    """Each decision by its outcome, each deny by the clauses that refused, each question that got an error."""
    for body in (evaluation(), evaluation(), evaluation(purpose="offensive.strike")):
        served.post(EVALUATE, "trainer", body)
    served.post(EVALUATE, "unknown", evaluation())
    found = figures(served)
    assert found['oblik_decisions_total{outcome="allow"}'] == 2
    assert found['oblik_decisions_total{outcome="deny"}'] == 1
    assert found['oblik_clause_refusals_total{clause="purpose_not_prohibited"}'] == 1
    assert found['oblik_questions_refused_total{kind="Unauthenticated"}'] == 1
    assert found["oblik_ledger_entries"] == served.size
    assert found["oblik_commit_seconds_count"] == found["oblik_batch_entries_count"] >= 4


def test_mounted_decisions_are_counted_with_the_others(served: Served):
    """By their outcome, in a batch and alone; no clause refuses there."""
    records.mount(served.world)
    denied = records.request(subject="bob", action="write")
    for path, body in (
        (EVALUATE, records.request()),
        (EVALUATE, denied),
        ("/access/v1/evaluations", {"evaluations": [denied, evaluation()]}),
    ):
        served.post(path, "gate", body)
    found = figures(served)
    assert found['oblik_decisions_total{outcome="allow"}'] == 2
    assert found['oblik_decisions_total{outcome="deny"}'] == 2
    assert not any(name.startswith("oblik_clause_refusals_total") for name in found)


def test_a_batch_that_failed_is_counted(served: Served):
    """It counts as failed, and as nothing else."""

    def refuse(_connection: sa.Connection) -> None:
        raise MemoryError

    before = figures(served)
    sa.event.listen(served.world.service.engine, "commit", refuse)
    assert served.post(EVALUATE, "trainer", evaluation()).status_code == 503
    sa.event.remove(served.world.service.engine, "commit", refuse)
    after = figures(served)
    assert before["oblik_batches_failed_total"] + 1 == after["oblik_batches_failed_total"]
    assert before.get('oblik_decisions_total{outcome="allow"}') == after.get('oblik_decisions_total{outcome="allow"}')


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("trainer", 403)])
def test_metrics_are_for_the_owners_readers(served: Served, token: str | None, status: int):
    """Who has no token of the owner with the scope `read` learns nothing of how much is decided, and how."""
    check_problem(served.send("GET", "/metrics", token), status)


def test_an_observer_that_fails_costs_nobody_an_answer(served: Served, monkeypatch: pytest.MonkeyPatch):
    """What was committed was committed, whatever measuring it comes to."""
    monkeypatch.setattr(served.world.service.metrics, "batch", lambda *_: 1 / 0)
    assert served.post(EVALUATE, "trainer", evaluation()).json()["decision"]


# Logged and traced ----------------------------------------------------------------------------------------------------


def test_a_log_line_is_one_json_object():
    """Time, level, logger and message, and the trace of an exception, on one line."""
    try:
        int("two\nlines")
    except ValueError:
        record = logging.LogRecord("ledger.x", logging.WARNING, "", 0, "%s done", ("ні\n",), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("warning", "ledger.x", "ні\n done")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["at"])
    assert found["trace"].startswith("Traceback")


def test_what_is_written_stays_out_of_errors(world: World):
    """An error of the database names the statement, and none of the values that were in it."""
    with pytest.raises(sa.exc.DBAPIError) as caught, world.service.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO attachment VALUES (:a, :b, NULL)"), {"a": "a-secret", "b": "another"})
    assert "INSERT INTO attachment" in str(caught.value)
    assert "another" not in str(caught.value).split("[SQL")[1]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keep spans in memory."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def test_requests_and_batches_are_traced(tmp_path: Path, spans: InMemorySpanExporter):
    """A request is a span of the caller's trace, a batch one of its own; neither holds what was sent."""
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    world.service.sequencer._on_loop._observers = world.service.sequencer._writer._observers = [traces.BatchTraces()]
    app = traces.Traced(create_app(world.service))
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def ask() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            headers = {"Authorization": "Bearer trainer", "traceparent": caller}
            return (await http.post(EVALUATE, json=evaluation(), headers=headers)).status_code

    assert asyncio.run(ask()) == 200
    world.service.close()
    found = {span.name: span for span in spans.get_finished_spans()}
    request, batch = found[f"POST {EVALUATE}"], found["batch"]
    assert format(request.context.trace_id, "032x") == caller.split("-")[1]
    assert request.attributes["http.response.status_code"] == 200
    assert (batch.attributes["oblik.questions"], batch.attributes["oblik.entries"]) == (1, 1)
    assert "trainer" not in str([span.attributes for span in found.values()])


@pytest.mark.parametrize(
    "variables",
    [{"OBLIK_LOG": "xml"}, {"OBLIK_TRACES": "yes"}, {"OBLIK_DRAIN_SECONDS": "-1"}],
    ids=lambda v: next(iter(v)),
)
def test_settings_that_are_none_are_refused(variables: dict[str, str]):
    """Each names the variable, and what it may be."""
    with pytest.raises(Misconfigured, match=next(iter(variables))):
        settings_from(variables)


# Ending ---------------------------------------------------------------------------------------------------------------


def test_a_service_that_is_told_to_end_drains_first(tmp_path: Path):
    """After SIGTERM it says that it is not ready, still answers for as long as was set, then ends; logs are JSON."""
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    world.service.close()
    port = free_port()
    command = [sys.executable, "-m", "ledger.cli", "serve", "--data", str(world.settings.data), "--port", str(port)]
    settings = {**os.environ, "OBLIK_DRAIN_SECONDS": "2", "OBLIK_LOG": "json"}
    with subprocess.Popen(command, env=settings, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: status(port, "/readyz") == 200)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: status(port, "/readyz") == 503)
        assert status(port, "/livez") == 200
        metadata = httpx.get(f"http://127.0.0.1:{port}/.well-known/authzen-configuration").json()
        assert metadata["policy_decision_point"] == f"http://127.0.0.1:{port}"
        _, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode in {143, -signal.SIGTERM}
    assert all(json.loads(line) for line in said.splitlines())


def status(port: int, path: str) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code
    except httpx.TransportError:
        return 0


def wait_until(holds) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)

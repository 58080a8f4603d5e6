"""A world behind a real HTTP server: one a module for what leaves nothing behind, one a test for what does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, serving


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a served world that the tests of a module share: each leaves it as it was, or adds what is its own."""
    folder = tmp_path_factory.mktemp("served")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        yield served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """Give a served world of the test's own."""
    with serving(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as served:
        yield served


@pytest.fixture
def api_on_each_engine(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """Give a served world of the test's own, on each engine in turn."""
    with serving(database_url, tmp_path) as served:
        yield served

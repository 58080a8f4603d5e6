"""The rate of each caller, over HTTP."""

import pytest
from served import check_problem, evaluation, serving

from ledger.api import app
from ledger.api.rate import RateLimit

RATE = 4
PATHS = ("/access/v1/evaluation", "/access/v1/evaluations")


class Frozen:
    """A clock that stands still until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Frozen:
    return Frozen()


@pytest.fixture
def limited(tmp_path, monkeypatch, clock):
    """Give a served world whose callers may make 4 requests a second."""
    monkeypatch.setattr(app, "RateLimit", lambda _: RateLimit(RATE, clock=clock))
    with serving(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as served:
        yield served


@pytest.mark.parametrize("path", PATHS)
def test_over_its_rate_a_caller_is_told_when_to_come_back(limited, clock, path):
    """429 with Retry-After, before anything is read or written; after that time it is answered again."""
    for _ in range(RATE):
        assert limited.post(path, "trainer", evaluation()).status_code == 200
    before = limited.size
    for body in (evaluation(), b"no JSON"):
        response = limited.post(path, "trainer", body, headers={"X-Request-ID": "7"})
        problem = check_problem(response, 429)
        assert problem["detail"] == "over the limit of 4 requests a second"
        assert (response.headers["retry-after"], response.headers["x-request-id"]) == ("1", "7")
    assert limited.size == before
    assert limited.post(path, "gate", evaluation()).status_code == 200
    clock.now += 1
    assert limited.post(path, "trainer", evaluation()).status_code == 200


def test_all_that_takes_a_token_counts(limited):
    """Management and reading are counted with decisions; what takes no token is not counted."""
    for _ in range(RATE):
        limited.ok("datasets", "steward", {"id": f"data-{limited.size}", "title": "Radar"})
    check_problem(limited.send("GET", "/ledger/v1/entries", "steward"), 429)
    check_problem(limited.post("datasets", "steward", {"id": "sar", "title": "Radar"}), 429)
    for _ in range(2 * RATE):
        assert limited.http.get("/.well-known/authzen-configuration").status_code == 200

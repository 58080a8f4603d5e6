"""The rate of a caller: a bucket that fills as time goes by."""

import pytest

from ledger.api import rate
from ledger.api.rate import RateLimit
from ledger.errors import TooOften


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that goes only when it is told to."""
    return Clock()


def counted(limit: RateLimit, caller: str = "a") -> int:
    """Count as many requests as are let through, at most 1,000."""
    for number in range(1_000):
        try:
            limit.count(caller)
        except TooOften:
            return number
    return 1_000


def test_a_caller_may_ask_a_seconds_worth_at_once_and_then_at_its_rate(clock):
    """After silence as many pass as the rate is in a second, and then one for each part of it that went by."""
    limit = RateLimit(8, clock=clock)
    assert counted(limit) == 8
    clock.now += 1 / 8
    assert counted(limit) == 1
    clock.now += 1 / 2
    assert counted(limit) == 4
    clock.now += 1_000
    assert counted(limit) == 8


def test_a_caller_costs_another_nothing(clock):
    """Each has a bucket of its own."""
    limit = RateLimit(4, clock=clock)
    assert (counted(limit, "a"), counted(limit, "b"), counted(limit, "a")) == (4, 4, 0)


@pytest.mark.parametrize("per_second", [1, 3, 5_000])
def test_it_is_told_when_to_come_back(clock, per_second):
    """Whoever waits as long as it is told is let through; the wait is whole seconds, as the header's."""
    limit = RateLimit(per_second, clock=clock)
    while True:
        try:
            limit.count("a")
        except TooOften as error:
            told = error.retry_after
            break
    assert told == 1
    clock.now += told
    limit.count("a")


def test_what_is_kept_is_bounded(clock, monkeypatch):
    """Of more callers than are kept, the oldest is forgotten."""
    monkeypatch.setattr(rate, "MAX_CALLERS", 3)
    limit = RateLimit(1, clock=clock)
    for caller in "abcd":
        limit.count(caller)
    assert len(limit._full_at) == 3
    assert [counted(limit, caller) for caller in "bcd"] == [0, 0, 0]
    assert counted(limit, "a") == 1

"""What waits to be written. Whoever adds says when it is to be taken: a taker is woken once for many, not for each.

Waking a thread costs more than a decision does.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from ledger.errors import Unavailable


class Counted(Protocol):
    """Work, and for how much of it it counts."""

    count: int


T = TypeVar("T", bound=Counted)

MAX_WAITING = 20_000
"""Accepted and not yet taken; beyond it callers are told to come back, instead of waiting for seconds."""


class Intake(Generic[T]):
    """A queue that is taken from in batches. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._count = 0
        self._called = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: T) -> int:
        """Add work. Gives how many wait now. Raises Unavailable where there is too much already, or it is closed."""
        with self._changed:
            if self._closed:
                raise Unavailable("the service is shutting down")
            if self._count >= MAX_WAITING:
                raise Unavailable("too much is waiting to be written", help="try again in a second")
            self._waiting.append(work)
            self._count += work.count
            return len(self._waiting)

    def take(self, most: int) -> list[T]:
        """Take what waits, up to so much of it, but never a part of what was added as one."""
        taken: list[T] = []
        with self._changed:
            before = self._count
            while self._waiting and (not taken or before - self._count + self._waiting[0].count <= most):
                taken.append(self._waiting.popleft())
                self._count -= taken[-1].count
        return taken

    def put_back(self, work: Sequence[T]) -> None:
        """Put back what was taken, before everything else."""
        with self._changed:
            self._waiting.extendleft(reversed(work))
            self._count += sum(each.count for each in work)

    def call(self) -> None:
        """Have `wait` return, as long as there is something to take."""
        with self._changed:
            self._called = True
            self._changed.notify()

    def wait(self) -> bool:
        """Wait until there is something to take, and somebody called. False once it is closed and all was taken."""
        with self._changed:
            self._called = self._called and bool(self._waiting)
            while not (self._closed or (self._called and self._waiting)):
                self._called = False
                self._changed.wait()
            return bool(self._waiting)

    def close(self) -> None:
        """Accept nothing more; what waits is still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()

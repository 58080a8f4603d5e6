"""Worker processes that verify parts of a ledger, so that all cores take part.

A worker is this module as a program. It is told over its standard input where the ledger lies, then part after part,
and answers each on its standard output with a span, or null where it does not vouch for the part. A message is its
length as four bytes, big-endian, and MessagePack.

It shares nothing with its parent, opens the ledger itself, and ends when its input does: so when the parent ends,
however that came about.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import cycle
from typing import IO, Self, TypeVar

import msgspec

from ledger.errors import Unavailable
from ledger.log.verify import Span
from ledger.services.parts import Part, Place, part_reader, verify_run

PARTS_AHEAD = 2
"""Parts that each worker has been told of: one that it verifies, and one for when it is done."""

T = TypeVar("T")


class Worker:
    """A worker process. Use it as a context manager: at the end it is stopped."""

    def __init__(self, place: Place) -> None:
        path = os.pathsep.join(filter(None, sys.path))  # what this process imports from, and not the present folder
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ledger.services.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.send(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with suppress(BrokenPipeError):  # of what it was still to be told; it is waited for all the same
            self._process.__exit__(None, None, None)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def send(self, message: Part | Place) -> None:
        """Give it something to do. Raises Unavailable where it has ended."""
        try:
            _send(_pipe(self._process.stdin), message)
        except BrokenPipeError:
            raise _ended() from None

    def receive(self) -> Span | None:
        """Wait for its next answer. Raises Unavailable where it has ended."""
        try:
            return _receive(_pipe(self._process.stdout), Span | None)  # type: ignore[arg-type]  # a type to msgspec
        except EOFError:
            raise _ended() from None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the worker was started without its pipes")
    return pipe


def _ended() -> Unavailable:
    return Unavailable("a worker process ended before its work was done", help="--workers 1 does without")


Deal = Callable[[Iterable[Part]], Iterator[tuple[Part, Span | None]]]
"""Gives each part with its span, or None, in order."""


@contextmanager
def spans_by_workers(place: Place, count: int) -> Iterator[Deal]:
    """Start `count` worker processes, and deal parts to them. Raises Unavailable where one ends early."""
    with ExitStack() as stack:
        yield partial(_deal, [stack.enter_context(Worker(place)) for _ in range(count)])


def _deal(workers: Sequence[Worker], parts: Iterable[Part]) -> Iterator[tuple[Part, Span | None]]:
    under_way: deque[tuple[Part, Worker]] = deque()
    for part, worker in zip(parts, cycle(workers), strict=False):
        worker.send(part)
        under_way.append((part, worker))
        if len(under_way) == PARTS_AHEAD * len(workers):
            done, by = under_way.popleft()
            yield done, by.receive()
    for done, by in under_way:
        yield done, by.receive()


# In the worker --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Verify parts until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is heard of
    source, target = sys.stdin.buffer, sys.stdout.buffer
    try:
        with part_reader(_receive(source, Place)) as read:
            while True:
                _send(target, verify_run(read(_receive(source, Part))))
    except (EOFError, BrokenPipeError):
        os._exit(0)  # not by way of flushing to a pipe that nobody reads


def _send(target: IO[bytes], message: Part | Place | Span | None) -> None:
    data = msgspec.msgpack.encode(message)
    target.write(len(data).to_bytes(4) + data)
    target.flush()


def _receive(source: IO[bytes], form: type[T]) -> T:
    """Read a message. Raises EOFError where there is none."""
    length = int.from_bytes(_read(source, 4))
    return msgspec.msgpack.decode(_read(source, length), type=form)


def _read(source: IO[bytes], length: int) -> bytes:
    data = source.read(length)
    if len(data) != length:
        raise EOFError
    return data


if __name__ == "__main__":
    main()

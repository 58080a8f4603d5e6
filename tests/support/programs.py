"""Programs of this folder, each in a process of its own, with which a test speaks line by line.

This module is what a program imports first, so it imports nothing of ours.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60
"""Seconds after which a test gives up on what it waits for; nothing is measured by it."""

SUPPORT = Path(__file__).parent


class Program:
    """A program of this folder in a process of its own, spoken to line by line."""

    def __init__(self, name: str, *arguments: str) -> None:
        command = [sys.executable, str(SUPPORT / f"{name}.py"), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> list[str]:
        """Wait for the next line. Returns its words; none at the end."""
        return self.process.stdout.readline().split()

    def finish(self) -> list[list[str]]:
        """Close its input, and give the lines that it still prints. Raises AssertionError where it failed."""
        printed, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0
        return [line.split() for line in printed.splitlines()]


def say(*lines: object) -> None:
    """Print, in a program, what its starter is to hear."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


@contextmanager
def program(name: str, *arguments: str) -> Iterator[Program]:
    """Start a program; it is dead when this ends."""
    started = Program(name, *arguments)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate()

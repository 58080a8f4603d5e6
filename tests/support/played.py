"""Playing the demonstration as a process, and looking at what it printed and left."""

import os
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

TIMEOUT_SECONDS = 120


class Played(Struct, frozen=True):
    """How a demonstration ended."""

    returncode: int
    stdout: str
    stderr: str
    left: list[str]
    """What it left in its folder for temporary files."""


def play(folder: Path, *arguments: str) -> Played:
    """Run `oblik demo --exit` with temporary files below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    command = [sys.executable, "-m", "ledger.cli", "demo", "--exit", *arguments]
    done = subprocess.run(
        command,
        env={**kept, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    left = sorted(path.name for path in folder.iterdir())
    return Played(done.returncode, done.stdout, done.stderr, left)

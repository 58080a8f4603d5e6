"""The command `oblik` as a real process, and what a refusal of it looks like."""

import os
import subprocess
import sys
from pathlib import Path

from ledger.resources import folder

CHECKOUT = folder("alembic").parent


def oblik(*arguments: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; no setting is left from outside but those in `env`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli", *map(str, arguments)],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200", **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int) -> None:
    """Check that a command ended with its code, nothing on stdout, and one line on stderr that says why."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("oblik: "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "a fault" not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr

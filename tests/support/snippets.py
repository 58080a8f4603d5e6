"""Runs what the documents say: the `sh` blocks of Markdown files, in order, in one bash, as a reader would type them.

Blocks of other languages (`text`, `json`, `sql`) are shown, not run. Two things are not taken literally: the port
in an address becomes a free one, and `oblik serve`, for which a reader opens a second terminal, runs beside.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITTEN_PORT = "8080"
SECONDS = 180
"""Far beyond what any document takes: a script that hangs is to fail, not to stand."""

SERVE = """\
oblik serve --port {port} & serving=$!
trap 'kill -INT $serving; wait $serving || true' EXIT
curl --silent --output /dev/null --retry 100 --retry-delay 1 --retry-connrefused http://127.0.0.1:{port}/healthz
"""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(markdown: str, language: str) -> list[str]:
    """Give the fenced blocks of one language."""
    return [body for found, body in _BLOCK.findall(markdown) if found == language]


def read(name: str) -> str:
    """Read a document by its path in the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def require(*commands: str) -> None:
    """Skip the test on a machine that lacks what the document asks its reader to have."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        pytest.skip(f"the documents' commands need {', '.join(missing)}")


def script(pieces: Iterable[str], *, port: int) -> str:
    """Join pieces into a script that stops at the first command that fails."""
    text = "\n".join(pieces).replace(f":{WRITTEN_PORT}/", f":{port}/").replace(f":{WRITTEN_PORT}$", f":{port}$")
    return "set -euo pipefail\n" + re.sub(r"^oblik serve$", SERVE.format(port=port), text, flags=re.MULTILINE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(pieces: Iterable[str], *, scratch: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run pieces in the checkout's root, with the `oblik` of this interpreter. Folders they make lie in `scratch`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "TMPDIR": str(scratch)} | (
        env or {}
    )
    return subprocess.run(
        ["bash", "-c", script(pieces, port=free_port())],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def wait_until_up(address: str) -> None:
    """Wait until a service answers at `address`. Raises TimeoutError where none does."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(address).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(address)

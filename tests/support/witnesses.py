"""Witnesses in service: real `oblik witness serve` processes on free ports, which a test may kill and start again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
from small_log import ORIGIN, SmallLog

from ledger.log.cosignature import parse_vkey
from ledger.log.note import Verifier
from ledger.resources import folder

SECONDS = 60
CHECKOUT = folder("alembic").parent
CHECKPOINT_PATH = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ledger.cli", "witness", *map(str, arguments)]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200"}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `oblik witness …` to its end."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class WitnessProcess:
    """One process of a witness; `data` may be shared with others."""

    def __init__(self, data: Path, variables: dict[str, str] | None = None) -> None:
        self.data, self.environment = data, {**environment(), **(variables or {})}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=SECONDS)
        self.start()

    @property
    def verifiers(self) -> list[Verifier]:
        return [parse_vkey(vkey) for vkey in (self.data / "witness.vkeys").read_text().split()]

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ("--data", self.data, "--logs", self.data / "logs", "--port", self.port)
        with (self.data / f"{self.port}.stderr").open("ab") as stderr:
            self.process = subprocess.Popen(command("serve", *options), env=self.environment, stderr=stderr)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.http.get("/healthz").raise_for_status()
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(self.stderr)

    def kill(self) -> None:
        """End it at whatever instruction it is, as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(SECONDS)

    @property
    def stderr(self) -> str:
        return (self.data / f"{self.port}.stderr").read_text()

    def post(self, body: bytes) -> httpx.Response:
        return self.http.post("/add-checkpoint", content=body)

    def last(self) -> httpx.Response:
        return self.http.get(CHECKPOINT_PATH)


def make_witness(data: Path, *, name: str = "w.example/1") -> Path:
    """Make a witness that trusts the small log. Gives its folder."""
    done = run("init", "--name", name, "--data", data)
    assert done.returncode == 0, done.stderr
    (data / "logs").write_bytes(b"# trusted\n" + SmallLog().trusted)
    return data


@contextmanager
def witness_process(data: Path, variables: dict[str, str] | None = None) -> Iterator[WitnessProcess]:
    """Serve a witness; it is dead when this ends."""
    started = WitnessProcess(data, variables)
    try:
        yield started
    finally:
        started.http.close()
        if started.process.poll() is None:
            started.kill()

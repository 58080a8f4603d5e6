"""Decisions a second over HTTP, beside Cerbos with the same requests; it gets the facts with them, and records nothing.

Cerbos is run as its users run it: the binary of the npm package `cerbos`, a policy on disk, HTTP, no audit log. Ours
finds the facts itself, and has each decision durable and chained before its answer.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_decide_http import bodies
from figures import report
from filled import COUNTRIES, FIRST_DAY, LAST_DAY, TOKEN, open_filled, random_requests
from load import Load, generate, request_bytes
from servers import serving

PARTNERS, DATASETS, GRANTS = 500, 20, 10_000
CONNECTIONS, SECONDS, ROUNDS, REQUESTS = 16, 4.0, 5, 5_000
POLICY = Path(__file__).resolve().parent / "cerbos"
TIER = {"redacted": 4}
RELEASABLE = sorted({*COUNTRIES, "UKR"})


def main() -> None:
    if shutil.which("npm") is None:
        print("decide_vs_cerbos is skipped: install npm, with which Cerbos is fetched", file=sys.stderr)
        return
    requests = bodies(REQUESTS, partners=PARTNERS, datasets=DATASETS)
    same = list(cerbos_bodies(REQUESTS))
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        open_filled(data, partners=PARTNERS, datasets=DATASETS, grants=GRANTS).close()
        program = install(data / "cerbos")
        ours: list[Load] = []
        theirs: list[Load] = []
        for _ in range(ROUNDS):
            with cerbos(program, data) as port:
                theirs.append(generate(port, same, connections=CONNECTIONS, seconds=SECONDS, allows=b'"EFFECT_ALLOW"'))
            with serving("ledger.asgi:create_app", data=data, factory=True) as (port, _pid):
                ours.append(generate(port, requests, connections=CONNECTIONS, seconds=SECONDS))
    for load in (*ours, *theirs):
        if not 0.6 < load.allowed / load.answered < 0.73:
            raise RuntimeError("not two thirds were allowed: this measured something else")
    report("decide_vs_cerbos", [x.rate for x in ours], "decisions/s", "Cerbos", [x.rate for x in theirs])


def cerbos_bodies(count: int) -> Iterator[bytes]:
    """Give the same questions, each with the facts that the policy's conditions need."""
    for request in random_requests(count, partners=PARTNERS, datasets=DATASETS):
        offensive = request.purpose.startswith("offensive")
        parts = request.purpose.split(".")
        line = {"withdrawn": False, "releasable_to": RELEASABLE, "purposes": ["humanitarian"], "countries": RELEASABLE}
        during = {"starts": FIRST_DAY, "ends": LAST_DAY, "activities": ["train"], "environments": ["enclave"]}
        attributes = {
            "asked": {
                "tier": TIER[request.tier],
                "environment": request.environment,
                "country": request.country,
            },
            "purpose": {"path": [".".join(parts[: n + 1]) for n in range(len(parts))], "prohibited": offensive},
            "grant": {
                **during,
                "purpose": "humanitarian.demining",
                "tier": TIER["redacted"],
                "countries": [request.country],
                "revoked": False,
            },
            "agreement": {
                **during,
                "status": "in_force",
                "purposes": ["humanitarian"],
                "tier": TIER["redacted"],
                "countries": list(COUNTRIES),
            },
            "withdrawn": False,
            "releasable_to": RELEASABLE,
            "line": [line, line],
        }
        body = {
            "principal": {
                "id": request.subject_id,
                "roles": ["system"],
                "attr": {"status": "enrolled", "country": request.country},
            },
            "resources": [
                {
                    "actions": [request.action],
                    "resource": {"kind": "dataset", "id": request.resource_id, "attr": attributes},
                }
            ],
        }
        yield request_bytes("/api/check/resources", json.dumps(body).encode(), TOKEN)


def install(folder: Path) -> Path:
    """Fetch Cerbos. Gives its program."""
    folder.mkdir()
    command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), "cerbos"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(path for path in (folder / "node_modules" / "@cerbos").glob("*/cerbos-*") if path.is_file())


@contextmanager
def cerbos(program: Path, folder: Path) -> Iterator[int]:
    """Run a server over the policy. Gives its port."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    settings = {
        "server.httpListenAddr": f"127.0.0.1:{ports[0]}",
        "server.grpcListenAddr": f"127.0.0.1:{ports[1]}",
        "storage.driver": "disk",
        "storage.disk.directory": str(POLICY),
        "telemetry.disabled": "true",
    }
    command = [
        str(program),
        "server",
        "--log-level=error",
        *(f"--set={key}={value}" for key, value in settings.items()),
    ]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(process, ports[0])
            yield ports[0]
        finally:
            process.terminate()
            process.wait(20)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError(f"Cerbos ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("Cerbos did not come up")


if __name__ == "__main__":
    main()

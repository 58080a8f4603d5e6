"""Durable, chained decisions over HTTP at 32 connections, beside an endpoint that only validates.

On SQLite one process, on PostgreSQL two. A million grants, and requests spread evenly over them: next to none of the
grants asked for has been read before.
"""

import tempfile
from pathlib import Path

import msgspec
from figures import report
from filled import TOKEN, open_filled, random_requests
from load import Load, generate, request_bytes
from servers import databases, serving

from ledger.access.request import Request

PARTNERS, DATASETS, GRANTS = 5_000, 200, 1_000_000
CONNECTIONS, SECONDS, ROUNDS, REQUESTS = 32, 5.0, 5, 100_000
WORKERS = {"sqlite": 1, "postgresql": 2}
"""Processes of the service on each engine."""
SERVICE = "ledger.asgi:create_app"
PATH = "/access/v1/evaluation"


def entities(r: Request) -> dict[str, dict[str, object]]:
    """Give a request in the form that the standard has for it."""
    return {
        "subject": {"type": r.subject_type, "id": r.subject_id},
        "action": {"name": r.action},
        "resource": {"type": r.resource_type, "id": r.resource_id},
        "context": {
            "purpose": r.purpose,
            "tier": r.tier,
            "environment": {"kind": r.environment, "country": r.country},
        },
    }


def bodies(count: int, *, partners: int, datasets: int, receipt: bool = False) -> list[bytes]:
    """Give requests as a partner's system would send them; `receipt` asks for the decision's receipt, too."""
    made = []
    for r in random_requests(count, partners=partners, datasets=datasets):
        body = entities(r)
        if receipt:
            body["context"]["receipt"] = True
        made.append(request_bytes(PATH, msgspec.json.encode(body), TOKEN))
    return made


def main() -> None:
    requests = bodies(REQUESTS, partners=PARTNERS, datasets=DATASETS)
    with tempfile.TemporaryDirectory() as name:
        for engine, url in databases(Path(name)):
            data = Path(name) / engine
            data.mkdir()
            open_filled(data, partners=PARTNERS, datasets=DATASETS, grants=GRANTS, url=url).close()
            _measure(engine, data, url, requests, workers=WORKERS[engine])


def _measure(engine: str, data: Path, url: str, requests: list[bytes], *, workers: int) -> None:
    ours: list[Load] = []
    theirs: list[Load] = []
    settings = {"OBLIK_DATABASE_URL": url}
    for _ in range(ROUNDS):
        with serving("servers:baseline") as (port, _pid):
            theirs.append(generate(port, requests, connections=CONNECTIONS, seconds=SECONDS))
        with serving(SERVICE, data=data, factory=True, settings=settings, workers=workers) as (port, _pid):
            ours.append(generate(port, requests, connections=CONNECTIONS, seconds=SECONDS))
    share = sum(load.allowed for load in ours) / sum(load.answered for load in ours)
    if not 0.6 < share < 0.73:
        raise RuntimeError(f"{share:.0%} of the decisions were allowed, not two thirds: this measured something else")
    baseline = "FastAPI endpoint that validates the same body and returns a constant"
    bench = f"decide_http_{engine}_{workers}"
    report(bench, [x.rate for x in ours], "decisions/s", baseline, [x.rate for x in theirs])
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        mine, other = ([x.percentile(share) * 1e3 for x in loads] for loads in (ours, theirs))
        report(f"{bench}_{label}", mine, "ms", f"{label} of the same endpoint", other)

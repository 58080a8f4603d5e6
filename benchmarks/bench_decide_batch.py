"""Durable, chained decisions over HTTP, 100 a request, on SQLite, beside an endpoint that only validates the same."""

import tempfile
from pathlib import Path

import msgspec
from bench_decide_http import DATASETS, GRANTS, PARTNERS, ROUNDS, SECONDS, entities
from figures import report
from filled import TOKEN, open_filled, random_requests
from load import Load, generate, request_bytes
from servers import serving

CONNECTIONS, EACH, BATCHES = 8, 100, 1_000
PATH = "/access/v1/evaluations"


def bodies(count: int) -> list[bytes]:
    """Give batches as a partner's system would send them: each item with entities of its own."""
    made = []
    asked = random_requests(count * EACH, partners=PARTNERS, datasets=DATASETS)
    items = [entities(request) for request in asked]
    for start in range(0, len(items), EACH):
        body = {"evaluations": items[start : start + EACH]}
        made.append(request_bytes(PATH, msgspec.json.encode(body), TOKEN))
    return made


def main() -> None:
    requests = bodies(BATCHES)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        open_filled(data, partners=PARTNERS, datasets=DATASETS, grants=GRANTS).close()
        ours: list[Load] = []
        theirs: list[Load] = []
        for _ in range(ROUNDS):
            with serving("servers:baseline") as (port, _pid):
                theirs.append(generate(port, requests, connections=CONNECTIONS, seconds=SECONDS))
            with serving("ledger.asgi:create_app", data=data, factory=True) as (port, _pid):
                ours.append(generate(port, requests, connections=CONNECTIONS, seconds=SECONDS))
    answered = sum(load.answered for load in ours)
    share = sum(load.allowed for load in ours) / (answered * EACH)
    if not 0.6 < share < 0.73:
        raise RuntimeError(f"{share:.0%} of the decisions were allowed, not two thirds: this measured something else")
    baseline = "FastAPI endpoint that validates the same body and returns constants"
    report("decide_batch", [x.rate * EACH for x in ours], "decisions/s", baseline, [x.rate * EACH for x in theirs])
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        mine, other = ([x.percentile(share) * 1e3 for x in loads] for loads in (ours, theirs))
        report(f"decide_batch_{label}", mine, "ms a request", f"{label} of the same endpoint", other)

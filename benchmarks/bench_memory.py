"""The resident size of the service with a million grants, and so a million entries and more, after a load on them."""

import tempfile
from pathlib import Path

from bench_decide_http import bodies
from figures import report
from filled import open_filled
from load import generate
from servers import resident_bytes, serving

PARTNERS, DATASETS, GRANTS = 5_000, 200, 1_000_000


def main() -> None:
    requests = bodies(20_000, partners=PARTNERS, datasets=DATASETS)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        open_filled(data, partners=PARTNERS, datasets=DATASETS, grants=GRANTS).close()
        with serving("servers:baseline") as (port, pid):
            generate(port, requests, connections=32, seconds=5)
            base = resident_bytes(pid)
        with serving("ledger.asgi:create_app", data=data, factory=True) as (port, pid):
            load = generate(port, requests, connections=32, seconds=20)
            mine = resident_bytes(pid)
    if not load.answered:
        raise RuntimeError("nothing was answered")
    report("memory", [mine / 1e6], "MB resident", "the endpoint that returns a constant", [base / 1e6])

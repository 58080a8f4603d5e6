"""Decisions over HTTP at 32 connections on SQLite, each with its receipt in the answer, beside the same without."""

import tempfile
from pathlib import Path

from bench_decide_http import bodies
from figures import report
from filled import open_filled
from load import Load, generate
from servers import serving

PARTNERS, DATASETS, GRANTS = 500, 20, 10_000
CONNECTIONS, SECONDS, ROUNDS = 32, 4.0, 5


def main() -> None:
    plain, with_receipt = (bodies(5_000, partners=PARTNERS, datasets=DATASETS, receipt=wish) for wish in (False, True))
    rounds: list[tuple[Load, Load]] = []
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        open_filled(data, partners=PARTNERS, datasets=DATASETS, grants=GRANTS).close()
        for _ in range(ROUNDS):
            with serving("ledger.asgi:create_app", data=data, factory=True) as (port, _pid):
                first, second = (
                    generate(port, requests, connections=CONNECTIONS, seconds=SECONDS)
                    for requests in (plain, with_receipt)
                )
                rounds.append((first, second))
    if any(ours.receipts != ours.answered or theirs.receipts for theirs, ours in rounds):
        raise RuntimeError("the receipts are not where they were asked for: this measured something else")
    theirs, ours = zip(*rounds, strict=True)
    baseline = "the same decisions without receipts"
    report("receipt", [x.rate for x in ours], "decisions/s", baseline, [x.rate for x in theirs])
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        mine, other = ([x.percentile(share) * 1e3 for x in loads] for loads in (ours, theirs))
        report(f"receipt_{label}", mine, "ms", f"{label} of {baseline}", other)

"""A decision in process, facts read from SQLite, beside the same grants as policy rows of a plain Casbin enforcer.

Casbin goes through its rows for each question, so this shows what becomes of it as grants grow. It checks who, what,
which activity, tier, purpose, environment and country, with plain comparisons; ours checks all clauses of the policy.
Nothing is written on either side.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import casbin
import sqlalchemy as sa
from figures import report
from filled import COUNTRIES, OWNER, TOKEN, open_filled, random_requests

from ledger.access.request import Request
from ledger.log.entry import format_time
from ledger.services.caller import hash_token
from ledger.services.decisions import Evaluator, Question
from ledger.storage.tail import read_state_seq

SIZES = {1_000: (50, 20), 10_000: (500, 20), 100_000: (2_500, 40)}
"""Grants: (partners, datasets)."""
ROUNDS, SECONDS, MAX_QUESTIONS, TOGETHER = 5, 1.0, 5_000, 32

MODEL = """
[request_definition]
r = org, res, act, tier, purpose, env, country
[policy_definition]
p = org, res, act, tier, purpose, env, country
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.org == p.org && r.res == p.res && r.act == p.act && r.tier == p.tier && r.purpose == p.purpose && \
r.env == p.env && r.country == p.country
"""


def main() -> None:
    for grants, (partners, datasets) in SIZES.items():
        requests = list(random_requests(MAX_QUESTIONS, partners=partners, datasets=datasets))
        enforcer = enforcer_with(partners, datasets)
        with tempfile.TemporaryDirectory() as name:
            service = open_filled(Path(name), partners=partners, datasets=datasets, grants=grants)
            ours, theirs = [], []
            with service.engine.connect() as connection:
                for _ in range(ROUNDS):
                    theirs.append(rate(requests, 1, partial(enforce, enforcer)))
                    ours.append(rate(requests, TOGETHER, deciding(connection, format_time(service.clock()))))
            service.close()
        report(f"decide_vs_casbin_{grants}", ours, "decisions/s", f"Casbin, {grants:,} policy rows", theirs)


def deciding(connection: sa.Connection, now: str) -> Callable[[Sequence[Request]], None]:
    """Give what decides as the service does, from a reader that remembers nothing yet."""
    evaluate, state_seq, token_hash = Evaluator(owner=OWNER), read_state_seq(connection), hash_token(TOKEN)

    def decide(some: Sequence[Request]) -> None:
        evaluate(connection, [Question(token_hash, request) for request in some], now=now, state_seq=state_seq)

    return decide


def enforcer_with(partners: int, datasets: int) -> casbin.Enforcer:
    """Give a plain enforcer with a row for each grant."""
    model = casbin.Model()
    model.load_model_from_text(MODEL)
    enforcer = casbin.Enforcer(model)
    for partner, dataset in itertools.product(range(partners), range(datasets)):
        row = [f"partner-{partner}", f"data-{dataset}", "train", "redacted", "humanitarian.demining", "enclave"]
        enforcer.model.add_policy("p", "p", [*row, COUNTRIES[partner % len(COUNTRIES)]])
    return enforcer


def enforce(enforcer: Any, some: Sequence[Request]) -> None:
    for r in some:
        enforcer.enforce(r.org, r.resource_id, r.action, r.tier, r.purpose, r.environment, r.country)


def rate(requests: Sequence[Request], together: int, decide: Callable[[Sequence[Request]], None]) -> float:
    """Decide for a second, so many at a time; give decisions a second."""
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        start = done % (len(requests) - together)
        decide(requests[start : start + together])
        done += together
    return done / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()

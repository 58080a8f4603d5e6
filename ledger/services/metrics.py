"""What the service measures of itself, in Prometheus's terms.

Counts are added once for each batch, not for each decision, since adding costs as much as a clause does. What a
database knows (sizes) is read when somebody asks for the metrics.
"""

from collections import Counter as Tally
from collections.abc import Sequence

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ledger.errors import OblikError
from ledger.events.decisions import DecisionRecorded, MountedDecisionRecorded
from ledger.storage.batch import Answered, Timing
from ledger.storage.publication import read_publication
from ledger.storage.reading import read_head

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)
ENTRIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one process. Thread-safe."""

    def __init__(self, *, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        self._decisions = Counter("oblik_decisions", "Decisions by outcome.", ["outcome"], registry=registry)
        self._refusals = Counter(
            "oblik_clause_refusals", "Denies by clause that refused.", ["clause"], registry=registry
        )
        self._unanswered = Counter(
            "oblik_questions_refused", "Questions that got an error instead of a decision.", ["kind"], registry=registry
        )
        self._again = Counter(
            "oblik_batches_evaluated_again", "Batches whose state moved before the lock (I4).", registry=registry
        )
        self._failed = Counter("oblik_batches_failed", "Batches not known to be written.", registry=registry)
        self._size = Histogram("oblik_batch_entries", "Entries in a batch.", buckets=ENTRIES, registry=registry)
        self._waited = Histogram(
            "oblik_head_lock_wait_seconds", "Waiting for the head's lock.", buckets=SECONDS, registry=registry
        )
        self._committed = Histogram("oblik_commit_seconds", "Committing a batch.", buckets=SECONDS, registry=registry)
        self._entries = Gauge("oblik_ledger_entries", "Entries in the ledger.", registry=registry)
        self._behind = Gauge(
            "oblik_publication_lag_entries", "Entries that no signed checkpoint covers yet.", registry=registry
        )
        self._unseen = Gauge(
            "oblik_witness_lag_entries", "Entries that the checkpoint shown to all does not cover.", registry=registry
        )
        Gauge("oblik_build_info", "The program's version.", ["version"], registry=registry).labels(version).set(1)

    def batch(self, answers: Sequence[Answered], entries: int, timing: Timing) -> None:
        """Take in a batch that was committed."""
        self._size.observe(entries)
        self._waited.observe(timing.waited)
        self._committed.observe(timing.committed)
        if timing.evaluated_again:
            self._again.inc()
        for (family, label), count in _tally(answers).items():
            getattr(self, family).labels(label).inc(count)

    def failure(self) -> None:
        """Take in a batch that is not known to be written."""
        self._failed.inc()

    def exposition(self, connection: sa.Connection) -> bytes:
        """Give all figures in Prometheus's text format."""
        head, publication = read_head(connection), read_publication(connection)
        self._entries.set(head.size)
        self._behind.set(head.size - (publication.size if publication is not None else 0))
        self._unseen.set(head.size - (publication.public_size if publication is not None else 0))
        return generate_latest(self._registry)


def _tally(answers: Sequence[Answered]) -> Tally[tuple[str, str]]:
    found: Tally[tuple[str, str]] = Tally()
    for answer in answers:
        if isinstance(answer, OblikError):
            found["_unanswered", type(answer).__name__] += 1
        elif answer is not None and isinstance(answer.event, DecisionRecorded | MountedDecisionRecorded):
            found["_decisions", "allow" if answer.event.allowed else "deny"] += 1
            for clause in _refusing(answer.event):
                found["_refusals", clause] += 1
    return found


def _refusing(event: DecisionRecorded | MountedDecisionRecorded) -> tuple[str, ...]:
    """Give the clauses that refused; a mounted policy has rows in their place, which are not counted."""
    return event.failed if isinstance(event, DecisionRecorded) else ()

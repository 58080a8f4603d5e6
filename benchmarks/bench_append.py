"""Entries a second through the sequencer, in bulk, beside a bare insert of the same bytes in like batches."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from figures import report
from filled import OWNER, append_all
from servers import databases

from ledger.bootstrap import open_service
from ledger.events.decisions import Asked, DecisionRecorded
from ledger.keys import create_keys
from ledger.log.note import format_vkey
from ledger.services.setup import open_ledger
from ledger.settings import Settings
from ledger.storage.engine import insert_rows, open_engine
from ledger.storage.reading import read_entries
from ledger.storage.schema import upgrade_schema

ENTRIES, ROUNDS = 40_000, 5
BATCH = 2_000


def decision(number: int) -> DecisionRecorded:
    """Give a decision of about 650 bytes as an entry, over 200 partners and 50 datasets."""
    org = f"partner-{number % 200}"
    return DecisionRecorded(
        asked=Asked(
            action="train",
            country="JPN",
            environment="enclave",
            purpose="humanitarian.demining",
            resource=f"dataset:data-{number % 50}",
            subject=f"system:{org}/trainer-1",
            tier="redacted",
        ),
        org=org,
        allowed=True,
        failed=(),
        rests_on=(7, 29, 31, 32, 35, 37),
        policy="9f" * 32,
        evaluated_at="2026-11-21T09:30:00.123456Z",
        state_seq=37,
        grant=f"grant-{number % 1000}",
        version=f"dataset:data-{number % 50}@redacted-1",
    )


def measure(name: str, url: str, data: Path) -> None:
    settings = Settings(data=data, database_url=url)
    engine = open_engine(url)
    upgrade_schema(engine)
    vkeys = [format_vkey(signer) for signer in create_keys(settings.keys, origin="bench.example/log")]
    open_ledger(engine, origin="bench.example/log", owner=OWNER, administrator="a", vkeys=vkeys, now=datetime.now(UTC))
    service = open_service(settings)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bare (seq bigint PRIMARY KEY, leaf bytea, data bytea)")
    values, bases = [], []
    for _ in range(ROUNDS):
        values.append(_ours(service))
        bases.append(_bare(engine))
    service.close()
    engine.dispose()
    report(f"append_{name}", values, "entries/s", "bare insert of the same bytes, unchained", bases)


def _ours(service) -> float:
    events = [decision(number) for number in range(ENTRIES)]
    begin = time.perf_counter()
    append_all(service, events)
    return ENTRIES / (time.perf_counter() - begin)


def _bare(engine: sa.Engine) -> float:
    """Insert the last entries again into a table that is nothing but a table."""
    with engine.connect() as connection:
        size = connection.exec_driver_sql("SELECT size FROM head").scalar_one()
        rows = [(e.seq, e.leaf, e.data) for e in read_entries(connection, size - ENTRIES, size)]
    begin = time.perf_counter()
    with engine.connect() as connection:
        for start in range(0, ENTRIES, BATCH):
            with connection.begin():
                insert_rows(connection, "bare", rows[start : start + BATCH])
    return ENTRIES / (time.perf_counter() - begin)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        for engine, url in databases(data):
            measure(engine, url, data / engine)

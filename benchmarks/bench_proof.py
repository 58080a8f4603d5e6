"""An inclusion proof from the database at ten million entries, beside the same at ten thousand, on SQLite.

    OBLIK_BENCH_ENTRIES=1000000 python benchmarks/run.py proof

The entries are numbers of 100 bytes, so that ten million of them fit into the memory of a small machine; decisions are
six times as long, and where a ledger does not fit, a proof costs the disk's time besides. They are written past the
sequencer, with the leaf hashes, the tree's rows and the head that it would have written. Each proof is of a random
entry, made as the API makes it, on a connection of the pool; the two sizes take turns, and every proof is checked,
beside the clock.
"""

import os
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

import sqlalchemy as sa
from figures import report
from filled import OWNER

from ledger.keys import create_keys
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.log.note import format_vkey
from ledger.log.proof import check_inclusion
from ledger.services.reading import inclusion_proof
from ledger.services.setup import open_ledger
from ledger.storage.engine import insert_entries, open_engine
from ledger.storage.schema import upgrade_schema
from ledger.storage.tables import HeadRow, SubtreeRow, table

HEAD, SUBTREE = table(HeadRow), table(SubtreeRow)

ENTRIES = int(os.environ.get("OBLIK_BENCH_ENTRIES", "10000000"))
FEW_ENTRIES, ENTRY_BYTES = 10_000, 100
PROOFS, ROUNDS = 2_000, 5
ENTRIES_A_TRANSACTION = 100_000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        few, many = (_filled(Path(name) / str(size), size) for size in (FEW_ENTRIES, ENTRIES))
        rounds = [_measure(few, many) for _ in range(ROUNDS)]
        few.dispose()
        many.dispose()
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        bases, values = ([_percentile(times, share) * 1e3 for times in side] for side in zip(*rounds, strict=True))
        report(f"proof_{label}", values, f"ms at {ENTRIES:,} entries", f"{label} at {FEW_ENTRIES:,} entries", bases)


def _measure(few: sa.Engine, many: sa.Engine) -> tuple[list[float], list[float]]:
    """Give the seconds of each proof, at the small size and at the large one."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(PROOFS):
        times[0].append(_prove(few, random.randrange(FEW_ENTRIES)))
        times[1].append(_prove(many, random.randrange(ENTRIES)))
    return times


def _prove(engine: sa.Engine, index: int) -> float:
    begin = time.perf_counter()
    with engine.connect() as connection:
        proof = inclusion_proof(connection, index=index, size=None)
    end = time.perf_counter()
    check_inclusion(index, proof.size, proof.leaf, proof.hashes, proof.root)
    return end - begin


def _percentile(times: list[float], share: float) -> float:
    return quantiles(times, n=100)[round(share * 100) - 1]


def _filled(data: Path, size: int) -> sa.Engine:
    """Make a ledger of so many entries."""
    data.mkdir()
    engine = open_engine(f"sqlite:///{data / 'ledger.db'}")
    upgrade_schema(engine)
    vkeys = [format_vkey(signer) for signer in create_keys(data / "keys", origin="bench.example/log")]
    now = datetime.now(UTC)
    open_ledger(engine, origin="bench.example/log", owner=OWNER, administrator="a", vkeys=vkeys, now=now)
    with engine.connect() as connection:
        head = connection.execute(HEAD.select()).one()
    edge = CompactRange.unpack(head.size, head.edge)
    while edge.size < size:
        with engine.begin() as connection:
            _fill(connection, edge, min(edge.size + ENTRIES_A_TRANSACTION, size))
    return engine


def _fill(connection: sa.Connection, edge: CompactRange, stop: int) -> None:
    rows, above = [], []
    for seq in range(edge.size, stop):
        data = b"%0*d" % (ENTRY_BYTES, seq)
        leaf = hash_leaf(data)
        rows.append((seq, leaf, data))
        above += [{"level": level, "index": index, "hash": node} for level, index, node in edge.append(leaf)]
    insert_entries(connection, rows)
    if above:
        connection.execute(SUBTREE.insert(), above)
    connection.execute(HEAD.update(), {"size": edge.size, "leaf": rows[-1][1], "edge": edge.pack()})

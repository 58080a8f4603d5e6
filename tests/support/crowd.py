"""A process of many threads that append to one ledger: `crowd.py <database url> <name> <threads>`.

For each line on its standard input, a number, every thread appends once; it prints `done` when all were answered.
At the end it prints `<index> <dataset id>` for each entry that was acknowledged.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from programs import PATIENCE, say

from ledger.events.data import DatasetRegistered
from ledger.storage.engine import open_engine
from ledger.storage.sequencer import Sequencer
from ledger.storage.transaction import Transaction


def refuse(*_, **__) -> list:
    raise NotImplementedError


def main(url: str, name: str, threads: str) -> None:
    engine = open_engine(url)
    sequencer = Sequencer(engine, evaluate=refuse, clock=lambda: datetime.now(UTC))
    acknowledged: list[tuple[int, str]] = []

    def append(thread: int, number: int) -> None:
        names = [f"{name}-{thread}-{number}-{part}" for part in range(1 + (thread + number) % 3)]
        acknowledged.extend(sequencer.submit(lambda tx: register(tx, names)).result(PATIENCE))

    say("ready")
    with ThreadPoolExecutor(int(threads)) as pool:
        for line in sys.stdin:
            list(pool.map(append, range(int(threads)), [int(line)] * int(threads)))
            say("done")
    sequencer.close()
    engine.dispose()
    say(*(f"{index} {dataset}" for index, dataset in acknowledged))


def register(tx: Transaction, names: list[str]) -> list[tuple[int, str]]:
    """Append one entry for each name, in streams that are its own and in one that everyone writes to."""
    by = {"org": "mod-ua", "system": "crowd"}
    return [(tx.append(DatasetRegistered(id=name, owner="mod-ua", title=name * 3), by), name) for name in names]


if __name__ == "__main__":
    main(*sys.argv[1:])

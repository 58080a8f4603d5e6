"""A process of many threads that append to one ledger: `crowd.py <database url> <name> <threads> <batches each>`.

It prints `ready`, waits for a line, and prints `<index> <dataset id>` for each entry that was acknowledged.
"""

import sys
import threading
from datetime import UTC, datetime

from ledger.events.data import DatasetRegistered
from ledger.storage.engine import open_engine
from ledger.storage.sequencer import Sequencer
from ledger.storage.transaction import Transaction

PATIENCE = 60


def refuse(*_, **__) -> list:
    raise NotImplementedError


def main(url: str, name: str, threads: str, batches: str) -> None:
    engine = open_engine(url)
    sequencer = Sequencer(engine, evaluate=refuse, clock=lambda: datetime.now(UTC))
    acknowledged: list[tuple[int, str]] = []

    def append(thread: int) -> None:
        for number in range(int(batches)):
            names = [f"{name}-{thread}-{number}-{part}" for part in range(1 + (thread + number) % 3)]
            acknowledged.extend(sequencer.submit(lambda tx, names=names: register(tx, names)).result(PATIENCE))

    crowd = [threading.Thread(target=append, args=(thread,)) for thread in range(int(threads))]
    print("ready", flush=True)
    sys.stdin.readline()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    sequencer.close()
    engine.dispose()
    for index, dataset in acknowledged:
        print(index, dataset)


def register(tx: Transaction, names: list[str]) -> list[tuple[int, str]]:
    """Append one entry for each name, in streams that are its own and in one that everyone writes to."""
    by = {"org": "mod-ua", "system": "crowd"}
    return [(tx.append(DatasetRegistered(id=name, owner="mod-ua", title=name * 3), by), name) for name in names]


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Brings up writers that are to be killed: `nursery.py <database url>`.

For each line on its standard input it forks a writer, which costs milliseconds where a new interpreter costs a second.
The writer prints `born <pid>`, then appends for ever, and prints `<index> <dataset id>` for each entry that was
acknowledged. Once it is dead, the nursery prints `dead <signal>`.
"""

import itertools
import os
import secrets
import sys
import threading
from datetime import UTC, datetime

from crowd import refuse, register

from ledger.storage.engine import open_engine
from ledger.storage.sequencer import Sequencer

THREADS = 3


def main(url: str) -> None:
    os.write(1, b"ready\n")
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            write_for_ever(url)
        _, status = os.waitpid(pid, 0)
        os.write(1, f"dead {os.WTERMSIG(status)}\n".encode())


def write_for_ever(url: str) -> None:
    os.write(1, f"born {os.getpid()}\n".encode())
    sequencer = Sequencer(open_engine(url), evaluate=refuse, clock=lambda: datetime.now(UTC))
    writers = [threading.Thread(target=write, args=(sequencer,)) for _ in range(THREADS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    os._exit(1)


def write(sequencer: Sequencer) -> None:
    name = secrets.token_hex(6)
    for number in itertools.count():
        names = [f"{name}-{number}-{part}" for part in range(1 + number % 3)]
        for index, dataset in sequencer.submit(lambda tx, names=names: register(tx, names)).result():
            os.write(1, f"{index} {dataset}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Brings up writers that are to be killed: `nursery.py <database url> <data folder>`.

For each line on its standard input it forks a writer, which costs milliseconds where a new interpreter costs a second.
The writer prints `born <pid>`, then appends and publishes for ever. It prints `acknowledged <index> <dataset id>` for
each entry that was acknowledged, `published <size> <root>` for each checkpoint once it may be given out, and `fault`
where none could be published. Once it is dead, the nursery prints `dead <signal>`.
"""

import itertools
import os
import secrets
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from crowd import refuse, register

from ledger.bootstrap import load_signers
from ledger.services.publishing import Publisher, publish
from ledger.services.setup import read_opening
from ledger.settings import Settings
from ledger.storage.anchor import Anchor
from ledger.storage.engine import open_engine
from ledger.storage.publication import Publication
from ledger.storage.sequencer import Sequencer

THREADS = 3
PUBLISH_SECONDS = 0.002
"""So often that deaths come at each step of it."""

Publish = Callable[[sa.Engine], Publication]


def main(url: str, data: str) -> None:
    publish_now = load(Settings(data=Path(data), database_url=url))
    os.write(1, b"ready\n")
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            write_for_ever(url, publish_now)
        _, status = os.waitpid(pid, 0)
        os.write(1, f"dead {os.WTERMSIG(status)}\n".encode())


def load(settings: Settings) -> Publish:
    engine = open_engine(settings.database_url)
    with engine.connect() as connection:
        origin, signers = read_opening(connection).origin, load_signers(settings, connection)
    engine.dispose()  # connections do not outlive a fork
    return partial(publish, origin=origin, signers=signers, anchor=Anchor(settings.anchor), show=True)


def write_for_ever(url: str, publish_now: Publish) -> None:
    os.write(1, f"born {os.getpid()}\n".encode())
    engine = open_engine(url)
    sequencer = Sequencer(engine, evaluate=refuse, clock=lambda: datetime.now(UTC))
    telling = partial(publish_and_tell, engine, publish_now)
    Publisher(telling, interval=PUBLISH_SECONDS, leads=lambda: True, notify=lambda _: None)
    writers = [threading.Thread(target=write, args=(sequencer,)) for _ in range(THREADS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    os._exit(1)


def publish_and_tell(engine: sa.Engine, publish_now: Publish) -> Publication:
    try:
        published = publish_now(engine)
    except BaseException:
        os.write(1, b"fault\n")
        raise
    os.write(1, f"published {published.size} {published.root.hex()}\n".encode())
    return published


def write(sequencer: Sequencer) -> None:
    name = secrets.token_hex(6)
    for number in itertools.count():
        names = [f"{name}-{number}-{part}" for part in range(1 + number % 3)]
        for index, dataset in sequencer.submit(lambda tx, names=names: register(tx, names)).result():
            os.write(1, f"acknowledged {index} {dataset}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])

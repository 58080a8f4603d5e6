"""Asks for decisions for as long as its standard input is open: `asker.py <folder> <database url> <threads>`.

At the end it prints `<index> <allow or deny> <grant or ->` for each answer, as the caller was told.
"""

import sys
import threading
from pathlib import Path

from programs import PATIENCE, say
from world import Clock, question

from ledger.bootstrap import open_service
from ledger.settings import Settings


def main(folder: str, url: str, threads: str) -> None:
    service = open_service(Settings(data=Path(folder), database_url=url), clock=Clock())
    told: list[str] = []
    closed = threading.Event()

    def ask() -> None:
        while not closed.is_set():
            seq, draft = service.sequencer.ask_from_thread(question()).result(PATIENCE)
            decision = draft.answer.decision
            told.append(f"{seq} {'allow' if decision.allowed else 'deny'} {decision.grant or '-'}")

    askers = [threading.Thread(target=ask) for _ in range(int(threads))]
    say("ready")
    for asker in askers:
        asker.start()
    sys.stdin.read()
    closed.set()
    for asker in askers:
        asker.join()
    service.close()
    say(*told)


if __name__ == "__main__":
    main(*sys.argv[1:])

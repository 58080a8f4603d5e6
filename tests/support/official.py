"""An official at another machine: `official.py <folder> <database url>`.

For each line on its standard input, the id of a grant, it revokes that grant and prints the index.
"""

import sys
from pathlib import Path

from programs import PATIENCE, say
from world import BY, Clock, revocation

from ledger.bootstrap import open_service
from ledger.settings import Settings


def main(folder: str, url: str) -> None:
    service = open_service(Settings(data=Path(folder), database_url=url), clock=Clock())
    say("ready")
    for line in sys.stdin:
        event = revocation(line.strip())
        say(service.sequencer.submit(lambda tx, event=event: tx.append(event, BY)).result(PATIENCE))
    service.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

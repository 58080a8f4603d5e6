"""Looks at a ledger from outside: `onlooker.py <database url>`.

For each index on its standard input it prints the SHA-256 of the bytes that another process finds committed there, or
`nothing`.
"""

import hashlib
import sys

import sqlalchemy as sa
from programs import say

from ledger.storage.engine import open_engine

QUERY = sa.text("SELECT data FROM entry WHERE seq = :seq")


def main(url: str) -> None:
    engine = open_engine(url)
    say("ready")
    for line in sys.stdin:
        with engine.connect() as connection:
            data = connection.execute(QUERY, {"seq": int(line)}).scalar_one_or_none()
        say("nothing" if data is None else hashlib.sha256(data).hexdigest())
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A small ledger for the tests of this layer."""

from collections.abc import Sequence

import pytest

from ledger.log.entry import GENESIS_PREV, Entry, format_entry
from ledger.log.merkle import hash_leaf


def make_chain(count: int) -> list[bytes]:
    """Give `count` entries in three interleaved streams, some with a sealed field."""
    prev, streams, chain = GENESIS_PREV, {}, []
    for seq in range(count):
        names = [f"org:o{seq % 2}", *(["dataset:d"] if seq % 3 == 0 else [])]
        about = {name: streams.get(name, (0, -1)) for name in names}
        entry = Entry(
            about=about,
            at=f"2026-11-21T09:30:{seq // 2:02d}.000000Z",
            body={"n": seq, "notes": ["a", {"b": None}], "ok": seq % 2 == 0},
            by={"person": f"p{seq}"},
            kind="test.made",
            prev=prev.hex(),
            sealed={"reason": "A" * 43} if seq % 4 == 1 else {},
            seq=seq,
            v=1,
        )
        streams |= {name: (ordinal + 1, seq) for name, (ordinal, _) in about.items()}
        chain.append(format_entry(entry))
        prev = hash_leaf(chain[-1])
    return chain


@pytest.fixture(scope="session")
def chain() -> Sequence[bytes]:
    return tuple(make_chain(12))

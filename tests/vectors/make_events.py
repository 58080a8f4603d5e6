"""Write `events.json`: see README.md. Run from the checkout as `PYTHONPATH=.:tests/support python <this file>`."""

import json
import sys
from pathlib import Path

from examples import EXAMPLES, Example
from ledger.events import CATALOGUE
from ledger.log.entry import Entry, format_entry
from ledger.log.merkle import hash_leaf
from ledger.log.sealed import seal

SEQ, AT, PREV, SALT = 17, "2026-11-21T09:30:00.123456Z", "ab" * 32, bytes(range(16))

VECTORS = Path(__file__).with_name("events.json")


def entry_of(example: Example) -> bytes:
    """Give the canonical bytes of an example's entry, at a fixed place in a ledger."""
    entry = Entry(
        about=dict.fromkeys(example.event.streams(), (3, 12)),
        at=AT,
        body=example.event,
        by=dict(example.by),
        kind=example.event.KIND,
        prev=PREV,
        sealed={name: seal(name, value, SALT)[0] for name, value in example.sensitive.items()},
        seq=SEQ,
        v=example.event.VERSION,
    )
    return format_entry(entry)


def vectors() -> dict[str, dict[str, str]]:
    """Give entry and leaf hash of every example, by kind and version, in the catalogue's order."""
    made = {(example.event.KIND, example.event.VERSION): entry_of(example) for example in EXAMPLES}
    return {
        f"{kind} v{version}": {"entry": made[kind, version].decode(), "leaf": hash_leaf(made[kind, version]).hex()}
        for kind, version in CATALOGUE
        if (kind, version) in made
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {VECTORS.name}\n")

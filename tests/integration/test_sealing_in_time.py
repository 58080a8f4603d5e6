"""Streams are sealed by the service itself, at an interval, and only where something was written."""

import threading
from dataclasses import replace

from world import OWNER, World, open_world

from ledger.bootstrap import open_service
from ledger.events.registry import MemberAppointed
from ledger.log.entry import parse_entry
from ledger.storage.reading import read_entries, read_head

EVENT = MemberAppointed(org=OWNER, person="p", roles=("auditor",))


def seals(world: World) -> list[int]:
    with world.service.engine.connect() as connection:
        entries = list(read_entries(connection, 0, read_head(connection).size))
    return [stored.seq for stored in entries if parse_entry(stored.data, seq=stored.seq).kind == "streams.sealed"]


def until(world: World, count: int) -> list[int]:
    pause = threading.Event()
    for _ in range(1200):
        if len(found := seals(world)) >= count:
            return found
        pause.wait(0.05)
    raise TimeoutError(found)


def test_what_was_written_is_sealed_after_a_while_and_once(tmp_path):
    """After an entry there is a seal; a seal alone is not sealed again."""
    first = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    first.service.close()
    settings = replace(first.settings, publish_seconds=0.02, seal_seconds=0.02)
    world = World(open_service(settings), settings, first.clock, "")
    try:
        (seal,) = until(world, 1)
        threading.Event().wait(0.3)  # several intervals in which nothing is written
        assert seals(world) == [seal]
        assert world.append(EVENT) == seal + 1
        assert until(world, 2) == [seal, seal + 2]
    finally:
        world.service.close()

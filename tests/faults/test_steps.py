"""The fault matrix, step by step: what the caller is told, what is left, and that everything goes on."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fault_cells import CELLS, DISTRIBUTING, ENTRY, LOST, PUBLISHED, STEPS, WITNESSING, Cell
from mortal import Mortal, live, mortal, serve_on, witness
from places import SHOWN, Place, Seen, check_seen, witnesses_policy
from promised import entries_in, own_engine, replayed, stored, verified
from world import open_world

from ledger.log.note import parse_note

KINDS = {step.name: step.kind for step in STEPS}
BATCH = 4
"""Entries of one journey: a decision, and three of a command."""


@pytest.fixture
def place(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Place]:
    """Give a place as the cell's kind needs it."""
    world = open_world(database_url, tmp_path)
    world.service.close()
    kind, settings = KINDS[request.getfixturevalue("cell").row], replace(world.settings, publish_seconds=3600)
    if kind == DISTRIBUTING:
        settings = replace(settings, tiles=str(tmp_path / "tiles"))
    if kind == WITNESSING:
        settings = replace(settings, witnesses=witnesses_policy(world, tmp_path))
    with own_engine(database_url) as engine:
        yield Place(settings, engine)


def cases() -> list:
    return [pytest.param(c, c.engine, id=c.id, marks=[pytest.mark.postgres] * (c.engine != "sqlite")) for c in CELLS]


@pytest.mark.parametrize(("cell", "database_url"), cases(), indirect=["database_url"])
def test_a_step_that_fails(cell: Cell, place: Place):
    """The caller is told what the matrix says, what is left is what it says, and everything goes on."""
    if KINDS[cell.row] == WITNESSING:
        check_with_witness(cell, place)
    else:
        check(cell, place)


def check(cell: Cell, place: Place) -> None:
    with mortal(live, place.settings, KINDS[cell.row], cell.row, cell.fault) as service:
        assert service.hear() == "ready"
        size, before = len(stored(place.engine)), place.look()
        service.tell()
        told, acknowledged = service.hear(), []
        if told != LOST:
            told, acknowledged = told
        if "killed" in cell.fault:
            assert service.end() == -signal.SIGKILL
        elif KINDS[cell.row] == DISTRIBUTING:
            assert service.hear().startswith("tiles: ")
        assert told == cell.told
        check_left(cell, place, size, before)
        if "killed" in cell.fault:
            with mortal(serve_on, place.settings) as again:
                check_all(place, acknowledged, again)
        else:
            service.tell()
            check_all(place, acknowledged, service)


def check_with_witness(cell: Cell, place: Place) -> None:
    with mortal(witness, place.witness, port(place), "") as well:
        assert well.hear() == "ready"
        service = Mortal(live, place.settings, WITNESSING, cell.row, cell.fault)
        assert service.hear() == "ready"
    size, before = len(stored(place.engine)), place.look()
    try:
        with mortal(witness, place.witness, port(place), cell.fault) as failing:
            assert failing.hear() == "ready"
            service.tell()
            told, acknowledged = service.hear()
            assert told == cell.told
            if "killed" in cell.fault:
                assert failing.end() == -signal.SIGKILL
            else:
                assert failing.hear() == "struck"
            assert "does not cosign" in service.hear()
            assert text(place.look()[SHOWN]) == text(
                before[SHOWN]
            )  # no cosignature was given before its size was stored
        check_left(cell, place, size, before)
        with mortal(witness, place.witness, port(place), "") as well:
            assert well.hear() == "ready"
            service.tell()
            check_all(place, acknowledged, service)
    finally:
        service.kill()


def port(place: Place) -> int:
    return int((place.witness / "port").read_text())


def check_left(cell: Cell, place: Place, size: int, before: Seen) -> None:
    """Check what of the new is there, and nothing else."""
    after, new = place.look(), len(stored(place.engine)) - size
    assert {name for name in PUBLISHED if text(after[name]) != text(before[name])} == cell.left - {ENTRY}
    written = KINDS[cell.row] != "write" or ENTRY in cell.left
    assert new == (BATCH if written else 0)
    verified(place.engine)


def text(note: bytes | None) -> bytes:
    return parse_note(note)[0] if note else b""


def check_all(place: Place, acknowledged: list[tuple[int, str]], service: Mortal) -> None:
    """Check that the next write and publication succeed, and that what was acknowledged and seen holds."""
    told, more = service.hear()
    assert told == "an answer"
    assert service.end() == 0
    place.look()
    entries = entries_in(place.engine)
    for seq, name in [*acknowledged, *more]:
        assert entries[seq].kind == "decision.recorded" if not name else entries[seq].body["id"] == name
    assert verified(place.engine).size == len(entries) == 1 + max(seq for seq, _ in more)
    assert replayed(place.engine).findings == ()
    check_seen(place)

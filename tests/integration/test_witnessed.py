"""A service with real witnesses and a real time-stamp authority: what it shows, and what it never waits for."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url
from witnesses import WitnessProcess, make_witness, witness_process
from world import ORIGIN, OWNER, World, open_world

from ledger.bootstrap import open_service
from ledger.cli.local_tsa import local_tsa
from ledger.errors import Misconfigured
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import format_vkey, parse_note
from ledger.log.timestamp import check_timestamp
from ledger.log.trust_policy import Policy, parse_policy
from ledger.services import witnessed
from ledger.storage.publication import read_publication, read_timestamps

SECONDS = 60
EVENT = MemberAppointed(org=OWNER, person="p", roles=("auditor",))


@pytest.fixture
def plain(tmp_path) -> World:
    """Give a ledger that is not in service."""
    folder = tmp_path / "log"
    folder.mkdir()
    world = open_world(f"sqlite:///{folder / 'ledger.db'}", folder)
    world.service.close()
    return world


def make(world: World, folder: Path, name: str) -> Path:
    """Make a witness that trusts the world's log."""
    data = make_witness(folder / name, name=f"{name}.example/witness")
    (data / "logs").write_text("".join(f"log {format_vkey(s)}\n" for s in world.service.signers))
    return data


def policy_file(world: World, witnesses: list[WitnessProcess], quorum: str) -> Path:
    lines = [f"log {format_vkey(signer)}" for signer in world.service.signers]
    members = []
    for number, witness in enumerate(witnesses):
        vkeys = (witness.data / "witness.vkeys").read_text().split()
        keys = [f"w{number}k{i}" for i in range(len(vkeys))]
        lines += [f"witness {key} {vkey} {witness.url}" for key, vkey in zip(keys, vkeys, strict=True)]
        lines.append(f"group w{number} any {' '.join(keys)}")
        members.append(f"w{number}")
    lines += [f"group all {quorum} {' '.join(members)}", "quorum all"]
    path = world.settings.data / "witnesses.policy"
    path.write_text("\n".join(lines) + "\n")
    return path


def serve(world: World, **settings) -> World:
    made = replace(world.settings, publish_seconds=0.05, **settings)
    return World(open_service(made), made, world.clock, "")


def shown_until(world: World, done) -> bytes:
    """Give the checkpoint that everybody is shown, once it is as asked for."""
    pause = threading.Event()
    for _ in range(SECONDS * 20):
        with world.service.engine.connect() as connection:
            publication = read_publication(connection)
        if publication is not None and publication.public and done(publication.public):
            return publication.public
        pause.wait(0.05)
    raise TimeoutError(publication)


def size_of(note: bytes) -> int:
    return parse_checkpoint(parse_note(note)[0]).size


def policy_of(path: Path) -> Policy:
    return parse_policy(path.read_bytes())


def test_a_checkpoint_is_shown_once_a_quorum_has_cosigned_it(plain, tmp_path):
    """Two witnesses, both needed: what is shown has both, for every size that is shown."""
    with (
        witness_process(make(plain, tmp_path, "one")) as one,
        witness_process(make(plain, tmp_path, "two")) as two,
    ):
        path = policy_file(plain, [one, two], "all")
        world = serve(plain, witnesses=path)
        try:
            for _ in range(3):
                size = world.append(EVENT) + 1
                note = shown_until(world, lambda note, size=size: size_of(note) == size)
                assert policy_of(path).open(note).quorum_met
        finally:
            world.service.close()


def test_a_dead_witness_delays_nothing_and_is_seen_to_be_dead(plain, tmp_path, monkeypatch):
    """Decisions and checkpoints go on; after a while what is shown is shown without the quorum."""
    monkeypatch.setattr(witnessed, "PATIENCE", timedelta(0))
    with witness_process(make(plain, tmp_path, "one")) as one, witness_process(make(plain, tmp_path, "two")) as two:
        path = policy_file(plain, [one, two], "all")
        two.kill()
        world = serve(plain, witnesses=path)
        try:
            size = world.append(EVENT) + 1
            assert size_of(world.checkpoint()) == size
            note = shown_until(world, lambda note: size_of(note) == size)
            trusted = policy_of(path).open(note)
            assert (trusted.quorum_met, trusted.checkpoint.size) == (False, size)
            two.start()
            size = world.append(EVENT) + 1
            shown_until(world, lambda note: size_of(note) >= size and policy_of(path).open(note).quorum_met)
        finally:
            world.service.close()


def test_a_set_back_database_is_refused_for_what_a_witness_remembers(plain, tmp_path):
    """The anchor is gone with the disk, but a witness has cosigned more than the database holds."""
    with witness_process(make(plain, tmp_path, "one")) as one:
        path = policy_file(plain, [one], "all")
        database = Path(make_url(plain.settings.database_url).database)
        before = database.read_bytes()
        world = serve(plain, witnesses=path)
        size = world.append(EVENT) + 1
        shown_until(world, lambda note: size_of(note) == size)
        world.service.close()
        for name in ("ledger.db-wal", "ledger.db-shm"):
            database.with_name(name).unlink(missing_ok=True)
        database.write_bytes(before)
        world.settings.anchor.unlink()
        with pytest.raises(Misconfigured, match=r"witness one\.example/witness has a checkpoint of .* it was set back"):
            open_service(world.settings)


def test_a_policy_without_this_log_is_refused(plain, tmp_path):
    """The witnesses' policy has to name the log's own keys, and has to be one."""
    path = tmp_path / "policy"
    other = plain.service.signers[0]
    for text, problem in (
        ("quorum none\n", "no key of this log"),
        ("quorum\n", "line 1"),
        (f"log {format_vkey(other)}\n", "quorum"),
    ):
        path.write_text(text)
        with pytest.raises(Misconfigured, match=problem):
            open_service(replace(plain.settings, witnesses=path))
    with pytest.raises(Misconfigured, match="cannot be read"):
        open_service(replace(plain.settings, witnesses=tmp_path / "missing"))


def test_checkpoints_are_stamped_by_every_authority(plain, tmp_path):
    """A real authority stamps what is published; a dead one beside it is left out."""
    (tmp_path / "tsa").mkdir()
    with local_tsa(tmp_path / "tsa") as authority:
        world = serve(plain, timestamp_urls=("http://127.0.0.1:9/", authority.url))
        try:
            world.append(EVENT)
            stamps = []
            pause = threading.Event()
            for _ in range(SECONDS * 20):
                with world.service.engine.connect() as connection:
                    stamps = read_timestamps(connection)
                if stamps or pause.wait(0.05):
                    break
        finally:
            world.service.close()
    assert {stamp.authority for stamp in stamps} == {authority.url}
    for stamp in stamps:
        text = parse_note(stamp.note)[0]
        assert parse_checkpoint(text).origin == ORIGIN
        assert check_timestamp(stamp.token, text, [authority.root]).authority

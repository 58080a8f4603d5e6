"""The ladder: each rung held where it may be, and named, with its exit code, where it is not."""

import base64
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from served import Served, serving
from sqlalchemy import make_url
from witnesses import environment
from world import ORIGIN, OWNER, World

from ledger.cli.local_tsa import local_tsa
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from ledger.log.cosignature import Ed25519CosignatureSigner
from ledger.log.export import Export
from ledger.log.note import add_signatures, format_vkey, parse_note, sign_note
from ledger.remote.timestamps import request_timestamp
from ledger.services.sources import ExportSource
from ledger.services.tiles import export_tiles
from ledger.services.verifying import export, verify
from ledger.storage.publication import Timestamp, add_timestamp, read_publication, show_to_all
from ledger.storage.tiles import FolderTiles

EVENT = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
RUNGS = ["INTACT", "SIGNED", "CONSISTENT", "TIMESTAMPED", "WITNESSED", "REPLAYED"]


@dataclass
class Audited:
    """A served ledger that was cosigned and stamped, and what an auditor has."""

    served: Served
    folder: Path
    policy: Path
    root: Path
    export: Path
    tiles: Path

    @property
    def world(self) -> World:
        return self.served.world

    def verify(self, source: object, *options: object, token: str = "auditor") -> tuple[int, dict]:
        """Run `oblik verify` as a process. Gives its exit code and what it says."""
        command = [sys.executable, "-m", "ledger.cli", "verify", str(source), "--policy", str(self.policy), "--json"]
        command += map(str, options)
        done = subprocess.run(
            command, env={**environment(), "OBLIK_TOKEN": token}, capture_output=True, text=True, check=False
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    @property
    def sources(self) -> list[object]:
        database = make_url(self.world.settings.database_url).database
        return [str(self.served.http.base_url), self.tiles, database, self.export]


def held(found: dict) -> dict[str, bool | None]:
    return {rung["name"]: rung["held"] for rung in found["rungs"]}


def why(found: dict, name: str) -> str:
    return next(rung["why"] for rung in found["rungs"] if rung["name"] == name)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Give a ledger with some decisions, a checkpoint that one witness cosigned, and one time-stamp over it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if shutil.which("openssl") is None:
        pytest.skip("no openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("audited")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        served.allowed()
        served.decide(country="USA")
        world = served.world
        witness = Ed25519CosignatureSigner("w.example", Ed25519PrivateKey.generate(), lambda: 1_795_000_000)
        world.checkpoint()
        world.service.publisher.close()
        with world.service.engine.connect() as connection:
            note = read_publication(connection).note
        text = parse_note(note)[0]
        lines = sign_note(text, [witness])[len(text) + 1 :]
        cosigned = add_signatures(note, lines)
        size = parse_checkpoint(text).size
        assert show_to_all(world.service.engine, cosigned, size)
        (folder / "tsa").mkdir()
        with local_tsa(folder / "tsa") as authority:
            token = request_timestamp(authority.url, text, 30)
        add_timestamp(world.service.engine, Timestamp(size=size, authority=authority.url, note=note, token=token))
        (folder / "root.pem").write_bytes(authority.root)
        policy = folder / "policy"
        logs = "".join(f"log {format_vkey(signer)}\n" for signer in world.service.signers)
        policy.write_text(f"{logs}witness w {format_vkey(witness)}\nquorum w\n")
        export_tiles(world.service.engine, FolderTiles(folder / "tiles"), note=cosigned)
        with (folder / "export").open("wb") as file, export(world.service.engine, note=cosigned) as exported:
            file.writelines(exported)
        yield Audited(served, folder, policy, folder / "root.pem", folder / "export", folder / "tiles")


def test_every_rung_is_held_from_every_source(audited, tmp_path):
    """A URL, tiles, a database, an exported file: all rungs. The root is the same everywhere."""
    found = []
    for number, source in enumerate(audited.sources):
        remember = tmp_path / f"{number}"
        options = ("--remember", remember, "--tsa", audited.root)
        code, first = audited.verify(source, *options)
        assert (held(first), code) == ({**dict.fromkeys(RUNGS, True), "CONSISTENT": None}, 0), first
        code, again = audited.verify(source, *options)
        assert held(again)["CONSISTENT"] is True
        assert remember.read_text() == again["checkpoint"]
        found.append((again["size"], again["root"], again["origin"]))
    assert len(set(found)) == 1


def test_what_is_not_asked_for_is_not_held_against_it(audited, tmp_path):
    """Without memory, authority, replay, and with a policy that asks for no witness: exit code 0, and no rung more."""
    audited.policy.write_text(re.sub("quorum w", "quorum none", audited.policy.read_text()))
    try:
        code, found = audited.verify(audited.tiles, "--no-replay")
    finally:
        audited.policy.write_text(re.sub("quorum none", "quorum w", audited.policy.read_text()))
    assert (code, held(found)) == (0, {**dict.fromkeys(RUNGS), "INTACT": True, "SIGNED": True})


@pytest.mark.parametrize("path", ["tile/entries/000.p", "tile/0/000.p"])
def test_a_changed_tile_is_not_intact(audited, tmp_path, path):
    """A byte of an entry, or of a leaf hash, changed: exit code 1, and nothing else is looked at."""
    shutil.copytree(audited.tiles, tmp_path / "tiles")
    (file,) = (tmp_path / "tiles" / path).iterdir()
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    code, found = audited.verify(tmp_path / "tiles")
    assert (code, held(found)) == (1, {**dict.fromkeys(RUNGS), "INTACT": False})
    assert why(found, "SIGNED") == "not reached"


def test_a_missing_tile_is_not_intact(audited, tmp_path):
    """A bundle that is gone is a missing entry."""
    shutil.copytree(audited.tiles, tmp_path / "tiles")
    shutil.rmtree(tmp_path / "tiles" / "tile" / "entries")
    code, found = audited.verify(tmp_path / "tiles")
    assert (code, why(found, "INTACT")[:19]) == (1, "entry 0: is missing")


def test_a_checkpoint_by_other_keys_is_not_signed(audited, tmp_path):
    """The auditor trusts other keys than those that signed: exit code 3, whatever the ledger says of itself."""
    other = tmp_path / "policy"
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ledger.log.note import Ed25519Signer

    other.write_text(f"log {format_vkey(Ed25519Signer(ORIGIN, Ed25519PrivateKey.generate()))}\nquorum none\n")
    code, found = audited.verify(audited.tiles, "--policy", other)
    assert (code, held(found)["SIGNED"], held(found)["REPLAYED"]) == (3, False, True)


@pytest.mark.parametrize("size", [5, 10_000])
def test_what_contradicts_the_memory_is_not_consistent(audited, tmp_path, size):
    """Another root at a remembered size, or fewer entries than remembered: exit code 4, and the memory is kept."""
    forged = sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=b"\7" * 32), audited.world.service.signers)
    remember = tmp_path / "remember"
    remember.write_bytes(forged)
    for source in audited.sources:
        code, found = audited.verify(source, "--remember", remember)
        assert (code, held(found)["CONSISTENT"], held(found)["SIGNED"]) == (4, False, True)
        assert remember.read_bytes() == forged


def test_a_stamp_of_another_authority_does_not_count(audited, tmp_path):
    """An authority that the auditor does not know: exit code 5."""
    from ledger.cli.local_tsa import make_authority

    (tmp_path / "tsa").mkdir()
    (tmp_path / "other.pem").write_bytes(make_authority(tmp_path / "tsa", name="Another"))
    code, found = audited.verify(audited.tiles, "--tsa", tmp_path / "other.pem")
    assert (code, held(found)["TIMESTAMPED"], held(found)["WITNESSED"]) == (5, False, True)


def test_an_export_has_the_newest_stamp_of_each_authority(world):
    """Over what is exported, of the authorities that stamped last; without any it is of the first format."""
    note = world.checkpoint()
    size = parse_checkpoint(parse_note(note)[0]).size

    def exported() -> Export:
        return Export(lines_of(world, note))

    assert (exported().header.format, exported().timestamps) == ("oblik-export/1", ())
    for authority, at in (("b", 1), ("a", 2), ("a", 3), ("b", size), ("a", size + 1), ("c", size + 1)):
        add_timestamp(world.service.engine, Timestamp(size=at, authority=authority, note=note, token=b"%d" % at))
    assert exported().timestamps == ((note, b"3"), (note, b"%d" % size))
    for number in range(20):
        add_timestamp(world.service.engine, Timestamp(size=4, authority=f"{number:02}", note=note, token=b"4"))
    assert [token for _, token in exported().timestamps] == [b"4"] * 15 + [b"%d" % size]
    assert verify(ExportSource(lines_of(world, note)))[0].signed


def lines_of(world, note: bytes) -> list[bytes]:
    with export(world.service.engine, note=note) as lines:
        return list(lines)


def test_a_stamp_that_was_changed_in_an_export_does_not_count(audited, tmp_path):
    """Another checkpoint under the stamp, another size among them, or another token: exit code 5."""
    lines = audited.export.read_bytes().splitlines(keepends=True)
    stamp = json.loads(lines[1])
    text = stamp["stamped"]
    size = text.splitlines()[1]
    token = bytearray(base64.b64decode(stamp["token"]))
    token[-1] ^= 1
    for change in (
        {"stamped": text.replace(f"\n{size}\n", f"\n{int(size) - 1}\n")},
        {"stamped": "not a note"},
        {"token": base64.b64encode(token).decode()},
    ):
        changed = json.dumps({**stamp, **change}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        (tmp_path / "changed").write_bytes(b"".join([lines[0], changed, *lines[2:]]))
        code, found = audited.verify(tmp_path / "changed", "--tsa", audited.root)
        assert (code, held(found)["TIMESTAMPED"], held(found)["WITNESSED"]) == (5, False, True)


def test_too_few_witnesses_are_told(audited, tmp_path):
    """A quorum that nobody met: exit code 6, with what it takes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    absent = Ed25519CosignatureSigner("absent.example", Ed25519PrivateKey.generate(), lambda: 1)
    text = audited.policy.read_text().replace("quorum w", f"witness v {format_vkey(absent)}\ngroup g all w v\nquorum g")
    (tmp_path / "policy").write_text(text)
    code, found = audited.verify(audited.tiles, "--policy", tmp_path / "policy")
    assert (code, held(found)["WITNESSED"]) == (6, False)
    assert "2 of 2" in why(found, "WITNESSED")


def test_attachments_that_are_missing_are_told(audited, tmp_path):
    """A policy that is not where the tiles list it: the ledger cannot be told of, and nothing is printed as held."""
    shutil.copytree(audited.tiles, tmp_path / "tiles")
    for file in (tmp_path / "tiles" / "attachments").iterdir():
        if file.name != "index":
            file.write_bytes(b"")
    code, found = audited.verify(tmp_path / "tiles")
    assert (code, held(found)["INTACT"]) == (1, False)


def test_a_report_is_handed_on(audited, tmp_path):
    """The report has every rung, its reason and the checkpoint, and no script."""
    audited.verify(audited.tiles, "--report", tmp_path / "report.html", "--tsa", audited.root)
    page = (tmp_path / "report.html").read_text()
    assert all(rung in page for rung in RUNGS)
    assert ORIGIN in page
    assert "<script" not in page


def test_entries_are_not_for_everybody(audited):
    """Over HTTP without a reader's token: exit code 2, and a word about the token."""
    command = [sys.executable, "-m", "ledger.cli", "verify", str(audited.served.http.base_url)]
    command += ["--policy", str(audited.policy)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "token" in done.stderr


def test_options_of_the_ladder_take_a_policy(audited):
    """`--json` and its like without `--policy` are misuse."""
    command = [sys.executable, "-m", "ledger.cli", "verify", str(audited.export), "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "trust policy" in done.stderr

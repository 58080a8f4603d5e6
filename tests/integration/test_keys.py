"""The log's keys in service: rotated, retired and encrypted by real commands, and held to by service and verifier."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import snippets
import softhsm
import sqlalchemy as sa
from promised import chained, entries_in, exported, verified
from served import Served
from world import ORIGIN, START, World

from alembic import command
from ledger.bootstrap import load_signers, open_service
from ledger.errors import BadEntry, BadNote, Conflict, Misconfigured, NotFound, Unavailable
from ledger.events.key_history import keys_after
from ledger.events.keys import LogKeyIntroduced, LogKeyRetired
from ledger.events.registry import LedgerOpened
from ledger.keys import add_keys, create_keys
from ledger.log.checkpoint import open_checkpoint, parse_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.introduction import sign_introduction
from ledger.log.note import ED25519, format_vkey, parse_note, sign_note
from ledger.resources import folder
from ledger.services.keys import read_keys, retire_key, rotate_keys
from ledger.services.publishing import publish
from ledger.services.sources import ExportSource
from ledger.services.verifying import export, verify
from ledger.settings import settings_from
from ledger.storage.anchor import Anchor
from ledger.storage.engine import locked
from ledger.storage.publication import Timestamp, add_timestamp
from ledger.storage.rebuild import rebuild
from ledger.storage.schema import alembic_config

CHECKOUT = folder("alembic").parent


def vkeys(signers) -> tuple[str, ...]:
    return tuple(map(format_vkey, signers))


def rotate(world: World, **options):
    """Rotate as the command does. Returns (new signers, what came of it)."""
    with world.service.engine.connect() as connection:
        old = load_signers(world.settings, connection)
    types = options.pop("types", None)
    new = add_keys(world.settings.keys, origin=ORIGIN, **({"types": types} if types else {}))
    return new, rotate_keys(world.service.engine, old=old, new=new, reason="test", now=START, **options)


def in_force(world: World, size: int | None = None) -> tuple[str, ...]:
    with world.service.engine.connect() as connection:
        return read_keys(connection, size=size)


def lines_of(world: World, signers) -> list[bytes]:
    with export(world.service.engine, note=checkpoint(world, signers)) as lines:
        return list(lines)


def checkpoint(world: World, signers) -> bytes:
    anchor = Anchor(world.settings.anchor)
    return publish(world.service.engine, origin=ORIGIN, signers=signers, anchor=anchor, show=False).note


# Rotation -------------------------------------------------------------------------------------------------------------


def test_exports_of_before_and_after_a_rotation_verify(world: World):
    """Each is signed by the keys of its own end; whoever trusts the keys of entry 0 verifies both."""
    old = world.service.signers
    before = lines_of(world, old)
    new, rotated = rotate(world)
    after = lines_of(world, new)
    assert (vkeys(new), vkeys(old)) == (rotated.introduced, rotated.retired)
    assert json.loads(before[0])["vkeys"] == json.loads(after[0])["vkeys"] == list(vkeys(old))
    for lines in (before, after):
        assert verify(ExportSource(lines))[0].signed
    note = json.loads(after[-1])["checkpoint"].encode()
    for vkey in vkeys(new):
        assert open_checkpoint(note, [parse_vkey(vkey)], origin=ORIGIN).size == rotated.size
    with pytest.raises(BadNote, match="no known key"):
        open_checkpoint(note, [parse_vkey(vkey) for vkey in vkeys(old)], origin=ORIGIN)
    assert verified(world.service.engine).size == rotated.size


def test_the_keys_in_force_are_those_of_the_entries(world: World):
    """Table and fold agree after each step, at each size, and when the table is made anew."""
    first = world.service.signers
    new, _ = rotate(world, types=[ED25519], keep_old=True)
    assert {*vkeys(first), *vkeys(new)} == set(in_force(world))
    retire_key(world.service.engine, key_id=f"{first[0].key_id:08x}", reason="test", now=START)
    rotate(world)
    entries = entries_in(world.service.engine)
    for again in range(2):
        for size in range(1, len(entries) + 1):
            assert set(keys_after(entries[:size])) == set(in_force(world, size)), (again, size)
        assert rebuild(world.service.engine) == {}
    assert entries[-1].by == {"org": "mod-ua", "system": "keys"}


def test_what_is_retired_leaves_the_rest(world: World):
    """One of two keys of a type can go, and the other signs; the last cannot, nor one that is not in force."""
    ed25519, ml_dsa = world.service.signers
    engine = world.service.engine
    with pytest.raises(Conflict, match="the last of its type"):
        retire_key(engine, key_id=f"{ed25519.key_id:08x}", reason="test", now=START)
    (new,), _ = rotate(world, types=[ED25519], keep_old=True)
    retired = retire_key(engine, key_id=f"{ed25519.key_id:08x}", reason="test", now=START)
    assert vkeys([ed25519]) == retired.retired
    assert vkeys([ml_dsa, new]) == in_force(world)
    assert verify(ExportSource(lines_of(world, (new, ml_dsa))))[0].signed
    size = verified(engine).size
    for key_id, error in ((ed25519.key_id, NotFound), (ml_dsa.key_id, Conflict), (new.key_id, Conflict)):
        with pytest.raises(error):
            retire_key(engine, key_id=f"{key_id:08x}", reason="test", now=START)
    assert size == verified(engine).size


def test_a_rotation_by_other_keys_than_those_in_force_writes_nothing(world: World, tmp_path: Path):
    """Neither strangers nor the keys of before a rotation introduce anything."""
    old, strangers = world.service.signers, create_keys(tmp_path / "strangers", origin=ORIGIN)
    rotate(world)
    size = verified(world.service.engine).size
    for signers in (old, strangers):
        with pytest.raises(Misconfigured, match="changed meanwhile"):
            rotate_keys(world.service.engine, old=signers, new=strangers, reason="test", now=START)
    assert size == verified(world.service.engine).size


class Broken:
    """A key that signs nothing but zeros, as a faulty token may."""

    def __init__(self, signer) -> None:
        self.name, self.key_id, self.algorithm = signer.name, signer.key_id, signer.algorithm
        self.public_bytes = signer.public_bytes

    def sign_text(self, _text: bytes) -> bytes:
        return bytes(64)


def test_a_proof_that_does_not_hold_is_not_written(world: World):
    """A signature is checked before it is in the ledger for ever; nothing of the rotation is left."""
    old = tuple(map(Broken, world.service.signers))
    before = verified(world.service.engine).size, in_force(world)
    new = add_keys(world.settings.keys, origin=ORIGIN)
    with pytest.raises(BadNote, match="does not verify"):
        rotate_keys(world.service.engine, old=old, new=new, reason="test", now=START)
    assert before == (verified(world.service.engine).size, in_force(world))


def test_a_second_opening_brings_no_keys(world: World, tmp_path: Path):
    """Keys that a later `ledger.opened` names itself are in force neither for the service nor for the verifier."""
    strangers = create_keys(tmp_path / "strangers", origin=ORIGIN)
    world.append(LedgerOpened(origin=ORIGIN, owner="mod-ua", vkeys=vkeys(strangers)))
    assert vkeys(world.service.signers) == in_force(world)
    assert verify(ExportSource(lines_of(world, world.service.signers)))[0].signed


# A forged history -----------------------------------------------------------------------------------------------------


def forged(world: World, introducer, strangers, *, retiring: bool) -> int:
    """Append, past the service, an introduction of strangers' keys by someone. Returns its index."""
    for signer in strangers:
        prev = entries_in(world.service.engine)
        vkey = format_vkey(signer)
        proof = sign_introduction(introducer, vkey=vkey, prev=_leaf(world))
        seq = world.append(LogKeyIntroduced(vkey=vkey, proof=proof))
        assert len(prev) == seq
    if retiring:
        world.append(*(LogKeyRetired(vkey=vkey, reason="test") for vkey in vkeys(world.service.signers)))
    return len(prev)


def _leaf(world: World) -> str:
    with world.service.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT leaf FROM head").scalar_one().hex()


@pytest.mark.parametrize("retiring", [False, True])
def test_a_forged_introduction_is_refused_by_its_index(world: World, tmp_path: Path, retiring: bool):
    """Who has the database but no key cannot bring in keys of their own: both forms of the ledger are refused."""
    strangers = create_keys(tmp_path / "strangers", origin=ORIGIN)
    size = len(entries_in(world.service.engine))
    forged(world, strangers[0], strangers[:1], retiring=retiring)
    with pytest.raises(BadEntry, match="without the word of a key in force") as raised:
        verified(world.service.engine)
    assert raised.value.seq == size
    for signers in (strangers, world.service.signers):
        lines = exported(chained(entries_in(world.service.engine)), (), signers)
        with pytest.raises(BadEntry, match="without the word of a key in force") as raised:
            verify(ExportSource(lines))
        assert raised.value.seq == size


def test_a_checkpoint_by_a_retired_key_is_refused(world: World):
    """After a rotation an export that the old keys signed, or one of the new alone, does not verify."""
    old = world.service.signers
    new, _ = rotate(world)
    entries = chained(entries_in(world.service.engine))
    for signers in (old, new[:1], new[1:], (new[0], old[1])):
        with pytest.raises(BadNote, match="no known key"):
            verify(ExportSource(exported(entries, (), signers)))
    assert verify(ExportSource(exported(entries, (), (*old, *new))))[0].signed


def test_a_retirement_that_leaves_nothing_is_refused(world: World):
    """The entry that retires the last key of a type is named."""
    seq = world.append(LogKeyRetired(vkey=format_vkey(world.service.signers[1]), reason="test"))
    with pytest.raises(BadEntry, match="the last of its type") as raised:
        verified(world.service.engine)
    assert raised.value.seq == seq


# A running service ----------------------------------------------------------------------------------------------------


def test_a_running_service_signs_nothing_with_keys_of_before(world: World):
    """It is told 503's error until it is started again; decisions go on meanwhile."""
    stale = world.service.signers
    new, _ = rotate(world)
    with pytest.raises(Unavailable, match=r"keys have changed.*start the service again"):
        checkpoint(world, stale)
    assert world.ask()[1].event.allowed
    started = open_service(world.settings)
    assert vkeys(new) == vkeys(started.signers)
    opened = open_checkpoint(checkpoint(world, started.signers), [parse_vkey(key) for key in vkeys(new)], origin=ORIGIN)
    assert opened.size == verified(world.service.engine).size
    started.close()


def test_a_service_that_has_more_keys_signs_with_those_in_force(world: World):
    """Retired keys among the signers sign nothing."""
    new, _ = rotate(world)
    note = checkpoint(world, (*world.service.signers, *new))
    assert {name for name, _ in _signers(note)} == {ORIGIN}
    assert [signer.key_id for signer in new] == [key_id for _, key_id in _signers(note)]


def _signers(note: bytes) -> list[tuple[str, int]]:
    from ledger.log.note import parse_note

    return [(name, key_id) for name, key_id, _ in parse_note(note)[1]]


def test_a_service_without_a_key_in_force_does_not_start(world: World):
    """The file of a new key that is missing is named at start, and so is one that was replaced by another."""
    rotate(world)
    gone = world.settings.keys / "log-ml-dsa-44-2.pem"
    gone.unlink()
    with pytest.raises(Misconfigured, match="is not this ledger's key"):
        open_service(world.settings)
    shutil.copy(world.settings.keys / "log-ed25519-2.pem", gone)
    with pytest.raises(Misconfigured, match=r"log-ml-dsa-44-2\.pem` does not hold an ML-DSA-44 key"):
        open_service(world.settings)


# The database ---------------------------------------------------------------------------------------------------------


def test_a_ledger_of_before_gets_its_keys_by_migration(world: World):
    """Upgrading fills the table from the first entry: the service starts with the keys that it always had."""
    before = in_force(world)
    world.service.publisher.close()
    with world.service.engine.begin() as connection:
        newest = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.exec_driver_sql("DROP TABLE log_key")
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
    with world.service.engine.connect() as connection, locked(connection):
        command.upgrade(alembic_config(connection), "0003")
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest})
    assert before == in_force(world) == vkeys(world.service.signers)
    open_service(world.settings).close()


# The command ----------------------------------------------------------------------------------------------------------


def oblik(*arguments: str, data: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    environment = {**kept, "PYTHONPATH": str(CHECKOUT), "OBLIK_DATA": str(data), **variables}
    command = [sys.executable, "-m", "ledger.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def init(data: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    options = ("--origin", ORIGIN, "--owner", "mod-ua", "--administrator", "v.melnyk")
    return oblik("init", *options, data=data, **variables)


def done(*arguments: str, data: Path, **variables: str) -> str:
    """Run a command that succeeds; give what it printed."""
    ended = oblik(*arguments, data=data, **variables)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def refused(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert all(word in ended.stderr for word in words), ended.stderr


def test_the_commands_rotate_retire_and_encrypt(tmp_path: Path):
    """From one opening on: rotated, overlapped, retired, encrypted and rotated again, every export verifies."""
    data, exports = tmp_path / "data", []
    secret = tmp_path / "passphrase"
    secret.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    secret.chmod(0o600)
    encrypted = {"OBLIK_KEY_PASSPHRASE_FILE": str(secret)}

    def exported_again(**variables: str) -> None:
        exports.append(str(tmp_path / f"{len(exports)}.jsonl"))
        done("export", exports[-1], data=data, **variables)

    assert init(data).returncode == 0
    exported_again()
    assert done("keys", "rotate", data=data).count("introduced: ") == 2
    exported_again()
    overlapped = done("keys", "rotate", "--algorithm", "ed25519", "--keep-old", "--reason", "tried", data=data)
    assert (overlapped.count("introduced: "), overlapped.count("retired: ")) == (1, 0)
    exported_again()
    key_id = re.search(r"introduced: [^+]+\+([0-9a-f]{8})\+", overlapped)
    assert f"retired: {ORIGIN}+{key_id[1]}\n" in done("keys", "retire", key_id[1], "--reason", "tried", data=data)
    exported_again()
    refused(oblik("export", "x", data=data, **encrypted), "not encrypted, though a passphrase is set")
    refused(oblik("keys", "encrypt", data=data), "no passphrase is set")
    assert done("keys", "encrypt", data=data, **encrypted).count("encrypted ") == 6
    exported_again(**encrypted)
    refused(oblik("keys", "rotate", data=data), "is encrypted, and no passphrase is set")
    done("keys", "rotate", data=data, **encrypted)
    exported_again(**encrypted)
    assert all(b"ENCRYPTED" in path.read_bytes() for path in (data / "keys").iterdir())
    for file in exports:
        assert "checkpoint signed by the ledger's own keys" in done("verify", file, data=data)
        assert " 0 findings" in done("replay", file, data=data)
    refused(oblik("keys", "retire", key_id[1], "--reason", "x", data=data), "no key in force with the id")


def test_a_new_ledgers_keys_are_encrypted_where_a_passphrase_is_set(tmp_path: Path):
    """`init` with a passphrase writes no key in the clear; with one that others may read, none at all."""
    secret = tmp_path / "passphrase"
    secret.write_text("0123456789abcdef0123456789abcdef", encoding="utf-8")
    secret.chmod(0o644)
    refused(init(tmp_path / "data", OBLIK_KEY_PASSPHRASE_FILE=str(secret)), "is open to others")
    assert not list((tmp_path / "data").rglob("*.pem"))
    secret.chmod(0o600)
    assert init(tmp_path / "data", OBLIK_KEY_PASSPHRASE_FILE=str(secret)).returncode == 0
    files = list((tmp_path / "data").rglob("*.pem"))
    assert len(files) == 3
    assert all(file.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") for file in files)


def test_a_ledger_is_opened_served_and_rotated_with_a_token(tmp_path: Path):
    """With a token set, no Ed25519 key is ever a file; the service's checkpoint opens under the ordinary verifier."""
    pytest.importorskip("pkcs11", reason="no python-pkcs11: `pip install oblik[hsm]`")
    library, data = softhsm.module(), tmp_path / "data"
    variables = softhsm.configure(tmp_path)
    token = softhsm.make_token(tmp_path, "oblik-test")
    pin = {"OBLIK_PKCS11_TOKEN": token.name, "OBLIK_PKCS11_PIN_FILE": str(token.pin_file)}
    variables |= {"OBLIK_PKCS11_MODULE": str(library), **pin}
    assert init(data, **variables).returncode == 0
    done("keys", "rotate", data=data, **variables)
    assert sorted(path.name for path in (data / "keys").iterdir())[:2] == ["log-ml-dsa-44-2.pem", "log-ml-dsa-44.pem"]
    done("export", str(tmp_path / "a.jsonl"), data=data, **variables)
    assert "signed by the ledger's own keys" in done("verify", str(tmp_path / "a.jsonl"), data=data)
    refused(oblik("export", "x", data=data), "log-ed25519.pem` is missing")
    note = _served_checkpoint(data, variables)
    for vkey in keys_after(_entries_of(tmp_path / "a.jsonl")):
        assert open_checkpoint(note, [parse_vkey(vkey)], origin=ORIGIN).size == 7


def _entries_of(file: Path):
    from ledger.log.entry import parse_entry

    lines = file.read_bytes().splitlines()
    return [parse_entry(line, seq=seq) for seq, line in enumerate(lines[1 : 1 + json.loads(lines[0])["entries"]])]


def _served_checkpoint(data: Path, variables: dict[str, str]) -> bytes:
    port = snippets.free_port()
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OBLIK_DATA": str(data), **variables}
    command = [sys.executable, "-m", "ledger.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            snippets.wait_until_up(f"http://127.0.0.1:{port}/healthz")
            return httpx.get(f"http://127.0.0.1:{port}/ledger/v1/checkpoint").content
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_a_token_is_set_whole_or_not_at_all(tmp_path: Path):
    """One or two of its three variables are refused; its label has a default."""
    names = dict.fromkeys(("OBLIK_PKCS11_MODULE", "OBLIK_PKCS11_TOKEN", "OBLIK_PKCS11_PIN_FILE"), "x")
    assert settings_from({}).token is None
    assert settings_from(names).token.label == "oblik-log"
    assert settings_from({**names, "OBLIK_PKCS11_LABEL": "y"}).token.label == "y"
    for name in names:
        with pytest.raises(Misconfigured, match="set in part"):
            settings_from({name: "x"})
        with pytest.raises(Misconfigured, match="set in part"):
            settings_from({**names, name: ""})


# The guide's program --------------------------------------------------------------------------------------------------


def test_the_guides_program_follows_the_keys(api: Served, tmp_path: Path):
    """The auditor's `consistent.py` takes a checkpoint of before a rotation and one of after, each by its keys."""
    world, guide = api.world, snippets.blocks(snippets.read("docs/auditor.md"), "sh")
    (piece,) = (block for block in guide if "consistent.py" in block)
    program = piece.partition("<<'PYTHON'\n")[2].partition("PYTHON\n")[0]
    program = program.replace("http://127.0.0.1:8080", str(api.http.base_url).rstrip("/"))
    old = world.service.signers
    before = checkpoint(world, old)
    new, _ = rotate(world)
    after = checkpoint(world, new)
    add_timestamp(world.service.engine, Timestamp(size=1, authority="a", note=before, token=b"t"))  # behind the header
    (tmp_path / "export").write_bytes(b"".join(lines_of(world, new)))
    unsigned = parse_note(after)[0]
    for name, data in (("before", before), ("after", after), ("retired", sign_note(unsigned, old))):
        (tmp_path / name).write_bytes(data)

    def told(*names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, "export", *names]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    sizes = [parse_checkpoint(parse_note(note)[0]).size for note in (after, before)]
    assert told("before", "after").stdout == f"the tree of {sizes[0]} entries begins with the tree of {sizes[1]}\n"
    assert "no known key signed the note" in told("before", "retired").stderr

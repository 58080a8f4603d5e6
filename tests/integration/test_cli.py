"""The command `oblik`, as real processes: what each prints, its exit code, and what it never does."""

import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from world import open_world

from ledger.resources import folder
from ledger.storage.schema import alembic_config

CHECKOUT = folder("alembic").parent
START_SECONDS = 60
COPIED = ("ledger", "alembic", "policy_models", "agreements", "examples", "ui")


def environment(code: Path = CHECKOUT) -> dict[str, str]:
    """Give an environment in which `ledger` is the code at `code`, and no setting is left from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    return {**kept, "PYTHONPATH": str(code), "COLUMNS": "200"}


def oblik(*arguments: object, cwd: Path, code: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "ledger.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(code), capture_output=True, text=True, timeout=120, check=False
    )


def init(cwd: Path, **options: str) -> subprocess.CompletedProcess[str]:
    given = {"origin": "ledger.example/oblik", "owner": "mod-ua", "administrator": "v.melnyk", "data": "data"}
    return oblik(
        "init", *(part for name, value in {**given, **options}.items() for part in (f"--{name}", value)), cwd=cwd
    )


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """Check that a command ended with its code, nothing on stdout, and one line on stderr that says why."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("oblik: "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "a fault" not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> Path:
    """Give a folder with a ledger of some forty entries and decisions in `data`, and its export `good.jsonl`."""
    root = tmp_path_factory.mktemp("cli")
    data = root / "data"
    data.mkdir()
    world = open_world(f"sqlite:///{data / 'ledger.db'}", data)
    for changes in ({}, {"tier": "raw"}, {"country": "USA"}):
        world.ask(**changes)
    world.revoke()
    world.ask()
    world.service.close()
    assert oblik("export", "good.jsonl", "--data", "data", cwd=root).returncode == 0
    return root


@pytest.fixture
def copy(ledger, tmp_path) -> Path:
    """Give a copy of that folder of the test's own."""
    shutil.copytree(ledger, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def older_and_newer(tmp_path_factory) -> Path:
    """Give a copy of the code that is one migration ahead of the checkout."""
    root = tmp_path_factory.mktemp("ahead")
    for name in COPIED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    head = _head()
    ahead = (
        f'"""Ahead."""\nrevision = "9999"\ndown_revision = "{head}"\nbranch_labels = depends_on = None\n'
        "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
    )
    (root / "alembic" / "versions" / "9999_ahead.py").write_text(ahead, encoding="utf-8")
    return root


def _head() -> str:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def execute(database: Path, *statements: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# init -----------------------------------------------------------------------------------------------------------------


def test_init_opens_a_ledger(tmp_path):
    """It prints keys and a token, keeps keys and database to their owner, and the ledger verifies."""
    done = init(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"token of v\.melnyk, until \S+Z, shown only here: oblik_\S+\n", done.stdout)
    assert done.stdout.count("verifier key: ledger.example/oblik+") == 2
    keys = sorted((tmp_path / "data" / "keys").iterdir())
    assert [key.name for key in keys[:2]] == ["log-ed25519.pem", "log-ml-dsa-44.pem"]
    assert [re.sub(r"\d+T\d+Z", "<time>", key.name) for key in keys[2:]] == ["token-<time>.pem"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert stat.S_IMODE(keys[0].parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "ledger.db").stat().st_mode) == 0o600
    assert oblik("verify", "data/ledger.db", cwd=tmp_path).stdout.startswith("verified: 3 entries, size 3, root ")


def test_a_second_init_is_refused(tmp_path):
    """Over a ledger, and over keys without one, it is refused, and not a byte changes."""
    init(tmp_path)
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.*")) if path.is_file()}
    refused(init(tmp_path), "holds a ledger already", "never overwritten")
    refused(init(tmp_path, owner="other", origin="other.example/x"), "holds a ledger already")
    assert before == {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.*")) if path.is_file()}
    shutil.copytree(tmp_path / "data" / "keys", tmp_path / "keyed" / "keys")
    refused(init(tmp_path, data="keyed"), "log-ed25519.pem` is there already", "never overwritten")
    for key in (tmp_path / "data" / "keys").iterdir():
        assert key.read_bytes() == (tmp_path / "keyed" / "keys" / key.name).read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origin": "two words"}, ["--origin"]),
        ({"owner": "mod ua"}, ["--owner", "`mod ua`"]),
        ({"administrator": ""}, ["--administrator"]),
        ({"database-url": "mysql://host/x"}, ["`mysql` is not supported"]),
        ({"database-url": "nonsense"}, ["`nonsense` cannot be read"]),
        ({"database-url": "sqlite:///no/such/folder/x.db"}, ["cannot be opened"]),
        ({"database-url": "postgresql://nobody@127.0.0.1:1/x"}, ["cannot be opened"]),
    ],
)
def test_init_refuses_what_it_cannot_use(tmp_path, options, words):
    """A name that is none, and a database that cannot be, are refused, and no keys are made."""
    refused(init(tmp_path, **options), *words)
    assert not (tmp_path / "data" / "keys").exists()


# serve ----------------------------------------------------------------------------------------------------------------


def _drop_key(data: Path) -> None:
    (data / "keys" / "log-ed25519.pem").unlink()


def _other_key(data: Path) -> None:
    from ledger.keys import create_keys

    shutil.rmtree(data / "keys")
    create_keys(data / "keys", origin="test.oblik.example/ledger")


def _broken_key(data: Path) -> None:
    (data / "keys" / "log-ml-dsa-44.pem").write_text("no key", encoding="utf-8")


def _swapped_keys(data: Path) -> None:
    shutil.copy(data / "keys" / "log-ed25519.pem", data / "keys" / "log-ml-dsa-44.pem")


def _newer(data: Path) -> None:
    execute(data / "ledger.db", "UPDATE alembic_version SET version_num = '9999'")


def _empty(data: Path) -> None:
    (data / "ledger.db").write_bytes(b"")


def _not_a_database(data: Path) -> None:
    (data / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)


def _text(data: Path) -> None:
    (data / "ledger.db").write_text("no database, nothing like it\n" * 100, encoding="utf-8")


def _missing(data: Path) -> None:
    (data / "ledger.db").unlink()


def _without_head(data: Path) -> None:
    execute(data / "ledger.db", "DELETE FROM head")


def _another_beginning(data: Path) -> None:
    file = data / "ledger.db"
    file.write_bytes(file.read_bytes().replace(b'"kind":"ledger.opened"', b'"kind":"ledgdr.opened"'))


SPOILT = {
    "a missing key": (_drop_key, ["log-ed25519.pem` is missing"]),
    "another ledger's keys": (_other_key, ["is not this ledger's"]),
    "a key that is none": (_broken_key, ["log-ml-dsa-44.pem` cannot be read"]),
    "a key of the other kind": (_swapped_keys, ["does not hold an ML-DSA-44 key"]),
    "a newer database": (_newer, ["newer than this program", "install the version of oblik"]),
    "an empty file": (_empty, ["holds no ledger", "oblik init"]),
    "a damaged database": (_not_a_database, ["database"]),
    "a file that is no database": (_text, ["database"]),
    "no database": (_missing, ["is missing", "oblik init"]),
    "a database whose head is gone": (_without_head, ["holds no ledger"]),
    "a first entry of another kind": (_another_beginning, ["does not begin with `ledger.opened`", "backup"]),
}


@pytest.mark.parametrize("case", SPOILT)
def test_serve_refuses_what_is_not_right(copy, case):
    """A key or database that is missing, wrong, damaged or newer stops the service before it listens."""
    spoil, words = SPOILT[case]
    spoil(copy / "data")
    refused(oblik("serve", "--data", "data", "--port", _free_port(), cwd=copy), *words)


def test_nothing_is_made_where_a_database_is_missing(tmp_path):
    """A mistyped path makes no empty database, whichever command it is given to."""
    (tmp_path / "data").mkdir()
    for command in (["serve"], ["export", "x.jsonl"]):
        refused(oblik(*command, "--data", "data", cwd=tmp_path), "ledger.db", "is missing")
    refused(oblik("verify", "sqlite:///typo.db", cwd=tmp_path), "typo.db", "is missing")
    assert list(tmp_path.rglob("*")) == [tmp_path / "data"]


def test_an_older_database_says_what_to_do(copy, older_and_newer):
    """Code that is ahead refuses the database until `upgrade` has run; then the code behind refuses it as newer."""
    ahead = {"cwd": copy, "code": older_and_newer}
    for command in (["serve", "--data", "data"], ["verify", "data/ledger.db"]):
        refused(oblik(*command, **ahead), "older than this program", "oblik upgrade")
    assert oblik("upgrade", "--data", "data", **ahead).returncode == 0
    assert oblik("verify", "data/ledger.db", **ahead).returncode == 0
    refused(oblik("verify", "data/ledger.db", cwd=copy), "newer than this program")
    done = oblik("upgrade", "--data", "data", cwd=copy)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_port_that_is_taken_is_told(copy):
    """Where another listens, the service says so and ends with exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = oblik("serve", "--data", "data", "--port", taken.getsockname()[1], cwd=copy)
    assert done.returncode == 2
    assert "did not start on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_answers_until_it_is_interrupted(copy):
    """The service answers on its port, and ends cleanly on an interrupt."""
    port = _free_port()
    command = [sys.executable, "-m", "ledger.cli", "serve", "--data", "data", "--port", str(port)]
    with subprocess.Popen(command, cwd=copy, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + START_SECONDS
        while not _up(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
        checkpoint = httpx.get(f"http://127.0.0.1:{port}/ledger/v1/checkpoint").text
        process.send_signal(2)
        _, said = process.communicate(timeout=START_SECONDS)
    assert checkpoint.startswith("test.oblik.example/ledger\n")
    assert process.returncode in {0, 130, -2}
    assert "Traceback" not in said


def _up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
    except httpx.TransportError:
        time.sleep(0.05)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# verify, replay, rebuild, export --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["data/ledger.db", "sqlite:///data/ledger.db", "good.jsonl"])
def test_a_good_ledger_verifies_and_replays(ledger, source):
    """From a file, a URL and an export: the same size and root, and every decision comes out again."""
    verified = oblik("verify", source, cwd=ledger)
    found = re.fullmatch(r"verified: (\d+) entries, size (\d+), root ([0-9a-f]{64})(, .*)?\n", verified.stdout)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert found is not None
    assert found[1] == found[2]
    assert bool(found[4]) == source.endswith("jsonl")
    assert found[3] in oblik("verify", "data/ledger.db", cwd=ledger).stdout
    replayed = oblik("replay", source, cwd=ledger)
    assert replayed.stdout == f"replayed: {found[1]} entries, 4 decisions, 0 findings\n"
    assert replayed.returncode == 0


@pytest.mark.parametrize("source", ["data/ledger.db", "good.jsonl"])
def test_workers_verify_the_same(ledger, source):
    """With two processes every word is the same; with none or too many it is misuse."""
    alone = oblik("verify", source, "--workers", 1, cwd=ledger)
    together = oblik("verify", source, "--workers", 2, cwd=ledger)
    assert (0, alone.stdout, "") == (together.returncode, together.stdout, together.stderr)
    for count in (0, 65):
        assert oblik("verify", source, "--workers", count, cwd=ledger).returncode == 2


def test_a_verification_goes_on_from_the_file_that_it_kept(copy):
    """The file is its owner's alone; it serves the ledger that it was made of, from any source, and no other."""
    first = oblik("verify", "good.jsonl", "--resume", "kept", cwd=copy)
    assert (first.returncode, first.stderr) == (0, "")
    assert stat.S_IMODE((copy / "kept").stat().st_mode) == 0o600
    assert not (copy / "kept.partial").exists()
    assert first.stdout == oblik("verify", "good.jsonl", "--resume", "kept", cwd=copy).stdout
    database = oblik("verify", "data/ledger.db", "--resume", "kept", cwd=copy)
    assert (0, first.stdout.split(",")[:3]) == (database.returncode, database.stdout.rstrip("\n").split(",")[:3])
    assert init(copy, data="other").returncode == 0
    kept = (copy / "kept").read_bytes()
    refused(oblik("verify", "other/ledger.db", "--resume", "kept", cwd=copy), "were verified before", code=1)
    (copy / "kept").write_bytes(kept.replace(b'"first":"', b'"first":"00', 1))
    refused(oblik("verify", "good.jsonl", "--resume", "kept", cwd=copy), "`kept` does not let a verification go on")
    refused(oblik("verify", "good.jsonl", "--resume", ".", cwd=copy), "`.` cannot be read")
    refused(oblik("verify", "good.jsonl", "--resume", "no/kept", cwd=copy), "`no/kept` cannot be written")


def test_a_ledger_that_does_not_verify_leaves_what_was_kept_as_it_was(copy):
    """What is kept is replaced when all of it holds."""
    assert oblik("verify", "good.jsonl", "--resume", "kept", cwd=copy).returncode == 0
    kept = (copy / "kept").read_bytes()
    lines = (copy / "good.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "cut").write_bytes(b"".join(lines[:-1]))
    refused(oblik("verify", "cut", "--resume", "kept", cwd=copy), "the checkpoint is missing", code=1)
    assert kept == (copy / "kept").read_bytes()


def test_a_changed_entry_is_named(copy):
    """A byte changed behind the trigger's back is exit code 1 and the entry's index, in verify and replay."""
    database = copy / "data" / "ledger.db"
    execute(database, "DROP TRIGGER entry_no_update")
    connection = sqlite3.connect(database)
    with connection:
        data = connection.execute("SELECT data FROM entry WHERE seq = 30").fetchone()[0]
        changed = data.replace(b'"at":"2026', b'"at":"2025', 1)
        connection.execute("UPDATE entry SET data = ? WHERE seq = 30", (changed,))
    connection.close()
    assert changed != data
    for command in ("verify", "replay"):
        refused(oblik(command, database, cwd=copy), "does not verify: entry 30: ", code=1)


def test_a_missing_entry_is_named(copy):
    """An entry that is gone is named, and so is one too many at the end."""
    database = copy / "data" / "ledger.db"
    execute(database, "DROP TRIGGER entry_no_delete", "DELETE FROM entry WHERE seq = 12")
    refused(oblik("verify", database, cwd=copy), "entry 12: is missing", code=1)


def test_a_head_that_states_another_root_is_found(copy):
    """Entries that hold together under a head that is not theirs do not verify."""
    database = copy / "data" / "ledger.db"
    execute(database, "UPDATE head SET edge = zeroblob(length(edge))")
    refused(oblik("verify", database, cwd=copy), "the head states another root", code=1)


@pytest.mark.parametrize("command", ["verify", "replay"])
def test_a_changed_attachment_is_found(copy, command):
    """A policy's text that is not the one that was adopted is exit code 1, though every entry holds."""
    database = copy / "data" / "ledger.db"
    execute(database, "UPDATE attachment SET data = CAST(replace(data, 'grant_current', 'always') AS BLOB)")
    refused(oblik(command, database, cwd=copy), "does not verify: ", "does not have this SHA-256", code=1)


def test_an_unreadable_entry_stops_a_rebuild(copy):
    """Rebuild names the entry that it cannot read, and leaves every table as it was."""
    database = copy / "data" / "ledger.db"
    execute(database, "DROP TRIGGER entry_no_update", "UPDATE entry SET data = CAST('{}' AS BLOB) WHERE seq = 20")
    before = _dump(database, "member")
    refused(oblik("rebuild", "--data", "data", cwd=copy), "does not verify: entry 20: ", code=1)
    assert _dump(database, "member") == before


def test_rebuild_makes_the_same_tables(copy):
    """After tables were emptied and falsified, rebuild gives them as they were."""
    database = copy / "data" / "ledger.db"
    names = ("member", "organisation", "access_grant", "resource", "lineage", "credential", "stream", "policy")
    before = {name: _dump(database, name) for name in names}
    assert all(before.values())
    execute(database, "DELETE FROM member", "UPDATE organisation SET status = 'enrolled', trust_tier = 4")
    done = oblik("rebuild", "--data", "data", cwd=copy)
    assert (done.returncode, done.stdout) == (0, "rebuilt every projection from the entries\n")
    assert {name: _dump(database, name) for name in names} == before


def _dump(database: Path, name: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    rows = connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
    connection.close()
    return rows


def test_export_never_overwrites(copy):
    """A file that is there, finished or under way, is left as it is; nothing is left of an export that failed."""
    (copy / "there").write_text("mine", encoding="utf-8")
    refused(oblik("export", "there", "--data", "data", cwd=copy), "`there` is there already", "never overwritten")
    (copy / "new.partial").write_text("another's", encoding="utf-8")
    refused(oblik("export", "new", "--data", "data", cwd=copy), "`new.partial` is there already")
    refused(oblik("export", "no/such/folder/x", "--data", "data", cwd=copy), "cannot be written")
    refused(oblik("export", "data", "--data", "data", cwd=copy), "`data` is there already")
    assert (copy / "there").read_text(encoding="utf-8") == "mine"
    assert (copy / "new.partial").read_text(encoding="utf-8") == "another's"
    assert sorted(path.name for path in copy.iterdir()) == ["data", "good.jsonl", "new.partial", "there"]


def test_an_export_takes_the_ledgers_own_keys(copy):
    """With another ledger's keys nothing is exported: it would be signed by strangers."""
    _other_key(copy / "data")
    refused(oblik("export", "new", "--data", "data", cwd=copy), "is not this ledger's")
    assert not list(copy.glob("new*"))


def test_an_export_is_the_same_each_time(copy):
    """Two exports of one ledger are the same but for what is signed anew."""
    assert oblik("export", "again.jsonl", "--data", "data", cwd=copy).returncode == 0
    first, second = (copy / name for name in ("good.jsonl", "again.jsonl"))
    assert first.read_bytes().splitlines()[:-1] == second.read_bytes().splitlines()[:-1]


def test_a_truncated_export_never_verifies(copy):
    """Cut at any line, and within one, it is exit code 1 and a line that says where."""
    lines = (copy / "good.jsonl").read_bytes().splitlines(keepends=True)
    whole = b"".join(lines)
    cuts = {
        "within the header": lines[0][:20],
        "within an entry": b"".join(lines[:10]) + lines[10][:40],
        "between entries": b"".join(lines[:10]),
        "before the checkpoint": b"".join(lines[:-1]),
        "before the last newline": whole[:-1],
    }
    for where, data in cuts.items():
        (copy / "cut").write_bytes(data)
        done = oblik("verify", "cut", cwd=copy)
        assert done.returncode == 1, where
        refused(done, "does not verify", code=1)


def test_a_changed_export_is_found(copy):
    """A changed entry, two that were swapped, one that is gone, a changed checkpoint: each is exit code 1."""
    lines = (copy / "good.jsonl").read_bytes().splitlines(keepends=True)
    changes = {
        "entry 10: /prev": [*lines[:10], lines[10].replace(b'"v":1', b'"v":2'), *lines[11:]],
        "entry 4: ": [*lines[:5], lines[6], lines[5], *lines[7:]],
        "entry 7: ": [*lines[:8], *lines[9:]],
        "signature": [*lines[:-1], lines[-1].replace(b"\\n", b"\\n ", 1)],
    }
    for words, changed in changes.items():
        (copy / "changed").write_bytes(b"".join(changed))
        refused(oblik("verify", "changed", cwd=copy), words, code=1)


@pytest.mark.parametrize(
    ("command", "source", "code", "words"),
    [
        ("verify", "none", 2, "`none` cannot be read: No such file"),
        ("replay", "data", 2, "no file `data/checkpoint`"),
        ("verify", "damaged", 2, "not a database"),
        ("verify", "mysql://host/x", 2, "`mysql` is not supported"),
        ("replay", "empty", 1, "the header is missing"),
        ("verify", "random", 1, "is not the header"),
        ("verify", "nested", 1, "is not the header"),
    ],
)
def test_what_is_no_ledger_is_told(tmp_path, command, source, code, words):
    """A file that is missing, empty or something else, a folder, another engine: one clear line, never a traceback."""
    (tmp_path / "data").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "random").write_bytes(bytes(range(256)) * 500)
    (tmp_path / "nested").write_bytes(b'{"a":' * 200_000 + b"\n")
    (tmp_path / "damaged").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    refused(oblik(command, source, cwd=tmp_path), words, code=code)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file_is_told(copy):
    """A file without the right to read it is named."""
    (copy / "good.jsonl").chmod(0)
    refused(oblik("verify", "good.jsonl", cwd=copy), "`good.jsonl` cannot be read: Permission denied")


def test_help_says_what_there_is(tmp_path):
    """`--help` lists the commands, and each command its options; misuse is exit code 2."""
    shown = oblik("--help", cwd=tmp_path)
    assert shown.returncode == 0
    for command in ("init", "serve", "upgrade", "demo", "verify", "replay", "rebuild", "export"):
        assert f" {command} " in shown.stdout
    assert "--origin" in oblik("init", "--help", cwd=tmp_path).stdout
    for arguments in (["nonsense"], ["serve", "--port", "0"]):
        wrong = oblik(*arguments, cwd=tmp_path)
        assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False)

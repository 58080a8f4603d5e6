"""A witness, as real processes over HTTP: its whole life, its refusals, and what it never does."""

import shutil
import socket
import sqlite3
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
import sqlalchemy
import uvicorn
from served import check_problem
from small_log import ORIGIN, SmallLog
from witnesses import CHECKPOINT_PATH, SECONDS, make_witness, run, witness_process

from ledger.api import witness as api
from ledger.bootstrap import open_witness
from ledger.errors import Misconfigured, Unavailable
from ledger.keys.witness import create_witness_keys
from ledger.log.checkpoint import open_checkpoint, parse_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.note import open_note, parse_note
from ledger.log.witnessing import MAX_ADD_CHECKPOINT_BYTES, format_add_checkpoint
from ledger.services import witness as service
from ledger.settings import WitnessSettings

LOG, FORK = SmallLog(), SmallLog().branch(0)
NOW = 1_795_250_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_witness(tmp_path_factory.mktemp("made") / "witness")


@pytest.fixture
def folder(made, tmp_path):
    """Give the folder of a witness of the test's own."""
    return shutil.copytree(made, tmp_path / "witness")


def settings_of(folder):
    return WitnessSettings(data=folder, logs=folder / "logs")


@pytest.fixture
def witness(folder):
    """Give a witness opened in this process."""
    opened = open_witness(settings_of(folder))
    yield opened
    opened.engine.dispose()


@contextmanager
def served(witness, **options):
    """Serve a witness from this process, where a test may set its limits. Gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = api.create_app(witness, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http="h11", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        listener.close()
    assert not thread.is_alive()


def cosigned(process, lines: bytes, note: bytes):
    """Check that both keys of the witness, and no other, cosigned the checkpoint of a note. Gives the checkpoint."""
    text = parse_note(note)[0]
    opened = open_note(text + b"\n" + lines, process.verifiers)
    assert len(lines.splitlines()) == 2
    assert opened.signed_by == tuple((v.name, v.key_id) for v in process.verifiers)
    return parse_checkpoint(text)


def stored(folder):
    """Give (size, root) of the one log in a witness's memory; None where it has none."""
    connection = sqlite3.connect(folder / "witness.db")
    try:
        return connection.execute("SELECT size, root FROM cosigned").fetchone()
    finally:
        connection.close()


# The command ----------------------------------------------------------------------------------------------------------


def test_init_makes_keys_and_an_empty_memory(tmp_path):
    """Both verifier keys are printed, and whole in a file; all is its owner's alone; nothing is made twice."""
    data = tmp_path / "witness"
    done = run("init", "--name", "w.example/1", "--data", data)
    assert (done.returncode, done.stderr) == (0, "")
    vkeys = (data / "witness.vkeys").read_text().splitlines()
    assert [parse_vkey(vkey).name for vkey in vkeys] == ["w.example/1"] * 2
    assert all(f"verifier key: {vkey[:100]}" in done.stdout for vkey in vkeys)
    for path in data.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    again = run("init", "--name", "w.example/2", "--data", data)
    assert (again.returncode, again.stdout) == (2, "")
    assert "is there already" in again.stderr
    assert before == {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "left", ["witness.db", "witness.vkeys", "keys/witness-ed25519.pem", "keys/witness-ml-dsa-44.pem"]
)
def test_init_makes_nothing_beside_what_is_left_of_a_witness(folder, left):
    """Old keys never get a new memory, which would cosign a fork, nor an old memory new keys; nothing half is left."""
    for path in [path for path in folder.rglob("*") if path.is_file() and path != folder / left]:
        path.unlink()
    done = run("init", "--name", "w.example/1", "--data", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / left]


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a" * 256])
def test_init_refuses_a_name_that_no_key_has(tmp_path, name):
    """Nothing is made."""
    done = run("init", "--name", name, "--data", tmp_path / "witness")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("oblik: --name: ")
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("witness.db", "is retired"),
        ("keys/witness-ed25519.pem", "restore it"),
        ("keys/witness-ml-dsa-44.pem", "restore it"),
        ("witness.vkeys", "restore it"),
        ("logs", "cannot be read"),
    ],
)
def test_a_witness_that_is_not_whole_is_not_served(folder, missing, words):
    """A missing key or memory is not made anew: a witness that forgot would cosign a fork."""
    (folder / missing).unlink()
    with pytest.raises(Misconfigured) as refusal:
        open_witness(settings_of(folder))
    assert words in str(refusal.value)
    assert str(folder / missing) in str(refusal.value)
    assert not (folder / missing).exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("witness.db", b"not a database, but long enough to look at" * 100),
        ("witness.db", b""),
        ("keys/witness-ed25519.pem", b"-----BEGIN"),
        ("witness.vkeys", b"w.example/1\n"),
        ("witness.vkeys", b"\xff"),
        ("witness.vkeys", b""),
        ("logs", b"log x\n"),
        ("logs", b""),
    ],
)
def test_files_that_are_not_what_they_should_be_are_not_served(folder, file, content):
    """The refusal names the file."""
    (folder / file).write_bytes(content)
    with pytest.raises(Misconfigured) as refusal:
        open_witness(settings_of(folder))
    assert str(folder / file) in str(refusal.value)


@pytest.mark.parametrize("key", ["witness-ed25519.pem", "witness-ml-dsa-44.pem"])
def test_the_keys_of_another_witness_are_not_served(folder, tmp_path, key):
    """A key under a name that it was not made for would sign what no verifier accepts."""
    create_witness_keys(tmp_path / "other", name="w.example/1")
    shutil.copy(tmp_path / "other" / "keys" / key, folder / "keys" / key)
    with pytest.raises(Misconfigured, match="are not those of"):
        open_witness(settings_of(folder))


@pytest.fixture
def secret(tmp_path):
    """Give the file of a passphrase."""
    path = tmp_path / "passphrase"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    path.chmod(0o600)
    return path


def key_files(folder) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "keys").iterdir())]


def is_encrypted(pem: bytes) -> bool:
    return pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_keys_are_encrypted_where_a_passphrase_is_set(tmp_path, secret):
    """By `init`; and `serve` opens them with that passphrase, from the option or the variable, and with no other."""
    data = tmp_path / "witness"
    made = run("init", "--name", "w.example/1", "--data", data, "--passphrase-file", secret)
    assert (made.returncode, made.stderr) == (0, "")
    assert list(map(is_encrypted, key_files(data))) == [True, True]
    (data / "logs").write_bytes(LOG.trusted)
    with witness_process(data, {"OBLIK_WITNESS_PASSPHRASE_FILE": str(secret)}) as process:
        note = LOG.note(5)
        cosigned(process, process.post(LOG.request(0, 5)).content, note)
    serve = ("serve", "--data", data, "--logs", data / "logs")
    other = tmp_path / "other"
    other.write_text("x" * 40)
    other.chmod(0o600)
    for options, words in (
        ((), "is encrypted, and no passphrase is set (set OBLIK_WITNESS_PASSPHRASE_FILE)"),
        (("--passphrase-file", other), "does not open with this passphrase"),
        (("--passphrase-file", tmp_path / "missing"), "cannot be read"),
    ):
        refused = run(*serve, *options)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr, refused.stderr


def test_keys_that_are_there_are_encrypted_in_place(folder, secret):
    """The same keys, once and again; until then a passphrase that is set refuses them."""
    before = open_witness(settings_of(folder)).keys.vkeys()
    with_secret = replace(settings_of(folder), passphrase_file=secret)
    with pytest.raises(Misconfigured, match=r"not encrypted, though a passphrase is set.*oblik witness encrypt"):
        open_witness(with_secret)
    for lines in (3, 1):
        done = run("encrypt", "--data", folder, "--passphrase-file", secret)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, lines), done
    assert list(map(is_encrypted, key_files(folder))) == [True, True]
    opened = open_witness(with_secret)
    assert opened.keys.vkeys() == before
    opened.engine.dispose()


def test_encrypting_needs_a_passphrase_and_both_keys(folder, secret):
    """Without either nothing is changed."""
    before = key_files(folder)
    assert "no passphrase is set" in run("encrypt", "--data", folder).stderr
    secret.chmod(0o640)
    assert "open to others" in run("encrypt", "--data", folder, "--passphrase-file", secret).stderr
    secret.chmod(0o600)
    (folder / "keys" / "witness-ml-dsa-44.pem").rename(folder / "elsewhere")
    done = run("encrypt", "--data", folder, "--passphrase-file", secret)
    assert (done.returncode, "is missing" in done.stderr) == (2, True)
    (folder / "elsewhere").rename(folder / "keys" / "witness-ml-dsa-44.pem")
    assert key_files(folder) == before


def test_serve_says_in_one_line_why_it_does_not(folder):
    """Exit code 2, nothing on stdout, no traceback."""
    (folder / "witness.db").unlink()
    done = run("serve", "--data", folder, "--logs", folder / "logs")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("oblik: the witness's memory ")
    assert len(done.stderr.splitlines()) == 1, done.stderr


# Its life -------------------------------------------------------------------------------------------------------------


def test_the_whole_life_of_a_witness(folder):
    """It follows a log from nothing, refuses each fork and each step back, and survives kill -9 between requests."""
    with witness_process(folder) as process:
        assert process.last().status_code == 404
        for old, new in [(0, 0), (0, 3), (3, 3), (3, 8), (8, 21)]:
            note = LOG.note(new)
            answer = process.post(format_add_checkpoint(old, LOG.proof(old, new), note))
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
            assert cosigned(process, answer.content, note) == LOG.checkpoint(new)
            last = process.last()
            assert last.status_code == 200
            keys = [*process.verifiers, *(parse_vkey(line.split()[1]) for line in LOG.trusted.decode().splitlines())]
            assert len(open_note(last.content, keys).signed_by) == 4
            assert open_checkpoint(last.content, keys, origin=ORIGIN) == LOG.checkpoint(new)
            if new in (0, 8):
                process.kill()
                process.start()
        behind = process.post(LOG.request(8, 30))
        assert (behind.status_code, behind.content) == (409, b"21\n")
        assert behind.headers["content-type"] == "text/x.tlog.size"
        check_problem(process.post(FORK.request(21, 21)), 422)
        check_problem(process.post(FORK.request(21, 30)), 422)
        assert (21, LOG.checkpoint(21).root) == stored(folder)
        assert "refused from size 21" in process.stderr
        assert parse_note(FORK.note(30))[0].decode() in process.stderr, "the evidence is kept"


def test_every_refusal_has_the_status_of_the_specification(folder):
    """400, 403, 404, 409, 413, 422 as tlog-witness has them; each leaves the memory as it was."""
    stranger = SmallLog(seed=2)
    with witness_process(folder) as process:
        assert process.post(LOG.request(0, 5)).status_code == 200
        before = stored(folder)
        refused = {
            400: [
                b"",
                LOG.request(5, 8)[:-1],
                b"old 05" + LOG.request(5, 8)[5:],
                LOG.request(5, 5).replace(b"5", b"6", 1),
            ],
            403: [stranger.request(5, 8)],
            404: [SmallLog("other.example/log").request(0, 8)],
            413: [LOG.request(5, 8) + b"x" * MAX_ADD_CHECKPOINT_BYTES],
            422: [FORK.request(5, 8), FORK.request(5, 5), format_add_checkpoint(5, [bytes(32)], LOG.note(5))],
        }
        for status, bodies in refused.items():
            for body in bodies:
                check_problem(process.post(body), status)
        for old, new in [(0, 8), (4, 8), (6, 8)]:
            answer = process.post(LOG.request(old, new))
            assert (answer.status_code, answer.content) == (409, b"5\n")
        assert before == stored(folder)


def test_methods_and_paths_that_are_none(folder):
    """Other methods are 405, other paths 404, a log's name that is none 400; nothing of the insides is told."""
    with witness_process(folder) as process, httpx.Client(base_url=process.url) as http:
        check_problem(http.get("/add-checkpoint"), 405)
        check_problem(http.put("/add-checkpoint", content=b""), 405)
        check_problem(http.post(CHECKPOINT_PATH, content=b""), 405)
        check_problem(http.get("/x/checkpoint"), 400)
        check_problem(http.get(CHECKPOINT_PATH.upper().replace("CHECKPOINT", "checkpoint")), 400)
        check_problem(http.get("/" + "0" * 64 + "/checkpoint"), 404)
        check_problem(http.get("/docs"), 404)
        check_problem(http.get("/openapi.json"), 404)


# What does not stop ---------------------------------------------------------------------------------------------------


def hung_up(line, part: bytes) -> bool:
    """Send a part again and again. Tells whether the other side hung up before it had a hundred times its limit."""
    try:
        for _ in range(100 * MAX_ADD_CHECKPOINT_BYTES // len(part)):
            line.sendall(part)
    except OSError:  # whichever way it is hung up on
        return True
    return False


def test_an_upload_that_does_not_end_is_cut_off(folder):
    """A body without an announced length is answered 413 as soon as it is over the limit, and hung up on."""
    with witness_process(folder) as process, socket.create_connection(("127.0.0.1", process.port), SECONDS) as line:
        line.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert hung_up(line, b"1000\r\n" + b"x" * 4096 + b"\r\n")
        assert process.post(LOG.request(0, 5)).status_code == 200


def test_an_announced_upload_is_refused_before_it_is_sent(folder):
    """A Content-Length over the limit is answered 413 at once."""
    with witness_process(folder) as process, socket.create_connection(("127.0.0.1", process.port), SECONDS) as line:
        head = f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {MAX_ADD_CHECKPOINT_BYTES + 1}\r\n\r\n"
        line.sendall(head.encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()


def test_a_slow_upload_is_cut_off(witness, monkeypatch):
    """A request that does not arrive in time is answered 408, and hung up on."""
    monkeypatch.setattr(api, "BODY_SECONDS", 0.2)
    with served(witness) as port, socket.create_connection(("127.0.0.1", port), SECONDS) as line:
        line.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nold 5\n")
        answer = b"".join(iter(lambda: line.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_headers_that_do_not_end_are_cut_off(folder):
    """A request with endless headers is answered 400, and hung up on."""
    with witness_process(folder) as process, socket.create_connection(("127.0.0.1", process.port), SECONDS) as line:
        line.sendall(b"POST /add-checkpoint HTTP/1.1\r\n")
        assert hung_up(line, b"X: " + b"x" * 4096 + b"\r\n")


# The clock ------------------------------------------------------------------------------------------------------------


def test_a_cosignature_states_the_time_that_it_is_given(witness):
    """Both lines begin with the POSIX seconds of the clock."""
    with served(witness, clock=lambda: NOW) as port:
        lines = httpx.post(f"http://127.0.0.1:{port}/add-checkpoint", content=LOG.request(0, 5)).content
    times = [signature[:8] for _, _, signature in parse_note(b"x\n\n" + lines)[1]]
    assert times == [NOW.to_bytes(8)] * 2


@pytest.mark.parametrize("now", [0, -1])
def test_a_clock_that_is_not_set_is_refused(folder, witness, now):
    """503, and nothing is cosigned: a time of 0 states none."""
    with served(witness, clock=lambda: now) as port:
        check_problem(httpx.post(f"http://127.0.0.1:{port}/add-checkpoint", content=LOG.request(0, 5)), 503)
    with pytest.raises(Unavailable, match="clock"):
        service.add_checkpoint(witness, LOG.request(0, 5), now=now)
    assert stored(folder) is None


# Never a fork ---------------------------------------------------------------------------------------------------------


def test_of_two_histories_of_one_size_one_is_cosigned(folder):
    """Conflicting checkpoints, each of which continues the last, race through two processes: one answer is 200."""
    log = SmallLog()
    with witness_process(folder) as one, witness_process(folder) as two, ThreadPoolExecutor(8) as pool:
        for size in range(0, 40, 2):
            branches = [log.branch(size, f"{size} a"), log.branch(size, f"{size} b")]
            asked = [(process, branch) for process in (one, two) for branch in branches for _ in range(2)]
            requests = [(process, branch.request(size, size + 2)) for process, branch in asked]
            answers = list(pool.map(lambda pair: pair[0].post(pair[1]), requests))
            assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
            (log,) = (branch for (_, branch), answer in zip(asked, answers, strict=True) if answer.status_code == 200)
            assert (size + 2, log.checkpoint(size + 2).root) == stored(folder)


class Load:
    """Threads that ask for cosignatures of ever new branches, and keep what was answered."""

    def __init__(self, process) -> None:
        self.process = process
        self.histories = {None: LOG}
        self.cosigned: list[tuple[int, bytes]] = []
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(SECONDS)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + SECONDS
        while len(self.cosigned) < count:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def _ask(self, number: int) -> None:
        turn = 0
        while not self.done.is_set():
            turn += 1
            last = stored(self.process.data)
            size = last[0] if last else 0
            new = size + 1 + turn % 3
            branch = self.histories[last].branch(size, f"{number} {turn}")
            checkpoint = branch.checkpoint(new)
            self.histories[new, checkpoint.root] = branch
            try:
                answer = self.process.post(branch.request(size, new))
            except httpx.TransportError:
                continue  # it was killed; what it had cosigned may be stored or not
            if answer.status_code == 200:
                self.cosigned.append((new, checkpoint.root))


def test_kill_9_under_load_leaves_one_history(folder):
    """Never two roots for one size, never a step back, and nothing that was answered is forgotten."""
    with witness_process(folder) as process, Load(process) as load:
        before = 0
        for kills in range(1, 7):
            load.wait_for(kills * 10)
            process.kill()
            answered = list(load.cosigned)
            size, root = stored(folder)
            assert size >= max(before, *(each for each, _ in answered))
            history = load.histories[size, root]
            assert all(history.checkpoint(each).root == value for each, value in answered)
            before = size
            process.start()
    roots = dict(load.cosigned)
    assert len(roots) == len(load.cosigned) >= 60
    assert not any(thread.is_alive() for thread in load.threads)


def test_the_memory_itself_refuses_to_go_back(folder, witness):
    """A smaller tree, another root for one size, and a log forgotten are refused by the database, whoever asks."""
    service.add_checkpoint(witness, LOG.request(0, 5), now=NOW)
    connection = sqlite3.connect(folder / "witness.db")
    for statement in (
        "UPDATE cosigned SET size = 4",
        "UPDATE cosigned SET root = zeroblob(32)",
        "UPDATE cosigned SET origin_sha256 = 'x'",
        "DELETE FROM cosigned",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="a witness never"):
            connection.execute(statement)
    connection.close()


def test_a_memory_that_cannot_be_written_cosigns_nothing(folder, witness, monkeypatch):
    """503, and no line leaves the witness."""
    service.add_checkpoint(witness, LOG.request(0, 5), now=NOW)
    before = stored(folder)

    def fail(*_):
        raise sqlalchemy.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(witness.engine.dialect, "do_commit", fail)
    with served(witness) as port:
        problem = check_problem(httpx.post(f"http://127.0.0.1:{port}/add-checkpoint", content=LOG.request(5, 8)), 503)
    assert "cosign" in problem["help"]
    assert before == stored(folder)


def test_a_commit_is_durable_before_the_answer(witness):
    """The memory is written with `synchronous=FULL`: what was answered survives a power cut."""
    with witness.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2

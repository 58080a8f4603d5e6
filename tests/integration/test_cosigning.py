"""Asking witnesses: real ones, dead ones and liars; nobody waits for them, and no lie is taken for a cosignature."""

import logging
import socket
import threading
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from liar import answering, liar
from small_log import ORIGIN, SmallLog
from witnesses import free_port, make_witness, witness_process

from ledger.errors import BadCheckpoint, BadNote, Malformed, Misconfigured, NoAnswer, NotLastCosigned
from ledger.keys.witness import WitnessKeys
from ledger.log.cosignature import parse_vkey
from ledger.log.note import open_note, parse_note, sign_note
from ledger.remote.witness import MAX_LINES_BYTES, WitnessClient
from ledger.services.cosigning import Cosigning

LOG = SmallLog()
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
PATIENCE = 60
NOTE = LOG.note(11)
TEXT = parse_note(NOTE)[0]


def keys(seed: int = 7, name: str = "w.example/1") -> WitnessKeys:
    ed25519 = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return WitnessKeys(name, ed25519, MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32))


def lines_by(witness: WitnessKeys, text: bytes = TEXT, *, at: int = 1_795_250_000) -> bytes:
    """Give the lines that this witness would answer for a checkpoint's text."""
    return sign_note(text, witness.signers(at))[len(text) + 1 :]


def client(url: str, *, timeout: float = PATIENCE) -> WitnessClient:
    return WitnessClient(url, [parse_vkey(vkey) for vkey in keys().vkeys()], timeout)


GOOD = lines_by(keys())


@pytest.fixture
def process(tmp_path):
    """Give a real witness in a process of its own."""
    with witness_process(make_witness(tmp_path / "witness")) as started:
        yield started


# The client -----------------------------------------------------------------------------------------------------------


def test_a_real_witness_is_asked(process):
    """Lines of both keys come back; the size it cosigned last is told; its last note is read."""
    asking = WitnessClient(process.url + "/", process.verifiers, PATIENCE)
    assert asking.name == "w.example/1"
    assert asking.last(ORIGIN) is None
    lines = asking.add_checkpoint(0, [], NOTE)
    signed = open_note(TEXT + b"\n" + lines, process.verifiers).signed_by
    assert signed == tuple((verifier.name, verifier.key_id) for verifier in process.verifiers)
    assert parse_note(asking.last(ORIGIN))[0] == TEXT
    with pytest.raises(NotLastCosigned) as refusal:
        asking.add_checkpoint(5, LOG.proof(5, 11), NOTE)
    assert refusal.value.size == 11
    with pytest.raises(NoAnswer, match="answered 422"):
        asking.add_checkpoint(11, [], LOG.branch(0).note(11))


def test_a_good_answer_passes_and_lines_by_others_are_left_out():
    """What the client makes of an answer is the lines of this witness's keys, once."""
    others = lines_by(keys(8)) + lines_by(keys(9, "w.example/2"))
    with liar(answering(others + GOOD + GOOD)) as url:
        assert client(url).add_checkpoint(0, [], NOTE) == GOOD
    with liar(answering(GOOD.splitlines(keepends=True)[1])) as url:
        assert client(url).add_checkpoint(0, [], NOTE) == GOOD.splitlines(keepends=True)[1]


LIES = {
    "nothing": b"",
    "garbage": b"\x00\xff garbage",
    "a page": b"<html>\n</html>\n",
    "no newline": GOOD[:-1],
    "more after": GOOD + b"more\n",
    "another witness": lines_by(keys(8)),
    "another name": lines_by(keys(7, "w.example/2")),
    "another checkpoint": lines_by(keys(), parse_note(LOG.note(12))[0]),
    "another history": lines_by(keys(), parse_note(LOG.branch(0).note(11))[0]),
    "one bad among good": GOOD + lines_by(keys(), parse_note(LOG.note(12))[0]),
    "the note before": NOTE + GOOD,
    "the log's own lines": NOTE[len(TEXT) + 1 :],
    "a hundred lines too many": GOOD.splitlines(keepends=True)[0] * 101,
}


@pytest.mark.parametrize("name", LIES)
def test_no_lie_is_taken_for_a_cosignature(name):
    """Answered with 200, and still nothing that a key of this witness signed over this checkpoint."""
    with liar(answering(LIES[name])) as url, pytest.raises(BadNote):
        client(url).add_checkpoint(0, [], NOTE)


def test_no_changed_byte_of_an_answer_passes():
    """Each byte of the Ed25519 line, changed, makes the answer none of this witness's."""
    line = bytearray(GOOD.splitlines(keepends=True)[0])
    served = [b""]

    def behave(connection: socket.socket, request: bytes) -> None:
        answering(served[0])(connection, request)

    with liar(behave) as url:
        asking = client(url)
        for i in range(0, len(line), 3):
            line[i] ^= 1
            served[0] = bytes(line)
            line[i] ^= 1
            with pytest.raises(BadNote):
                asking.add_checkpoint(0, [], NOTE)


SIZE = "Content-Type: text/x.tlog.size\r\n"


@pytest.mark.parametrize(
    "behave",
    [
        answering(b"", status="302 Found", headers="Location: http://127.0.0.1:1/add-checkpoint\r\n"),
        answering(GOOD, status="307 Temporary Redirect", headers="Location: /elsewhere\r\n"),
        answering(GOOD, status="201 Created"),
        answering(GOOD, status="500 Internal Server Error"),
        answering(b"no\n", status="403 Forbidden"),
        answering(b"x" * (MAX_LINES_BYTES + 1)),
        answering(b"5\n", status="409 Conflict"),
        answering(b"5", status="409 Conflict", headers=SIZE),
        answering(b"05\n", status="409 Conflict", headers=SIZE),
        answering(b"-5\n", status="409 Conflict", headers=SIZE),
        answering(b"five\n", status="409 Conflict", headers=SIZE),
        answering(b"9" * 20 + b"\n", status="409 Conflict", headers=SIZE),
        answering(b"", status="409 Conflict", headers=SIZE),
        lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort"),
        lambda *_: None,
        lambda connection, _: endless(connection, b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 4096 + b"\r\n"),
        lambda connection, _: endless(connection, b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096),
    ],
)
def test_what_is_no_answer_is_told_as_none(behave):
    """Redirects, other statuses, sizes that are none, endless heads and bodies: NoAnswer, and nothing else."""
    with liar(behave) as url, pytest.raises(NoAnswer):
        client(url).add_checkpoint(0, [], NOTE)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_is_not_followed(status):
    """Not even to where the right answer is."""
    with liar(answering(GOOD)) as elsewhere:
        location = f"Location: {elsewhere}/add-checkpoint\r\n"
        with liar(answering(b"", status=status, headers=location)) as url, pytest.raises(NoAnswer, match="answered 30"):
            client(url).add_checkpoint(0, [], NOTE)


def endless(connection: socket.socket, head: bytes, part: bytes) -> None:
    connection.sendall(head)
    while True:
        connection.sendall(part)


def drip(connection: socket.socket, head: bytes) -> None:
    """Send a byte now and then, until the other side hangs up."""
    connection.sendall(head)
    connection.settimeout(0.05)
    while True:
        connection.sendall(b"x")
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            pass


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_a_witness_that_does_not_come_to_an_end_is_given_up(head):
    """Silent or sending a byte now and then, in head or body: the call ends, as NoAnswer."""

    def behave(connection: socket.socket, _: bytes) -> None:
        if head:
            drip(connection, head)
        else:
            connection.recv(1)  # silent, until the other side hangs up

    with liar(behave) as url, pytest.raises(NoAnswer, match="did not answer in"):
        client(url, timeout=0.5).add_checkpoint(0, [], NOTE)


def test_a_dead_witness_is_no_answer():
    """A port where nobody listens, and a name that nobody has."""
    for url in (f"http://127.0.0.1:{free_port()}", "https://witness.invalid"):
        with pytest.raises(NoAnswer, match="is not reached"):
            client(url).add_checkpoint(0, [], NOTE)


def test_a_last_note_is_believed_as_far_as_it_is_signed():
    """Of another log, by another witness, or garbage: refused."""
    other = parse_note(SmallLog("other.example/log").note(5))[0]
    for body, error in (
        (b"garbage", BadNote),
        (NOTE, BadNote),
        (TEXT + b"\n" + lines_by(keys(8)), BadNote),
        (other + b"\n" + lines_by(keys(), other), BadCheckpoint),
    ):
        with liar(answering(body)) as url, pytest.raises(error):
            client(url).last(ORIGIN)


@pytest.mark.parametrize(
    "url",
    ["", "w.example", "http://w.example", "ftp://w.example", "https://", "https://u:p@w.example", "https://w/?a=b"],
)
def test_addresses_that_are_not_safe_are_refused(url):
    """A witness is reached by https, or by http on this machine."""
    with pytest.raises(Misconfigured):
        client(url)


def test_nothing_malformed_is_sent():
    """What the witness would call malformed is not sent to it."""
    with pytest.raises(Malformed):
        client("https://witness.invalid").add_checkpoint(-1, [], NOTE)


# Cosigning ------------------------------------------------------------------------------------------------------------


class Heard:
    """Keeps what was cosigned, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        self.changed = threading.Condition()

    def __call__(self, text: bytes, lines: bytes) -> None:
        with self.changed:
            self.lines.append((text, lines))
            self.changed.notify_all()

    def wait_for(self, text: bytes, times: int = 1) -> None:
        with self.changed:
            enough = self.changed.wait_for(lambda: [found for found, _ in self.lines].count(text) >= times, PATIENCE)
        assert enough, self.lines


def wait_until(holds) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def cosign(heard):
    """Give a way to start cosigning, which is closed when the test ends."""
    started = []

    def start(*witnesses, prove=LOG.proof, on_cosigned=heard) -> Cosigning:
        made = Cosigning(
            witnesses, prove=prove, on_cosigned=on_cosigned, clock=lambda: NOW, first_pause=0.01, max_pause=0.05
        )
        started.append(made)
        return made

    yield start
    for each in started:
        each.close()


def text_of(size: int) -> bytes:
    return parse_note(LOG.note(size))[0]


def test_witnesses_cosign_what_is_offered(tmp_path, heard, cosign):
    """From a first checkpoint through ever larger ones, and on from where a witness says it is after a restart."""
    folder = make_witness(tmp_path / "witness")
    with witness_process(folder) as process:
        asking = WitnessClient(process.url, process.verifiers, PATIENCE)
        cosigning = cosign(asking)
        assert [(s.name, s.size, s.at, s.problem) for s in cosigning.status()] == [("w.example/1", None, None, "")]
        for size in (0, 3, 3, 21):
            heard.lines.clear()
            cosigning.offer(LOG.note(size), size)
            heard.wait_for(text_of(size))
            open_note(text_of(size) + b"\n" + heard.lines[0][1], process.verifiers)
        wait_until(lambda: cosigning.status()[0].size == 21)
        assert (cosigning.status()[0].at, cosigning.status()[0].problem) == (NOW, "")
        cosigning.close()
        later = cosign(asking)  # knows nothing: the witness says 21
        later.offer(LOG.note(30), 30)
        heard.wait_for(text_of(30))


def test_a_witness_that_was_away_is_asked_for_the_newest(tmp_path, heard, cosign, caplog):
    """While it is dead offers go on; once it is back it cosigns the last of them; both changes are logged once."""
    folder = make_witness(tmp_path / "witness")
    with witness_process(folder) as process:
        cosigning = cosign(WitnessClient(process.url, process.verifiers, PATIENCE))
        cosigning.offer(LOG.note(3), 3)
        heard.wait_for(text_of(3))
        process.kill()
        with caplog.at_level(logging.WARNING):
            for size in range(4, 12):
                cosigning.offer(LOG.note(size), size)
            wait_until(lambda: "NoAnswer" in cosigning.status()[0].problem)
            process.start()
            heard.wait_for(text_of(11))
            wait_until(lambda: not cosigning.status()[0].problem)
    ours = [record.getMessage() for record in caplog.records if record.name == "ledger.services.cosigning"]
    assert len(ours) == 2
    assert "does not cosign: NoAnswer" in ours[0]
    assert "cosigns again, at size 11" in ours[1]


def test_nobody_waits_for_a_witness_that_hangs(process, heard, cosign):
    """With one that is silent, one dead and one that lies, offers return and the good one cosigns; closing ends."""
    silent, let_go = threading.Event(), threading.Event()

    def hang(_connection: socket.socket, _request: bytes) -> None:
        silent.set()
        let_go.wait(PATIENCE)

    good = WitnessClient(process.url, process.verifiers, PATIENCE)
    with liar(hang) as hanging, liar(answering(LIES["another history"])) as lying:
        cosigning = cosign(client(hanging), client(f"http://127.0.0.1:{free_port()}"), client(lying), good)
        for size in (1, 2, 3):
            cosigning.offer(LOG.note(size), size)
            heard.wait_for(text_of(size))
        assert silent.wait(PATIENCE)
        wait_until(lambda: all(cosigning.status()[i].problem for i in (1, 2)))
        cosigning.close(timeout=0.1)
        let_go.set()
    assert {text for text, _ in heard.lines} == {text_of(1), text_of(2), text_of(3)}
    assert [status.size for status in cosigning.status()[:3]] == [None] * 3


def test_a_witness_ahead_of_what_is_offered_is_not_asked_twice(heard, cosign):
    """It names a larger size: that is told as its problem, and each new offer asks once more, from nothing."""
    asked = []

    def behave(connection: socket.socket, request: bytes) -> None:
        asked.append(request.partition(b"\r\n\r\n")[2].split(b"\n")[0])
        answering(b"20\n", status="409 Conflict", headers=SIZE)(connection, request)

    with liar(behave) as url:
        cosigning = cosign(client(url))
        for count, size in enumerate((11, 12), 1):
            cosigning.offer(LOG.note(size), size)
            wait_until(lambda size=size: f"beyond the `{size}`" in cosigning.status()[0].problem)
            assert asked == [b"old 0"] * count
    assert heard.lines == []


def test_after_a_409_it_is_asked_once_more_from_there(heard, cosign):
    """One that answers 409 again and again is asked twice an attempt, and no proof is made from beyond the size."""
    proofs = []

    def prove(old: int, new: int):
        proofs.append((old, new))
        return LOG.proof(old, new)

    with liar(answering(b"5\n", status="409 Conflict", headers=SIZE)) as url:
        cosigning = cosign(client(url), prove=prove)
        cosigning.offer(NOTE, 11)
        wait_until(lambda: len(proofs) > 3)
        assert "NotLastCosigned" in cosigning.status()[0].problem
    assert set(proofs) == {(5, 11)}
    assert heard.lines == []


def test_a_smaller_checkpoint_than_the_last_is_dropped(heard, cosign):
    """Offers may come out of order: after 11, while the witness is busy, 12 and then 5; it is asked for 12."""
    asked, let_go = threading.Event(), threading.Event()

    def behave(connection: socket.socket, request: bytes) -> None:
        asked.set()
        let_go.wait(PATIENCE)
        text = request.partition(b"\n\n")[2].partition(b"\n\n")[0] + b"\n"
        answering(lines_by(keys(), text))(connection, request)

    with liar(behave) as url:
        cosigning = cosign(client(url))
        cosigning.offer(LOG.note(11), 11)
        assert asked.wait(PATIENCE)
        cosigning.offer(LOG.note(12), 12)
        cosigning.offer(LOG.note(5), 5)
        let_go.set()
        heard.wait_for(text_of(12))
    assert [text for text, _ in heard.lines] == [text_of(11), text_of(12)]


@pytest.mark.parametrize("where", ["prove", "on_cosigned"])
def test_a_fault_of_ours_is_a_problem_and_is_tried_again(heard, cosign, where):
    """A proof that cannot be made now, or a cosignature that cannot be kept, ends no thread."""
    failed = []

    def fail_twice(then):
        def call(*arguments):
            if len(failed) < 2:
                failed.append(arguments)
                raise OSError("the disk is full")
            return then(*arguments)

        return call

    told = {"prove": LOG.proof, "on_cosigned": heard}
    told[where] = fail_twice(told[where])

    def behave(connection: socket.socket, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        first = answering(b"5\n", status="409 Conflict", headers=SIZE)
        (first if body.startswith(b"old 0") else answering(GOOD))(connection, request)

    with liar(behave) as url:
        cosigning = cosign(client(url), **told)
        cosigning.offer(NOTE, 11)
        heard.wait_for(TEXT)
        wait_until(lambda: cosigning.status()[0].size == 11)
    assert len(failed) == 2


def test_a_lying_witness_does_not_flood_the_log(heard, cosign, caplog):
    """One line when it begins, however often it is tried again; and what it words cannot pass for another line."""
    tries = []

    def behave(connection: socket.socket, request: bytes) -> None:
        tries.append(request)
        answering(f"x\r\x1b[2J {len(tries)}\n".encode())(connection, request)

    with caplog.at_level(logging.WARNING), liar(behave) as url:
        cosigning = cosign(client(url))
        cosigning.offer(NOTE, 11)
        wait_until(lambda: len(tries) > 5)
        cosigning.close()
    ours = [record.getMessage() for record in caplog.records if record.name == "ledger.services.cosigning"]
    assert len(ours) == 1
    assert ours[0].isprintable()
    assert cosigning.status()[0].problem.isprintable()

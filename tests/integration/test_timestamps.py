"""Time-stamps, by a real authority over real HTTP, and by servers that are none."""

import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from ledger.cli import local_tsa as authority
from ledger.cli.local_tsa import local_tsa
from ledger.errors import BadTimestamp, Malformed, Misconfigured, Unavailable
from ledger.log.timestamp import MAX_TIMESTAMP_BYTES, check_timestamp, parse_timestamp
from ledger.remote.timestamps import request_timestamp

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="time-stamps are made by the program openssl")

TEXT = b"example.org/log\n42\nZFwHMnUT+t4Wcws9mq2OfSaq4K49uAPkqA2BAJ8gcM0=\n"
SECONDS = 30
SOON = 0.5


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    with local_tsa(tmp_path_factory.mktemp("tsa")) as running:
        yield running


@pytest.fixture(scope="module")
def stamp(tsa) -> bytes:
    return request_timestamp(tsa.url, TEXT, SECONDS)


@contextmanager
def answering(answer: bytes, *, kind: str = "application/timestamp-reply", status: int = 200):
    """Run a server that gives one answer, whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dripping(head: bytes):
    """Run a server that sends `head` and then a byte now and then, for far longer than anybody should listen."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(head)
            with suppress(OSError):  # the caller has gone
                for _ in range(400):
                    if ended.wait(0.05):
                        return
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            ended.set()
            thread.join()


def test_a_checkpoint_is_stamped_and_checked(tsa, stamp) -> None:
    """The time is the authority's, the name its certificate's."""
    found = check_timestamp(stamp, TEXT, [tsa.root])
    assert abs(datetime.now(UTC) - found.time) < timedelta(hours=1)
    assert found.authority == "CN=A time-stamp authority of the demonstration"


def test_openssl_verifies_what_we_keep(tsa, stamp, tmp_path) -> None:
    """The file is the authority's whole answer: another implementation reads it."""
    for name, data in {"text": TEXT, "stamp.tsr": stamp, "root.pem": tsa.root}.items():
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "ts", "-verify", "-data", "text", "-in", "stamp.tsr", "-CAfile", "root.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Verification: OK" in done.stdout + done.stderr


def test_another_text_is_refused(tsa, stamp) -> None:
    """The stamp is over these bytes alone, the newline at the end among them."""
    for text in (TEXT.replace(b"42", b"43"), TEXT[:-1], TEXT + b"\n", b""):
        with pytest.raises(BadTimestamp, match="Mismatch"):
            check_timestamp(stamp, text, [tsa.root])


def test_another_authority_is_refused(tsa, stamp, tmp_path) -> None:
    """Though it has the very same name; among several roots one that is right is enough."""
    other = authority.make_authority(tmp_path, name="A time-stamp authority of the demonstration")
    with pytest.raises(BadTimestamp, match="certificate"):
        check_timestamp(stamp, TEXT, [other])
    assert check_timestamp(stamp, TEXT, [other, tsa.root]) == check_timestamp(stamp, TEXT, [other + tsa.root])


def test_what_is_no_root_is_refused(stamp) -> None:
    """An empty list trusts nobody, and is a mistake."""
    for roots in ([], [b""], [b"junk"], [b"-----BEGIN CERTIFICATE-----\njunk\n"]):
        with pytest.raises(Malformed):
            check_timestamp(stamp, TEXT, roots)


@pytest.mark.parametrize("days", [-30, 30])
def test_a_certificate_that_was_not_valid_at_the_time_is_refused(days, tmp_path) -> None:
    """Ended before, or not begun: the certificate has to be valid when it stamps."""
    root = authority.make_authority(tmp_path, name="Elsewhen", now=datetime.now(UTC) + timedelta(days=days))
    query = TimestampRequestBuilder().data(TEXT).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = authority.stamp(shutil.which("openssl"), tmp_path, query.as_bytes())
    assert parse_timestamp(answer)
    with pytest.raises(BadTimestamp, match=r"has expired|not yet valid"):
        check_timestamp(answer, TEXT, [root])


def test_sha_512_verifies_too(tsa) -> None:
    """What others had stamped by a longer hash is as good."""
    query = TimestampRequestBuilder().data(TEXT).hash_algorithm(HashAlgorithm.SHA512).build()
    answer = httpx.post(tsa.url, content=query.as_bytes(), headers={"Content-Type": "application/timestamp-query"})
    assert check_timestamp(answer.content, TEXT, [tsa.root]).authority.startswith("CN=")


def test_a_changed_stamp_never_says_anything_else(tsa, stamp) -> None:
    """Each bit turned: refused, or (where the format signs nothing, as in a version number) of the same meaning."""
    good = check_timestamp(stamp, TEXT, [tsa.root])
    passed = 0
    for i in range(len(stamp)):
        wrong = stamp[:i] + bytes([stamp[i] ^ (1 << i % 8)]) + stamp[i + 1 :]
        try:
            assert check_timestamp(wrong, TEXT, [tsa.root]) == good
        except BadTimestamp:
            continue
        passed += 1
    assert passed < len(stamp) // 20


def test_a_cut_or_padded_stamp_is_refused(tsa, stamp) -> None:
    """At every length."""
    for wrong in (*(stamp[:i] for i in range(len(stamp))), stamp + b"\0", b"\0" + stamp, stamp * 2):
        with pytest.raises(BadTimestamp):
            check_timestamp(wrong, TEXT, [tsa.root])


def test_size_is_capped(tsa) -> None:
    """Before anything reads it."""
    with pytest.raises(BadTimestamp, match="limit"):
        check_timestamp(bytes(MAX_TIMESTAMP_BYTES + 1), TEXT, [tsa.root])


def test_a_refusal_is_told_with_its_reason(tsa) -> None:
    """The authority's words are in the message."""
    answer = httpx.post(tsa.url, content=b"junk", headers={"Content-Type": "application/timestamp-query"}).content
    with pytest.raises(BadTimestamp, match="Bad request format"):
        parse_timestamp(answer)
    with answering(answer) as url, pytest.raises(BadTimestamp, match="did not grant"):
        request_timestamp(url, TEXT, SECONDS)


def test_an_old_answer_is_refused(stamp) -> None:
    """A stamp of the same text, to an earlier question, has another nonce."""
    with answering(stamp) as url, pytest.raises(BadTimestamp, match="nonce"):
        request_timestamp(url, TEXT, SECONDS)


def test_an_answer_over_another_text_is_refused(tsa, monkeypatch) -> None:
    """Be its nonce right."""
    built = TimestampRequestBuilder.data
    monkeypatch.setattr(TimestampRequestBuilder, "data", lambda self, _: built(self, b"another text"))
    with pytest.raises(BadTimestamp, match="something else"):
        request_timestamp(tsa.url, TEXT, SECONDS)


@pytest.mark.parametrize(
    ("answer", "options", "error", "words"),
    [
        (b"", {}, BadTimestamp, "does not read"),
        (b"junk", {}, BadTimestamp, "does not read"),
        (b"junk", {"kind": "text/html"}, BadTimestamp, "type"),
        (bytes(MAX_TIMESTAMP_BYTES * 20), {}, BadTimestamp, "answer is over the limit"),
        (b"", {"status": 500}, Unavailable, "status 500"),
        (b"", {"status": 302}, Unavailable, "status 302"),
    ],
)
def test_what_is_no_answer_is_refused(answer, options, error, words) -> None:
    """Junk, floods, faults, and other addresses to go to."""
    with answering(answer, **options) as url, pytest.raises(error, match=words):
        request_timestamp(url, TEXT, SECONDS)


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\r\n"],
)
def test_an_authority_that_drips_is_given_up(head) -> None:
    """The time is for the whole answer, not for each byte of it."""
    with dripping(head) as url, pytest.raises(Unavailable, match=r"within 0\.5 s"):
        request_timestamp(url, TEXT, SOON)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/", Unavailable),
        ("ftp://127.0.0.1/", Misconfigured),
        ("127.0.0.1", Misconfigured),
        ("http://", Misconfigured),
        ("http://a\0b/", Misconfigured),
        ("http://127.0.0.1:99999/", Misconfigured),
    ],
)
def test_an_address_where_nobody_answers(url, error) -> None:
    """A closed port may answer later; what is no address never will."""
    with pytest.raises(error, match="time-stamp authority"):
        request_timestamp(url, TEXT, SECONDS)


def test_without_openssl_the_local_authority_says_so(tmp_path, monkeypatch) -> None:
    """The demonstration's operator is told what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match="apt-get install openssl"), local_tsa(tmp_path):
        pass

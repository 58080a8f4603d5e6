"""How long the servers wait: whoever opens a connection and sends too little is hung up on; whoever waits is not."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from ledger.cli.main import app as oblik
from ledger.cli.patience import ServiceProtocol, WitnessProtocol

PATIENCE = 30
"""Seconds until a test gives up."""

SHORT = 0.3
"""Seconds that a server of these tests waits."""

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


async def application(_scope, receive, send) -> None:
    """Answer once the body is there: after twice the patience at /slow, without it at /early."""
    while _scope["path"] != "/early" and (await receive()).get("more_body"):
        pass
    if _scope["path"] == "/slow":
        await asyncio.sleep(2 * SHORT)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def serving(protocol: type[asyncio.Protocol]) -> Iterator[int]:
    """Serve with a protocol of little patience, and without uvicorn's own. Gives the port."""
    hurried = type("Hurried", (protocol,), {"seconds": SHORT})
    config = uvicorn.Config(
        application, log_level="critical", http=hurried, ws="none", lifespan="off", timeout_keep_alive=2 * PATIENCE
    )
    listener, server = socket.create_server(("127.0.0.1", 0)), uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="served")
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module", params=[ServiceProtocol, WitnessProtocol])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Give the port of a server of each kind in turn."""
    with serving(request.param) as port:
        yield port


def answer_to(port: int, first: bytes, drip: bytes = b"") -> bytes:
    """Send something, then a byte of the drip at a time, until the server hangs up. Gives what it said."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(first)
        stop = threading.Event()
        dripping = threading.Thread(target=_drip, args=(connection, drip, stop), name="drip")
        dripping.start()
        try:
            return _read_to_end(connection)
        finally:
            stop.set()
            dripping.join(PATIENCE)


def _drip(connection: socket.socket, drip: bytes, stop: threading.Event) -> None:
    while drip and not stop.wait(SHORT / 6):
        try:
            connection.sendall(drip)
        except OSError:
            return


def _read_to_end(connection: socket.socket) -> bytes:
    told = b""
    try:
        while part := connection.recv(4096):
            told += part
    except ConnectionError:  # reset: it had sent more than was read
        pass
    return told


def test_a_connection_that_sends_nothing_is_closed(port):
    """Neither a byte before the first request, nor one after an answer."""
    assert answer_to(port, b"") == b""
    for path in (b"/", b"/slow"):
        assert answer_to(port, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path).endswith(b"ok")


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: "])
def test_a_head_that_trickles_is_cut_off(port, first):
    """A byte of a header now and then does not keep a connection, be it the first request on it or the next."""
    assert answer_to(port, first, b"x").count(b"HTTP/1.1 200") == first.count(b"Host")


def test_a_body_that_trickles_is_cut_off(port):
    """Likewise where the head is there: while the application waits for the body, and after it has answered."""
    chunked = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"200" not in answer_to(port, chunked % b"/", b"1\r\nx\r\n")
    assert answer_to(port, chunked % b"/early", b"1\r\nx\r\n").endswith(b"ok")
    assert b"200" not in answer_to(port, HEAD + b"short")


def test_a_request_that_is_there_is_waited_for(port):
    """However long the application takes; and a connection that is in use goes on."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http:
        for _ in range(2):
            assert http.post("/slow", content=b"x" * 100_000).text == "ok"
        assert http.get("/").text == "ok"


@pytest.mark.parametrize(
    ("command", "protocol"),
    [(["serve"], ServiceProtocol), (["witness", "serve", "--data", "w", "--logs", "l"], WitnessProtocol)],
)
def test_the_commands_serve_with_it(monkeypatch, tmp_path, command, protocol):
    """`oblik serve` and `oblik witness serve` hand their protocols to uvicorn."""
    given: dict[str, object] = {}

    def run(server: uvicorn.Server) -> None:
        given["http"], server.started = server.config.http, True

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(uvicorn, "run", lambda _application, **options: given.update(options))
    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr("os.environ", {"OBLIK_DATA": str(tmp_path)})
    made = CliRunner().invoke(oblik, ["init", "--origin", "t.example/x", "--owner", "o", "--administrator", "a"])
    assert made.exit_code == 0, made.output
    assert CliRunner().invoke(oblik, command).exit_code == 0
    assert given["http"] is protocol
    assert protocol.seconds <= 60

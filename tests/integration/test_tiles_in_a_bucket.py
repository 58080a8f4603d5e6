"""Tiles in an S3-compatible store: a real server of this machine, reached as an operator says, by the environment."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from world import ORIGIN, OWNER, open_world

from ledger.bootstrap import open_service
from ledger.errors import Misconfigured, Unavailable
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from ledger.log.note import parse_note
from ledger.resources import folder
from ledger.services.tiles import export_tiles
from ledger.settings import Settings
from ledger.storage.tiles import MAX_RETRIES, FolderTiles, ObjectTiles, open_tiles

boto3 = pytest.importorskip("boto3", reason="no boto3: `make test` installs it with moto")
moto_server = pytest.importorskip("moto.server", reason="no moto: `make test` installs it")
obstore_store = pytest.importorskip("obstore.store", reason="no obstore: pip install 'oblik[s3]'")

EVENT = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
BUCKET, PLACE = "tiles", "s3://tiles/a/log"
START_SECONDS = 60
FOR_EVER = "max-age=31536000, immutable"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the address of an S3 server."""
    running = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def operator(server, monkeypatch) -> pytest.MonkeyPatch:
    """Give the environment that names the server; credentials and addresses from outside are gone."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def bucket(server, operator) -> Iterator[Any]:
    """Give an empty bucket, as another client of S3 sees it."""
    s3 = boto3.resource("s3", endpoint_url=server, region_name="eu-central-1")
    made = s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield made
    made.objects.all().delete()
    made.delete()
    s3.meta.client.close()


@pytest.fixture
def world(tmp_path):
    """Give a ledger of 300 entries and more, on SQLite: the store is what this is about."""
    made = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    made.append(*[EVENT] * 300)
    yield made
    made.service.close()


class Watched(ObjectTiles):
    """Keeps the paths of what is written for ever."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.written: list[str] = []

    def write(self, path: str, data: bytes) -> None:
        self.written.append(path)
        super().write(path, data)


def objects(bucket) -> dict[str, bytes]:
    return {found.key: found.get()["Body"].read() for found in bucket.objects.all()}


def test_a_bucket_holds_what_a_folder_holds(world, bucket, tmp_path):
    """The same files with the same bytes, below the prefix."""
    note, engine = world.checkpoint(), world.service.engine
    size = parse_checkpoint(parse_note(note)[0]).size
    assert export_tiles(engine, FolderTiles(tmp_path / "tiles"), note=note) == size
    assert export_tiles(engine, open_tiles(PLACE), note=note) == size
    files = [path for path in (tmp_path / "tiles").rglob("*") if path.is_file() and path.name != ".lock"]
    assert {f"a/log/{path.relative_to(tmp_path / 'tiles')}": path.read_bytes() for path in files} == objects(bucket)


def test_an_export_to_a_bucket_is_incremental(world, bucket):
    """A second export writes what is new, one without anything new nothing, and no full tile is written twice."""
    store, engine = Watched(PLACE), world.service.engine
    export_tiles(engine, store, note=world.checkpoint())
    first, store.written = store.written, []
    world.append(*[EVENT] * 300)
    assert export_tiles(engine, store, note=world.checkpoint()) == 300
    assert "tile/entries/000" in first
    assert "tile/0/001" in store.written
    assert set(first).isdisjoint(store.written)
    store.written = []
    assert export_tiles(engine, store, note=world.checkpoint()) == 0
    assert store.written == []


def test_objects_say_what_they_are_and_who_may_keep_them(world, bucket):
    """Tiles are immutable, the checkpoint is text for a second; what is for readers is kept by no cache of others."""
    export_tiles(world.service.engine, open_tiles(PLACE), note=world.checkpoint())
    octets = "application/octet-stream"
    attachment = next(found.key for found in bucket.objects.filter(Prefix="a/log/attachments/") if len(found.key) > 64)
    for key, kind, cached in (
        ("a/log/checkpoint", "text/plain; charset=utf-8", "public, max-age=1"),
        ("a/log/tile/0/000", octets, f"public, {FOR_EVER}"),
        ("a/log/tile/1/000.p/1", octets, f"public, {FOR_EVER}"),
        ("a/log/tile/entries/000", octets, f"private, {FOR_EVER}"),
        ("a/log/attachments/index", "application/x-ndjson", "private, max-age=1"),
        (attachment, octets, f"private, {FOR_EVER}"),
    ):
        found = bucket.Object(key).get()
        assert (found["ContentType"], found["CacheControl"]) == (kind, cached), key


def test_a_swap_compares(bucket):
    """What another publisher wrote in between is not overwritten, whether something was there before or nothing."""
    one, other = open_tiles(PLACE), open_tiles(PLACE)
    assert one.read("checkpoint") is None
    assert not one.swap("checkpoint", b"0", b"1")
    assert one.swap("checkpoint", None, b"1")
    assert not other.swap("checkpoint", None, b"2")
    assert other.swap("checkpoint", b"1", b"2")
    assert not one.swap("checkpoint", b"1", b"3")
    assert objects(bucket) == {"a/log/checkpoint": b"2"}


@pytest.mark.parametrize("old", [None, b"0"])
def test_the_store_compares_once_more(bucket, old):
    """Of two publishers that have read the same, the second to write is refused by the store itself."""
    one, other = open_tiles(PLACE), open_tiles(PLACE)
    if old is not None:
        one.swap("checkpoint", None, old)
    read = one._get

    def read_and_lose(path: str) -> tuple[bytes, str] | None:
        found = read(path)
        assert other.swap(path, old, b"faster")
        return found

    one._get = read_and_lose
    assert not one.swap("checkpoint", old, b"slower")
    assert objects(bucket) == {"a/log/checkpoint": b"faster"}


def test_of_publishers_at_once_exactly_one_wins(operator):
    """Eight threads swap again and again, in a store of obstore's own: each time one of them does it."""
    shared = obstore_store.MemoryStore()
    publishers = [ObjectTiles(PLACE) for _ in range(8)]
    for publisher in publishers:
        publisher._store = shared
    old: bytes | None = None
    with ThreadPoolExecutor(len(publishers)) as pool:
        for turn in range(100):
            gate = threading.Barrier(len(publishers))

            def swap(number: int, old: bytes | None = old, turn: int = turn, gate: Any = gate) -> bool:
                gate.wait(START_SECONDS)
                return publishers[number].swap("checkpoint", old, f"{turn} {number}".encode())

            won = list(pool.map(swap, range(len(publishers))))
            assert won.count(True) == 1
            old = publishers[0].read("checkpoint")
            assert old == f"{turn} {won.index(True)}".encode()


def test_a_publisher_that_comes_second_says_so(world, bucket):
    """An export that another one overtook fails, and the other one's checkpoint stays."""
    note, other = world.checkpoint(), open_tiles(PLACE)

    class Overtaken(ObjectTiles):
        def write(self, path: str, data: bytes) -> None:
            super().write(path, data)
            other.swap("checkpoint", None, b"the other one's")

    with pytest.raises(Unavailable, match="another publisher"):
        export_tiles(world.service.engine, Overtaken(PLACE), note=note)
    assert other.read("checkpoint") == b"the other one's"


def check_unavailable(store: ObjectTiles, *words: str) -> None:
    """Check that each way to use a store says that it cannot be used, in one line."""
    for use in (
        lambda: store.read("checkpoint"),
        lambda: store.write("tile/0/000", b"1"),
        lambda: store.swap("checkpoint", None, b"1"),
        lambda: store.swap("checkpoint", b"0", b"1"),
    ):
        with pytest.raises(Unavailable) as caught:
            use()
        message = str(caught.value)
        assert store.name in message
        assert "\n" not in message
        assert all(word in message for word in words), message


def test_a_bucket_that_is_not_there_is_told_from_an_empty_one(bucket):
    """No bucket is a fault, not a store without a checkpoint."""
    check_unavailable(open_tiles("s3://another/log"), "404")


def test_an_address_where_nobody_listens_is_told(operator):
    """Refused connections are tried again, and not for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    operator.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    check_unavailable(open_tiles(PLACE), f"after {MAX_RETRIES} retries")


def test_a_server_that_never_answers_is_given_up(operator):
    """The limit of each request is the environment's."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        operator.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        operator.setenv("AWS_TIMEOUT", "50ms")
        check_unavailable(open_tiles(PLACE), f"after {MAX_RETRIES} retries")


@contextmanager
def failing(asked: list[str]) -> Iterator[str]:
    """Serve nothing but 503, and keep what was asked for."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_in_trouble_is_asked_three_times(operator):
    """Once, and as often again as the limit says."""
    asked: list[str] = []
    with failing(asked) as address:
        operator.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(Unavailable, match="503"):
            open_tiles(PLACE).read("checkpoint")
    assert asked == ["/tiles/a/log/checkpoint"] * (1 + MAX_RETRIES)


def test_plain_http_has_to_be_allowed(operator, bucket):
    """An address without TLS is refused, unless the environment says that it is meant."""
    operator.delenv("AWS_ALLOW_HTTP")
    check_unavailable(open_tiles(PLACE))
    assert objects(bucket) == {}


@pytest.mark.parametrize("place", ["file:///srv/tiles", "memory:///", "http://127.0.0.1/tiles", "ftp://x/y", "://x"])
def test_other_places_are_refused(place):
    """A place whose promises nobody has tested is none."""
    with pytest.raises(Misconfigured, match="no place for tiles"):
        open_tiles(place)


def test_a_bucket_remembers_what_was_published(world, bucket):
    """A ledger whose bucket has a later checkpoint was set back, and does not start."""
    tiles = Settings(data=world.settings.data, database_url=world.settings.database_url, tiles=PLACE)
    later = sign_checkpoint(Checkpoint(origin=ORIGIN, size=10_000, root=bytes(32)), world.service.signers)
    open_tiles(PLACE).swap("checkpoint", None, later)
    with pytest.raises(Misconfigured, match="set back"):
        open_service(tiles)


@contextmanager
def oblik_serve(data: Path, **settings: str) -> Iterator[str]:
    """Run the command as a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ledger.cli", "serve", "--data", str(data), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(folder("alembic").parent), **settings}
    process = subprocess.Popen(command, env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def until(found: Any) -> Any:
    """Ask until there is an answer; nothing is measured by it."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def test_a_service_publishes_to_the_bucket_that_its_environment_names(world, bucket):
    """`oblik serve` with OBLIK_TILES: what it shows lies in the bucket, with its tiles and nothing but settings."""
    size = parse_checkpoint(parse_note(world.checkpoint())[0]).size
    world.service.close()

    def shown() -> bytes | None:
        return open_tiles(PLACE).read("checkpoint")

    with oblik_serve(world.settings.data, OBLIK_TILES=PLACE) as address:
        note = until(shown)
        assert httpx.get(f"{address}/checkpoint").content == note
        assert httpx.get(f"{address}/tile/0/000").content == objects(bucket)["a/log/tile/0/000"]
    assert parse_checkpoint(parse_note(note)[0]).size == size

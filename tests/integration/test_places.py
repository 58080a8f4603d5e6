"""Where a log is read from: a real service, its tiles in a folder, and servers that want no good."""

import gzip
import os
import socket
import threading
import tracemalloc
from contextlib import contextmanager, suppress

import pytest
from served import serving
from strangers import answering, files
from world import OWNER

from ledger.errors import Malformed, Misconfigured, NotFound, Unavailable, Unverified
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.merkle import hash_leaf
from ledger.log.note import MAX_NOTE_BYTES, parse_note
from ledger.log.proof import root_at
from ledger.log.tile import format_bundle, parse_bundle
from ledger.log.tree_check import checked_reader
from ledger.remote.log import UrlPlace
from ledger.services.tiles import export_tiles
from ledger.storage.places import FolderPlace
from ledger.storage.tiles import FolderTiles

SIZE = 600
SOON = 0.5
FULL = bytes(range(256)) * 32


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    """Give a served world of 600 entries, and a folder of its tiles."""
    folder = tmp_path_factory.mktemp("tiled")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        event = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
        served.world.append(*[event] * (SIZE - served.size))
        export_tiles(served.world.service.engine, FolderTiles(folder / "tiles"), note=served.world.checkpoint())
        yield served, folder / "tiles"


@pytest.fixture(params=["url", "folder"])
def place(request, tiled):
    served, folder = tiled
    opened = FolderPlace(folder) if request.param == "folder" else UrlPlace(str(served.http.base_url), "auditor")
    with opened:
        yield opened


@contextmanager
def url_place(told, *, seconds: float = 30, token: str = ""):
    with answering(told) as address, UrlPlace(address, token, seconds) as opened:
        yield opened


def test_a_log_reads_alike_from_a_service_and_from_a_folder(place) -> None:
    """The checkpoint, the hashes that lead to it, the entries that have these hashes."""
    checkpoint = parse_checkpoint(parse_note(place.checkpoint())[0])
    assert checkpoint.size == SIZE
    assert root_at(SIZE, checked_reader(SIZE, checkpoint.root, place.tile)) == checkpoint.root
    entries = parse_bundle(place.bundle(2, 88), width=88)
    assert b"".join(map(hash_leaf, entries)) == place.tile(0, 2, 88)
    assert len(parse_bundle(place.bundle(0), width=256)) == 256


def test_what_is_not_there_is_not_found(place) -> None:
    """A tile of a later tree, a list that nobody wrote."""
    for missing in (lambda: place.tile(0, 3, 1), lambda: place.tile(5, 0), lambda: place.bundle(3, 7)):
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(NotFound):
        place.attachment("00" * 32)
    with pytest.raises(Malformed):
        place.attachment("../checkpoint")


def test_attachments_are_read_from_a_folder(tiled) -> None:
    """The list names each by its hash."""
    place = FolderPlace(tiled[1])
    assert b'"sha256":"' in place.attachments()
    assert place.attachment(place.attachments().split(b'"sha256":"')[1][:64].decode())


def test_entries_take_a_token(tiled) -> None:
    """Without one, hashes are read and entries are not."""
    with UrlPlace(str(tiled[0].http.base_url)) as place:
        assert place.tile(0, 0)
        assert place.timestamps() == b""
        with pytest.raises(Unavailable, match="take a token"):
            place.bundle(0)


def test_a_partial_tile_that_is_gone_is_cut_from_the_full_one(tmp_path) -> None:
    """Over HTTP and in a folder, hashes and entries."""
    bundle = format_bundle([bytes([i]) for i in range(256)])
    table = {"/tile/0/000": FULL, "/tile/entries/000": bundle}
    for path, data in table.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_bytes(data)
    with url_place(files(table)) as remote, FolderPlace(tmp_path) as folder:
        for place in (remote, folder):
            assert place.tile(0, 0, 3) == FULL[:96]
            assert parse_bundle(place.bundle(0, 2), width=2) == [b"\0", b"\1"]


@pytest.mark.parametrize("body", [b"", FULL[:-1], FULL + b"x", FULL * 1000])
def test_a_tile_of_the_wrong_length_is_refused(body, tmp_path) -> None:
    """Empty, short, long, or endless: not even read to its end."""
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/0/000").write_bytes(body)
    with url_place(files({"/tile/0/000": body})) as remote, FolderPlace(tmp_path) as folder:
        for place in (remote, folder):
            with pytest.raises(Unverified, match=r"bytes|unpack"):
                place.tile(0, 0)
            with pytest.raises(Unverified, match=r"bytes|unpack"):
                place.tile(0, 0, 255)


def test_a_bundle_that_is_none_is_refused() -> None:
    """Neither as it is, nor cut to fit."""
    for body in (b"junk", format_bundle([b"a"] * 255), format_bundle([b"a"] * 256) + b"x"):
        with url_place(files({"/tile/entries/000": body})) as place:
            for width in (256, 17):
                with pytest.raises(Unverified, match="exactly"):
                    place.bundle(0, width)


def packed(data: bytes, **headers: str):
    return lambda _path, _headers: (200, {"Content-Encoding": "gzip", **headers}, data)


def test_gzip_is_unpacked() -> None:
    """It is asked for, and undone."""
    asked = []

    def told(path, headers):
        asked.append(headers["Accept-Encoding"])
        return packed(gzip.compress(FULL))(path, headers)

    with url_place(told) as place:
        assert place.tile(0, 0) == FULL
    assert asked == ["gzip"]


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(FULL * 2),
        gzip.compress(FULL)[:-1],
        gzip.compress(FULL) + b"x",
        gzip.compress(FULL) * 2,
        b"junk",
    ],
    ids=["long", "cut", "longer", "twice", "junk"],
)
def test_gzip_that_unpacks_to_anything_else_is_refused(body) -> None:
    """One stream, whole, of the length that is due, and nothing behind it."""
    with url_place(packed(body)) as place, pytest.raises(Unverified, match="unpack"):
        place.tile(0, 0)


def test_another_encoding_is_refused() -> None:
    """It was not asked for."""
    with url_place(packed(FULL, **{"Content-Encoding": "br"})) as place, pytest.raises(Unverified, match="unpack"):
        place.tile(0, 0)


@pytest.mark.parametrize("status", [201, 301, 302, 307, 400, 429, 500, 503])
def test_any_other_status_is_no_answer(status) -> None:
    """A redirect among them: it is not followed, so a token goes to no other address."""
    asked = []

    def told(path, _):
        asked.append(path)
        return status, {"Location": "/elsewhere"}, FULL

    with url_place(told, token="secret") as place, pytest.raises(Unavailable, match=str(status)):
        place.tile(0, 0)
    assert asked == ["/tile/0/000"]


@pytest.mark.parametrize(("more", "words"), [(1, "at the most"), (100_000, "over the limit")])
def test_an_endless_checkpoint_is_given_up(more, words, tmp_path) -> None:
    """More than a note may have, by a byte or by any number."""
    body = bytes(MAX_NOTE_BYTES + more)
    (tmp_path / "checkpoint").write_bytes(body)
    with url_place(files({"/checkpoint": body})) as remote, FolderPlace(tmp_path) as folder:
        with pytest.raises(Unverified, match=words):
            remote.checkpoint()
        with pytest.raises(Unverified, match="over the limit"):
            folder.checkpoint()


def test_a_bomb_is_given_up_before_it_fills_memory() -> None:
    """50 kB that would be 50 MB: no more is unpacked than the limit."""
    bomb = gzip.compress(bytes(50_000_000))
    with url_place(packed(bomb)) as place:
        tracemalloc.start()
        try:
            with pytest.raises(Unverified, match="unpack"):
                place.tile(0, 0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 20_000_000


def test_a_server_that_does_not_answer_is_given_up() -> None:
    """Whether it says nothing at all, or is not there."""
    with url_place(lambda *_: None, seconds=SOON) as place, pytest.raises(Unavailable, match=r"within 0\.5 s"):
        place.checkpoint()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with UrlPlace(f"http://127.0.0.1:{port}") as place, pytest.raises(Unavailable, match="does not answer"):
        place.checkpoint()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_server_that_drips_is_given_up(head) -> None:
    """A byte now and then, in the headers or in the body: the time is for all of it."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(head)
            while not ended.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            with (
                UrlPlace(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=SOON) as place,
                pytest.raises(Unavailable, match="within"),
            ):
                place.checkpoint()
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    "url", ["", "ftp://a/", "http://", "a.example", "http://a:99999/", "http://a/?x=1", "http://a/#b"]
)
def test_what_is_no_address_is_refused(url) -> None:
    """Before anything is asked."""
    with pytest.raises(Misconfigured):
        UrlPlace(url)


def test_a_folder_gives_only_plain_files(tmp_path) -> None:
    """A folder or a pipe in a file's place is nothing; what may not be read is told."""
    os.mkfifo(tmp_path / "checkpoint")
    (tmp_path / "timestamps").mkdir()
    place = FolderPlace(tmp_path)
    for read in (place.checkpoint, place.timestamps):
        with pytest.raises(NotFound):
            read()
    with pytest.raises(Unavailable, match="cannot be read"):
        FolderPlace(tmp_path / ("x" * 300)).checkpoint()

"""A ledger of 70,000 entries under a verifier that others wrote: Go's packages for signed notes and tiled trees.

`main.go` holds every entry, and the consistency with every smaller size, to the checkpoint. It reads what the service
serves, and what a static server gives of the files that were exported; and it says so where one byte is another.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from served import Served, serving
from world import ORIGIN, OWNER

from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.note import ED25519, Signer, format_vkey
from ledger.services.tiles import export_tiles
from ledger.storage.tiles import FolderTiles

HERE = Path(__file__).resolve().parent
SIZE = 70_000
AT_ONCE = 5_000
GENEROUS_SECONDS = 300
"""Until a program that hangs is ended: it takes seconds."""

GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
HOW_TO_GET_GO = "no Go: install `golang` (apt-get install golang), 1.18 or later, or https://go.dev/dl/"

pytestmark = [
    pytest.mark.skipif(GO is None, reason=HOW_TO_GET_GO),
    pytest.mark.xdist_group("interop"),  # one ledger, made once
]

EVERYTHING = (
    f"verified: {ORIGIN}, 70000 entries, 70000 inclusion proofs, 70000 consistency proofs, 277 tiles, 274 bundles\n"
)
"""273 full tiles and one of 112 at level 0, one and one of 17 at level 1, one of width 1 at level 2: 277."""


def go(*arguments: str) -> None:
    """Run the toolchain that is there, with the modules that `go.sum` names and no settings from outside."""
    environment = {**os.environ, "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    done = subprocess.run(
        [GO, *arguments],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=GENEROUS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """Give the verifier."""
    built = tmp_path_factory.mktemp("go") / "interop"
    go("build", "-mod=readonly", "-buildvcs=false", "-o", str(built), ".")
    return built


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Iterator[Served]:
    """Give a served world of 70,000 entries, published."""
    folder = tmp_path_factory.mktemp("large")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        event = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
        while missing := SIZE - served.size:
            served.world.append(*[event] * min(missing, AT_ONCE))
        served.world.checkpoint()
        yield served


class Silent(SimpleHTTPRequestHandler):
    """The static server of Python's standard library, which knows nothing of tiles."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Static:
    """Files of a log, and the address at which they are served."""

    folder: Path
    address: str


@pytest.fixture(scope="module")
def static(large, tmp_path_factory) -> Iterator[Static]:
    """Give a folder that the tiles were exported to, behind a static server."""
    folder, note = tmp_path_factory.mktemp("static"), large.world.checkpoint()
    assert export_tiles(large.world.service.engine, FolderTiles(folder), note=note) == SIZE
    handler = partial(Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="static")
        thread.start()
        yield Static(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def signer_of(large: Served) -> Signer:
    """Give the log's Ed25519 key, which is the one that Go's package knows."""
    return next(signer for signer in large.world.service.signers if signer.algorithm == ED25519)


def run(program: Path, address: str, key: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "INTEROP_TOKEN": token}
    return subprocess.run(
        [program, address, key], env=environment, capture_output=True, text=True, timeout=GENEROUS_SECONDS, check=False
    )


@contextmanager
def changed(path: Path, data: bytes) -> Iterator[None]:
    """Have other bytes in a file, for a while."""
    before = path.read_bytes()
    assert data != before
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def flipped(data: bytes, place: int) -> bytes:
    """Change one bit of one byte."""
    whole = bytearray(data)
    whole[place] ^= 1
    return bytes(whole)


def test_the_verifier_passes_its_own_tests():
    """It refuses the root of another size and another record, and leaves none out; `go vet` finds nothing."""
    go("vet", "-mod=readonly", ".")
    go("test", "-mod=readonly", "-buildvcs=false", "-count=1", ".")


def test_go_verifies_all_that_the_service_serves(program, large):
    """Every entry, and the consistency with every smaller size, out of the tiles over HTTP, by a reader's token."""
    done = run(program, str(large.http.base_url), format_vkey(signer_of(large)), "auditor")
    assert (done.stdout, done.stderr, done.returncode) == (EVERYTHING, "", 0)


def test_go_verifies_the_files_behind_any_static_server(program, large, static):
    """The exported folder, as it is, is a log."""
    done = run(program, static.address, format_vkey(signer_of(large)))
    assert (done.stdout, done.stderr, done.returncode) == (EVERYTHING, "", 0)


@pytest.mark.parametrize(
    "change",
    [
        ("checkpoint", 30, "checkpoint: "),
        ("tile/entries/000", 100, "the entries lead to the root"),
        ("tile/entries/273.p/112", -1, "the entries lead to the root"),
        ("tile/entries/136", 1, "tile/entries/136: it "),  # a length
        ("tile/0/000", 0, "inclusion of entry"),
        ("tile/0/140", 4_000, "inclusion of entry"),
        ("tile/0/273.p/112", -1, "inclusion of entry"),
        ("tile/1/000", 77, "inclusion of entry"),
        ("tile/1/001.p/17", 32 * 17 - 1, "inclusion of entry"),
        ("tile/2/000.p/1", 5, "inclusion of entry"),
    ],
)
def test_go_finds_one_changed_byte(program, large, static, change):
    """In a checkpoint, a bundle, or a tile of any level, full or partial."""
    path, place, told = change
    target = static.folder / path
    with changed(target, flipped(target.read_bytes(), place)):
        done = run(program, static.address, format_vkey(signer_of(large)))
    assert (done.stdout, done.returncode) == ("", 1)
    assert told in done.stderr


@pytest.mark.parametrize("path", ["tile/entries/002", "tile/0/002", "tile/1/001.p/17"])
def test_go_finds_what_is_cut_short(program, large, static, path):
    """A file that breaks off is as wrong as one that was changed."""
    target = static.folder / path
    with changed(target, target.read_bytes()[:-1]):
        done = run(program, static.address, format_vkey(signer_of(large)))
    assert (done.stdout, done.returncode) == ("", 1)
    assert "does not verify" in done.stderr


def test_go_refuses_a_signed_checkpoint_of_another_tree(program, large, static):
    """The log's signature does not help where the entries lead elsewhere, or there are fewer of them."""
    signer = signer_of(large)
    for size, told in ((SIZE, "the entries lead to the root"), (SIZE + 1, "404")):
        note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=bytes(32)), [signer])
        with changed(static.folder / "checkpoint", note):
            done = run(program, static.address, format_vkey(signer))
        assert (done.stdout, done.returncode) == ("", 1)
        assert told in done.stderr


def test_go_takes_no_other_key_and_no_stranger(program, large):
    """A key that did not sign opens nothing, and without a token there are no entries."""
    address = str(large.http.base_url)
    other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    for key, told in ((other, "no verifiable signatures"), (format_vkey(signer_of(large)), "401")):
        done = run(program, address, key)
        assert (done.stdout, done.returncode) == ("", 1)
        assert told in done.stderr

"""Tiles over HTTP and as files: the published tree, whole, and nothing of the wrong width."""

import hashlib

import pytest
from served import check_problem, evaluation, serving
from world import ORIGIN, OWNER

from ledger.errors import Misconfigured
from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.log.note import format_vkey
from ledger.log.receipt import check_receipt
from ledger.log.tile import parse_bundle, tile_path
from ledger.log.trust_policy import parse_policy
from ledger.services.tiles import export_tiles, hashes_of, new_tiles
from ledger.storage import tiles
from ledger.storage.tiles import FolderTiles

SIZE = 600


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    """Give a served world of 600 entries, published."""
    folder = tmp_path_factory.mktemp("tiled")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        world = served.world
        event = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
        world.append(*[event] * (SIZE - served.size))
        world.checkpoint()
        yield served


def verifiers(world) -> list:
    return [parse_vkey(format_vkey(signer)) for signer in world.service.signers]


def policy_of(world):
    logs = "".join(f"log {format_vkey(signer)}\n" for signer in world.service.signers)
    return parse_policy(f"{logs}quorum none\n".encode())


def test_the_checkpoint_is_shown_to_anyone_for_seconds(tiled):
    """It is text, signed by the log, and cached for a second."""
    response = tiled.http.get("/checkpoint")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["cache-control"] == "public, max-age=1"
    assert open_checkpoint(response.content, verifiers(tiled.world), origin=ORIGIN).size == SIZE


def test_the_tiles_lead_to_the_checkpoint(tiled):
    """The entries of the bundles have the hashes of level 0, those fold to level 1, and all of it to the root."""
    entries, leaves = [], []
    for path, width in (("000", 256), ("001", 256), ("002.p/88", 88)):
        bundle = tiled.send("GET", f"/tile/entries/{path}", "auditor").content
        entries += parse_bundle(bundle, width=width)
        tile = tiled.http.get(f"/tile/0/{path}").content
        leaves += [tile[i : i + 32] for i in range(0, len(tile), 32)]
    assert [hash_leaf(entry) for entry in entries] == leaves
    edge, above = CompactRange(), []
    for leaf in leaves:
        above += edge.append(leaf)
    assert tiled.http.get("/tile/1/000.p/2").content == b"".join(subtree for _, _, subtree in above)
    checkpoint = open_checkpoint(tiled.http.get("/checkpoint").content, verifiers(tiled.world), origin=ORIGIN)
    assert checkpoint.root == edge.root()


def test_hashes_are_for_anyone_and_for_ever(tiled):
    """No token; an immutable answer of 32 bytes for each hash."""
    response = tiled.http.get("/tile/0/000")
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(response.content) == 8192
    assert tiled.http.get("/tile/0/000.p/7").content == response.content[: 7 * 32]


@pytest.mark.parametrize(
    "path",
    [
        "0/002", "0/002.p/89", "0/003.p/1", "0/000.p/256", "0/000.p/0", "1/000", "1/000.p/3", "2/000.p/1", "64/000",
        "0/x000/000", "0/2", "00/000", "0/000/", "0/000.p/", "-1/000", "0/000.p/1/2", "", "entries", "0/x999/x999/999",
        "0/x001/002",
    ],
)  # fmt: skip
def test_a_tile_of_the_wrong_width_or_name_is_not_found(tiled, path):
    """Nothing short, nothing beyond the tree, no second way to write a name: 404."""
    check_problem(tiled.http.get(f"/tile/{path}"), 404)


def test_bundles_take_the_scope_read(tiled):
    """Entries are for readers only; caches of others do not get to keep them."""
    check_problem(tiled.http.get("/tile/entries/000"), 401)
    check_problem(tiled.send("GET", "/tile/entries/000", "trainer"), 403)
    check_problem(tiled.send("GET", "/tile/entries/002", "auditor"), 404)
    found = tiled.send("GET", "/tile/entries/000", "auditor")
    assert found.headers["cache-control"].startswith("private")
    assert "Authorization" in found.headers["vary"]


def test_bundles_are_compressed_for_who_can_read_it(tiled):
    """Gzip where it is accepted, and the same bytes."""
    plain = tiled.send("GET", "/tile/entries/000", "auditor", headers={"Accept-Encoding": "identity"})
    packed = tiled.send("GET", "/tile/entries/000", "auditor", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content  # the client has unpacked it
    assert int(packed.headers["content-length"]) < len(plain.content) / 3


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 600), (255, 256), (256, 257), (300, 70_000), (70_000, 70_000)])
def test_new_tiles_are_those_that_the_smaller_tree_lacks(old, new):
    """Each hash of the larger tree is in a tile that the smaller one had at that width, or in a new one."""
    had = {(level, n): width for level, n, width in new_tiles(0, old, entries=False)}
    fresh = {(level, n): width for level, n, width in new_tiles(old, new, entries=False)}
    whole = {(level, n): width for level, n, width in new_tiles(0, new, entries=False)}
    assert whole == {**had, **fresh}
    assert all(had.get(tile) != width for tile, width in fresh.items())
    assert sum(whole.values()) == sum(hashes_of(level, new) for level in range(8))


def files(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_a_folder_holds_what_is_served(tiled, tmp_path):
    """Each file is what the service gives under that path; and the attachments lie beside them."""
    world = tiled.world
    assert export_tiles(world.service.engine, FolderTiles(tmp_path), note=world.checkpoint()) == SIZE
    written = files(tmp_path)
    for path, data in written.items():
        if path.startswith(("tile/", "checkpoint")):
            assert tiled.send("GET", f"/{path}", "auditor").content == data
        elif path != "attachments/index":
            assert hashlib.sha256(data).hexdigest() == path.removeprefix("attachments/")
    assert {"checkpoint", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000"} <= set(written)


def test_an_export_of_tiles_is_incremental(world, tmp_path):
    """The second export writes only what is new, and full tiles are never written twice."""
    event = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
    store = FolderTiles(tmp_path / "tiles")
    world.append(*[event] * 300)
    export_tiles(world.service.engine, store, note=world.checkpoint())
    stamps = {path: (tmp_path / "tiles" / path).stat().st_mtime_ns for path in files(tmp_path / "tiles")}
    world.append(*[event] * 300)
    assert export_tiles(world.service.engine, store, note=world.checkpoint()) == 300
    changed = {path for path, at in stamps.items() if (tmp_path / "tiles" / path).stat().st_mtime_ns != at}
    assert changed == {"checkpoint"}
    assert export_tiles(world.service.engine, store, note=world.checkpoint()) == 0


@pytest.mark.parametrize("more", [0, 1, 300])
def test_entries_that_were_left_out_are_exported_later(world, tmp_path, more):
    """After an export of hashes alone, one with entries writes all of them, whether something is new or not."""
    event = MemberAppointed(org=OWNER, person="p", roles=("auditor",))
    store, engine = FolderTiles(tmp_path / "tiles"), world.service.engine
    size = world.append(*[event] * 300) + 1
    export_tiles(engine, store, note=world.checkpoint(), entries=False)
    assert not (tmp_path / "tiles" / "tile" / "entries").exists()
    if more:
        world.append(*[event] * more)
    assert export_tiles(engine, store, note=world.checkpoint()) == more
    bundles = [(level, n, width) for level, n, width in new_tiles(0, size + more, entries=True) if level is None]
    assert len(bundles) > 1
    for level, n, width in bundles:
        assert len(parse_bundle(store.read(tile_path(level, n, width)), width=width)) == width
    assert store.read("attachments/index")


def test_tiles_are_durable_before_their_checkpoint(world, tmp_path, monkeypatch):
    """When the checkpoint is replaced, and when it has been, every folder that got something is synced."""
    folder, happened = tmp_path / "tiles", []
    export_tiles(world.service.engine, FolderTiles(folder), note=world.checkpoint())
    monkeypatch.setattr(tiles, "sync_folder", happened.append)
    monkeypatch.setattr(tiles, "replace_file", lambda path, data: (happened.append(path), path.write_bytes(data)))
    world.append(*[MemberAppointed(org=OWNER, person="p", roles=("auditor",))] * 300)
    export_tiles(world.service.engine, FolderTiles(folder), note=world.checkpoint())
    place = happened.index(folder / "checkpoint")
    written = [path for path in happened[:place] if path.name == "000"]
    assert {"0", "entries"} == {path.parent.name for path in written}
    for path in written:
        assert {path.parent, folder / "tile", folder} <= set(happened[happened.index(path) : place])
    assert happened[place + 1 :] == [folder]


def test_the_tiles_of_another_history_are_refused(world, tmp_path):
    """A store whose checkpoint contradicts the ledger, or is another ledger's, is left as it is."""
    store, note = FolderTiles(tmp_path / "tiles"), world.checkpoint()
    for origin, problem in ((ORIGIN, "not this ledger's"), ("other.example/log", "another ledger")):
        forged = sign_checkpoint(Checkpoint(origin=origin, size=3, root=bytes(32)), world.service.signers[:1])
        store.swap("checkpoint", store.read("checkpoint"), forged)
        with pytest.raises(Misconfigured, match=problem):
            export_tiles(world.service.engine, store, note=note)
        assert files(tmp_path / "tiles") == {"checkpoint": forged}


# Receipts -------------------------------------------------------------------------------------------------------------


def ask_with_receipt(served, **context) -> dict:
    body = evaluation()
    body["context"] |= {"receipt": True, **context}
    return served.post("/access/v1/evaluation", "trainer", body).json()


def test_an_answer_brings_its_receipt_along(tiled):
    """Asked for, the receipt is in the answer, and proves this very decision."""
    answer = ask_with_receipt(tiled)
    found = check_receipt(answer["context"]["receipt"].encode(), policy_of(tiled.world))
    assert (found.entry.seq, found.entry.kind) == (int(answer["context"]["id"]), "decision.recorded")
    assert "receipt" not in tiled.decide()["context"]


def test_a_receipt_can_be_fetched_later(tiled):
    """By the partner that it concerns and by readers; it is the proof of that entry."""
    seq = tiled.allowed()
    for token in ("trainer", "auditor", "sato"):
        response = tiled.send("GET", f"/ledger/v1/entries/{seq}/receipt", token)
        assert check_receipt(response.content, policy_of(tiled.world)).entry.seq == seq
    assert f"{seq}.tlog-proof" in response.headers["content-disposition"]


def test_a_receipt_is_nobody_elses(tiled):
    """Another partner gets 404, for an entry that is there as for one that is not; a stranger 401."""
    seq = tiled.allowed()
    check_problem(tiled.send("GET", f"/ledger/v1/entries/{seq}/receipt", "other"), 404)
    check_problem(tiled.send("GET", "/ledger/v1/entries/10000000/receipt", "other"), 404)
    check_problem(tiled.send("GET", "/ledger/v1/entries/10000000/receipt", "auditor"), 404)
    check_problem(tiled.send("GET", f"/ledger/v1/entries/{seq}/receipt", None), 401)


@pytest.mark.parametrize("value", ["true", 1, None, []])
def test_a_receipt_is_asked_for_with_true_or_false(tiled, value):
    """Anything else is a mistake, and is told."""
    body = evaluation()
    body["context"]["receipt"] = value
    problem = check_problem(tiled.post("/access/v1/evaluation", "trainer", body), 400)
    assert problem["pointer"] == "/context/receipt"

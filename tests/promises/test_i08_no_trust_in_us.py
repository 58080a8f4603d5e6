"""I8: verification needs no trust in us. Whoever owns the database and the keys rewrites the past, and is found.

The worst case: one entry is rewritten, every hash after it is made anew, and the whole is signed with the real keys.
Nothing inside such a ledger is wrong. What shows it is what somebody outside has kept: a head that was remembered, a
receipt, a witness. With none of them it is not found; that is held here too, so that nobody claims more.
"""

import itertools
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from commands import oblik
from promised import chained, entries_in, exported, leaf_hash, replayed_file, stored
from receipts import POLAND
from witnesses import WitnessProcess, make_witness, witness_process
from world import World, revocation

from ledger.errors import BadCheckpoint, BadProof
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import parse_entry
from ledger.log.evidence import check_evidence
from ledger.log.merkle import TILE_HEIGHT, CompactRange
from ledger.log.note import add_signatures, format_vkey, parse_note, sign_note
from ledger.log.proof import check_consistency, prove_consistency
from ledger.log.proof_file import parse_proof_file
from ledger.log.receipt import check_receipt
from ledger.log.tile import format_bundle, hash_reader, tile_path
from ledger.log.trust_policy import Policy, parse_policy
from ledger.log.witnessing import format_add_checkpoint
from ledger.services.monitoring import Look, Monitor
from ledger.services.receipts import receipt
from ledger.services.tiles import CHECKPOINT, export_tiles, new_tiles
from ledger.storage.anchor import Anchor
from ledger.storage.places import FolderPlace
from ledger.storage.reading import read_attachments, tree_reader
from ledger.storage.tiles import FolderTiles

AFTER = 300
"""Entries written after the one that is rewritten: past the edge of a tile."""


class Rewritten:
    """A ledger of which one entry says something else, and everything follows from that."""

    def __init__(self, world: World, seq: int, folder: Path) -> None:
        self.world, self.seq = world, seq
        entries = entries_in(world.service.engine)
        body = {**entries[seq].body, "reason": "the partner asked for it"}
        entries[seq] = msgspec.structs.replace(entries[seq], body=body)
        self.data = chained(entries)
        self.export = exported(self.data, [], world.service.signers)
        note = msgspec.json.decode(self.export[-1])["checkpoint"].encode()
        self.checkpoint = parse_checkpoint(parse_note(note)[0])
        self.note, self.folder = note, folder
        self.levels: dict[int, list[bytes]] = {level: [] for level in range(4)}
        edge = CompactRange()
        for data in self.data:
            self.levels[0].append(leaf_hash(data))
            for level, _, value in edge.append(leaf_hash(data)):
                self.levels[level].append(value)
        assert edge.root() == self.checkpoint.root
        self._write()

    def rows(self, level: int, start: int, stop: int) -> list[bytes]:
        return self.levels[level][start:stop]

    def _write(self) -> None:
        """Write the tiles, as whoever owns the server would serve them."""
        store = FolderTiles(self.folder)
        for level, n, width in new_tiles(0, len(self.data), entries=True):
            start, stop = n << TILE_HEIGHT, (n << TILE_HEIGHT) + width
            hashes = b"" if level is None else b"".join(self.rows(level, start, stop))
            store.write(tile_path(level, n, width), hashes or format_bundle(self.data[start:stop]))
        store.write(CHECKPOINT, self.note)


@pytest.fixture
def policy(world: World) -> Policy:
    """Give a policy of the log's real keys, that asks for no witness."""
    return parse_policy(log_lines(world) + b"quorum none\n")


def log_lines(world: World) -> bytes:
    return "".join(f"log {format_vkey(signer)}\n" for signer in world.service.signers).encode()


@pytest.fixture
def revoked(world: World) -> int:
    """Revoke a grant. Gives the entry's index: the one that is going to be rewritten."""
    seq = world.append(revocation())
    for _ in range(3):
        world.ask()
    return seq


@pytest.fixture
def kept(world: World, revoked: int) -> bytes:
    """Give the checkpoint that the log showed before it was rewritten."""
    return world.checkpoint()


@pytest.fixture
def rewritten(world: World, kept: bytes, revoked: int, tmp_path: Path) -> Rewritten:
    """Go on for a while, then rewrite."""
    world.append(*[revocation()] * AFTER)
    return Rewritten(world, revoked, tmp_path / "served")


def follow(folder: Path, policy: Policy, memory: Path) -> Look:
    """Have a monitor look once at what is served."""
    place, evidence = FolderPlace(folder), memory.with_suffix(".evidence")
    (look,) = Monitor([place], policy, memory=Anchor(memory), evidence=evidence, interval=1).round(0)
    return look


def test_a_rewritten_ledger_verifies_by_itself(world: World, rewritten: Rewritten):
    """Nothing inside shows it: bytes, chain, tree, signatures and every decision hold. So keep something outside."""
    verified, replayed = replayed_file(without_attachments(rewritten, world))
    assert (verified.size, verified.root, verified.signed) == (len(rewritten.data), rewritten.checkpoint.root, True)
    assert replayed.findings == ()
    seq = rewritten.seq
    there = parse_entry(stored(world.service.engine)[seq], seq=seq)
    assert parse_entry(rewritten.data[seq], seq=seq).body != there.body


def without_attachments(rewritten: Rewritten, world: World) -> list[bytes]:
    """Give the export with the attachments that are there: they are not rewritten."""
    with world.service.engine.connect() as connection:
        attachments = list(read_attachments(connection))
    return exported(rewritten.data, attachments, world.service.signers)


def test_who_comes_only_afterwards_is_deceived(rewritten: Rewritten, policy: Policy, tmp_path: Path):
    """A monitor that remembers nothing takes what it is shown first."""
    look = follow(rewritten.folder, policy, tmp_path / "new")
    assert (look.problem, look.found) == (None, None)


def test_a_remembered_head_finds_it(rewritten: Rewritten, policy: Policy, kept: bytes, tmp_path: Path):
    """And gives evidence that convinces anyone who has the log's keys."""
    (tmp_path / "head").write_bytes(kept)
    look = follow(rewritten.folder, policy, tmp_path / "head")
    finding = check_evidence((tmp_path / "head.evidence").read_bytes(), policy)
    assert look.found is not None
    assert (finding.kind, finding.proven) == ("fork", True)
    assert (tmp_path / "head").read_bytes() == kept


def test_a_remembered_head_finds_nothing_in_the_true_ledger(
    world: World, rewritten: Rewritten, policy: Policy, kept: bytes, tmp_path: Path
):
    """The same memory, before the same monitor: what the ledger grew to honestly continues it."""
    export_tiles(world.service.engine, FolderTiles(tmp_path / "true"), note=world.checkpoint())
    (tmp_path / "head").write_bytes(kept)
    look = follow(tmp_path / "true", policy, tmp_path / "head")
    assert (look.problem, look.found) == (None, None)


def test_a_receipt_of_any_entry_finds_it(rewritten: Rewritten, policy: Policy, kept: bytes, tmp_path: Path):
    """A receipt holds a checkpoint: it serves as a remembered head, even where its own entry was left alone."""
    for seq in (0, rewritten.seq):
        with rewritten.world.service.engine.connect() as connection:
            held = receipt(connection, seq, kept)
        assert check_receipt(held, policy).entry.seq == seq
        memory = tmp_path / f"receipt-{seq}"
        memory.write_bytes(parse_proof_file(held).note)
        look = follow(rewritten.folder, policy, memory)
        assert look.found is not None
        assert look.found.finding.proven


def test_a_witness_finds_it(world: World, rewritten: Rewritten, kept: bytes):
    """It cosigned the old tree, so no proof leads it to the new one; and without it the quorum is not met."""
    cosigned = add_signatures(kept, sign_note(parse_note(kept)[0], [POLAND]).split(b"\n\n")[1])
    policy = parse_policy(log_lines(world) + f"witness poland {format_vkey(POLAND)}\nquorum poland\n".encode())
    policy.open(cosigned).check_quorum()
    old, new = parse_checkpoint(parse_note(cosigned)[0]), rewritten.checkpoint
    proof = prove_consistency(old.size, new.size, hash_reader(rewritten.rows))  # the best that the owner can offer
    with pytest.raises(BadProof, match="other roots"):
        check_consistency(old.size, new.size, old.root, new.root, proof)
    with pytest.raises(BadCheckpoint, match="too few witnesses"):
        policy.open(rewritten.note).check_quorum()


def test_a_witness_follows_the_true_ledger(world: World, rewritten: Rewritten, kept: bytes):
    """The check that stops the rewritten one lets the true one through."""
    leaves = [leaf_hash(data) for data in stored(world.service.engine)]
    levels, edge = {0: leaves, 1: [], 2: []}, CompactRange()
    for level, _, value in itertools.chain.from_iterable(map(edge.append, leaves)):
        levels[level].append(value)
    old = parse_checkpoint(parse_note(kept)[0])
    proof = prove_consistency(old.size, len(leaves), hash_reader(lambda level, a, b: levels[level][a:b]))
    check_consistency(old.size, len(leaves), old.root, edge.root(), proof)


# With the witness's own server ----------------------------------------------------------------------------------------


@pytest.fixture
def witness(world: World, tmp_path: Path) -> Iterator[WitnessProcess]:
    """Serve a witness, as a process of its own, that trusts the log's keys."""
    data = make_witness(tmp_path / "witness")
    (data / "logs").write_bytes(log_lines(world))
    with witness_process(data) as process:
        yield process


def shown(witness: WitnessProcess, note: bytes) -> bytes:
    """Give what the witness shows of the log whose checkpoint this is."""
    origin = parse_checkpoint(parse_note(note)[0]).origin
    answer = witness.http.get(f"/{sha256(origin.encode()).hexdigest()}/checkpoint")
    assert answer.status_code == 200
    return answer.content


def test_the_witness_server_refuses_it_and_its_word_convicts_the_owner(
    world: World, rewritten: Rewritten, kept: bytes, witness: WitnessProcess, tmp_path: Path
):
    """The owner signs the fork and is refused; a monitor that begins with what the witness shows has the proof."""
    old, new = parse_checkpoint(parse_note(kept)[0]), rewritten.checkpoint
    assert witness.post(format_add_checkpoint(0, [], kept)).status_code == 200
    proof = prove_consistency(old.size, new.size, hash_reader(rewritten.rows))
    fork = format_add_checkpoint(old.size, proof, rewritten.note)
    assert witness.post(fork).status_code == 422
    witness.kill()
    witness.start()
    assert witness.post(fork).status_code == 422
    assert witness.stderr.count("refused from size") == 2
    cosigned = shown(witness, kept)
    assert parse_checkpoint(parse_note(cosigned)[0]) == old
    _check_that_anyone_is_convinced(world, rewritten, witness, cosigned, tmp_path)
    true = world.checkpoint()
    size = parse_checkpoint(parse_note(true)[0]).size
    with world.service.engine.connect() as connection:
        proof = prove_consistency(old.size, size, tree_reader(connection))
    assert witness.post(format_add_checkpoint(old.size, proof, true)).status_code == 200


def _check_that_anyone_is_convinced(
    world: World, rewritten: Rewritten, witness: WitnessProcess, cosigned: bytes, tmp_path: Path
) -> None:
    """Run a monitor of the fork that begins with the witness's checkpoint, and have a stranger verify its evidence."""
    (tmp_path / "head").write_bytes(cosigned)
    vkeys = (witness.data / "witness.vkeys").read_text().split()
    lines = (
        "".join(f"witness w{number} {vkey}\n" for number, vkey in enumerate(vkeys)) + "group w all w0 w1\nquorum w\n"
    )
    (tmp_path / "monitor.policy").write_bytes(log_lines(world) + lines.encode())
    (tmp_path / "stranger.policy").write_bytes(log_lines(world) + b"quorum none\n")
    command = ("monitor", rewritten.folder, "--policy", "monitor.policy", "--state", "head", "--once")
    found = oblik(*command, cwd=tmp_path)
    assert (found.returncode, "CONTRADICTION" in found.stdout) == (3, True), found
    told = oblik("evidence", "verify", "head.evidence", "--policy", "stranger.policy", cwd=tmp_path)
    assert told.returncode == 0, told
    assert told.stdout.startswith("fork: ")
    finding = check_evidence(
        (tmp_path / "head.evidence").read_bytes(), parse_policy((tmp_path / "monitor.policy").read_bytes())
    )
    assert (finding.proven, set(finding.kept.cosigned), set(finding.served.cosigned)) == (True, {"w0", "w1"}, set())

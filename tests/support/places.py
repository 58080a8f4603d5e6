"""Where checkpoints of a ledger lie, so that a test can look at all of them, and hold them against each other."""

from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from fault_cells import ANCHOR, DATABASE, TILES, WITNESS
from promised import stored, tree_hash
from witnesses import free_port
from world import ORIGIN, World

from ledger.keys.witness import create_witness_keys
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.merkle import hash_leaf
from ledger.log.note import format_vkey, parse_note
from ledger.settings import Settings
from ledger.storage.publication import read_publication
from ledger.storage.witnessed import create_witnessed, digest, open_witnessed, read_note

SHOWN = "shown"
"""The checkpoint that everybody is shown: with witnesses, one that they cosigned."""

Seen = dict[str, bytes | None]


@dataclass
class Place:
    """A ledger that is not in service, with all who may hold a checkpoint of it, and every checkpoint ever seen."""

    settings: Settings
    engine: sa.Engine
    seen: set[bytes] = field(default_factory=set)

    @property
    def witness(self) -> Path:
        """The folder of the witness, where there is one."""
        return self.settings.data / "witness"

    def look(self) -> Seen:
        """Read every checkpoint that anybody could see now."""
        with self.engine.connect() as connection:
            publication = read_publication(connection)
        tiles = Path(self.settings.tiles) / "checkpoint"
        found: Seen = {
            ANCHOR: self.settings.anchor.read_bytes() if self.settings.anchor.exists() else None,
            DATABASE: publication.note if publication else None,
            TILES: tiles.read_bytes() if self.settings.tiles and tiles.exists() else None,
            WITNESS: self.witnessed(),
            SHOWN: publication.public if publication else None,
        }
        self.seen |= {note for note in found.values() if note}
        return found

    def witnessed(self) -> bytes | None:
        if not self.settings.witnesses:
            return None
        memory = open_witnessed(self.witness / "witness.db")
        note = read_note(memory, digest(ORIGIN))
        memory.dispose()
        return note


def witnesses_policy(world: World, folder: Path) -> Path:
    """Make a witness that trusts the world's log, and the policy that asks for it."""
    data = folder / "witness"
    data.mkdir()
    create_witness_keys(data, name="w.example/1")
    create_witnessed(data / "witness.db")
    logs = [f"log {format_vkey(signer)}\n" for signer in world.service.signers]
    (data / "logs").write_text("".join(logs))
    (data / "port").write_text(str(free_port()))
    url = f"http://127.0.0.1:{(data / 'port').read_text()}"
    keys = (data / "witness.vkeys").read_text().split()
    members = [f"witness k{number} {key} {url}\n" for number, key in enumerate(keys)]
    (folder / "policy").write_text("".join([*logs, *members, "group w any k0 k1\nquorum w\n"]))
    return folder / "policy"


def check_seen(place: Place) -> None:
    """Check that every checkpoint ever seen is of a tree with which the ledger begins: so no two disagree."""
    leaves = [hash_leaf(data) for data in stored(place.engine)]
    checkpoints = {parse_checkpoint(parse_note(note)[0]) for note in place.seen}
    assert max(checkpoint.size for checkpoint in checkpoints) == len(leaves)
    for checkpoint in checkpoints:
        assert checkpoint.root == tree_hash(leaves[: checkpoint.size])

"""A small signed log with witnesses, its policy file, and receipts of its entries: what the formats' tests share."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.cosignature import Ed25519CosignatureSigner, MLDSA44Signer
from ledger.log.entry import GENESIS_PREV, Entry, format_entry
from ledger.log.evidence import Evidence
from ledger.log.merkle import CompactRange, hash_leaf, hash_node
from ledger.log.note import Ed25519Signer, format_vkey
from ledger.log.proof import Node, prove_consistency, prove_inclusion, root_at
from ledger.log.receipt import format_receipt

ORIGIN = "receipts.example/oblik"
TIME = 1_795_250_000
SIZE = 7


def make_entries(count: int = SIZE) -> list[bytes]:
    """Chain decisions of one partner, every third a deny."""
    prev, entries = GENESIS_PREV, []
    for seq in range(count):
        entry = Entry(
            about={"org:acme-jp": (seq, seq - 1)},
            at=f"2026-11-21T09:30:{seq:02d}.000000Z",
            body={"allowed": seq % 3 > 0, "org": "acme-jp"},
            by={"org": "acme-jp", "system": "trainer"},
            kind="decision.recorded",
            prev=prev.hex(),
            seq=seq,
            v=1,
        )
        entries.append(format_entry(entry))
        prev = hash_leaf(entries[-1])
    return entries


LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
LOG_PQ = MLDSA44Signer(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(b"\2" * 32))
POLAND, ESTONIA, JAPAN = (
    Ed25519CosignatureSigner(f"{name}.example", Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32), lambda: TIME)
    for name, seed in (("poland", 3), ("estonia", 4), ("japan", 5))
)
POLICY = f"""log {format_vkey(LOG)}
log {format_vkey(LOG_PQ)} https://{ORIGIN}/
witness poland {format_vkey(POLAND)}
witness estonia {format_vkey(ESTONIA)} https://estonia.example/
witness japan {format_vkey(JAPAN)}
group allies 2 poland estonia japan
quorum allies
""".encode()

ENTRIES = make_entries()


def _node(entries: list[bytes], node: Node) -> bytes:
    height, index = node
    if height == 0:
        return hash_leaf(entries[index])
    return hash_node(_node(entries, (height - 1, 2 * index)), _node(entries, (height - 1, 2 * index + 1)))


def hashes_of(index: int, entries: list[bytes] = ENTRIES) -> list[bytes]:
    """Give the inclusion proof of an entry in the tree of all."""
    return prove_inclusion(index, len(entries), lambda nodes: [_node(entries, node) for node in nodes])


def fork_of(kept: list[bytes], served: list[bytes], *signers) -> Evidence:
    """Make the evidence that a log signed the trees of these entries, neither of which begins with the other."""
    small, large = sorted((kept, served), key=len)
    root, hashes = b"", ()
    if len(small) != len(large):

        def read(nodes: Sequence[Node]) -> list[bytes]:
            return [_node(large, node) for node in nodes]

        root, hashes = root_at(len(small), read), tuple(prove_consistency(len(small), len(large), read))
    notes = [note_of(*(signers or [LOG]), entries=entries) for entries in (kept, served)]
    return Evidence(kind="fork", kept=notes[0], served=notes[1], prefix_root=root, hashes=hashes)


def note_of(*signers, entries: list[bytes] = ENTRIES) -> bytes:
    """Sign the tree of all entries: the log with both keys and two witnesses, where no signers are given."""
    edge = CompactRange()
    for entry in entries:
        edge.append(hash_leaf(entry))
    checkpoint = Checkpoint(origin=ORIGIN, size=edge.size, root=edge.root())
    return sign_checkpoint(checkpoint, signers or [LOG, LOG_PQ, POLAND, JAPAN])


def receipt_of(index: int, *signers) -> bytes:
    """Give the receipt of an entry."""
    return format_receipt(ENTRIES[index], index, hashes_of(index), note_of(*signers))

"""Make `export.jsonl`: a small signed ledger whose bytes must never change their meaning. Prints its size and root.

Run from the project's root: `python tests/vectors/log/make_vectors.py`. The keys are made of constant bytes and are for
this file only. ML-DSA signatures are randomised, so a new run gives another last line, and every other line the same.
"""

import hashlib
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.cosignature import MLDSA44Signer
from ledger.log.entry import GENESIS_PREV, Entry, format_entry
from ledger.log.export import Header, format_export
from ledger.log.merkle import CompactRange, hash_leaf
from ledger.log.note import Ed25519Signer, Signer, format_vkey
from ledger.log.sealed import seal

ORIGIN = "vectors.example/oblik"
FILE = Path(__file__).with_name("export.jsonl")
CARD = "Картка набору даних\n".encode()


def make_entries(count: int = 9) -> list[bytes]:
    """Chain entries in three streams, with nested bodies, text beyond ASCII, and a sealed field now and then."""
    prev, streams, entries = GENESIS_PREV, {}, []
    for seq in range(count):
        names = [f"org:o{seq % 2}", *(["dataset:d"] if seq % 3 == 0 else [])]
        about = {name: streams.get(name, (0, -1)) for name in names}
        commitment, _ = seal("reason", f"причина {seq}", bytes([seq]) * 16)
        entry = Entry(
            about=about,
            at=f"2026-11-21T09:30:{seq // 2:02d}.{seq:06d}Z",
            body={
                "card": hashlib.sha256(CARD).hexdigest(),
                "title": 'Облік \u2028\t"/\\',
                "nested": [[{"n": [seq - 4]}]],
            },
            by={"person": f"p{seq}"},
            kind="vector.made",
            prev=prev.hex(),
            sealed={"reason": commitment} if seq % 4 == 1 else {},
            seq=seq,
            v=1,
        )
        streams |= {name: (ordinal + 1, seq) for name, (ordinal, _) in about.items()}
        entries.append(format_entry(entry))
        prev = hash_leaf(entries[-1])
    return entries


def make_signers() -> tuple[Signer, ...]:
    """Give one signer of each kind, of constant keys."""
    ed25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    ml_dsa = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32, 64)))
    return Ed25519Signer(ORIGIN, ed25519), MLDSA44Signer(ORIGIN, ml_dsa)


def main() -> None:
    """Write the file."""
    entries, signers, edge = make_entries(), make_signers(), CompactRange()
    for data in entries:
        edge.append(hash_leaf(data))
    checkpoint = Checkpoint(origin=ORIGIN, size=edge.size, root=edge.root())
    header = Header(
        attachments=1, entries=edge.size, origin=ORIGIN, vkeys=tuple(format_vkey(signer) for signer in signers)
    )
    attachment = (hashlib.sha256(CARD).hexdigest(), "text/plain", CARD)
    FILE.write_bytes(b"".join(format_export(header, entries, [attachment], sign_checkpoint(checkpoint, signers))))
    sys.stdout.write(f"{edge.size} {edge.root().hex()}\n")


if __name__ == "__main__":
    main()

"""Receipts: one entry, and the proof that the log has it, in a file that verifies offline and for ever.

A receipt is a proof file (`proof_file`) whose `extra` is the entry's bytes, as stored:

    c2sp.org/tlog-proof@v1
    extra <base64 of {"about":…,"kind":"decision.recorded",…}>
    index 42
    <base64 hash>…

    ledger.mod.example/oblik             the checkpoint, with what the log and its witnesses signed
    …

Nothing vouches for `extra` by itself: it counts because its leaf hash, at the index, leads to the checkpoint's root.
"""

from collections.abc import Sequence

from msgspec import Struct

from ledger.errors import BadProof
from ledger.log.entry import Entry, parse_entry
from ledger.log.merkle import hash_leaf
from ledger.log.proof import check_inclusion
from ledger.log.proof_file import ProofFile, format_proof_file, parse_proof_file
from ledger.log.trust_policy import Policy, Trusted


class Receipt(Struct, frozen=True):
    """An entry that the log has, and who said so."""

    entry: Entry
    trusted: Trusted


def format_receipt(entry: bytes, index: int, hashes: Sequence[bytes], note: bytes) -> bytes:
    """Give the receipt of the entry at `index`, from its inclusion proof and a signed checkpoint.

    Raises BadProof, BadNote or BadCheckpoint where nobody could read it. That the proof leads to the root is the
    caller's to know.
    """
    return format_proof_file(ProofFile(index, tuple(hashes), note, entry))


def check_receipt(data: bytes, policy: Policy) -> Receipt:
    """Open a receipt by a trust policy. Raises BadProof, BadNote, BadCheckpoint or BadEntry unless all of it holds.

    1. The file is of its form, and carries an entry.
    2. A log of the policy signed the checkpoint, and as many witnesses as the policy asks for cosigned it.
    3. The entry's leaf, at the index, leads to the checkpoint's root.
    4. The entry is in the one canonical form, and says that it stands at this index.
    """
    proof = parse_proof_file(data)
    if proof.extra is None:
        raise BadProof("the proof file is no receipt: it carries no entry")
    trusted = policy.open(proof.note)
    trusted.check_quorum()
    checkpoint = trusted.checkpoint
    check_inclusion(proof.index, checkpoint.size, hash_leaf(proof.extra), proof.hashes, checkpoint.root)
    return Receipt(parse_entry(proof.extra, seq=proof.index), trusted)

"""Evidence that a log contradicted itself, in one file that verifies offline and needs nobody's word.

    {"format":"oblik-evidence/1","hashes":["<base64>"],"kind":"fork","kept":"<signed note>",
     "prefix_root":"<base64>","served":"<signed note>"}

Canonical JSON. `kept` is the checkpoint that an observer had, `served` the one that it was shown later; both whole, as
signed. Witnesses need not have cosigned either: the log's own signature is what it is held to.

`fork`: the log signed two histories.
- Of one size: the roots differ. `hashes` is empty and `prefix_root` is "".
- Of two sizes: `hashes` is a consistency proof (RFC 9162 §2.1.4) from `prefix_root`, at the smaller size, to the larger
  checkpoint's root. So the larger tree begins with a tree of `prefix_root`; and the smaller checkpoint states another.

`rollback`: what was served is smaller than what was kept. No fork: a log's signature has no time, so that the smaller
one was served later is the word of whoever kept the file, and proves nothing. One thing does: a cosignature states that
at its time nothing larger had been seen by this witness (C2SP tlog-cosignature). Where one key cosigned the larger
checkpoint, and the smaller one at a later time, log and witness went back together, or the witness's clock did.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from ledger.errors import BadProof, Malformed, TooLarge
from ledger.log.canonical import decode, encode
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.codec import format_base64, parse_base64
from ledger.log.note import MAX_NOTE_BYTES, parse_note
from ledger.log.proof import check_consistency
from ledger.log.proof_file import MAX_HASHES
from ledger.log.trust_policy import Policy, Trusted

FORMAT = "oblik-evidence/1"

MAX_EVIDENCE_BYTES = 4 * MAX_NOTE_BYTES + 10_000
"""Two of the largest notes, every character of them escaped, and a proof."""

Kind = Literal["fork", "rollback"]


class Evidence(Struct, frozen=True, kw_only=True):
    """What an evidence file holds; the checkpoints are notes as signed."""

    kind: Kind
    kept: bytes
    served: bytes
    prefix_root: bytes = b""
    hashes: tuple[bytes, ...] = ()


class Finding(Struct, frozen=True, kw_only=True):
    """What evidence comes to, once it is checked."""

    kind: Kind
    kept: Trusted
    served: Trusted
    prefix_root: bytes
    """Of a fork with two sizes: the root at the smaller size of the tree whose checkpoint is the larger."""
    gone_back: tuple[str, ...]
    """Of a rollback: the witnesses, by their names in the policy, that contradict themselves."""

    @property
    def proven(self) -> bool:
        """Whether signatures alone show a contradiction, whoever brings the file."""
        return self.kind == "fork" or bool(self.gone_back)


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file's fields, as written."""

    format: Literal["oblik-evidence/1"]
    hashes: list[str]
    kept: str
    kind: Kind
    prefix_root: str
    served: str


def format_evidence(evidence: Evidence) -> bytes:
    """Give the file, whatever it proves. Raises BadProof, BadNote or BadCheckpoint where nobody could read it."""
    _check_form(evidence)
    return encode(
        {
            "format": FORMAT,
            "hashes": [format_base64(value) for value in evidence.hashes],
            "kept": evidence.kept.decode(),
            "kind": evidence.kind,
            "prefix_root": format_base64(evidence.prefix_root),
            "served": evidence.served.decode(),
        }
    )


def parse_evidence(data: bytes) -> Evidence:
    """Read a file; what it proves is not looked at. Raises BadProof, BadNote or BadCheckpoint for all but its form."""
    try:
        file = msgspec.convert(decode(data, limit=MAX_EVIDENCE_BYTES), _File)
        evidence = Evidence(
            kind=file.kind,
            kept=file.kept.encode(),
            served=file.served.encode(),
            prefix_root=parse_base64(file.prefix_root),
            hashes=tuple(parse_base64(text) for text in file.hashes),
        )
    except (Malformed, TooLarge) as error:
        raise BadProof(f"the file is no evidence: {error.problem}") from None
    except msgspec.ValidationError as error:
        raise BadProof(f"the file is no evidence: {error}") from None
    _check_form(evidence)
    return evidence


def check_evidence(data: bytes, policy: Policy) -> Finding:
    """Open evidence by a trust policy. Raises BadProof, BadNote or BadCheckpoint unless all of it holds.

    1. One log of the policy signed both checkpoints. The quorum is not asked for.
    2. A rollback goes back in size; whether that is proven is told.
    3. A fork's checkpoints contradict each other.
    """
    evidence = parse_evidence(data)
    kept = policy.open(evidence.kept)
    served = policy.open(evidence.served, kept.checkpoint.origin)
    if evidence.kind == "rollback":
        _check_rollback(kept, served)
    else:
        _check_fork(kept, served, evidence.prefix_root, evidence.hashes)
    return Finding(
        kind=evidence.kind,
        kept=kept,
        served=served,
        prefix_root=evidence.prefix_root,
        gone_back=_gone_back(kept, served) if evidence.kind == "rollback" else (),
    )


def _check_form(evidence: Evidence) -> None:
    """Raise unless the checkpoints read, and there is a proof only where one may be."""
    sizes = {parse_checkpoint(parse_note(note)[0]).size for note in (evidence.kept, evidence.served)}
    if len(evidence.hashes) > MAX_HASHES:
        raise BadProof(f"the evidence has {len(evidence.hashes)} hashes, more than {MAX_HASHES}")
    takes_proof = evidence.kind == "fork" and len(sizes) > 1
    if bool(evidence.prefix_root) != takes_proof or (evidence.hashes and not takes_proof):
        raise BadProof("a fork of two sizes has a proof, and nothing else has")


def _check_rollback(kept: Trusted, served: Trusted) -> None:
    if served.checkpoint.size >= kept.checkpoint.size:
        raise BadProof(f"{served.checkpoint.size:,} entries are not fewer than {kept.checkpoint.size:,}")


def _gone_back(kept: Trusted, served: Trusted) -> tuple[str, ...]:
    """Name the witnesses that cosigned the larger, and the smaller at a later time.

    Two witnesses' times prove nothing: one may come to a checkpoint late, when another has the next one already.
    """
    return tuple(name for name, time in kept.cosigned.items() if served.cosigned.get(name, 0) > time)


def _check_fork(kept: Trusted, served: Trusted, prefix_root: bytes, hashes: Sequence[bytes]) -> None:
    small, large = sorted((kept.checkpoint, served.checkpoint), key=lambda checkpoint: checkpoint.size)
    if small.size == large.size:
        if small.root == large.root:
            raise BadProof("the two checkpoints are of one tree")
        return
    if prefix_root == small.root:
        raise BadProof("the larger tree begins with the smaller one")
    check_consistency(small.size, large.size, prefix_root, large.root, hashes)

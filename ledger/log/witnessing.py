"""Asking a witness for its cosignature (C2SP tlog-witness v1.0.0): the message, and the rule by which it is answered.

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    <up to 63 such hashes: the consistency proof from the old size>
    <blank line>
    example.com/log
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    <blank line>
    — example.com/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeO…

A witness keeps, for each log, the last checkpoint that it cosigned. Each refusal is an error of its own, which stands
for the status that the specification asks for:

    400 Malformed           not of this form, or old > size
    403 Forbidden           no trusted signature
    404 NotFound            an unknown origin
    409 NotLastCosigned     old is not the last size cosigned; the answer is that size
    413 TooLarge            over the limit
    422 BadProof            the proof does not lead here, is given where old = 0, or one size has two roots

The logs that a witness trusts stand in a file, a verifier key a line, in the manner of C2SP tlog-policy:

    # of the ministry; two keys of one log
    log ledger.mod.example/oblik+0a5b4a3e+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
    log ledger.mod.example/oblik+5f1f8f0c+Bp…
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ledger.errors import (
    BadCheckpoint,
    BadNote,
    BadProof,
    Forbidden,
    Malformed,
    NotFound,
    NotLastCosigned,
    TooLarge,
    show,
)
from ledger.log.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.log.codec import format_base64, parse_base64
from ledger.log.cosignature import MLDSA44Verifier, parse_vkey
from ledger.log.merkle import HASH_BYTES
from ledger.log.note import Ed25519Verifier, Verifier, parse_note
from ledger.log.proof import check_consistency

MAX_ADD_CHECKPOINT_BYTES = 512 * 1024
"""A proof of 63 hashes, and a checkpoint that a hundred ML-DSA keys have signed."""

MAX_PROOF_HASHES = 63
"""What a proof between two trees of less than 2^63 leaves can need."""

MAX_TREE_SIZE = 2**63 - 1
"""What such a proof reaches, and what a database's integer holds."""

MAX_LOGS_BYTES = 1024 * 1024
"""The file of trusted logs: some five hundred ML-DSA keys."""

_OLD = re.compile(rb"old (0|[1-9][0-9]{0,18})")

Logs = Mapping[str, Sequence[Verifier]]
"""The keys of each log that a witness trusts, by the log's origin."""


class AddCheckpoint(Struct, frozen=True):
    """A request for a cosignature: the `proof` leads from the tree of `old` leaves to that of the checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes
    """The checkpoint as the log signed it."""


class Cosigned(Struct, frozen=True):
    """What a witness remembers of a log: the last tree that it cosigned."""

    size: int
    root: bytes


def format_add_checkpoint(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Write a request. Raises Malformed or TooLarge where nobody could read it back."""
    hashes = b"".join(format_base64(value).encode() + b"\n" for value in proof)
    data = f"old {old}\n".encode() + hashes + b"\n" + note
    parse_add_checkpoint(data)
    return data


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Read a request; no signature is verified. Raises TooLarge, and Malformed for anything but its one form."""
    if len(data) > MAX_ADD_CHECKPOINT_BYTES:
        raise TooLarge("the request", limit=MAX_ADD_CHECKPOINT_BYTES)
    head, blank, note = data.partition(b"\n\n")  # neither line nor hash is empty, so it is the first blank line
    first, *lines = head.split(b"\n")
    match = _OLD.fullmatch(first)
    if not blank or match is None:
        raise Malformed("", "the request does not begin with `old <size>`, its proof and a blank line")
    if len(lines) > MAX_PROOF_HASHES:
        raise Malformed("", f"the proof has {len(lines)} hashes, not 0 to {MAX_PROOF_HASHES}")
    _checkpoint(note)
    return AddCheckpoint(int(match[1]), tuple(_hash(line) for line in lines), note)


def _hash(line: bytes) -> bytes:
    try:
        value = parse_base64(line.decode("ascii"))
    except UnicodeDecodeError:
        raise Malformed("", "a line of the proof is not base64") from None
    if len(value) != HASH_BYTES:
        raise Malformed("", f"a hash of the proof has {len(value)} bytes, not {HASH_BYTES}")
    return value


def _checkpoint(note: bytes) -> Checkpoint:
    """Read what a note commits to. Raises Malformed."""
    try:
        checkpoint = parse_checkpoint(parse_note(note)[0])
    except (BadNote, BadCheckpoint) as error:
        raise Malformed("", error.problem) from None
    if checkpoint.size > MAX_TREE_SIZE:
        raise Malformed("", f"no tree has {show(checkpoint.size)} leaves")
    return checkpoint


def open_add_checkpoint(request: AddCheckpoint, logs: Logs) -> Checkpoint:
    """Give the checkpoint of a request, once it is known to be the word of a trusted log.

    Raises NotFound where the origin is not of `logs`, Forbidden where none of its keys signed or the signature of one
    does not verify, and Malformed where the old size is beyond the new one.
    """
    checkpoint = _checkpoint(request.note)
    if checkpoint.origin not in logs:
        raise NotFound("log", checkpoint.origin)
    try:
        open_checkpoint(request.note, logs[checkpoint.origin], origin=checkpoint.origin)
    except (BadNote, BadCheckpoint) as error:
        raise Forbidden(error.problem) from None
    if request.old > checkpoint.size:
        raise Malformed("", f"old size {show(request.old)} is beyond size {show(checkpoint.size)}")
    return checkpoint


def check_continues(request: AddCheckpoint, checkpoint: Checkpoint, last: Cosigned | None) -> None:
    """Raise unless `checkpoint`, which `open_add_checkpoint` gave, continues the last one that was cosigned.

    NotLastCosigned where the old size is not that one's; BadProof where the proof does not lead from it, is given where
    there is nothing to prove, or the two have one size and not one root.
    """
    size = last.size if last else 0
    if request.old != size:
        raise NotLastCosigned(size)
    if last is None or size == 0:  # any tree begins with the empty one; RFC 9162 has no proof of it
        if request.proof:
            raise BadProof("nothing is to be proved from size 0, and a proof is given")
        return
    check_consistency(size, checkpoint.size, last.root, checkpoint.root, request.proof)


def parse_logs(data: bytes) -> dict[str, list[Verifier]]:
    """Read the file of trusted logs. Raises Malformed, naming the line, and where there is no log in it."""
    if len(data) > MAX_LOGS_BYTES:
        raise Malformed("", f"the file of logs is over the limit of {MAX_LOGS_BYTES:,} bytes")
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        raise Malformed("", "the file of logs is not UTF-8") from None
    logs: dict[str, list[Verifier]] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if fields and not fields[0].startswith("#"):
            verifier = _log(fields, number)
            _add(logs.setdefault(verifier.name, []), verifier, number)
    if not logs:
        raise Malformed("", "the file of logs names none", help="write a line `log <verifier key>` for each key")
    return logs


def _log(fields: list[str], number: int) -> Verifier:
    match fields:
        case ["log", vkey] | ["log", vkey, _]:  # an address may follow: a witness has no use for it
            pass
        case _:
            raise Malformed("", f"line {number} of the logs is not `log <verifier key>`")
    try:
        verifier = parse_vkey(vkey)
    except BadNote as error:
        raise Malformed("", f"line {number} of the logs: {error.problem}") from None
    if not isinstance(verifier, Ed25519Verifier | MLDSA44Verifier):
        raise Malformed("", f"line {number} of the logs: {show(vkey)} is a witness's key, not a log's")
    return verifier


def _add(keys: list[Verifier], verifier: Verifier, number: int) -> None:
    if verifier.key_id in {key.key_id for key in keys}:
        raise Malformed("", f"line {number} of the logs: a key of this name and id stands above")
    keys.append(verifier)

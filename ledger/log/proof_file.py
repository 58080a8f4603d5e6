"""Proof files (C2SP tlog-proof v1): that an entry is in a log's tree, in one file that verifies offline.

    c2sp.org/tlog-proof@v1
    extra <base64>
    index 73894
    <base64 hash>                        from the leaf's sibling up, a line each
    <blank line>
    example.com/log                      the checkpoint, as signed
    109482
    <base64 root>
    <blank line>
    — example.com/log <base64>

The line `extra` is left out where there is none; nothing in the file vouches for what it holds. Such a file is called
`.tlog-proof`.
"""

import re

from msgspec import Struct

from ledger.errors import BadProof, Malformed, show
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.codec import format_base64, parse_base64
from ledger.log.merkle import HASH_BYTES
from ledger.log.note import MAX_NOTE_BYTES, parse_note

HEADER = "c2sp.org/tlog-proof@v1"

MAX_HASHES = 63
"""The depth of a tree of 2^63 leaves."""

MAX_EXTRA_BYTES = 1024 * 1024
"""An entry has 64 KiB at most; other logs' files may carry more."""

MAX_PROOF_FILE_BYTES = MAX_NOTE_BYTES + MAX_EXTRA_BYTES * 4 // 3 + 10_000
"""The largest note, the largest extra in base64, and the lines between them."""

_HEAD = re.compile(
    r"c2sp\.org/tlog-proof@v1\n"
    r"(?:extra (?P<extra>[^\n]+)\n)?"
    r"index (?P<index>0|[1-9][0-9]{0,18})\n"
    r"(?P<hashes>(?:[^\n]+\n)*)"
)


class ProofFile(Struct, frozen=True):
    """What a proof file holds; `note` is the checkpoint as signed."""

    index: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None


def format_proof_file(proof: ProofFile) -> bytes:
    """Give the file, wherever the proof leads. Raises BadProof, BadNote or BadCheckpoint where nobody could read it."""
    extra = [] if proof.extra is None else [f"extra {format_base64(proof.extra)}"]
    lines = [HEADER, *extra, f"index {proof.index}", *map(format_base64, proof.hashes), "", ""]
    data = "\n".join(lines).encode() + proof.note
    parse_proof_file(data)
    return data


def parse_proof_file(data: bytes) -> ProofFile:
    """Read a proof file; whether the proof leads to the root, and who signed it, is not looked at.

    Raises BadProof, BadNote or BadCheckpoint for anything but its one form.
    """
    if len(data) > MAX_PROOF_FILE_BYTES:
        raise BadProof(f"the proof file is over the limit of {MAX_PROOF_FILE_BYTES:,} bytes")
    head, blank, note = data.partition(b"\n\n")
    match = _HEAD.fullmatch(_decode(head + b"\n"))
    if not blank or match is None:
        raise BadProof("the file is no proof file", help=f"it begins with {HEADER}, an index, hashes and a blank line")
    text, _ = parse_note(note)
    parse_checkpoint(text)
    extra = None if match["extra"] is None else _extra(match["extra"])
    return ProofFile(int(match["index"]), _hashes(match["hashes"].split("\n")[:-1]), note, extra)


def _decode(head: bytes) -> str:
    try:
        return head.decode("ascii")
    except UnicodeDecodeError:
        raise BadProof("the proof file holds more than ASCII before its checkpoint") from None


def _hashes(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_HASHES:
        raise BadProof(f"the proof file has {len(lines)} hashes, more than {MAX_HASHES}")
    hashes = tuple(_base64(line) for line in lines)
    for line, value in zip(lines, hashes, strict=True):
        if len(value) != HASH_BYTES:
            raise BadProof(f"{show(line)} is not a SHA-256")
    return hashes


def _extra(text: str) -> bytes:
    data = _base64(text)
    if len(data) > MAX_EXTRA_BYTES:
        raise BadProof(f"the extra data is over the limit of {MAX_EXTRA_BYTES:,} bytes")
    return data


def _base64(text: str) -> bytes:
    try:
        return parse_base64(text)
    except Malformed as error:
        raise BadProof(error.problem) from None

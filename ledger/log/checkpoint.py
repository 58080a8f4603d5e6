"""Checkpoints (C2SP tlog-checkpoint): what a log commits to, as the text of a signed note.

    example.com/log
    42
    <base64 root>

No extension lines: ML-DSA cosignatures do not cover them.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from ledger.errors import BadCheckpoint, BadNote, show
from ledger.log.codec import format_base64
from ledger.log.merkle import EMPTY_ROOT, HASH_BYTES
from ledger.log.note import Signer, Verifier, check_name, decode_base64, open_note, sign_note

MAX_CHECKPOINT_BYTES = 1_024
"""Of the text: an origin of some hundred characters, a number, a hash."""

MAX_ORIGIN_BYTES = 255
"""What the one byte of length in an ML-DSA cosignature can say (C2SP tlog-cosignature)."""

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The tree of `size` entries of the log called `origin` has this `root`."""

    origin: str
    size: int
    root: bytes


def format_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Give the text of a checkpoint."""
    root = format_base64(checkpoint.root)
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n".encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read the text of a checkpoint. Raises BadCheckpoint for anything but its one form."""
    if len(text) > MAX_CHECKPOINT_BYTES:
        raise BadCheckpoint(f"the checkpoint is over the limit of {MAX_CHECKPOINT_BYTES:,} bytes")
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        raise BadCheckpoint("the checkpoint is not UTF-8") from None
    if len(lines) != 4 or lines[3]:  # noqa: PLR2004 - three lines and the end of the last
        raise BadCheckpoint("the checkpoint does not have exactly three lines")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size):
        raise BadCheckpoint(f"size {show(size)} is not a decimal number")
    try:
        found = Checkpoint(origin=check_name(origin), size=int(size), root=decode_base64(root))
    except BadNote as error:
        raise BadCheckpoint(error.problem) from None
    if len(found.root) != HASH_BYTES:
        raise BadCheckpoint(f"root {show(root)} is not a SHA-256")
    if len(origin.encode()) > MAX_ORIGIN_BYTES:
        raise BadCheckpoint(f"the origin {show(origin)} is over the limit of {MAX_ORIGIN_BYTES} bytes")
    if found.size == 0 and found.root != EMPTY_ROOT:
        raise BadCheckpoint("the root of the empty tree is the SHA-256 of nothing")
    return found


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[Signer]) -> bytes:
    """Sign a checkpoint. The caller answers for its being consistent with every earlier one.

    Raises BadCheckpoint where nobody could read it back.
    """
    text = format_checkpoint(checkpoint)
    parse_checkpoint(text)
    return sign_note(text, signers)


def open_checkpoint(note: bytes, verifiers: Sequence[Verifier], *, origin: str) -> Checkpoint:
    """Open a checkpoint that the log called `origin` signed, whoever else did. Raises BadNote or BadCheckpoint."""
    opened = open_note(note, verifiers)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise BadCheckpoint(f"the checkpoint is of {show(checkpoint.origin)}, not of {show(origin)}")
    if origin not in {name for name, _ in opened.signed_by}:  # a witness's word alone is not the log's
        raise BadCheckpoint(f"no key of {show(origin)} itself signed the checkpoint")
    return checkpoint

"""What a witness does: it cosigns a checkpoint that continues the last one it cosigned, and shows that last one.

The promise: of one log, a witness never cosigns two trees of which neither begins with the other. It holds as long as
its memory (`ledger.storage.witnessed`) is the newest there is, and no other has its keys.
"""

import logging
from dataclasses import dataclass

import sqlalchemy as sa

from ledger.errors import BadProof, NotFound, Unavailable
from ledger.keys.witness import WitnessKeys
from ledger.log.checkpoint import format_checkpoint
from ledger.log.note import select_signatures, sign_note
from ledger.log.witnessing import (
    Cosigned,
    Logs,
    check_continues,
    open_add_checkpoint,
    parse_add_checkpoint,
)
from ledger.storage.witnessed import Kept, advance, read_note

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A witness in service."""

    engine: sa.Engine
    keys: WitnessKeys
    logs: Logs


def add_checkpoint(witness: Witness, data: bytes, *, now: int) -> bytes:
    """Answer a request with the signature lines of both keys; what they sign is stored before they are given.

    `now` is in POSIX seconds. Raises the refusals of `ledger.log.witnessing`, and Unavailable where the memory cannot
    be written or the clock is not set.
    """
    if now <= 0:  # tlog-cosignature: a time of 0 would state none
        raise Unavailable("the witness's clock is not set", help="nothing was cosigned")
    request = parse_add_checkpoint(data)
    checkpoint = open_add_checkpoint(request, witness.logs)
    text = format_checkpoint(checkpoint)
    signed = text + b"\n" + select_signatures(request.note, witness.logs[checkpoint.origin])

    def rule(last: Cosigned | None) -> Kept:
        check_continues(request, checkpoint, last)
        lines = sign_note(text, witness.keys.signers(now))[len(text) + 1 :]
        return Kept(Cosigned(checkpoint.size, checkpoint.root), signed + lines)

    try:
        kept = advance(witness.engine, checkpoint.origin, rule)
    except BadProof as error:  # beside what was cosigned, what the log signed may prove a second history
        log.warning("refused from size %d: %s; what the log signed:\n%s", request.old, error, signed.decode())
        raise
    return kept.note[len(signed) :]


def last_checkpoint(witness: Witness, origin_sha256: str) -> bytes:
    """Give the last note cosigned of the log whose origin has this SHA-256 (hex). Raises NotFound."""
    note = read_note(witness.engine, origin_sha256)
    if note is None:
        raise NotFound("checkpoint of a log", origin_sha256)
    return note

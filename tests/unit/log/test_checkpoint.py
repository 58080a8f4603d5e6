"""Checkpoints: one form, and signed by the log itself."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import BadCheckpoint, BadNote
from ledger.log.checkpoint import Checkpoint, format_checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from ledger.log.cosignature import Ed25519CosignatureSigner, parse_vkey
from ledger.log.merkle import EMPTY_ROOT
from ledger.log.note import Ed25519Signer, format_vkey

ORIGIN = "example.org/log"
ROOT = bytes.fromhex("fbefff") + bytes(29)
CHECKPOINT = Checkpoint(origin=ORIGIN, size=42, root=ROOT)
TEXT = format_checkpoint(CHECKPOINT)
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
LOG = Ed25519Signer(ORIGIN, KEY)
WITNESS = Ed25519CosignatureSigner("witness.example/w", KEY, lambda: 1)


@pytest.mark.parametrize("size", [0, 1, 42, 10**18])
def test_checkpoints_come_back(size: int) -> None:
    """Three lines, and the same value from them."""
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=ROOT if size else EMPTY_ROOT)
    text = format_checkpoint(checkpoint)
    assert text.count(b"\n") == 3
    assert checkpoint == parse_checkpoint(text)


def test_the_form_is_that_of_the_specification() -> None:
    """Origin, decimal size, standard base64 (FORMATS §2)."""
    assert TEXT == b"example.org/log\n42\n++//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        TEXT[:-1],
        TEXT + b"\n",
        TEXT + b"extension\n",
        b"\n" + TEXT,
        TEXT.replace(b"\n42\n", b"\n042\n"),
        TEXT.replace(b"\n42\n", b"\n+42\n"),
        TEXT.replace(b"\n42\n", b"\n4_2\n"),
        TEXT.replace(b"\n42\n", b"\n 42\n"),
        TEXT.replace(b"\n42\n", b"\n-42\n"),
        TEXT.replace(b"\n42\n", b"\n\n"),
        TEXT.replace(b"\n42\n", b"\n" + b"9" * 20 + b"\n"),
        TEXT.replace(b"\n42\n", "\n٤٢\n".encode()),
        TEXT.replace(b"\n42\n", b"\n0\n"),
        TEXT.replace(b"AA=\n", b"AB=\n"),
        TEXT.replace(b"AA=\n", b"AA\n"),
        TEXT.replace(b"AA=\n", b"==\n"),
        TEXT.replace(b"+", b"-"),
        TEXT.replace(b"example.org/log", b""),
        TEXT.replace(b"example.org/log", b"example org"),
        TEXT.replace(b"example.org/log", b"example+org"),
        TEXT.replace(b"example.org/log", b"\xff"),
        TEXT.replace(b"example.org/log", b"x" * 256),
        b"x" * 2_000,
    ],
)
def test_other_forms_are_refused(text: bytes) -> None:
    """A checkpoint that could be written in another way is none."""
    assert text != TEXT
    with pytest.raises(BadCheckpoint):
        parse_checkpoint(text)


def test_what_is_signed_opens() -> None:
    """With the log's key and its origin."""
    note = sign_checkpoint(CHECKPOINT, [LOG])
    assert open_checkpoint(note, [parse_vkey(format_vkey(LOG))], origin=ORIGIN) == CHECKPOINT


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """The origin has to be the one that was asked for."""
    note = sign_checkpoint(CHECKPOINT, [LOG])
    with pytest.raises(BadCheckpoint, match="not of"):
        open_checkpoint(note, [parse_vkey(format_vkey(LOG))], origin="example.org/other")


def test_a_witness_alone_does_not_speak_for_the_log() -> None:
    """Without a signature of the log's own, one from a known witness is not enough."""
    verifiers = [parse_vkey(format_vkey(signer)) for signer in (LOG, WITNESS)]
    assert open_checkpoint(sign_checkpoint(CHECKPOINT, [WITNESS, LOG]), verifiers, origin=ORIGIN) == CHECKPOINT
    with pytest.raises(BadCheckpoint, match="itself"):
        open_checkpoint(sign_checkpoint(CHECKPOINT, [WITNESS]), verifiers, origin=ORIGIN)


def test_an_unknown_key_is_refused() -> None:
    """A note that no given key signed does not open."""
    with pytest.raises(BadNote):
        open_checkpoint(sign_checkpoint(CHECKPOINT, [LOG]), [], origin=ORIGIN)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint(origin="a b", size=1, root=ROOT),
        Checkpoint(origin="a\n1", size=1, root=ROOT),
        Checkpoint(origin=ORIGIN, size=-1, root=ROOT),
        Checkpoint(origin=ORIGIN, size=0, root=ROOT),
        Checkpoint(origin=ORIGIN, size=1, root=ROOT[:31]),
    ],
)
def test_nothing_is_signed_that_could_not_be_read(checkpoint: Checkpoint) -> None:
    """A malformed checkpoint gets no signature."""
    with pytest.raises(BadCheckpoint):
        sign_checkpoint(checkpoint, [LOG])

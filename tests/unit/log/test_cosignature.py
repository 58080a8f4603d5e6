"""Cosignatures: what exactly is signed, and whose time may be 0."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.errors import BadNote, Malformed
from ledger.log.checkpoint import Checkpoint, format_checkpoint, open_checkpoint, sign_checkpoint
from ledger.log.cosignature import (
    Ed25519CosignatureSigner,
    Ed25519CosignatureVerifier,
    MLDSA44Signer,
    MLDSA44Verifier,
    parse_vkey,
)
from ledger.log.note import format_vkey, open_note, sign_note

ORIGIN, WITNESS = "example.org/log", "witness.example/w1"
CHECKPOINT = Checkpoint(origin=ORIGIN, size=42, root=hashlib.sha256(b"root").digest())
TEXT = format_checkpoint(CHECKPOINT)
TIME = 1_795_250_000
ED25519 = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
ML_DSA = MLDSA44PrivateKey.from_seed_bytes(b"\2" * 32)


def witnesses():
    return [Ed25519CosignatureSigner(WITNESS, ED25519, lambda: TIME), MLDSA44Signer(WITNESS, ML_DSA, time=lambda: TIME)]


def test_ed25519_signs_the_text_behind_its_time() -> None:
    """Type 0x04: eight bytes of time, then a signature over header and checkpoint (FORMATS §3)."""
    signature = witnesses()[0].sign(TEXT)
    assert TIME.to_bytes(8) == signature[:8]
    assert len(signature) == 72
    ED25519.public_key().verify(signature[8:], b"cosignature/v1\ntime 1795250000\n" + TEXT)


def test_ml_dsa_signs_the_subtree_of_all_leaves() -> None:
    """Type 0x06: a signature over label, names, time, range and root, with an empty context (FORMATS §3)."""
    signature = witnesses()[1].sign(TEXT)
    message = b"".join(
        [
            b"subtree/v1\n\x00",
            b"\x12witness.example/w1",
            TIME.to_bytes(8),
            b"\x0fexample.org/log",
            bytes(8),
            b"\0\0\0\0\0\0\0\x2a",
            CHECKPOINT.root,
        ]
    )
    assert TIME.to_bytes(8) == signature[:8]
    assert len(signature) == 2_428
    ML_DSA.public_key().verify(signature[8:], message)


@pytest.mark.parametrize("which", [0, 1])
def test_cosignatures_come_back_and_every_change_is_refused(which: int) -> None:
    """Through the key's text; no change of time, signature or checkpoint passes."""
    signer = witnesses()[which]
    verifier = parse_vkey(format_vkey(signer))
    signature = signer.sign(TEXT)
    verifier.verify(TEXT, signature)
    changed = [signature[:i] + bytes([signature[i] ^ 1]) + signature[i + 1 :] for i in range(0, len(signature), 7)]
    for wrong in [*changed, b"", signature[:7], signature[:8], signature[:-1], signature + b"\0"]:
        with pytest.raises(BadNote):
            verifier.verify(TEXT, wrong)
    for text in (TEXT.replace(b"42", b"43"), TEXT.replace(b"log", b"lag"), TEXT + b"extension\n", b"", b"text\n"):
        with pytest.raises(BadNote):
            verifier.verify(text, signature)


def test_another_name_with_the_same_key_does_not_verify_in_ml_dsa() -> None:
    """The cosigner's name is part of what is signed."""
    verifier = MLDSA44Verifier("witness.example/w2", ML_DSA.public_key().public_bytes_raw())
    with pytest.raises(BadNote, match="does not verify"):
        verifier.verify(TEXT, witnesses()[1].sign(TEXT))


def test_only_the_log_itself_may_leave_its_time_out() -> None:
    """Time 0 passes on a log's own checkpoint, and is refused from a witness, signing and verifying."""
    log = MLDSA44Signer(ORIGIN, ML_DSA)
    note = sign_checkpoint(CHECKPOINT, [log])
    assert open_checkpoint(note, [parse_vkey(format_vkey(log))], origin=ORIGIN) == CHECKPOINT
    for signer in (MLDSA44Signer(WITNESS, ML_DSA), Ed25519CosignatureSigner(WITNESS, ED25519, lambda: 0)):
        with pytest.raises(BadNote, match="time"):
            signer.sign(TEXT)
    timeless = bytes(8) + ED25519.sign(b"cosignature/v1\ntime 0\n" + TEXT)
    with pytest.raises(BadNote, match="time"):
        Ed25519CosignatureVerifier(WITNESS, ED25519.public_key().public_bytes_raw()).verify(TEXT, timeless)


@pytest.mark.parametrize("time", [-1, 2**63])
def test_a_clock_that_cannot_be_is_refused(time: int) -> None:
    """Seconds fit eight bytes, and signed readers too."""
    with pytest.raises(Malformed):
        MLDSA44Signer(WITNESS, ML_DSA, time=lambda: time).sign(TEXT)


def test_what_is_no_checkpoint_is_not_cosigned() -> None:
    """Neither signer signs another kind of note."""
    for signer in witnesses():
        with pytest.raises(BadNote, match="no checkpoint"):
            sign_note(b"hello\n", [signer])


def test_log_and_witnesses_sign_one_note() -> None:
    """All three types stand in one note, and each is found by its name and id."""
    log = MLDSA44Signer(ORIGIN, ML_DSA)
    signers = [log, *witnesses()]
    note = sign_checkpoint(CHECKPOINT, signers)
    opened = open_note(note, [parse_vkey(format_vkey(signer)) for signer in signers])
    assert opened.signed_by == tuple((signer.name, signer.key_id) for signer in signers)


def test_a_name_longer_than_its_length_byte_is_refused() -> None:
    """255 bytes pass, 256 do not, counted in UTF-8."""
    assert MLDSA44Signer("x" * 255, ML_DSA).name
    for name in ("x" * 256, "ї" * 128):
        with pytest.raises(BadNote, match="255"):
            MLDSA44Signer(name, ML_DSA)

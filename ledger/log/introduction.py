"""The word of a log's key for a new one: a signed note, which no checkpoint can be taken for.

    oblik log key v1
    <leaf hash of the entry before the one that introduces the key, in hex>
    <verifier key of the new key>
    <blank line>
    — example.com/log <base64(4-byte key id ‖ signature)>

The first line has spaces, and so is no log's origin. The hash binds the note to one place in one history: it cannot be
lifted into another. Keys of both types sign the text as it is, ML-DSA-44 with an empty context: a cosignature in the
sense of C2SP tlog-cosignature says nothing but a checkpoint. An entry keeps the signature lines alone, as `proof`.
"""

from collections.abc import Sequence
from typing import Protocol

from ledger.errors import BadNote
from ledger.log.cosignature import MLDSA44Verifier, parse_vkey
from ledger.log.note import Signer, Verifier, open_note, sign_note

HEADER = "oblik log key v1"


class Introducer(Signer, Protocol):
    """Signs with one key of a log: its checkpoints, and introductions."""

    def sign_text(self, text: bytes) -> bytes:
        """Sign a text that is no checkpoint."""
        ...


class _TextSigner:
    """Signs the text as it is."""

    def __init__(self, signer: Introducer) -> None:
        self.name, self.key_id = signer.name, signer.key_id
        self.algorithm, self.public_bytes = signer.algorithm, signer.public_bytes
        self.sign = signer.sign_text


class _TextVerifier:
    """Checks signatures over the text as it is, with an ML-DSA-44 key."""

    def __init__(self, verifier: MLDSA44Verifier) -> None:
        self.name, self.key_id = verifier.name, verifier.key_id
        self.verify = verifier.verify_text


def sign_introduction(signer: Introducer, *, vkey: str, prev: str) -> str:
    """Give the proof that a key's holder introduces `vkey` in the entry after the one whose leaf hash is `prev`."""
    text = _text(vkey, prev)
    return sign_note(text, [_TextSigner(signer)])[len(text) + 1 :].decode()


def check_introduction(proof: str, *, vkey: str, prev: str, by: Sequence[str]) -> None:
    """Raise BadNote unless one of the keys `by` introduced `vkey` in the entry after `prev`."""
    text = _text(vkey, prev)
    opened = open_note(text + b"\n" + proof.encode(), [_verifier(key) for key in by])
    if opened.text != text:  # a blank line in the proof would make the text a longer one
        raise BadNote("the proof is not signature lines alone")


def _text(vkey: str, prev: str) -> bytes:
    return f"{HEADER}\n{prev}\n{vkey}\n".encode()


def _verifier(vkey: str) -> Verifier:
    verifier = parse_vkey(vkey)
    return _TextVerifier(verifier) if isinstance(verifier, MLDSA44Verifier) else verifier

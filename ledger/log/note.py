"""Signed notes (C2SP signed-note v1.0.0): a text, a blank line, and a line for each signature.

    example.com/log
    42
    <base64 root>
    <blank line>
    — example.com/log <base64(4-byte key id ‖ signature)>

A verifier key is written `<name>+<hex key id>+<base64(type ‖ public key)>`.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from ledger.errors import BadNote, Malformed, show
from ledger.log.codec import format_base64, parse_base64

MAX_NOTE_BYTES = 1_000_000
"""What golang.org/x/mod/sumdb/note accepts; a checkpoint with a hundred ML-DSA cosignatures has a third of it."""

MAX_SIGNATURES = 100
"""C2SP asks for at least 16."""

ED25519 = 0x01
"""The type byte of a plain Ed25519 key."""

KEY_ID_BYTES = 4

_SIGNATURE_LINE = re.compile("— (?P<name>[^ ]+) (?P<signature>[A-Za-z0-9+/=]+)")


class Verifier(Protocol):
    """Checks the signatures of one key."""

    @property
    def name(self) -> str:
        """The key's name."""
        ...

    @property
    def key_id(self) -> int:
        """The 32-bit number that goes before each signature."""
        ...

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raise BadNote unless this key signed the text."""
        ...


class Signer(Protocol):
    """Signs with one key."""

    @property
    def name(self) -> str:
        """The key's name."""
        ...

    @property
    def key_id(self) -> int:
        """The 32-bit number that goes before each signature."""
        ...

    @property
    def algorithm(self) -> int:
        """The type byte of the key."""
        ...

    @property
    def public_bytes(self) -> bytes:
        """The public key, raw."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Sign the text of a note."""
        ...


class Note(Struct, frozen=True):
    """An opened note."""

    text: bytes
    signed_by: tuple[tuple[str, int], ...]
    """(name, key id) of each known key that signed it, once, in the order of the lines."""


class Ed25519Verifier:
    """Type 0x01: Ed25519 over the text."""

    def __init__(self, name: str, public: bytes) -> None:
        self.name = check_name(name)
        self.key_id = key_id(name, ED25519, public)
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public)
        except ValueError:
            raise BadNote(f"the key of {show(name)} is not an Ed25519 key") from None

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raise BadNote unless this key signed the text."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            raise BadNote(f"the signature of {show(self.name)} does not verify") from None


class Ed25519Signer:
    """Type 0x01: Ed25519 over the text."""

    algorithm = ED25519

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = check_name(name)
        self.public_bytes = key.public_key().public_bytes_raw()
        self.key_id = key_id(name, ED25519, self.public_bytes)
        self._key = key

    def sign(self, text: bytes) -> bytes:
        """Sign the text of a note."""
        return self._key.sign(text)

    def sign_text(self, text: bytes) -> bytes:
        """Sign a text that is no checkpoint: the same, for this type."""
        return self.sign(text)


def check_name(name: str) -> str:
    """Give the name back. Raises BadNote where it cannot be a key's."""
    if not name or any(c == "+" or c.isspace() or _is_control(c) or "\ud800" <= c <= "\udfff" for c in name):
        raise BadNote(f"{show(ascii(name))} is no key name", help="it is not empty and has no space and no `+`")
    return name


def key_id(name: str, algorithm: int, public: bytes) -> int:
    """Give the id of a key: SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4], as a big-endian number."""
    digest = hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()
    return int.from_bytes(digest[:KEY_ID_BYTES])


def format_vkey(signer: Signer) -> str:
    """Write the verifier key of a signer."""
    public = bytes([signer.algorithm]) + signer.public_bytes
    return f"{signer.name}+{signer.key_id:08x}+{format_base64(public)}"


def split_vkey(vkey: str) -> tuple[str, int, bytes]:
    """Read a verifier key as (name, type, public key). Raises BadNote."""
    match vkey.split("+", 2):  # the base64 may hold a plus of its own
        case [name, stated, encoded] if encoded:
            key = decode_base64(encoded)
        case _:
            raise BadNote(f"{show(vkey)} is no verifier key", help="it reads <name>+<hex id>+<base64 key>")
    if f"{key_id(check_name(name), key[0], key[1:]):08x}" != stated:
        raise BadNote(f"the id of verifier key {show(vkey)} is not that of its name and key")
    return name, key[0], key[1:]


def decode_base64(text: str) -> bytes:
    """Decode standard base64, in the one way that it can be written. Raises BadNote."""
    try:
        return parse_base64(text)
    except Malformed as error:
        raise BadNote(error.problem) from None


def sign_note(text: bytes, signers: Sequence[Signer]) -> bytes:
    """Sign a text. Raises BadNote where no verifier would open it: a malformed text, no signer, too many."""
    _check_text(text)
    if not 1 <= len(signers) <= MAX_SIGNATURES:
        raise BadNote(f"a note has 1 to {MAX_SIGNATURES} signatures, not {show(len(signers))}")
    lines = [text, b"\n"]
    lines += [_format_signature(signer.name, signer.key_id, signer.sign(text)) for signer in signers]
    return b"".join(lines)


def _format_signature(name: str, number: int, signature: bytes) -> bytes:
    return f"— {name} {format_base64(number.to_bytes(KEY_ID_BYTES) + signature)}\n".encode()


def open_note(note: bytes, verifiers: Sequence[Verifier]) -> Note:
    """Open a note. Raises BadNote where it is malformed, no known key signed it, or a known key's signature fails."""
    text, signatures = parse_note(note)
    known = _by_identity(verifiers)
    signed_by: dict[tuple[str, int], None] = {}
    for name, number, signature in signatures:
        verifier = known.get((name, number))
        if verifier is not None:  # a key that is not known is passed over; one that is has to verify, each time
            verifier.verify(text, signature)
            signed_by[name, number] = None
    if not signed_by:
        raise BadNote("no known key signed the note")
    return Note(text, tuple(signed_by))


def parse_note(note: bytes) -> tuple[bytes, list[tuple[str, int, bytes]]]:
    """Read a note's text and its signatures as (key name, key id, signature), none of them verified. Raises BadNote."""
    if len(note) > MAX_NOTE_BYTES:
        raise BadNote(f"the note is over the limit of {MAX_NOTE_BYTES:,} bytes")
    split = note.rfind(b"\n\n")  # the last blank line: the text may hold others
    if split < 0 or not note.endswith(b"\n"):
        raise BadNote("the note has no blank line before its signatures, or breaks off")
    text = note[: split + 1]
    _check_text(text)
    return text, parse_signatures(note[split + 2 :])


def add_signatures(note: bytes, lines: bytes) -> bytes:
    """Add signature lines to a note; one by a key that signed it already replaces the line before. Raises BadNote."""
    text, signatures = parse_note(note)
    merged = {(name, number): signature for name, number, signature in signatures + parse_signatures(lines)}
    if len(merged) > MAX_SIGNATURES:
        raise BadNote(f"the note would have {len(merged)} signatures, not 1 to {MAX_SIGNATURES}")
    return b"".join([text, b"\n", *(_format_signature(*key, signature) for key, signature in merged.items())])


def select_signatures(note: bytes, verifiers: Sequence[Verifier]) -> bytes:
    """Give the signature lines of the known keys alone, each key once. Raises BadNote as `open_note` does."""
    signed_by = set(open_note(note, verifiers).signed_by)
    kept = {(name, number): signature for name, number, signature in parse_note(note)[1] if (name, number) in signed_by}
    return b"".join(_format_signature(*key, signature) for key, signature in kept.items())


def _by_identity(verifiers: Sequence[Verifier]) -> dict[tuple[str, int], Verifier]:
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    if len(known) != len(verifiers):  # ids have 32 bits: which of two keys was meant could not be told
        raise BadNote("two of the given verifier keys have one name and id")
    return known


def parse_signatures(lines: bytes) -> list[tuple[str, int, bytes]]:
    """Read signature lines as (key name, key id, signature), each with its newline. Raises BadNote."""
    if not lines.endswith(b"\n"):
        raise BadNote("the signatures break off")
    try:
        texts = lines.decode().split("\n")[:-1]
    except UnicodeDecodeError:
        raise BadNote("the signatures are not UTF-8") from None
    if not 1 <= len(texts) <= MAX_SIGNATURES:
        raise BadNote(f"the note has {len(texts)} signatures, not 1 to {MAX_SIGNATURES}")
    return [_signature(line) for line in texts]


def _signature(line: str) -> tuple[str, int, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise BadNote(f"{show(line)} is no signature line")
    blob = decode_base64(match["signature"])
    if len(blob) <= KEY_ID_BYTES:
        raise BadNote(f"{show(line)} holds no signature")
    return check_name(match["name"]), int.from_bytes(blob[:KEY_ID_BYTES]), blob[KEY_ID_BYTES:]


def _is_control(character: str) -> bool:
    return character < " "


def _check_text(text: bytes) -> None:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise BadNote("the note is not UTF-8") from None
    if not decoded.endswith("\n") or any(_is_control(c) and c != "\n" for c in decoded):
        raise BadNote("the note's text does not end in a newline, or holds control characters")

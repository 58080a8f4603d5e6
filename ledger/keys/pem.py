"""Private keys in PKCS#8 PEM (RFC 7468), readable by their owner only, and encrypted where a passphrase is set.

    -----BEGIN ENCRYPTED PRIVATE KEY-----
    <base64>
    -----END ENCRYPTED PRIVATE KEY-----

The log's keys and a witness's are kept alike; `Whose` has the words in which each are spoken of.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import Struct

from ledger.errors import Misconfigured
from ledger.keys.secret import read_secret

MIN_PASSPHRASE_BYTES = 32
"""The library stretches a passphrase by no more than 2,048 rounds of PBKDF2: it has to be beyond guessing as it is."""

MAX_KEY_FILE_BYTES = 65_536
"""An encrypted ML-DSA-44 key has 400 bytes."""

PrivateKey = Ed25519PrivateKey | MLDSA44PrivateKey


class Whose(Struct, frozen=True):
    """Whose keys they are, in messages: the log's or a witness's."""

    name: str
    variable: str
    """Names the passphrase file."""
    encrypt: str
    """The command that encrypts key files which are there already."""


def read_passphrase(path: Path | None) -> bytes | None:
    """Read the passphrase of key files; None where none is set. Raises Misconfigured where it is too short."""
    if path is None:
        return None
    passphrase = read_secret(path, "the passphrase file")
    if len(passphrase) < MIN_PASSPHRASE_BYTES:
        raise Misconfigured(
            f"the passphrase in `{path}` has fewer than {MIN_PASSPHRASE_BYTES} bytes", help="`openssl rand -base64 32`"
        )
    return passphrase


def open_key(path: Path, passphrase: bytes | None, whose: Whose) -> PrivateKey:
    """Decode a key. With a passphrase set, a file that is not encrypted is refused: the operator believes it is.

    Raises Misconfigured.
    """
    pem = _bytes(path, whose)
    encrypted = _is_encrypted(pem)
    if encrypted and passphrase is None:
        problem = f"the {whose.name}'s key `{path}` is encrypted, and no passphrase is set"
        raise Misconfigured(problem, help=f"set {whose.variable}")
    if passphrase is not None and not encrypted:
        problem = f"the {whose.name}'s key `{path}` is not encrypted, though a passphrase is set"
        raise Misconfigured(problem, help=f"run `{whose.encrypt}`")
    try:
        key = load_pem_private_key(pem, password=passphrase)
    except (ValueError, TypeError) as error:
        if encrypted:
            raise Misconfigured(f"the {whose.name}'s key `{path}` does not open with this passphrase") from None
        raise Misconfigured(f"the {whose.name}'s key `{path}` cannot be read: {error}") from error
    if not isinstance(key, PrivateKey):
        raise Misconfigured(f"`{path}` holds neither an Ed25519 nor an ML-DSA-44 key")
    return key


def write_key(path: Path, key: PrivateKey, passphrase: bytes | None) -> None:
    """Write a key to a file that was not there, down to the disk. Raises Misconfigured."""
    write_new(path, _format(key, passphrase))


def encrypt_files(paths: Sequence[Path], passphrase: bytes, whose: Whose) -> list[Path]:
    """Write each key file anew, encrypted, in place of itself; those that are already are left. Gives what was written.

    Raises Misconfigured, with no file changed, where one cannot be read or has another passphrase.
    """
    plain = {path: key for path in paths if (key := _read_plain(path, passphrase, whose)) is not None}
    for path, key in plain.items():
        _replace(path, _format(key, passphrase))
    return list(plain)


def _read_plain(path: Path, passphrase: bytes, whose: Whose) -> PrivateKey | None:
    """Read a key file that is to be encrypted; None for one that is already."""
    if _is_encrypted(_bytes(path, whose)):
        open_key(path, passphrase, whose)
        return None
    return open_key(path, None, whose)


def _is_encrypted(pem: bytes) -> bool:
    """Tell whether a key is encrypted, by its label (RFC 7468 §11)."""
    return pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def _format(key: PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _bytes(path: Path, whose: Whose) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise Misconfigured(f"the {whose.name}'s key `{path}` cannot be read: {error.strerror}") from error


def write_new(path: Path, data: bytes) -> None:
    """Write a file that was not there, down to the disk: what it signs for may be committed next.

    Raises Misconfigured.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Misconfigured(f"`{path}` is there already", help="keys are never overwritten: move it away") from None
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _settle(path.parent)


def _replace(path: Path, pem: bytes) -> None:
    """Put a file in the place of another in one step."""
    partial = path.with_name(path.name + ".partial")
    write_new(partial, pem)
    partial.replace(path)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Have a folder's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

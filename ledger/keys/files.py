"""Log keys as files, in PKCS#8 PEM, readable by their owner only, and encrypted where a passphrase is set.

keys/log-ed25519.pem     signs checkpoints as C2SP signed-note type 0x01
keys/log-ml-dsa-44.pem   signs them as C2SP tlog-cosignature type 0x06, for the decades to come

A later key of a type has the next number in its name, `log-ed25519-2.pem`. Which of the files are in force the ledger
says; a file's name says only which type of key it holds.
"""

import os
import re
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

from ledger.errors import BadNote, Misconfigured, show
from ledger.keys.secret import read_secret
from ledger.log.cosignature import ML_DSA_44_COSIGNATURE, MLDSA44Signer
from ledger.log.introduction import Introducer
from ledger.log.note import ED25519, Ed25519Signer, format_vkey, split_vkey

ED25519_FILE = "log-ed25519.pem"
ML_DSA_FILE = "log-ml-dsa-44.pem"
NAMES = {ED25519: ED25519_FILE, ML_DSA_44_COSIGNATURE: ML_DSA_FILE}
"""The first file of each type of key."""

MIN_PASSPHRASE_BYTES = 32
"""The library stretches a passphrase by no more than 2,048 rounds of PBKDF2: it has to be beyond guessing as it is."""

MAX_KEY_FILE_BYTES = 65_536
"""An encrypted ML-DSA-44 key has 400 bytes."""

PrivateKey = Ed25519PrivateKey | MLDSA44PrivateKey


def read_passphrase(path: Path | None) -> bytes | None:
    """Read the passphrase of the key files; None where none is set. Raises Misconfigured where it is too short."""
    if path is None:
        return None
    passphrase = read_secret(path, "the passphrase file")
    if len(passphrase) < MIN_PASSPHRASE_BYTES:
        raise Misconfigured(
            f"the passphrase in `{path}` has fewer than {MIN_PASSPHRASE_BYTES} bytes", help="`openssl rand -base64 32`"
        )
    return passphrase


def refuse_second(folder: Path) -> None:
    """Raise Misconfigured where the folder has a log's key already."""
    for path in (path for kind in NAMES for path in _files(folder, kind)):
        raise Misconfigured(f"`{path}` is there already", help="keys are never overwritten: move it away")


def create_key(folder: Path, kind: int, *, origin: str, passphrase: bytes | None) -> Introducer:
    """Make a key of a type and write it under the next free name. Raises Misconfigured where it cannot be written."""
    key = Ed25519PrivateKey.generate() if kind == ED25519 else MLDSA44PrivateKey.generate()
    _write(_next_name(folder, kind), _pem(key, passphrase))
    return _signer(origin, key)


def load_keys(folder: Path, vkeys: Sequence[str], *, origin: str, passphrase: bytes | None) -> dict[str, Introducer]:
    """Find the keys of these verifier keys among the files. Raises Misconfigured, naming what is missing or wrong."""
    found: dict[str, Introducer] = {}
    for kind in dict.fromkeys(map(_type_of, vkeys)):
        found |= _find(folder, kind, [vkey for vkey in vkeys if _type_of(vkey) == kind], origin, passphrase)
    return found


def _type_of(vkey: str) -> int:
    kind = split_vkey(vkey)[1]
    if kind not in NAMES:
        raise Misconfigured(f"the type {kind:#04x} of the log's key {show(vkey)} is not known here")
    return kind


def encrypt_keys(folder: Path, passphrase: bytes) -> list[Path]:
    """Write each key file anew, encrypted, in place of itself; those that are already are left. Gives what was written.

    Raises Misconfigured, with no file changed, where one cannot be read or has another passphrase.
    """
    paths = [path for kind in NAMES for path in _files(folder, kind)]
    if not paths:
        raise Misconfigured(f"there is no key file in `{folder}`")
    plain = {path: key for path in paths if (key := _read_plain(path, passphrase)) is not None}
    for path, key in plain.items():
        _replace(path, _pem(key, passphrase))
    return list(plain)


def _find(
    folder: Path, kind: int, vkeys: Sequence[str], origin: str, passphrase: bytes | None
) -> dict[str, Introducer]:
    """Find the keys of one type. A file that cannot be read is told where a key is missing: it may be that one."""
    found: dict[str, Introducer] = {}
    wrong: Misconfigured | None = None
    for path in _files(folder, kind):
        try:
            signer = _signer(origin, _read(path, kind, passphrase))
        except Misconfigured as error:
            wrong = wrong or error
        else:
            found[format_vkey(signer)] = signer
    missing = next((vkey for vkey in vkeys if vkey not in found), None)
    if missing is not None:
        raise wrong or _missing(folder, kind, missing, found)
    return {vkey: found[vkey] for vkey in vkeys}


def _missing(folder: Path, kind: int, vkey: str, found: dict[str, Introducer]) -> Misconfigured:
    path, name = folder / NAMES[kind], show("+".join(vkey.split("+", 2)[:2]))
    if not found:
        return Misconfigured(f"the log's key `{path}` is missing ({name})", help="restore it from your backup")
    return Misconfigured(f"what `{folder}` holds is not this ledger's key {name}", help="restore the ledger's own keys")


def _files(folder: Path, kind: int) -> list[Path]:
    """Give the files of a type of key, the first first."""
    stem = NAMES[kind].removesuffix(".pem")
    numbers = {path: _number(path, stem) for path in folder.glob(f"{stem}*.pem")}
    return sorted((path for path, number in numbers.items() if number), key=lambda path: numbers[path])


def _number(path: Path, stem: str) -> int:
    """Give which key of its type a file is named as, from 1; 0 where its name is none of ours."""
    rest = path.stem.removeprefix(stem)
    if not rest:
        return 1
    return int(rest[1:]) if re.fullmatch(r"-[1-9][0-9]{0,5}", rest) else 0


def _next_name(folder: Path, kind: int) -> Path:
    stem = NAMES[kind].removesuffix(".pem")
    last = max((_number(path, stem) for path in _files(folder, kind)), default=0)
    return folder / (f"{stem}-{last + 1}.pem" if last else NAMES[kind])


def _signer(origin: str, key: PrivateKey) -> Introducer:
    try:
        return Ed25519Signer(origin, key) if isinstance(key, Ed25519PrivateKey) else MLDSA44Signer(origin, key)
    except BadNote as error:
        raise Misconfigured(error.problem, help=error.help) from None


def _pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _write(path: Path, pem: bytes) -> None:
    """Write a file that was not there, down to the disk: what it signs for may be committed next."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Misconfigured(f"`{path}` is there already", help="keys are never overwritten: move it away") from None
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    _settle(path.parent)


def _replace(path: Path, pem: bytes) -> None:
    """Put a file in the place of another in one step."""
    partial = path.with_name(path.name + ".partial")
    _write(partial, pem)
    partial.replace(path)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Have a folder's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, kind: int, passphrase: bytes | None) -> PrivateKey:
    key = _open(path, passphrase)
    if kind == ED25519 and not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"`{path}` does not hold an Ed25519 key")
    if kind == ML_DSA_44_COSIGNATURE and not isinstance(key, MLDSA44PrivateKey):
        raise Misconfigured(f"`{path}` does not hold an ML-DSA-44 key")
    return key


def _read_plain(path: Path, passphrase: bytes) -> PrivateKey | None:
    """Read a key file that is to be encrypted; None for one that is already."""
    if is_encrypted(path):
        _open(path, passphrase)
        return None
    return _open(path, None)


def is_encrypted(path: Path) -> bool:
    """Tell whether a key file is encrypted, by its label (RFC 7468 §11). Raises Misconfigured."""
    return _bytes(path).startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def _open(path: Path, passphrase: bytes | None) -> PrivateKey:
    """Decode a key. With a passphrase set, a file that is not encrypted is refused: the operator believes it is."""
    encrypted = is_encrypted(path)
    if encrypted and passphrase is None:
        help_ = "set OBLIK_KEY_PASSPHRASE_FILE"
        raise Misconfigured(f"the log's key `{path}` is encrypted, and no passphrase is set", help=help_)
    if passphrase is not None and not encrypted:
        problem = f"the log's key `{path}` is not encrypted, though a passphrase is set"
        raise Misconfigured(problem, help="run `oblik keys encrypt`")
    try:
        key = load_pem_private_key(_bytes(path), password=passphrase)
    except (ValueError, TypeError) as error:
        if encrypted:
            raise Misconfigured(f"the log's key `{path}` does not open with this passphrase") from None
        raise Misconfigured(f"the log's key `{path}` cannot be read: {error}") from error
    if not isinstance(key, PrivateKey):
        raise Misconfigured(f"`{path}` holds neither an Ed25519 nor an ML-DSA-44 key")
    return key


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise Misconfigured(f"the log's key `{path}` cannot be read: {error.strerror}") from error

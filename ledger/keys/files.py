"""Log keys as files, in PKCS#8 PEM, readable by their owner only, and encrypted where a passphrase is set.

keys/log-ed25519.pem     signs checkpoints as C2SP signed-note type 0x01
keys/log-ml-dsa-44.pem   signs them as C2SP tlog-cosignature type 0x06, for the decades to come
keys/token-….pem         sign access tokens (`ledger.keys.tokens`), and nothing of the log

A later key of a type has the next number in its name, `log-ed25519-2.pem`. Which of the files are in force the ledger
says; a file's name says only which type of key it holds.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.errors import BadNote, Misconfigured, show
from ledger.keys.pem import PrivateKey, Whose, encrypt_files, open_key, write_key
from ledger.log.cosignature import ML_DSA_44_COSIGNATURE, MLDSA44Signer
from ledger.log.introduction import Introducer
from ledger.log.note import ED25519, Ed25519Signer, format_vkey, split_vkey

ED25519_FILE = "log-ed25519.pem"
ML_DSA_FILE = "log-ml-dsa-44.pem"
TOKEN_FILES = "token-*.pem"  # noqa: S105 - names of files
NAMES = {ED25519: ED25519_FILE, ML_DSA_44_COSIGNATURE: ML_DSA_FILE}
"""The first file of each type of key."""

WHOSE = Whose("log", "OBLIK_KEY_PASSPHRASE_FILE", "oblik keys encrypt")


def refuse_second(folder: Path) -> None:
    """Raise Misconfigured where the folder has a log's key already."""
    for path in (path for kind in NAMES for path in _files(folder, kind)):
        raise Misconfigured(f"`{path}` is there already", help="keys are never overwritten: move it away")


def create_key(folder: Path, kind: int, *, origin: str, passphrase: bytes | None) -> Introducer:
    """Make a key of a type and write it under the next free name. Raises Misconfigured where it cannot be written."""
    key = Ed25519PrivateKey.generate() if kind == ED25519 else MLDSA44PrivateKey.generate()
    write_key(_next_name(folder, kind), key, passphrase)
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


def read_ed25519(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Read an Ed25519 key. Raises Misconfigured."""
    key = open_key(path, passphrase, WHOSE)
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"`{path}` does not hold an Ed25519 key")
    return key


def encrypt_keys(folder: Path, passphrase: bytes) -> list[Path]:
    """Write each key file anew, encrypted, in place of itself; those that are already are left. Gives what was written.

    Raises Misconfigured, with no file changed, where one cannot be read or has another passphrase.
    """
    paths = [path for kind in NAMES for path in _files(folder, kind)]
    if not paths:
        raise Misconfigured(f"there is no key file in `{folder}`")
    return encrypt_files([*paths, *sorted(folder.glob(TOKEN_FILES))], passphrase, WHOSE)


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


def _read(path: Path, kind: int, passphrase: bytes | None) -> PrivateKey:
    key = open_key(path, passphrase, WHOSE)
    if kind == ED25519 and not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"`{path}` does not hold an Ed25519 key")
    if kind == ML_DSA_44_COSIGNATURE and not isinstance(key, MLDSA44PrivateKey):
        raise Misconfigured(f"`{path}` does not hold an ML-DSA-44 key")
    return key

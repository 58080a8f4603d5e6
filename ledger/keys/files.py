"""Log keys as files: one Ed25519 and one ML-DSA-44 key, in PKCS#8 PEM, readable by their owner only.

keys/log-ed25519.pem     signs checkpoints as C2SP signed-note type 0x01
keys/log-ml-dsa-44.pem   signs them as C2SP tlog-cosignature type 0x06, for the decades to come
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.errors import Misconfigured
from ledger.log.cosignature import MLDSA44Signer
from ledger.log.note import Ed25519Signer, Signer

ED25519_FILE = "log-ed25519.pem"
ML_DSA_FILE = "log-ml-dsa-44.pem"


def create_keys(folder: Path, *, origin: str) -> tuple[Signer, ...]:
    """Make both keys and write them. Raises Misconfigured where one is there already: keys are never overwritten."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ed25519, ml_dsa = Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate()
    _write(folder / ED25519_FILE, ed25519)
    _write(folder / ML_DSA_FILE, ml_dsa)
    return Ed25519Signer(origin, ed25519), MLDSA44Signer(origin, ml_dsa)


def load_keys(folder: Path, *, origin: str) -> tuple[Signer, ...]:
    """Read both keys. Raises Misconfigured, naming the file, where one is missing or is not such a key."""
    ed25519, ml_dsa = _read(folder / ED25519_FILE), _read(folder / ML_DSA_FILE)
    if not isinstance(ed25519, Ed25519PrivateKey):
        raise Misconfigured(f"`{folder / ED25519_FILE}` does not hold an Ed25519 key")
    if not isinstance(ml_dsa, MLDSA44PrivateKey):
        raise Misconfigured(f"`{folder / ML_DSA_FILE}` does not hold an ML-DSA-44 key")
    return Ed25519Signer(origin, ed25519), MLDSA44Signer(origin, ml_dsa)


def _write(path: Path, key: Ed25519PrivateKey | MLDSA44PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Misconfigured(f"`{path}` is there already", help="keys are never overwritten: move it away") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)


def _read(path: Path) -> object:
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise Misconfigured(f"the log's key `{path}` is missing", help="restore it from your backup") from None
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured(f"the log's key `{path}` cannot be read: {error}") from error

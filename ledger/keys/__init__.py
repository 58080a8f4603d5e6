"""Signing keys of the log, in files or in a token, behind `ledger.log.note.Signer`.

files      Ed25519 and ML-DSA-44 keys in PKCS#8 files, encrypted where a passphrase is set
pkcs11     the Ed25519 key in a hardware security module; the ML-DSA-44 key stays a file, for want of a module
           that has the algorithm
"""

from collections.abc import Sequence
from pathlib import Path

from ledger.errors import Misconfigured, show
from ledger.keys import files, pkcs11
from ledger.keys.pem import read_passphrase
from ledger.keys.pkcs11 import Token
from ledger.log.cosignature import ML_DSA_44_COSIGNATURE
from ledger.log.introduction import Introducer
from ledger.log.note import ED25519, format_vkey

BOTH = (ED25519, ML_DSA_44_COSIGNATURE)
"""Types of key that a log has, in the order of its signatures."""


def create_keys(
    folder: Path, *, origin: str, passphrase_file: Path | None = None, token: Token | None = None
) -> tuple[Introducer, ...]:
    """Make a new log's keys: Ed25519, in the token where there is one, and ML-DSA-44.

    Raises Misconfigured where the folder or the token has such a key already: keys are never overwritten.
    """
    files.refuse_second(folder)
    if token is not None:
        pkcs11.refuse_second(token)
    return add_keys(folder, origin=origin, passphrase_file=passphrase_file, token=token)


def add_keys(
    folder: Path,
    *,
    origin: str,
    types: Sequence[int] = BOTH,
    passphrase_file: Path | None = None,
    token: Token | None = None,
) -> tuple[Introducer, ...]:
    """Make a key of each type, beside those that are there. Raises Misconfigured."""
    passphrase = read_passphrase(passphrase_file)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return tuple(
        pkcs11.create_key(token, origin=origin)
        if token is not None and kind == ED25519
        else files.create_key(folder, kind, origin=origin, passphrase=passphrase)
        for kind in types
    )


def load_keys(
    folder: Path,
    *,
    origin: str,
    vkeys: Sequence[str],
    passphrase_file: Path | None = None,
    token: Token | None = None,
) -> tuple[Introducer, ...]:
    """Load the keys of exactly these verifier keys, in their order. Raises Misconfigured where one is not found.

    Files of other keys, retired ones for example, may lie beside them.
    """
    if not vkeys:
        raise Misconfigured(f"the log {show(origin)} has no key in force", help="run `oblik rebuild`")
    found: dict[str, Introducer] = {}
    if token is not None:
        found = {format_vkey(signer): signer for signer in pkcs11.load_keys(token, origin=origin)}
    left = [vkey for vkey in vkeys if vkey not in found]
    found |= files.load_keys(folder, left, origin=origin, passphrase=read_passphrase(passphrase_file))
    return tuple(found[vkey] for vkey in vkeys)


__all__ = ["BOTH", "Token", "add_keys", "create_keys", "load_keys"]

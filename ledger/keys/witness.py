"""A witness's keys as files: one Ed25519 and one ML-DSA-44 key, as `ledger.keys.pem` keeps them.

keys/witness-ed25519.pem     cosigns checkpoints as C2SP tlog-cosignature type 0x04
keys/witness-ml-dsa-44.pem   likewise as type 0x06
witness.vkeys                both verifier keys, one a line: what the logs and their verifiers are given
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.errors import BadNote, Misconfigured
from ledger.keys.pem import Whose, encrypt_files, open_key, read_passphrase, write_key, write_new
from ledger.log.cosignature import Ed25519CosignatureSigner, MLDSA44Signer
from ledger.log.note import Signer, format_vkey, split_vkey

ED25519_FILE = "witness-ed25519.pem"
ML_DSA_FILE = "witness-ml-dsa-44.pem"
VKEYS_FILE = "witness.vkeys"
RESTORE = "restore it from your backup"

WHOSE = Whose("witness", "OBLIK_WITNESS_PASSPHRASE_FILE", "oblik witness encrypt")


@dataclass(frozen=True)
class WitnessKeys:
    """Both keys of a witness, and its name."""

    name: str
    ed25519: Ed25519PrivateKey
    ml_dsa: MLDSA44PrivateKey

    def signers(self, time: int) -> tuple[Signer, ...]:
        """Give the signers that state `time` (POSIX seconds) in their cosignatures."""
        return (
            Ed25519CosignatureSigner(self.name, self.ed25519, lambda: time),
            MLDSA44Signer(self.name, self.ml_dsa, lambda: time),
        )

    def vkeys(self) -> list[str]:
        """Give the verifier keys."""
        return [format_vkey(signer) for signer in self.signers(0)]


def create_witness_keys(data: Path, *, name: str, passphrase_file: Path | None = None) -> WitnessKeys:
    """Make both keys and write them. Raises Misconfigured where one is there already: keys are never overwritten."""
    passphrase = read_passphrase(passphrase_file)
    folder = data / "keys"
    for path in (folder / ED25519_FILE, folder / ML_DSA_FILE, data / VKEYS_FILE):
        if path.exists():
            raise _is_there(path)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = WitnessKeys(name, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    vkeys = "".join(f"{vkey}\n" for vkey in keys.vkeys())  # before anything is written: a bad name raises here
    write_key(folder / ED25519_FILE, keys.ed25519, passphrase)
    write_key(folder / ML_DSA_FILE, keys.ml_dsa, passphrase)
    write_new(data / VKEYS_FILE, vkeys.encode())
    return keys


def encrypt_witness_keys(data: Path, passphrase: bytes) -> list[Path]:
    """Encrypt both files, as `encrypt_files` does; the keys stay the same. Raises Misconfigured."""
    paths = [data / "keys" / name for name in (ED25519_FILE, ML_DSA_FILE)]
    for path in paths:
        _check_there(path)
    return encrypt_files(paths, passphrase, WHOSE)


def load_witness_keys(data: Path, *, passphrase_file: Path | None = None) -> WitnessKeys:
    """Read both keys. Raises Misconfigured, naming the file, where one is missing, or is not what it was made as."""
    passphrase = read_passphrase(passphrase_file)
    ed25519, ml_dsa = (_key(data / "keys" / name, passphrase) for name in (ED25519_FILE, ML_DSA_FILE))
    vkeys = _read(data / VKEYS_FILE).decode(errors="replace").split()
    if isinstance(ed25519, Ed25519PrivateKey) and isinstance(ml_dsa, MLDSA44PrivateKey) and vkeys:
        keys = WitnessKeys(_name(data / VKEYS_FILE, vkeys[0]), ed25519, ml_dsa)
        if keys.vkeys() == vkeys:
            return keys
    raise Misconfigured(f"the keys in `{data / 'keys'}` are not those of `{data / VKEYS_FILE}`", help=RESTORE)


def _name(path: Path, vkey: str) -> str:
    try:
        return split_vkey(vkey)[0]
    except BadNote as error:
        raise Misconfigured(f"`{path}`: {error.problem}", help=RESTORE) from None


def _is_there(path: Path) -> Misconfigured:
    return Misconfigured(f"`{path}` is there already", help="keys are never overwritten: make a witness elsewhere")


def _key(path: Path, passphrase: bytes | None) -> object:
    _check_there(path)
    return open_key(path, passphrase, WHOSE)


def _check_there(path: Path) -> None:
    if not path.exists():
        raise _is_missing(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _is_missing(path) from None
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be read: {error.strerror}") from None


def _is_missing(path: Path) -> Misconfigured:
    return Misconfigured(f"`{path}` is missing", help=f"{RESTORE}; `oblik witness init` makes one")

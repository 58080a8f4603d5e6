"""The keys that sign tokens: Ed25519, in files beside the log's, and never a key of the log.

keys/token-20261121T093000Z.pem     made at that time, encrypted where a passphrase is set

Which key signs follows from the names and the time alone, so that every process of the service agrees without being
started again. A new key is published for `AHEAD` before it signs: whoever keeps a copy of the published keys has it by
then. It takes over from the one before, which stays published for `OVERLAP`: what it signed has ended by then. Where
only one key is there, it signs at once.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from ledger.errors import Misconfigured
from ledger.keys.files import TOKEN_FILES, read_ed25519
from ledger.keys.jwt import PublicKey, public_key
from ledger.keys.pem import read_passphrase, write_key

log = logging.getLogger(__name__)

NAME_FORMAT = "token-%Y%m%dT%H%M%SZ.pem"

AHEAD = timedelta(minutes=15)
"""Three times what others may keep a copy of the published keys for."""

OVERLAP = timedelta(hours=1)
"""Several times what any token lives for."""

LOOK_SECONDS = 30.0
"""How often the folder is looked at; less than AHEAD, so that a key is known everywhere before it signs."""

MAX_KEYS = 16
"""In the folder. A key that is out of use is for the operator to delete."""


class TokenKey(Struct, frozen=True):
    """A key, and the time at which it was made."""

    since: datetime
    private: Ed25519PrivateKey
    public: PublicKey


def create_token_key(folder: Path, *, now: datetime, passphrase_file: Path | None = None) -> Path:
    """Make a key, beside those that are there. Raises Misconfigured where it cannot be written, or there are many."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(list(folder.glob(TOKEN_FILES))) >= MAX_KEYS:
        raise Misconfigured(f"`{folder}` has {MAX_KEYS} keys for tokens", help="delete those that are out of use")
    path = folder / now.astimezone(UTC).strftime(NAME_FORMAT)
    write_key(path, Ed25519PrivateKey.generate(), read_passphrase(passphrase_file))
    return path


def ensure_token_key(folder: Path, *, now: datetime, passphrase_file: Path | None = None) -> None:
    """Make the first key where there is none. Raises Misconfigured where it cannot be written."""
    if any(folder.glob(TOKEN_FILES)):
        return
    try:
        create_token_key(folder, now=now, passphrase_file=passphrase_file)
    except Misconfigured:
        if not any(folder.glob(TOKEN_FILES)):  # else another process was first
            raise


def load_token_keys(folder: Path, *, passphrase_file: Path | None = None) -> list[TokenKey]:
    """Load the keys, the oldest first. Raises Misconfigured."""
    passphrase = read_passphrase(passphrase_file)
    paths = sorted(folder.glob(TOKEN_FILES))[-MAX_KEYS:]
    return [_load(path, passphrase) for path in paths]


def _load(path: Path, passphrase: bytes | None) -> TokenKey:
    try:
        since = datetime.strptime(path.name, NAME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Misconfigured(f"`{path}` is not named by the time at which it was made") from None
    key = read_ed25519(path, passphrase)
    return TokenKey(since, key, public_key(key.public_key()))


def signing_key(keys: Sequence[TokenKey], now: datetime) -> TokenKey:
    """Give the newest key that was published long enough, else the oldest. Raises Misconfigured where there is none."""
    if not keys:
        raise Misconfigured("there is no key for tokens", help="run `oblik keys rotate-tokens`")
    return next((key for key in reversed(keys) if key.since + AHEAD <= now), keys[0])


def published_keys(keys: Sequence[TokenKey], now: datetime) -> list[TokenKey]:
    """Give the keys that are to be believed: those that sign, will sign, or signed what may not have ended."""
    followers = [*keys[1:], None]
    return [
        key
        for key, follower in zip(keys, followers, strict=True)
        if follower is None or now < follower.since + AHEAD + OVERLAP
    ]


class TokenKeys:
    """The keys in a folder, as they are now. Thread-safe."""

    def __init__(self, folder: Path, *, passphrase_file: Path | None = None) -> None:
        self._folder, self._passphrase_file = folder, passphrase_file
        self._lock = threading.Lock()
        self._names: tuple[str, ...] = ()
        self._keys: list[TokenKey] = []
        self._looked: datetime | None = None

    def signing(self, now: datetime) -> TokenKey:
        """Give the key that signs. Raises Misconfigured where there is none."""
        return signing_key(self._at(now), now)

    def published(self, now: datetime) -> dict[str, PublicKey]:
        """Give the keys that are believed, by their names."""
        return {key.public.kid: key.public for key in published_keys(self._at(now), now)}

    def _at(self, now: datetime) -> list[TokenKey]:
        with self._lock:
            if self._looked is None or abs((now - self._looked).total_seconds()) >= LOOK_SECONDS:
                self._look()
                self._looked = now
            return self._keys

    def _look(self) -> None:
        """Load the files where there are others than before; a file that is still being written counts later."""
        names = tuple(sorted(path.name for path in self._folder.glob(TOKEN_FILES)))
        if names == self._names:
            return
        try:
            self._keys = load_token_keys(self._folder, passphrase_file=self._passphrase_file)
            self._names = names
        except Misconfigured as error:
            if not self._keys:
                raise
            log.warning("the keys for tokens are used as they were: %s", error)

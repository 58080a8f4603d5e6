"""Where tiles are kept as files: a folder, or a bucket of an S3-compatible store. Any static server can serve either.

The promises of a `TileStore`: `write` is whole when it returns, and durable before what is swapped after it; `swap` is
atomic, whoever else swaps, and durable when it returns.
"""

import fcntl
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from ledger.errors import Misconfigured, Unavailable, show
from ledger.storage.anchor import replace_file, sync_folder

FOR_EVER, FOR_A_SECOND = "max-age=31536000, immutable", "max-age=1"

FOR_READERS = ("tile/entries/", "attachments/")
"""What lies below is for readers: a cache between them and the store must not hand it to others."""

CONTENT_TYPES = {
    "checkpoint": "text/plain; charset=utf-8",
    "timestamps": "application/x-ndjson",
    "attachments/index": "application/x-ndjson",
}
"""Of what is text. Everything else is bytes."""

NO_BUCKET = "<Code>NoSuchBucket</Code>"
"""In what S3 says with a 404: not the object is missing, but all of the bucket."""

MAX_RETRIES = 2
MAX_RETRY_SECONDS = 20
"""Of an object store that does not answer; each request has its own limit, 30 s unless AWS_TIMEOUT says otherwise. A
checkpoint that was not written is followed by the next one a second later."""


class TileStore(Protocol):
    """Files by path. Everything but what is swapped is written once and never changes."""

    @property
    def name(self) -> str:
        """What an operator knows it by."""
        ...

    def read(self, path: str) -> bytes | None:
        """Give a file; None where there is none. Raises Unavailable."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a file that is not going to change. Raises Unavailable."""
        ...

    def swap(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Put `new` where `old` is (None: where nothing is). False where something else is. Raises Unavailable."""
        ...


class FolderTiles:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced: set[Path] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"the folder of tiles `{folder}` cannot be made: {error.strerror}") from None

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self._folder)

    def read(self, path: str) -> bytes | None:
        """Give a file; None where there is none. Raises Unavailable."""
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"`{self._folder / path}` cannot be read: {error.strerror}") from error

    def write(self, path: str, data: bytes) -> None:
        """Write a file, and its folders. Raises Unavailable."""
        target = self._folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
        except OSError as error:
            raise Unavailable(f"`{target}` cannot be written: {error.strerror}") from error
        self._unsynced.update(folder for folder in target.parents if folder.is_relative_to(self._folder))

    def swap(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Compare and replace under a lock, between processes of one machine. Raises Unavailable."""
        try:
            with (self._folder / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self.read(path) != old:
                    return False
                self._sync()
                self.write(path, new)
                self._sync()
                return True
        except OSError as error:
            raise Unavailable(f"`{self._folder}` cannot be written: {error.strerror}") from error

    def _sync(self) -> None:
        """Make durable what was written, once for each folder: a disk does few such things in a second."""
        for folder in self._unsynced:
            sync_folder(folder)
        self._unsynced.clear()


class ObjectTiles:
    """Objects below a prefix of a bucket; the store compares entity tags, so that a swap is atomic between machines."""

    def __init__(self, url: str) -> None:
        try:
            from obstore.store import S3Store  # noqa: PLC0415 - an extra: most installations do without it
        except ImportError:
            raise Misconfigured("tiles in an object store need `obstore`", help="pip install 'oblik[s3]'") from None
        self.name = url
        patience = timedelta(seconds=MAX_RETRY_SECONDS)
        try:  # no options of the client: given here, they would displace those of the environment
            self._store: Any = S3Store.from_url(
                url, retry_config={"max_retries": MAX_RETRIES, "retry_timeout": patience}
            )
        except Exception as error:  # noqa: BLE001 - each store has its own
            raise Misconfigured(f"the object store `{url}` cannot be used: {_first_line(error)}") from None

    def read(self, path: str) -> bytes | None:
        """Give an object; None where there is none. Raises Unavailable."""
        found = self._get(path)
        return None if found is None else found[0]

    def write(self, path: str, data: bytes) -> None:
        """Write an object. Raises Unavailable."""
        self._put(path, data, FOR_EVER, "overwrite")

    def swap(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Replace the object that was compared, by its entity tag. Raises Unavailable."""
        found = self._get(path)
        if (None if found is None else found[0]) != old:
            return False
        mode = "create" if found is None else {"e_tag": found[1]}
        return self._put(path, new, FOR_A_SECOND, mode)

    def _get(self, path: str) -> tuple[bytes, str] | None:
        try:
            result = self._store.get(path)
            return bytes(result.bytes()), result.meta["e_tag"]
        except Exception as error:
            if isinstance(error, FileNotFoundError) and NO_BUCKET not in str(error):
                return None
            raise Unavailable(f"`{path}` cannot be read from {self.name}: {_first_line(error)}") from error

    def _put(self, path: str, data: bytes, cached: str, mode: Any) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError  # noqa: PLC0415 - likewise

        kind = CONTENT_TYPES.get(path, "application/octet-stream")
        whose = "private" if path.startswith(FOR_READERS) else "public"
        attributes = {"Cache-Control": f"{whose}, {cached}", "Content-Type": kind}
        try:
            self._store.put(path, data, mode=mode, attributes=attributes)
        except (AlreadyExistsError, PreconditionError):
            return False
        except Exception as error:
            raise Unavailable(f"`{path}` cannot be written to {self.name}: {_first_line(error)}") from error
        return True


def _first_line(error: Exception) -> str:
    """Give what an object store said, without the pages of detail that follow."""
    return str(error).partition("\n")[0]


def open_tiles(place: str) -> TileStore:
    """Open a folder, or an object store by its URL (`s3://bucket/prefix`). Raises Misconfigured."""
    scheme, separator, _ = place.partition("://")
    if not separator:
        return FolderTiles(Path(place))
    if scheme != "s3":
        raise Misconfigured(f"{show(place)} is no place for tiles", help="name a folder, or s3://bucket/prefix")
    return ObjectTiles(place)

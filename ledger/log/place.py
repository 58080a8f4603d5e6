"""Where a log is read from by outsiders: files by their paths (C2SP tlog-tiles), over HTTP or in a folder.

    checkpoint                     tile/<L>/<N>[.p/<W>]           timestamps
    attachments/index              tile/entries/<N>[.p/<W>]       attachments/<sha256>

A place is trusted for nothing. What it gives is of the right length, or of a bounded one, and that is all: whoever
reads checks signatures, proofs and hashes. Writers may remove a partial tile once the full one is there; then it is cut
from that.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ledger.errors import Malformed, NotFound, Unverified, show
from ledger.log.entry import MAX_ENTRY_BYTES
from ledger.log.merkle import HASH_BYTES
from ledger.log.note import MAX_NOTE_BYTES
from ledger.log.tile import LENGTH_BYTES, TILE_WIDTH, format_bundle, parse_bundle, tile_path

MAX_BUNDLE_ENTRY_BYTES = LENGTH_BYTES + MAX_ENTRY_BYTES

MAX_ATTACHMENT_BYTES = 16 * 1024 * 1024
"""What the ledger takes."""

MAX_LIST_BYTES = 64 * 1024 * 1024
"""Of all time-stamps, or of the list of attachments: a stamp with its checkpoint has some 12 KiB."""

_is_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch


class Place(ABC):
    """A log's files. For one thread at a time.

    Every method raises NotFound for what is not there, Unavailable where the place does not answer as it should, and
    Unverified for what is too long, or of the wrong length.
    """

    name: str
    """What a person knows it by."""

    @abstractmethod
    def read(self, path: str, limit: int) -> bytes:
        """Give a file of at most `limit` bytes."""

    def close(self) -> None:  # noqa: B027 - a folder has nothing of the kind
        """Let go of what reading took."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def checkpoint(self) -> bytes:
        """Give the newest checkpoint, a signed note."""
        return self.read("checkpoint", MAX_NOTE_BYTES)

    def tile(self, level: int, n: int, width: int = TILE_WIDTH) -> bytes:
        """Give a tile of exactly `width` hashes."""
        data = self._read_part(level, n, width, HASH_BYTES, lambda full: _cut_tile(full, width))
        if len(data) != width * HASH_BYTES:
            raise Unverified(f"{self._path(level, n, width)} has {len(data):,} bytes, not {width * HASH_BYTES:,}")
        return data

    def bundle(self, n: int, width: int = TILE_WIDTH) -> bytes:
        """Give a bundle of exactly `width` entries."""
        data = self._read_part(None, n, width, MAX_BUNDLE_ENTRY_BYTES, lambda full: _cut_bundle(full, width))
        try:
            parse_bundle(data, width=width)
        except Malformed as error:
            raise Unverified(f"{self._path(None, n, width)}: {error.problem}") from None
        return data

    def timestamps(self) -> bytes:
        """Give the time-stamps, one a line."""
        return self.read("timestamps", MAX_LIST_BYTES)

    def attachments(self) -> bytes:
        """Give the list of attachments, one a line."""
        return self.read("attachments/index", MAX_LIST_BYTES)

    def attachment(self, sha256: str) -> bytes:
        """Give an attachment, whose hash is the caller's to check. Raises Malformed on what is no SHA-256 in hex."""
        if not _is_sha256(sha256):
            raise Malformed("", f"{show(sha256)} is not a SHA-256")
        return self.read(f"attachments/{sha256}", MAX_ATTACHMENT_BYTES)

    def _read_part(self, level: int | None, n: int, width: int, item: int, cut: Callable[[bytes], bytes]) -> bytes:
        """Read a tile whose items have `item` bytes at most; a partial one that is gone is cut from the full one."""
        try:
            return self.read(tile_path(level, n, width), width * item)
        except NotFound:
            if width == TILE_WIDTH:
                raise
        return cut(self.read(tile_path(level, n), TILE_WIDTH * item))

    def _path(self, level: int | None, n: int, width: int) -> str:
        return f"{tile_path(level, n, width)} of {self.name}"


def _cut_tile(full: bytes, width: int) -> bytes:
    """Give the first hashes of a full tile; nothing of what is none."""
    return full[: width * HASH_BYTES] if len(full) == TILE_WIDTH * HASH_BYTES else b""


def _cut_bundle(full: bytes, width: int) -> bytes:
    """Give the first entries of a full bundle; nothing of what is none."""
    try:
        return format_bundle(parse_bundle(full, width=TILE_WIDTH)[:width])
    except Malformed:
        return b""

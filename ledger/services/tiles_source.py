"""A ledger in tiles, in a folder or behind a URL, as a source to verify: nothing that it says is believed.

Each part is one bundle of entries with the tile of their leaf hashes. The tiles above, and the checkpoint, have to be
those that the entries lead to. The attachments that it lists have to have their hashes.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property

import msgspec
from msgspec import Struct

from ledger.errors import BadCheckpoint, BadEntry, Malformed, NotFound, Unverified
from ledger.log.checkpoint import open_checkpoint, parse_checkpoint
from ledger.log.codec import parse_base64
from ledger.log.cosignature import parse_vkey
from ledger.log.merkle import HASH_BYTES, TILE_HEIGHT
from ledger.log.note import parse_note
from ledger.log.place import Place
from ledger.log.tile import TILE_WIDTH, parse_bundle, tile_path
from ledger.services.parts import Part, Run
from ledger.services.parts import Place as WorkersPlace
from ledger.services.sealing import SealedFields, Sealing
from ledger.services.sources import Attachment, End, Said, Stored


class _Listed(Struct, frozen=True, kw_only=True):
    media_type: str
    sha256: str


class _Stamp(Struct, frozen=True, kw_only=True):
    authority: str
    checkpoint: str
    token: str


class TilesSource:
    """A ledger as far as the checkpoint of a place says."""

    place: WorkersPlace | None = None

    def __init__(self, place: Place) -> None:
        self._place = place
        self._note = place.checkpoint()
        self.size = parse_checkpoint(parse_note(self._note)[0]).size

    def runs(self, start: int) -> Iterator[Run | None]:
        """Read bundle after bundle."""
        return (self.read(part) for part in self._cut(start))

    def parts(self, start: int) -> Iterator[Part]:  # noqa: ARG002 - what a source is asked
        """Give none: no worker reads here."""
        return iter(())

    def passed(self, part: Part, size: int) -> None:
        """Bundles are read by their number: there is nothing to keep up with."""

    def _cut(self, start: int) -> Iterator[Part]:
        while start < self.size:
            stop = min(self.size, (start // TILE_WIDTH + 1) * TILE_WIDTH)
            yield Part(start=start, stop=stop)
            start = stop

    def read(self, part: Part) -> Run | None:
        """Read a bundle, and the tile of its leaf hashes; None where either is not there or not whole."""
        n, first = divmod(part.start, TILE_WIDTH)
        width = part.stop - n * TILE_WIDTH
        try:
            data = parse_bundle(self._place.bundle(n, width), width=width)
            tile = self._place.tile(0, n, width)
        except (Malformed, NotFound, Unverified):
            return None
        leaves = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
        return Run(part.start, data[first:], leaves[first:])

    def entries(self, start: int) -> Iterator[Stored]:
        """Read entry after entry. Raises BadEntry where a bundle is missing or broken."""
        for part in self._cut(start):
            run = self.read(part)
            if run is None or run.leaves is None:
                raise BadEntry(part.start, f"is missing, or its bundle or tile is not whole, in {self._place.name}")
            yield from zip(range(part.start, part.stop), run.data, run.leaves, strict=True)

    def attachments(self) -> Iterator[Attachment]:
        """Read the attachments that are listed, and hash them."""
        for listed in self._lines(self._listing, _Listed):
            data = self._place.attachment(listed.sha256)
            if hashlib.sha256(data).hexdigest() != listed.sha256:
                raise Unverified(f"the attachment `{listed.sha256}` does not have this SHA-256")
            yield listed.sha256, listed.media_type, data

    def sealing(self, sealed: SealedFields) -> Sealing:
        """Count them: tiles have no values."""
        return sealed.check(())

    def said(self) -> Said:
        """Give the checkpoint, and every time-stamp."""
        return Said(self._note, [self._stamp(line) for line in self._lines(self._stamps, _Stamp)])

    def check(self, end: End) -> bool:
        """Hold the tiles above the leaves, and the checkpoint, signed by each key in force, against the entries."""
        for vkey in end.vkeys:
            end.replica.check(open_checkpoint(self._note, [parse_vkey(vkey)], origin=end.opening.origin))
        tiles: dict[tuple[int, int], dict[int, bytes]] = {}
        for level, index, subtree in end.replica.subtrees:
            tiles.setdefault((level, index // TILE_WIDTH), {})[index % TILE_WIDTH] = subtree
        for (level, n), rows in tiles.items():
            self._check_tile(level, n, rows)
        return True

    def _check_tile(self, level: int, n: int, rows: dict[int, bytes]) -> None:
        width = min(TILE_WIDTH, (self.size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH)
        tile = self._place.tile(level, n, width)
        if any(tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] != row for at, row in rows.items()):
            raise BadCheckpoint(f"{tile_path(level, n, width)} is not what the entries lead to, in {self._place.name}")

    @cached_property
    def _listing(self) -> bytes:
        return _or_nothing(self._place.attachments)

    @cached_property
    def _stamps(self) -> bytes:
        return _or_nothing(self._place.timestamps)

    def _lines(self, data: bytes, form: type) -> list:  # type: ignore[type-arg]
        try:
            return msgspec.json.Decoder(form).decode_lines(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unverified(f"a list of {self._place.name} cannot be read: {error}") from None

    def _stamp(self, line: _Stamp) -> tuple[bytes, bytes]:
        try:
            return line.checkpoint.encode(), parse_base64(line.token)
        except Malformed as error:
            raise Unverified(f"a time-stamp of {self._place.name} cannot be read: {error}") from None


def _or_nothing(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except NotFound:
        return b""

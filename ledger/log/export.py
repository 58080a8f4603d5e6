"""The export file: a whole ledger as lines, so that `less` reads it and a verifier needs nothing else.

    {"attachments":2,"entries":40,"format":"oblik-export/1","origin":"example.org/oblik","vkeys":["…"]}
    {"about":…}                                                 each entry, as stored
    {"base64":"…","media_type":"text/csv","sha256":"…"}         each attachment
    {"checkpoint":"…"}                                          the signed note

A file of a ledger that has time-stamps is of another format, says how many, and has them behind its header, so that a
reader knows of which sizes it will want the root: of each authority the newest.

    {"attachments":2,"entries":40,"format":"oblik-export/2","origin":"example.org/oblik","timestamps":1,"vkeys":["…"]}
    {"stamped":"…","token":"…"}                                 the note stamped, and the authority's answer in base64

Every line is canonical JSON, which holds no newline. A reader that hands over lines of at most MAX_LINE_BYTES + 1, cut
where they are longer, keeps memory bounded whatever the file holds.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ledger.errors import BadEntry, Malformed, TooLarge, Unverified, show
from ledger.log.canonical import decode, encode
from ledger.log.codec import format_base64, parse_base64
from ledger.log.entry import MAX_ENTRY_BYTES
from ledger.log.note import MAX_NOTE_BYTES
from ledger.log.timestamp import MAX_TIMESTAMP_BYTES

FORMAT, STAMPED_FORMAT = "oblik-export/1", "oblik-export/2"
"""Without time-stamps, and with some."""

MAX_TIMESTAMPS = 16
"""One of each authority; they are in memory while the file is read."""

Timestamps = Sequence[tuple[bytes, bytes]]
"""Time-stamps: (the note stamped, the authority's answer)."""

S = TypeVar("S", bound=Struct)

Count = Annotated[int, msgspec.Meta(ge=0)]

MAX_LINE_BYTES = 32 * 1024 * 1024
"""An attachment of 16 MiB in base64, with room."""


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line."""

    attachments: Count
    entries: Count
    origin: str
    vkeys: tuple[str, ...]
    format: str = FORMAT
    timestamps: Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMESTAMPS)] | UnsetType = UNSET
    """In STAMPED_FORMAT alone."""

    def check(self) -> None:
        """Raise Unverified unless the format is one of ours, and is the one for what there is."""
        if self.format not in {FORMAT, STAMPED_FORMAT}:
            raise Unverified(f"line 1: the format {show(self.format)} is neither {FORMAT} nor {STAMPED_FORMAT}")
        if (self.format == STAMPED_FORMAT) != (self.timestamps is not UNSET):
            raise Unverified(f"line 1: {STAMPED_FORMAT} has time-stamps, and says how many; {FORMAT} has none")


class _Timestamp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a time-stamp."""

    stamped: str
    token: str


class _Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an attachment."""

    base64: str
    media_type: str
    sha256: str


class _Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line."""

    checkpoint: str


def format_export(
    header: Header,
    entries: Iterable[bytes],
    attachments: Iterable[tuple[str, str, bytes]],
    checkpoint: bytes,
    timestamps: Timestamps = (),
) -> Iterator[bytes]:
    """Give the lines of an export, each with its newline. Attachments are (sha256, media type, bytes)."""
    yield _line(header)
    for note, token in timestamps:
        yield _line(_Timestamp(stamped=note.decode(), token=format_base64(token)))
    for entry in entries:
        yield entry + b"\n"
    for sha256, media_type, data in attachments:
        yield _line(_Attachment(base64=format_base64(data), media_type=media_type, sha256=sha256))
    yield _line(_Checkpoint(checkpoint=checkpoint.decode()))


def _line(value: Struct) -> bytes:
    return encode(msgspec.to_builtins(value)) + b"\n"


class Export:
    """Reads an export from its lines, section by section and in order, in bounded memory."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self.offset = 0
        """Where the next line begins, in bytes."""
        self.header = self._read(Header, "the header")
        self.header.check()
        self.timestamps = tuple(self._timestamp() for _ in range(self.header.timestamps or 0))
        """As the file has them: none is verified."""
        self._entries_left = self.header.entries
        self._attachments_left = self.header.attachments

    def entries(self) -> Iterator[bytes]:
        """Give each entry's bytes, as stored. Raises BadEntry where a line is missing, cut or too long."""
        while self._entries_left:
            seq = self.header.entries - self._entries_left
            try:
                line = self._next("an entry")
            except Unverified as error:
                raise BadEntry(seq, error.problem) from None
            if len(line) > MAX_ENTRY_BYTES:
                raise BadEntry(seq, f"line {self._number} is over the limit of {MAX_ENTRY_BYTES:,} bytes")
            self._entries_left -= 1
            yield line

    @property
    def index(self) -> int:
        """Index of the entry that is read next."""
        return self.header.entries - self._entries_left

    def skip(self, count: int, length: int) -> None:
        """Count the next `count` entries, lines of `length` bytes together, as read by someone else.

        Whoever gives the lines goes on after them.
        """
        self._number += count
        self._entries_left -= count
        self.offset += length

    def attachments(self) -> Iterator[tuple[str, str, bytes]]:
        """Give each attachment as (sha256, media type, bytes). Raises Unverified where a hash is another."""
        self._expect_end_of(self._entries_left)
        while self._attachments_left:
            found = self._read(_Attachment, "an attachment")
            try:
                data = parse_base64(found.base64)
            except Malformed as error:
                raise Unverified(f"line {self._number}: /base64: {error}") from None
            if hashlib.sha256(data).hexdigest() != found.sha256:
                raise Unverified(f"line {self._number}: the attachment does not have the SHA-256 {show(found.sha256)}")
            self._attachments_left -= 1
            yield found.sha256, found.media_type, data

    def checkpoint(self) -> bytes:
        """Give the signed checkpoint, which has to be the last line. Raises Unverified."""
        self._expect_end_of(self._entries_left, self._attachments_left)
        note = self._read(_Checkpoint, "the checkpoint").checkpoint.encode()
        if next(self._lines, None) is not None:
            raise Unverified(f"line {self._number + 1}: the file goes on after the checkpoint")
        return note

    def _timestamp(self) -> tuple[bytes, bytes]:
        found = self._read(_Timestamp, "a time-stamp")
        try:
            note, token = found.stamped.encode(), parse_base64(found.token)
        except Malformed as error:
            raise Unverified(f"line {self._number}: /token: {error}") from None
        if len(note) > MAX_NOTE_BYTES or len(token) > MAX_TIMESTAMP_BYTES:
            raise Unverified(f"line {self._number}: the time-stamp is over its limit")
        return note, token

    def _expect_end_of(self, *left: int) -> None:
        if any(left):
            raise ValueError("sections of an export are read in order, each to its end")

    def _read(self, form: type[S], what: str) -> S:
        line = self._next(what)
        try:
            value = msgspec.convert(decode(line, limit=MAX_LINE_BYTES), form)
        except (Malformed, TooLarge, msgspec.ValidationError) as error:
            raise Unverified(f"line {self._number} is not {what}: {error}") from None
        if _line(value) != line + b"\n":  # a field that has a default was left out
            raise Unverified(f"line {self._number} is not {what}: a field is missing")
        return value

    def _next(self, what: str) -> bytes:
        line = next(self._lines, None)
        if line is None:
            raise Unverified(f"the file ends after line {self._number}: {what} is missing")
        self._number += 1
        self.offset += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise Unverified(f"line {self._number} is over the limit of {MAX_LINE_BYTES:,} bytes")
        if not line.endswith(b"\n"):
            raise Unverified(f"line {self._number} breaks off, in {what}")
        return line[:-1]

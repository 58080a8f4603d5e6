"""One entry of the ledger: a JSON object in canonical form, at most 65,535 bytes.

    {"about":{"org:acme":[5,15]},"at":"2026-11-21T09:30:00.123456Z","body":{"grant":"g-7"},"by":{"person":"o.koval"},
     "kind":"grant.revoked","prev":"<64 hex>","sealed":{"reason":"<43 base64url>"},"seq":17,"v":1}

(on one line). `prev` is the leaf hash of entry seq - 1, 64 zeros at seq 0. `about` names the streams that the entry
belongs to, each with the entry's ordinal there, from 0, and the `seq` of the stream's previous entry, -1 for none.
`sealed` holds commitments, and is left out when there are none. `v` is the version of the kind's body, from 1.

An entry is hashed as its bytes stand; `parse_entry` accepts only the bytes that `format_entry` would give.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import Struct

from ledger.errors import BadEntry, Malformed, TooLarge, show
from ledger.log import canonical
from ledger.log.learned import Look, look_of, type_of
from ledger.log.merkle import HASH_BYTES

MAX_ENTRY_BYTES = 65_535
"""The most that an entry bundle's 16-bit length can say (C2SP tlog-tiles)."""

GENESIS_PREV = bytes(HASH_BYTES)
"""Stands for the leaf hash before the first entry."""

FORMAT_VERSION = 1
"""`v` of a kind's first body; a changed body counts on from here."""

MAX_LEARNED = 4
"""How often a `Reader` learns: making a type takes a millisecond, and a ledger could ask for ever new ones."""

TIME_FORM = "2026-11-21T09:30:00.123456Z"
"""RFC 3339 in UTC, always with six digits: the order as text is the order in time."""

if TYPE_CHECKING:
    Body: TypeAlias = dict[str, Any]
    Count: TypeAlias = int
    Last: TypeAlias = int
    Version: TypeAlias = int
else:
    # What the decoder checks while it reads; to a type checker these are what they hold.
    Body = dict[str, canonical.QUICK_VALUE]
    Count = Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER)]
    Last = Annotated[int, msgspec.Meta(ge=-1, le=canonical.MAX_INTEGER)]
    Version = Annotated[int, msgspec.Meta(ge=FORMAT_VERSION, le=canonical.MAX_INTEGER)]


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An entry as a value; see the module for its fields."""

    about: dict[str, tuple[Count, Last]]
    at: str
    body: Body
    by: dict[str, str]
    kind: str
    prev: str
    sealed: dict[str, str] = {}
    seq: Count
    v: Version


_encode = msgspec.json.Encoder(order="sorted").encode
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
_decode = _decoder.decode
_encode_lines = msgspec.json.Encoder(order="deterministic").encode_lines  # what is decoded has its fields in order
_ends_of_text = re.compile(rb'[\x80-\xff](?:[^"\\]++|\\.)*+"(:?)').finditer
_is_kind = lru_cache(maxsize=256)(re.compile(r"[a-z_]+(?:\.[a-z_]+)+").fullmatch)  # there are some dozens of kinds
_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch
_is_commitment = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]").fullmatch  # 256 bits leave two of the last six 0
_has_time_form = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z").fullmatch
_is_ordinary_time = re.compile(  # needs no calendar: every month has 28 days
    r"[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
).fullmatch


def format_entry(entry: Entry) -> bytes:
    """Give the entry's bytes. `body` may be a msgspec Struct: it becomes the object of its fields.

    Raises TooLarge, or Malformed with a JSON pointer where the entry could not be read back.
    """
    if isinstance(entry.body, dict):  # a Struct's types say what it holds
        canonical.check(entry.body, "/body")
    try:
        data = _encode(entry)
    except (UnicodeEncodeError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise Malformed("", f"the entry is not JSON: {error}") from None
    if len(data) > MAX_ENTRY_BYTES:
        raise TooLarge("the entry", limit=MAX_ENTRY_BYTES)
    _check_fields(_parse_quickly(data) or _parse_exactly(data), entry.seq, None)
    return data


def parse_entry(data: bytes, *, seq: int, prev: str | None = None) -> Entry:
    """Read the bytes that stand at index `seq`. Raises BadEntry on anything but a canonical entry of that index.

    `prev`, where the caller knows it, is what the entry has to carry as the hash of the one before it.
    """
    if len(data) > MAX_ENTRY_BYTES:
        raise BadEntry(seq, f"is over the limit of {MAX_ENTRY_BYTES:,} bytes")
    try:
        entry = _parse_quickly(data) or _parse_exactly(data)
        _check_fields(entry, seq, prev)
    except Malformed as error:
        raise BadEntry(seq, str(error)) from None
    return entry


def parse_unplaced(data: bytes) -> Entry:
    """Read an entry that came by itself, at whatever index it says that it stands. Raises BadEntry."""
    try:
        fields = canonical.decode(data, limit=MAX_ENTRY_BYTES)
    except (Malformed, TooLarge) as error:
        raise BadEntry(0, str(error)) from None
    seq = fields.get("seq") if isinstance(fields, dict) else None
    return parse_entry(data, seq=seq if isinstance(seq, int) else 0)


class Reader:
    """Reads many entries, each as `parse_entry` does, but what their bodies hold is not for it to give.

    Bodies mostly have the fields that bodies before them had. From some it learns a type with these, which is filled
    quicker than a dictionary. The rule is the same with any type: encoded again, these are the bytes.
    """

    def __init__(self) -> None:
        self._decoder = _decoder
        self._may_learn = MAX_LEARNED

    def read(self, run: Sequence[bytes], *, seq: int, prevs: Sequence[str]) -> list[Entry]:
        """Read consecutive entries, at least one, the first at index `seq`, each with its own of `prevs`.

        Raises BadEntry. Holds them all in memory, so a caller gives some dozens at once.
        """
        entries = self._parse(run)
        if entries is not None and _fields_hold(entries, seq, prevs):
            return entries
        numbered = enumerate(zip(run, prevs, strict=True), start=seq)
        return [parse_entry(data, seq=index, prev=prev) for index, (data, prev) in numbered]

    def _parse(self, run: Sequence[bytes]) -> list[Entry] | None:
        entries = None if self._decoder is _decoder else _parse_lines(self._decoder, run)
        if entries is None:
            entries = _parse_lines(_decoder, run)
            self._decoder = self._learn(entries or ())
        return entries

    def _learn(self, entries: Sequence[Entry]) -> msgspec.json.Decoder[Entry]:
        look = look_of([entry.body for entry in entries]) if entries and self._may_learn else None
        if look is None:
            return _decoder
        self._may_learn -= 1
        return _learned_decoder(look)


@lru_cache(maxsize=64)
def _learned_decoder(look: Look) -> msgspec.json.Decoder[Entry]:
    """Make a decoder for entries whose bodies look so."""
    fields = [("body", type_of(look))]
    return msgspec.json.Decoder(msgspec.defstruct("Learned", fields, bases=(Entry,), kw_only=True))


def _parse_lines(decoder: msgspec.json.Decoder[Entry], run: Sequence[bytes]) -> list[Entry] | None:
    """Decode, encode again, compare, all at once as lines. None where this cannot tell.

    Canonical entries hold no newline. So where there are as many of them as `run` has items, and their lines make the
    same bytes, no item holds one either, and each item is its entry's line.
    """
    lines = b"\n".join([*run, b""])
    try:
        entries = decoder.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(entries) != len(run) or max(map(len, run)) > MAX_ENTRY_BYTES or _encode_lines(entries) != lines:
        return None
    return entries if _has_ascii_keys(lines) else None


def _has_ascii_keys(canonical_json: bytes) -> bool:
    """Tell whether all text beyond ASCII is in values: of texts, only a key is followed by a colon."""
    return canonical_json.isascii() or not any(end[1] for end in _ends_of_text(canonical_json))


def _fields_hold(entries: Sequence[Entry], seq: int, prevs: Sequence[str]) -> bool:
    """Tell whether `_check_fields` finds nothing in any of them. False where this cannot tell."""
    return (
        [entry.seq for entry in entries] == list(range(seq, seq + len(entries)))
        and [entry.prev for entry in entries] == prevs
        and all(map(_is_time, {entry.at for entry in entries}))
        and all(map(_is_kind, {entry.kind for entry in entries}))
        and all(map(_is_commitment, [text for entry in entries if entry.sealed for text in entry.sealed.values()]))
    )


def _is_time(text: str) -> bool:
    try:
        return bool(_is_ordinary_time(text) or _parse_time(text, ""))
    except Malformed:
        return False


def _parse_quickly(data: bytes) -> Entry | None:
    """Decode, encode again, compare. None where this cannot tell: deep bodies, whatever is wrong."""
    try:
        entry = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return entry if _encode(entry) == data and _has_ascii_keys(data) else None


def _parse_exactly(data: bytes) -> Entry:
    """Decode by the rules of `canonical` alone. Raises Malformed that names the place."""
    fields = canonical.decode(data, limit=MAX_ENTRY_BYTES)
    body = fields.get("body") if isinstance(fields, dict) else None
    if not isinstance(body, dict):
        raise Malformed("/body", "an entry is an object with an object `body`")
    try:
        entry = msgspec.convert(fields | {"body": {}}, Entry)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        raise Malformed("/" + re.split(r"[.\[`]", path)[0] if path else "", problem) from None
    if fields.get("sealed") == {}:
        raise Malformed("/sealed", "is left out when there is none")
    return msgspec.structs.replace(entry, body=body)


def _check_fields(entry: Entry, seq: int, prev: str | None) -> None:
    """Check what the types do not say. Raises Malformed with a JSON pointer."""
    if entry.seq != seq:
        raise Malformed("/seq", f"says that it is entry {show(entry.seq)}")
    if not _is_ordinary_time(entry.at):
        _parse_time(entry.at, "/at")
    if not _is_kind(entry.kind):
        raise Malformed("/kind", f"{show(entry.kind)} is not words of a-z and _ joined by dots")
    if prev is None and not _is_hash(entry.prev):
        raise Malformed("/prev", f"{show(entry.prev)} is not 64 lowercase hex digits")
    if prev is not None and entry.prev != prev:
        raise Malformed("/prev", f"{show(entry.prev)} is not the hash of the entry before it, {show(prev)}")
    if entry.sealed:
        _check_sealed(entry.sealed)


def _check_sealed(sealed: dict[str, str]) -> None:
    for name, commitment in sealed.items():
        if not _is_commitment(commitment):
            raise Malformed(f"/sealed/{name}", f"{show(commitment)} is not a SHA-256 in base64url")


def format_time(moment: datetime) -> str:
    """Give `moment` as `2026-11-21T09:30:00.123456Z`. Raises ValueError on a time without its zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} does not say its zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    """Read what `format_time` gives, and nothing else. Raises Malformed."""
    return _parse_time(text, "")


def _parse_time(text: str, pointer: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if _has_time_form(text) else None
    except ValueError:  # not in the calendar
        moment = None
    if moment is None:
        raise Malformed(pointer, f"{show(text)} is not a time", help=f"written as {TIME_FORM}")
    return moment

"""The stream file: all that concerns one organisation, or one dataset, with the proof that it is all. For `less` too.

    {"entries":2,"format":"oblik-stream/1","origin":"example.org/oblik","sealed":41,"size":44,"stream":"org:acme"}
    {"checkpoint":"…"}                                    the signed note over the tree of `size`
    {"about":{},…,"kind":"streams.sealed",…}              entry `sealed`, as stored
    {"hashes":["…"]}                                      its inclusion proof
    {"leaves":[{"hashes":["…"],"index":3,"last_seq":30,"name":"org:acme","size":2}]}
    {"about":{"org:acme":[1,12]},…}                       the stream's entries as stored, from the last to the first
    {"hashes":["…"]}                                      behind each, its inclusion proof

The newest comes first, because each entry names the one before it: whoever writes or checks the file follows these
backlinks and keeps one entry in memory, however long the stream is. `leaves` is the stream's head under the seal; where
there are no entries, the heads of its neighbours. Every line is canonical JSON, hashes in standard base64.

It holds no entry of anyone else's. It shows the size of the ledger, and hashes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Struct

from ledger.errors import Malformed, TooLarge, Unverified, show
from ledger.log.canonical import decode, encode
from ledger.log.checkpoint import Checkpoint
from ledger.log.codec import format_base64, parse_base64
from ledger.log.entry import Entry, parse_entry
from ledger.log.merkle import hash_leaf
from ledger.log.proof import check_inclusion
from ledger.log.streams import StreamLeaf, check_absence, check_stream, read_seal
from ledger.log.trust_policy import Policy
from ledger.log.verify import NEW_STREAM

FORMAT = "oblik-stream/1"

MAX_LINE_BYTES = 256 * 1024
"""An entry has 64 KiB at the most; a checkpoint with some dozens of cosignatures twice as much."""

NO_ENTRY = NEW_STREAM[1]

S = TypeVar("S", bound=Struct)
Count = Annotated[int, msgspec.Meta(ge=0)]

Proved = tuple[bytes, Sequence[bytes]]
"""(an entry's bytes, its inclusion proof)"""


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line."""

    entries: Count
    format: str
    origin: str
    sealed: Count
    size: Count
    stream: str


class _Note(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checkpoint: str


class _Hashes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hashes: tuple[str, ...]


class _Leaf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hashes: tuple[str, ...]
    index: Count
    last_seq: Count
    name: str
    size: Count


class _Leaves(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    leaves: Annotated[tuple[_Leaf, ...], msgspec.Meta(max_length=2)]


class VerifiedStream(Struct, frozen=True, kw_only=True):
    """A stream that was verified to be whole, as the ledger stood at entry `sealed`."""

    stream: str
    entries: int
    last_seq: int
    """Index of the last of them; -1 where there is none."""
    sealed: int
    sealed_at: str
    checkpoint: Checkpoint


def format_stream_file(
    header: Header, checkpoint: bytes, seal: Proved, leaves: Sequence[StreamLeaf], entries: Iterable[Proved]
) -> Iterator[bytes]:
    """Give the lines of a stream file, each with its newline; `entries` come newest first."""
    yield _line(header)
    yield _line(_Note(checkpoint=checkpoint.decode()))
    yield from _proved_lines(seal)
    yield _line(_Leaves(leaves=tuple(_leaf(leaf) for leaf in leaves)))
    for entry in entries:
        yield from _proved_lines(entry)


def verify_stream(
    lines: Iterable[bytes],
    *,
    stream: str,
    policy: Policy,
    each: Callable[[Entry], None] | None = None,
) -> VerifiedStream:
    """Verify a stream file, and give `each` entry, newest first, to whoever wants to read along.

    Raises Unverified, BadNote, BadCheckpoint, BadEntry or BadProof unless a log of the policy signed the checkpoint, as
    many witnesses as it asks for cosigned it, and the entries are in its tree and are all that the stream had when it
    was sealed.
    """
    reader = _Reader(lines)
    header = reader.read(Header, "the header")
    if (header.format, header.stream) != (FORMAT, stream):
        raise Unverified(f"line 1: is not {FORMAT} of {show(stream)}")
    checkpoint = _open(reader, header, policy)
    sealing = reader.proved(header.sealed, checkpoint)
    seal = read_seal(sealing)
    leaves = [_parse_leaf(leaf) for leaf in reader.read(_Leaves, "the heads under the seal").leaves]
    place = (0, NO_ENTRY)
    if header.entries:
        if [leaf.name for leaf in leaves] != [stream]:
            raise Unverified(f"line {reader.number}: is not the head of {show(stream)}")
        check_stream(seal, leaves[0])
        place = (leaves[0].size, leaves[0].last_seq)
    else:
        check_absence(seal, stream, leaves)
    if place[0] != header.entries:
        raise Unverified(f"the stream had {place[0]:,} entries when it was sealed; the file says {header.entries:,}")
    last_seq = place[1]
    while place[0]:
        entry = reader.proved(place[1], checkpoint)
        place = _step(entry, stream, place)
        if each is not None:
            each(entry)
    reader.end()
    return VerifiedStream(
        stream=stream,
        entries=header.entries,
        last_seq=last_seq,
        sealed=header.sealed,
        sealed_at=sealing.at,
        checkpoint=checkpoint,
    )


def _open(reader: "_Reader", header: Header, policy: Policy) -> Checkpoint:
    note = reader.read(_Note, "the checkpoint").checkpoint.encode()
    trusted = policy.open(note, header.origin)
    trusted.check_quorum()
    checkpoint = trusted.checkpoint
    if checkpoint.size != header.size:
        raise Unverified(f"the checkpoint is of {checkpoint.size:,} entries; the file says {header.size:,}")
    return checkpoint


def _step(entry: Entry, stream: str, place: tuple[int, int]) -> tuple[int, int]:
    """Go from an entry, which has to be the last of so many, to the one before it in the stream."""
    size, seq = place
    ordinal, previous = entry.about.get(stream, (None, NO_ENTRY))
    if ordinal != size - 1 or previous >= seq or (previous == NO_ENTRY) != (ordinal == 0):
        raise Unverified(f"entry {seq} is not number {size - 1} of {show(stream)}")
    return ordinal, previous


class _Reader:
    """Reads a file line by line, in bounded memory."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.number = 0

    def read(self, form: type[S], what: str) -> S:
        """Read a line of that form. Raises Unverified."""
        line = self._next(what)
        try:
            value = msgspec.convert(decode(line, limit=MAX_LINE_BYTES), form)
        except (Malformed, TooLarge, msgspec.ValidationError) as error:
            raise Unverified(f"line {self.number} is not {what}: {error}") from None
        return value

    def proved(self, seq: int, checkpoint: Checkpoint) -> Entry:
        """Read an entry and its proof. Raises BadEntry, BadProof, Unverified."""
        data = self._next(f"entry {seq}")
        entry = parse_entry(data, seq=seq)
        hashes = _parse_hashes(self.read(_Hashes, f"the proof of entry {seq}").hashes)
        check_inclusion(seq, checkpoint.size, hash_leaf(data), hashes, checkpoint.root)
        return entry

    def end(self) -> None:
        """Raise Unverified where the file goes on."""
        if next(self._lines, None) is not None:
            raise Unverified(f"line {self.number + 1}: the file goes on after the stream's first entry")

    def _next(self, what: str) -> bytes:
        line = next(self._lines, None)
        if line is None:
            raise Unverified(f"the file ends after line {self.number}: {what} is missing")
        self.number += 1
        if len(line) > MAX_LINE_BYTES:
            raise Unverified(f"line {self.number} is over the limit of {MAX_LINE_BYTES:,} bytes")
        if not line.endswith(b"\n"):
            raise Unverified(f"line {self.number} breaks off, in {what}")
        return line[:-1]


def _line(value: Struct) -> bytes:
    return encode(msgspec.to_builtins(value)) + b"\n"


def _proved_lines(proved: Proved) -> tuple[bytes, bytes]:
    data, hashes = proved
    return data + b"\n", _line(_Hashes(hashes=tuple(map(format_base64, hashes))))


def _leaf(leaf: StreamLeaf) -> _Leaf:
    hashes = tuple(map(format_base64, leaf.hashes))
    return _Leaf(hashes=hashes, index=leaf.index, last_seq=leaf.last_seq, name=leaf.name, size=leaf.size)


def _parse_leaf(leaf: _Leaf) -> StreamLeaf:
    hashes = _parse_hashes(leaf.hashes)
    return StreamLeaf(hashes=hashes, index=leaf.index, last_seq=leaf.last_seq, name=leaf.name, size=leaf.size)


def _parse_hashes(texts: Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(map(parse_base64, texts))
    except Malformed as error:
        raise Unverified(f"a hash is not in base64: {error}") from None

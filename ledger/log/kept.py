"""What a verifier keeps of a ledger, to go on from there another day: its own memory, and trusted like it.

    {"edge":"<hex>","first":"<64 hex>","format":"oblik-verified/1","kinds":[["ledger.opened",1,0]],"leaf":"<64 hex>",
     "noted":[[0,"<64 hex>"]],"roots":[],"size":17,"streams":{"org:acme":[5,15]}}

(on one line, canonical JSON). `edge` is the tree's compact range; `first` and `leaf` are the leaf hashes of the first
entry and of the last one verified; `kinds` has each kind and version with the index of the last such entry; `streams`
what the next entry of each stream has to say in `about`; `noted` has the leaf hashes of entries that are read again:
those that say who signs, or that sealed or erased a field; `roots` are those of some earlier sizes. Nothing signs it:
whoever can change it decides what a verification that goes on from it does not look at.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Struct

from ledger.errors import BadEntry, Malformed
from ledger.log import canonical
from ledger.log.entry import parse_entry
from ledger.log.merkle import HASH_BYTES, CompactRange, hash_leaf
from ledger.log.verify import Replica

FORMAT = "oblik-verified/1"

MAX_KEPT_BYTES = 1024 * 1024 * 1024
"""Room for some ten million streams."""

Hash = Annotated[str, msgspec.Meta(pattern=rf"\A[0-9a-f]{{{2 * HASH_BYTES}}}\Z")]
Index = Annotated[int, msgspec.Meta(ge=0)]


class Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ledger as far as it was verified."""

    edge: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{2})*\Z")]
    first: Hash
    format: str
    kinds: list[tuple[str, Index, Index]]
    leaf: Hash
    noted: list[tuple[Index, Hash]]
    roots: list[tuple[Index, Hash]]
    size: Annotated[int, msgspec.Meta(ge=1)]
    streams: dict[str, tuple[Index, Index]]


def format_kept(replica: Replica, roots: Mapping[int, bytes] | None = None) -> bytes:
    """Give what is to be kept of a replica, and roots at some of its sizes. Raises ValueError where it has no entry."""
    if not replica.size:
        raise ValueError("there is nothing to keep of no entry")
    kept = Kept(
        edge=replica.edge.pack().hex(),
        first=replica.first_leaf.hex(),
        format=FORMAT,
        kinds=[(kind, version, seq) for (kind, version), seq in replica.kinds.items()],
        leaf=replica.leaf.hex(),
        noted=[(seq, leaf.hex()) for seq, leaf in replica.noted],
        roots=[(size, root.hex()) for size, root in sorted((roots or {}).items())],
        size=replica.size,
        streams=replica.streams,
    )
    return canonical.encode(msgspec.to_builtins(kept))


def parse_kept(data: bytes) -> Kept:
    """Read what `format_kept` gives, and nothing else. Raises Malformed, or TooLarge."""
    fields = canonical.decode(data, limit=MAX_KEPT_BYTES)
    try:
        kept = msgspec.convert(fields, Kept)
    except msgspec.ValidationError as error:
        raise Malformed("", f"is not what a verifier keeps: {error}") from None
    if kept.format != FORMAT:
        raise Malformed("/format", f"is not {FORMAT}")
    CompactRange.unpack(kept.size, bytes.fromhex(kept.edge))
    seqs = [seq for _, _, seq in kept.kinds] + [seq for seq, _ in kept.noted]
    seqs += [seq for _, seq in kept.streams.values()]
    if any(seq >= kept.size for seq in seqs):
        raise Malformed("", f"tells of entries past the {kept.size:,} that it has")
    return kept


def resume(kept: Kept, first: bytes, last: bytes) -> Replica:
    """Make the replica again, of a ledger that has these for its first entry and its last one verified.

    Raises BadEntry where one of them is another than it was.
    """
    for seq, data, leaf in ((0, first, kept.first), (kept.size - 1, last, kept.leaf)):
        if hash_leaf(data).hex() != leaf:
            raise BadEntry(seq, "is not the one that was verified before")
    replica = Replica()
    replica.size = replica.resumed = kept.size
    replica.first, replica.first_leaf = parse_entry(first, seq=0), bytes.fromhex(kept.first)
    replica.last, replica.leaf = parse_entry(last, seq=kept.size - 1), bytes.fromhex(kept.leaf)
    replica.edge = CompactRange.unpack(kept.size, bytes.fromhex(kept.edge))
    replica.noted = [(seq, bytes.fromhex(leaf)) for seq, leaf in kept.noted]
    replica.streams = dict(kept.streams)
    replica.kinds = {(kind, version): seq for kind, version, seq in kept.kinds}
    return replica

"""The stream file over a ledger of our own making, whose writer may lie in any line of it and holds the keys."""

from collections.abc import Sequence

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import BadCheckpoint, BadProof, Unverified
from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.cosignature import Ed25519CosignatureSigner
from ledger.log.entry import Entry, format_entry, parse_entry
from ledger.log.merkle import hash_leaf
from ledger.log.note import Ed25519Signer, format_vkey
from ledger.log.proof import prove_inclusion, root_at
from ledger.log.stream_file import FORMAT, MAX_LINE_BYTES, Header, format_stream_file, verify_stream
from ledger.log.streams import _reader, prove_absence, prove_stream, seal_streams
from ledger.log.trust_policy import Policy, parse_policy

ORIGIN, STREAM = "test.example/log", "org:a"
SIGNER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
EARLIER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"e" * 32))
WITNESS = Ed25519CosignatureSigner("w.example", Ed25519PrivateKey.from_private_bytes(b"w" * 32), lambda: 1_795_000_000)


def policy_of(*signers: Ed25519Signer, quorum: str = "none") -> Policy:
    """Give a policy that knows these keys of the log, and the witness."""
    logs = "".join(f"log {format_vkey(signer)}\n" for signer in signers)
    return parse_policy(f"{logs}witness w {format_vkey(WITNESS)}\nquorum {quorum}\n".encode())


POLICY = policy_of(SIGNER)

HONEST = ((STREAM, 0, -1), ("org:b", 0, -1), (STREAM, 1, 0), ("org:b", 1, 1), (STREAM, 2, 2))
"""(stream, ordinal, previous) of each entry."""

HEADS = {STREAM: (3, 4), "org:b": (2, 3)}


def entry(seq: int, about: dict[str, tuple[int, int]], kind: str = "test.made", body: dict | None = None) -> bytes:
    return format_entry(
        Entry(
            about=about,
            at="2026-11-21T09:30:00.123456Z",
            body=body or {},
            by={"person": "p"},
            kind=kind,
            prev="0" * 64,
            seq=seq,
            v=1,
        )
    )


class Log:
    """A signed log of entries that say what they are told to, with a seal at its end."""

    def __init__(self, links: Sequence[tuple[str, int, int]] = HONEST, heads: dict | None = None) -> None:
        self.heads = heads or HEADS
        self.data = [entry(seq, {name: (ordinal, last)}) for seq, (name, ordinal, last) in enumerate(links)]
        count, root = seal_streams(self.heads)
        self.sealed = len(self.data)
        body = {"count": count, "root": root.hex(), "size": self.sealed}
        self.data.append(entry(self.sealed, {}, "streams.sealed", body))

    def proved(self, seq: int):
        read = _reader([hash_leaf(data) for data in self.data])
        return self.data[seq], prove_inclusion(seq, len(self.data), read)

    def file(
        self, seqs: Sequence[int], *, leaves=None, count: int | None = None, stream: str = STREAM, more=()
    ) -> list[bytes]:
        """Give the file that shows these entries."""
        size = len(self.data)
        root = root_at(size, _reader([hash_leaf(data) for data in self.data]))
        header = Header(
            entries=len(seqs) if count is None else count,
            format=FORMAT,
            origin=ORIGIN,
            sealed=self.sealed,
            size=size,
            stream=stream,
        )
        note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root), [SIGNER, *more])
        shown = leaves if leaves is not None else [prove_stream(self.heads, STREAM)]
        return list(format_stream_file(header, note, self.proved(self.sealed), shown, map(self.proved, seqs)))


def verify(lines: Sequence[bytes], stream: str = STREAM):
    return verify_stream(lines, stream=stream, policy=POLICY)


def test_an_honest_file_verifies():
    """Newest first, down to ordinal 0; each entry is given to whoever reads along."""
    read: list[Entry] = []
    lines = Log().file([4, 2, 0])
    found = verify_stream(lines, stream=STREAM, policy=POLICY, each=read.append)
    assert [item.seq for item in read] == [4, 2, 0]
    assert (found.entries, found.last_seq, found.sealed, found.checkpoint.size) == (3, 4, 5, 6)
    absent = Log().file([], leaves=prove_absence(HEADS, "org:aa"), stream="org:aa")
    assert verify(absent, "org:aa").entries == 0


@pytest.mark.parametrize(
    ("links", "size", "seqs"),
    [
        (((STREAM, 0, -1), (STREAM, 2, 0)), 3, [1, 0]),
        (((STREAM, 0, -1), (STREAM, 1, 0), (STREAM, 2, 0)), 3, [2, 0]),
        (((STREAM, 1, -1), (STREAM, 2, 0)), 3, [1, 0]),
        (((STREAM, 0, -1), (STREAM, 1, -1)), 2, [1]),
        (((STREAM, 0, 0),), 1, [0]),
        (((STREAM, 0, -1), (STREAM, 1, 1)), 2, [1, 1]),
        (((STREAM, 0, -1), ("org:b", 1, 0)), 2, [1, 0]),
        (((STREAM, 0, -1), (STREAM, 1, 0)), 1, [1]),
        (((STREAM, 0, -1), (STREAM, 0, -1)), 2, [1]),
    ],
)
def test_a_log_whose_links_lie_does_not_verify(links, size, seqs):
    """Signed and sealed as it is: an ordinal that skips, repeats or ends early, a link to itself, another stream."""
    lines = Log(links, {STREAM: (size, len(links) - 1)}).file(seqs, count=size)
    with pytest.raises(Unverified, match=f"is not number .* of `{STREAM}`"):
        verify(lines)


def test_a_head_that_was_not_sealed_does_not_verify():
    """Whoever leaves out the newest entries has to show another head, which the seal does not commit to."""
    true = prove_stream(HEADS, STREAM)
    older = msgspec.structs.replace(true, size=2, last_seq=2)
    with pytest.raises(BadProof, match="leads to another root"):
        verify(Log().file([2, 0], leaves=[older]))


def test_the_head_of_another_stream_does_not_do():
    """Head and neighbours have to be those of the stream that was asked for."""
    for leaves in ([prove_stream(HEADS, "org:b")], [], [prove_stream(HEADS, STREAM), prove_stream(HEADS, "org:b")]):
        with pytest.raises(Unverified, match="is not the head of"):
            verify(Log().file([4, 2, 0], leaves=leaves))
    with pytest.raises(BadProof):
        verify(Log().file([], leaves=[prove_stream(HEADS, "org:b")]))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_header_says_how_many(count):
    """A header of another number than was sealed is refused, even where all entries are there."""
    with pytest.raises(Unverified, match=r"had 3 entries when it was sealed; the file says"):
        verify(Log().file([4, 2, 0], count=count))


def test_an_entry_that_is_not_in_the_tree_does_not_verify():
    """An entry of the right form and links, with one word changed, is BadProof; so is a seal made up."""
    log = Log()
    lines = log.file([4, 2, 0])
    changed = msgspec.structs.replace(parse_entry(log.data[2], seq=2), by={"person": "q"})
    with pytest.raises(BadProof, match="leads to another root"):
        verify([*lines[:7], format_entry(changed) + b"\n", *lines[8:]])
    _, root = seal_streams({STREAM: (2, 2)})
    made_up = entry(5, {}, "streams.sealed", {"count": 1, "root": root.hex(), "size": 5})
    with pytest.raises(BadProof, match="leads to another root"):
        verify([*lines[:2], made_up + b"\n", *lines[3:]])


def test_lines_are_whole_and_bounded():
    """A line over the limit, and one that breaks off, are refused as such."""
    lines = Log().file([4, 2, 0])
    with pytest.raises(Unverified, match=r"line 6 is over the limit of 262,144 bytes"):
        verify([*lines[:5], b"x" * (MAX_LINE_BYTES + 1)])
    for i, line in enumerate(lines):
        with pytest.raises(Unverified, match=f"line {i + 1} breaks off"):
            verify([*lines[:i], line[:-1]])
    with pytest.raises(Unverified, match="a hash is not in base64"):
        verify([*lines[:3], b'{"hashes":["!"]}\n', *lines[4:]])


def test_any_of_the_keys_of_a_log_speaks_for_it():
    """A policy that lists a key of before a rotation beside the one in force verifies; the old one alone does not."""
    lines = Log().file([4, 2, 0])
    for known in ([EARLIER, SIGNER], [SIGNER, EARLIER], [SIGNER]):
        assert verify_stream(lines, stream=STREAM, policy=policy_of(*known)).entries == 3
    for known in ([EARLIER], []):
        with pytest.raises(Unverified, match="no known key"):
            verify_stream(lines, stream=STREAM, policy=policy_of(*known))


def test_too_few_witnesses_do_not_do():
    """The policy's quorum counts for a stream file, too; a witness's word alone is not the log's."""
    asking = policy_of(SIGNER, quorum="w")
    with pytest.raises(BadCheckpoint, match="too few witnesses"):
        verify_stream(Log().file([4, 2, 0]), stream=STREAM, policy=asking)
    cosigned = Log().file([4, 2, 0], more=[WITNESS])
    assert verify_stream(cosigned, stream=STREAM, policy=asking).entries == 3
    with pytest.raises(BadCheckpoint, match="no known key of"):
        verify_stream(cosigned, stream=STREAM, policy=policy_of(EARLIER, quorum="w"))

"""Evidence against a log: every kind, and nothing that is none."""

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from receipts import (
    ENTRIES,
    LOG,
    LOG_PQ,
    ORIGIN,
    POLICY,
    fork_of,
    make_entries,
    note_of,
)

from ledger.errors import BadCheckpoint, BadNote, BadProof, OblikError, Unverified
from ledger.log.canonical import decode, encode
from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.cosignature import Ed25519CosignatureSigner
from ledger.log.evidence import MAX_EVIDENCE_BYTES, Evidence, check_evidence, format_evidence, parse_evidence
from ledger.log.merkle import EMPTY_ROOT
from ledger.log.note import Ed25519Signer, format_vkey
from ledger.log.trust_policy import parse_policy

TRUST = parse_policy(POLICY)
LONG = [*ENTRIES, *(str(n).encode() for n in range(13))]
STRANGER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
OTHER_ORIGIN = Ed25519Signer("other.example/log", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))


def changed(at: int, entries: list[bytes]) -> list[bytes]:
    return [*entries[:at], b"another", *entries[at + 1 :]]


def witnessed_by(seed: int, name: str, time: int) -> Ed25519CosignatureSigner:
    """Make a witness of the policy with another clock."""
    return Ed25519CosignatureSigner(
        f"{name}.example", Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32), lambda: time
    )


def rollback(kept_by=(LOG,), served_by=(LOG,)) -> bytes:
    kept, served = note_of(*kept_by, entries=LONG), note_of(*served_by)
    return format_evidence(Evidence(kind="rollback", kept=kept, served=served))


# What is evidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", range(1, 21))
@pytest.mark.parametrize("served", range(1, 21))
def test_two_histories_are_a_fork_at_any_sizes(kept: int, served: int) -> None:
    """Any two sizes, the first entry rewritten: it verifies, and comes back as it was."""
    evidence = fork_of(LONG[:kept], changed(0, LONG)[:served])
    found = check_evidence(format_evidence(evidence), TRUST)
    assert (found.kind, found.proven) == ("fork", True)
    assert (found.kept.checkpoint.size, found.served.checkpoint.size) == (kept, served)
    assert evidence == parse_evidence(format_evidence(evidence))


@pytest.mark.parametrize("signer", [LOG, LOG_PQ])
def test_either_key_of_the_log_is_enough(signer) -> None:
    """No witness need have seen either checkpoint."""
    found = check_evidence(format_evidence(fork_of(ENTRIES, changed(3, ENTRIES), signer)), TRUST)
    assert found.proven
    assert not found.kept.quorum_met


def test_a_rollback_alone_proves_nothing() -> None:
    """The log signed both, as it should: in which order they were served, nobody signed."""
    found = check_evidence(rollback(), TRUST)
    assert (found.kind, found.proven, found.gone_back) == ("rollback", False, ())


def test_a_witness_that_went_back_proves_a_rollback() -> None:
    """One key states that it saw the larger, and later that it saw nothing larger than the smaller."""
    found = check_evidence(
        rollback([LOG, witnessed_by(3, "poland", 100)], [LOG, witnessed_by(3, "poland", 101)]), TRUST
    )
    assert (found.proven, found.gone_back) == (True, ("poland",))


@pytest.mark.parametrize(
    "later", [witnessed_by(3, "poland", 100), witnessed_by(3, "poland", 99), witnessed_by(4, "estonia", 101)]
)
def test_other_times_prove_nothing(later) -> None:
    """The same time, an earlier one; a later one by another witness, which may be late without fault."""
    found = check_evidence(rollback([LOG, witnessed_by(3, "poland", 100)], [LOG, later]), TRUST)
    assert not found.proven


# What is none ---------------------------------------------------------------------------------------------------------


def refused(evidence: Evidence, words: str, kind: type[OblikError] = BadProof) -> None:
    with pytest.raises(kind, match=words):
        check_evidence(format_evidence(evidence), TRUST)


def test_an_honest_log_cannot_be_accused() -> None:
    """A tree and what it grew to, or the same tree twice: whatever is said about them."""
    for small in range(1, 20):
        refused(fork_of(LONG[:small], LONG), "begins with the smaller")
        refused(replace(fork_of(LONG[:small], LONG), prefix_root=bytes(32)), "leads to other roots")
    refused(fork_of(ENTRIES, ENTRIES), "one tree")


def test_an_empty_tree_is_the_beginning_of_any() -> None:
    """No root but one parses there, and no proof leads from it."""
    empty = sign_checkpoint(Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT), [LOG])
    evidence = Evidence(kind="fork", kept=empty, served=note_of(LOG), prefix_root=bytes(32))
    refused(evidence, "no proof leads")


def test_only_the_logs_own_signatures_count() -> None:
    """A stranger's key under the log's name, a witness alone, another log's checkpoint."""
    good = fork_of(ENTRIES, changed(3, ENTRIES))
    refused(replace(good, served=note_of(STRANGER, entries=changed(3, ENTRIES))), "no known key", BadNote)
    poland = witnessed_by(3, "poland", 5)
    refused(replace(good, served=note_of(poland, entries=changed(3, ENTRIES))), "itself signed", BadCheckpoint)
    other = sign_checkpoint(Checkpoint(origin=OTHER_ORIGIN.name, size=7, root=bytes(32)), [OTHER_ORIGIN])
    both = parse_policy(POLICY + f"log {format_vkey(OTHER_ORIGIN)}\n".encode())
    with pytest.raises(BadCheckpoint, match="not of"):
        check_evidence(format_evidence(replace(good, served=other)), both)


def test_a_rollback_goes_back() -> None:
    """To the same size or a larger one is none."""
    for served in (LONG, [*LONG, b"more"]):
        evidence = Evidence(kind="rollback", kept=note_of(LOG, entries=LONG), served=note_of(LOG, entries=served))
        refused(evidence, "not fewer")


@pytest.mark.parametrize(
    "change",
    [{"prefix_root": b""}, {"hashes": (bytes(32),) * 64}, {"kind": "rollback"}, {"hashes": (bytes(31),)}],
)
def test_a_proof_stands_where_one_is_due(change) -> None:
    """In a fork of two sizes, of as many hashes as a tree is deep, of 32 bytes each."""
    with pytest.raises(BadProof):
        check_evidence(format_evidence(replace(fork_of(changed(0, LONG), ENTRIES), **change)), TRUST)


@pytest.mark.parametrize("change", [{"prefix_root": bytes(32)}, {"hashes": (bytes(32),)}])
@pytest.mark.parametrize("kind", ["fork", "rollback"])
def test_a_proof_stands_nowhere_else(kind, change) -> None:
    """Not beside two checkpoints of one size, nor in a rollback."""
    same = fork_of(ENTRIES, changed(3, ENTRIES))
    back = Evidence(kind="rollback", kept=note_of(LOG, entries=LONG), served=note_of(LOG))
    with pytest.raises(BadProof, match="nothing else has"):
        format_evidence(replace(same if kind == "fork" else back, **change))


def test_every_bit_of_a_proof_counts() -> None:
    """Each hash changed, left out, doubled or swapped is refused."""
    good = fork_of(changed(2, LONG), LONG[:11])
    for i, value in enumerate(good.hashes):
        for hashes in (
            (*good.hashes[:i], bytes([value[0] ^ 1]) + value[1:], *good.hashes[i + 1 :]),
            good.hashes[:i] + good.hashes[i + 1 :],
            good.hashes[: i + 1] + good.hashes[i:],
        ):
            refused(replace(good, hashes=hashes), "leads to other|too short|too long|empty")
    assert len(good.hashes) > 2
    assert all(a != b for a, b in pairwise(good.hashes))
    refused(replace(good, hashes=good.hashes[::-1]), "other roots")


def test_a_changed_file_never_says_anything_else() -> None:
    """Each byte of the file changed: refused, as nothing in it is free."""
    for evidence in (fork_of(ENTRIES, changed(3, ENTRIES)), fork_of(changed(2, LONG), LONG[:11])):
        data = format_evidence(evidence)
        for i in range(len(data)):
            with pytest.raises(Unverified):
                check_evidence(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :], TRUST)


def test_fields_are_exactly_those() -> None:
    """One missing, one more, one of another type, another format or kind, and what is not canonical."""
    good = decode(format_evidence(fork_of(changed(2, LONG), ENTRIES)))
    wrong = [{**good, "more": 1}, {**good, "format": "oblik-evidence/2"}, {**good, "kind": "other"}, [], None]
    wrong += [{**good, name: value} for name in good for value in (1, None, [1], "?")]
    wrong += [{name: value for name, value in good.items() if name != left} for left in good]
    for value in wrong:
        with pytest.raises(Unverified):
            parse_evidence(encode(value))
    for data in (b"", b"{", encode(good) + b"\n", b" " + encode(good)):
        with pytest.raises(BadProof, match="no evidence"):
            parse_evidence(data)


def test_the_file_is_bounded() -> None:
    """Its bytes before they are read, its hashes before they are hashed."""
    with pytest.raises(BadProof, match="over the limit"):
        parse_evidence(b"x" * (MAX_EVIDENCE_BYTES + 1))
    with pytest.raises(BadProof, match="more than 63"):
        format_evidence(replace(fork_of(changed(0, LONG), ENTRIES), hashes=(bytes(32),) * 64))


def test_the_largest_notes_fit() -> None:
    """Two notes with a hundred signatures each."""
    many = [witnessed_by(3, f"{'w' * 200}{n}", 7) for n in range(98)]
    evidence = fork_of(make_entries(7), changed(3, ENTRIES), LOG, LOG_PQ, *many)
    assert len(format_evidence(evidence)) < MAX_EVIDENCE_BYTES
    assert check_evidence(format_evidence(evidence), TRUST).proven

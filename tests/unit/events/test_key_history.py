"""The log's keys, folded from entries: what brings a key into force, and what does not."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.errors import BadCheckpoint, BadEntry, BadNote
from ledger.events.key_history import KeyHistory, keys_after
from ledger.events.keys import LogKeyIntroduced, LogKeyRetired
from ledger.events.registry import LedgerOpened
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.cosignature import MLDSA44Signer, parse_vkey
from ledger.log.entry import Entry
from ledger.log.introduction import check_introduction, sign_introduction
from ledger.log.note import Ed25519Signer, format_vkey, open_note, sign_note

ORIGIN = "example.org/log"
PREV = "ab" * 32


def ed(seed: int, name: str = ORIGIN) -> Ed25519Signer:
    return Ed25519Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def ml(seed: int, name: str = ORIGIN) -> MLDSA44Signer:
    return MLDSA44Signer(name, MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32))


A, B, C, X, Y = ed(1), ed(2), ed(3), ml(1), ml(2)


def entry(seq: int, event, prev: str = PREV) -> Entry:
    body = msgspec.to_builtins(event)
    return Entry(about={}, at="", body=body, by={}, kind=event.KIND, prev=prev, seq=seq, v=event.VERSION, sealed={})


def opened(*signers, origin: str = ORIGIN) -> Entry:
    return entry(0, LedgerOpened(origin=origin, owner="o", vkeys=tuple(map(format_vkey, signers))))


def introduced(seq: int, new, old, prev: str = PREV) -> Entry:
    vkey = format_vkey(new)
    return entry(seq, LogKeyIntroduced(vkey=vkey, proof=sign_introduction(old, vkey=vkey, prev=prev)), prev)


def retired(seq: int, signer) -> Entry:
    return entry(seq, LogKeyRetired(vkey=format_vkey(signer), reason="test"))


def refused(entries, words: str) -> None:
    """Check that the last entry is refused by name, and that the history stays where it was."""
    history = KeyHistory()
    for one in entries[:-1]:
        history.add(one)
    before = history.in_force, history.ever
    with pytest.raises(BadEntry, match=words) as raised:
        history.add(entries[-1])
    assert entries[-1].seq == raised.value.seq
    assert before == (history.in_force, history.ever)


def vkeys(*signers) -> tuple[str, ...]:
    return tuple(map(format_vkey, signers))


def test_keys_come_and_go() -> None:
    """Each type is handed on by its own keys, step by step; at each size it is known which keys sign."""
    entries = [
        opened(A, X),
        introduced(1, B, A),
        introduced(2, Y, X),
        retired(3, A),
        retired(4, X),
        introduced(5, C, B),
        retired(6, B),
    ]
    history = KeyHistory()
    sizes = {0: (), 1: (A, X), 2: (A, X, B), 3: (A, X, B, Y), 4: (X, B, Y), 5: (B, Y), 6: (B, Y, C), 7: (Y, C)}
    for size, one in enumerate(entries, start=1):
        history.add(one)
        assert vkeys(*sizes[size]) == history.in_force
    assert {size: vkeys(*keys) for size, keys in sizes.items()} == {size: history.in_force_at(size) for size in sizes}
    assert vkeys(A, X, B, Y, C) == history.ever
    assert history.in_force == keys_after(entries)


def test_entries_of_other_kinds_change_nothing() -> None:
    """A second opening, and a version of a kind that is not known here, leave the keys as they are."""
    later = msgspec.structs.replace(opened(B), seq=1)
    unknown = msgspec.structs.replace(retired(2, A), v=2)
    assert vkeys(A) == keys_after([opened(A), later, unknown])


def test_an_introduction_takes_a_key_in_force_of_its_type() -> None:
    """A stranger, a retired key, a key of the other type and the new key itself have no word to give."""
    words = "without the word of a key in force of its type"
    refused([opened(A, X), introduced(1, B, C)], words)
    refused([opened(A, X), introduced(1, B, A), retired(2, A), introduced(3, C, A)], words)
    refused([opened(A, X), introduced(1, B, X)], words)
    refused([opened(A, X), introduced(1, Y, A)], words)
    refused([opened(A, X), introduced(1, Y, Y)], words)
    refused([opened(A), introduced(1, Y, Y)], words)


def test_an_introduction_holds_at_its_place_alone() -> None:
    """A proof for another place in the history, or for another key, introduces nothing."""
    moved = introduced(1, B, A, prev="cd" * 32)
    refused([opened(A, X), msgspec.structs.replace(moved, prev=PREV)], "does not verify")
    swapped = msgspec.structs.replace(moved, prev="cd" * 32, body=moved.body | {"vkey": format_vkey(C)})
    refused([opened(A, X), swapped], "does not verify")


def test_a_key_does_not_come_back() -> None:
    """A key that is or was in force is not introduced again."""
    words = "which was in force before"
    refused([opened(A, X), introduced(1, A, A)], words)
    refused([opened(A, X), introduced(1, B, A), retired(2, A), introduced(3, A, B)], words)


def test_a_key_has_the_logs_name() -> None:
    """A key of another name is neither opened with nor introduced, and neither is what is no key."""
    stranger = ed(9, "example.org/other")
    refused([opened(A, stranger)], "does not have the log's name")
    refused([opened(A), introduced(1, stranger, A)], "does not have the log's name")
    nonsense = entry(1, LogKeyIntroduced(vkey="nonsense", proof=""))
    refused([opened(A), nonsense], "is no verifier key")


@pytest.mark.parametrize("proof", ["", "\n", "nonsense\n", "— example.org/log AAAA\n"])
def test_a_proof_that_is_none_is_refused(proof: str) -> None:
    """A proof that is empty, broken or holds no signature is told as such."""
    refused([opened(A), entry(1, LogKeyIntroduced(vkey=format_vkey(B), proof=proof))], "without the word")


def test_a_retirement_leaves_a_key_of_each_type() -> None:
    """The last key of a type stays, whatever other types there are; one that is not in force does not go."""
    refused([opened(A, X), retired(1, A)], "the last of its type")
    refused([opened(A, X), introduced(1, B, A), retired(2, X)], "the last of its type")
    refused([opened(A, X), retired(1, B)], "not in force")
    refused([opened(A, X), introduced(1, B, A), retired(2, A), retired(3, A)], "not in force")


def test_a_history_begins_with_the_opening() -> None:
    """Another first entry is refused."""
    refused([msgspec.structs.replace(retired(0, A))], "is not `ledger.opened`")


@pytest.mark.parametrize(("old", "new"), [(A, B), (X, Y)])
def test_a_proof_is_a_signed_note_that_is_no_checkpoint(old, new) -> None:
    """It opens with the old key alone, after each changed byte no more, and its text is no checkpoint of any log."""
    vkey = format_vkey(new)
    proof = sign_introduction(old, vkey=vkey, prev=PREV)
    check_introduction(proof, vkey=vkey, prev=PREV, by=[format_vkey(old)])
    text = f"oblik log key v1\n{PREV}\n{vkey}\n".encode()
    with pytest.raises(BadNote):
        check_introduction(proof, vkey=vkey, prev=PREV, by=[vkey])
    if old is A:
        assert text == open_note(text + b"\n" + proof.encode(), [parse_vkey(format_vkey(A))]).text
    with pytest.raises(BadCheckpoint, match=r"size|lines|limit"):
        parse_checkpoint(text)
    for place in range(len(ORIGIN) + 3, len(proof) - 1, 97):
        changed = proof[:place] + ("A" if proof[place] != "A" else "B") + proof[place + 1 :]
        with pytest.raises(BadNote):
            check_introduction(changed, vkey=vkey, prev=PREV, by=[format_vkey(old)])


def test_a_proof_adds_nothing_to_the_text() -> None:
    """A signature over a text that goes on after the key's line introduces nothing."""
    vkey = format_vkey(B)
    text = f"oblik log key v1\n{PREV}\n{vkey}\n\nmore\n".encode()
    note = sign_note(text, [A])
    proof = note[len(text) - len(b"more\n") :].decode()
    assert f"oblik log key v1\n{PREV}\n{vkey}\n\n".encode() + proof.encode() == note
    with pytest.raises(BadNote, match="not signature lines alone"):
        check_introduction(proof, vkey=vkey, prev=PREV, by=[format_vkey(A)])

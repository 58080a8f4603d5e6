"""Asking a witness: one form of the message, and every refusal of the rule."""

import pytest
from small_log import ORIGIN, SmallLog

from ledger.errors import BadProof, Forbidden, Malformed, NotFound, NotLastCosigned, OblikError, TooLarge
from ledger.log.checkpoint import Checkpoint, format_checkpoint, sign_checkpoint
from ledger.log.codec import format_base64
from ledger.log.cosignature import Ed25519CosignatureSigner
from ledger.log.note import MAX_SIGNATURES, format_vkey, sign_note
from ledger.log.witnessing import (
    MAX_ADD_CHECKPOINT_BYTES,
    MAX_PROOF_HASHES,
    MAX_TREE_SIZE,
    AddCheckpoint,
    Cosigned,
    check_continues,
    format_add_checkpoint,
    open_add_checkpoint,
    parse_add_checkpoint,
    parse_logs,
)

LOG, FORK = SmallLog(), SmallLog().branch(0)
LOGS = parse_logs(LOG.trusted)
GOOD = LOG.request(5, 11)
NOTE = LOG.note(11)
HASH = format_base64(bytes(32)).encode() + b"\n"
ED25519, ML_DSA = LOG.signers


def answer(request: bytes, last: tuple[int, SmallLog] | None) -> Checkpoint:
    """Apply the whole rule, where the witness cosigned that size of that log last."""
    parsed = parse_add_checkpoint(request)
    checkpoint = open_add_checkpoint(parsed, LOGS)
    stored = Cosigned(last[0], last[1].checkpoint(last[0]).root) if last else None
    check_continues(parsed, checkpoint, stored)
    return checkpoint


# The message ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (1, 1), (1, 2), (5, 11), (8, 11), (11, 11), (7, 200)])
def test_a_request_comes_back(old, new) -> None:
    """What is written is read as the same size, proof and note, and written again as the same bytes."""
    note = LOG.note(new)
    data = format_add_checkpoint(old, LOG.proof(old, new), note)
    parsed = parse_add_checkpoint(data)
    assert parsed == AddCheckpoint(old, tuple(LOG.proof(old, new)), note)
    assert data == format_add_checkpoint(parsed.old, parsed.proof, parsed.note)


MUTATIONS = {
    "empty": b"",
    "a newline": b"\n",
    "no old": GOOD.partition(b"\n")[2],
    "no note": GOOD.partition(b"\n\n")[0] + b"\n\n",
    "no blank line": GOOD.replace(b"\n\n", b"\n", 1),
    "two blank lines": GOOD.replace(b"\n\n", b"\n\n\n", 1),
    "blank line first": b"\n" + GOOD,
    "blank line after old": GOOD.replace(b"\n", b"\n\n", 1),
    "carriage returns": GOOD.replace(b"\n", b"\r\n"),
    "leading zero": GOOD.replace(b"old 5", b"old 05"),
    "two zeros": GOOD.replace(b"old 5", b"old 00"),
    "plus sign": GOOD.replace(b"old 5", b"old +5"),
    "minus sign": GOOD.replace(b"old 5", b"old -5"),
    "underscore": GOOD.replace(b"old 5", b"old 1_0"),
    "other digits": GOOD.replace(b"old 5", "old \N{ARABIC-INDIC DIGIT FIVE}".encode()),
    "hexadecimal": GOOD.replace(b"old 5", b"old 0x5"),
    "no size": GOOD.replace(b"old 5", b"old "),
    "two spaces": GOOD.replace(b"old 5", b"old  5"),
    "tab": GOOD.replace(b"old 5", b"old\t5"),
    "space after": GOOD.replace(b"old 5", b"old 5 "),
    "space before": b" " + GOOD,
    "capital": GOOD.replace(b"old", b"Old"),
    "another word": GOOD.replace(b"old", b"new"),
    "twenty digits": GOOD.replace(b"old 5", b"old " + b"9" * 20),
    "old twice": b"old 5\n" + GOOD,
    "hash too short": GOOD.replace(b"\n", b"\n" + format_base64(bytes(31)).encode() + b"\n", 1),
    "hash too long": GOOD.replace(b"\n", b"\n" + format_base64(bytes(33)).encode() + b"\n", 1),
    "hash not padded": GOOD.replace(b"\n", b"\n" + HASH.replace(b"=", b""), 1),
    "hash with bits left over": GOOD.replace(b"\n", b"\n" + HASH.replace(b"A=", b"B="), 1),
    "hash URL-safe": GOOD.replace(b"\n", b"\n_" + HASH[1:], 1),
    "hash in hex": GOOD.replace(b"\n", b"\n" + b"00" * 32 + b"\n", 1),
    "hash with a space": GOOD.replace(b"\n", b"\n " + HASH, 1),
    "hash not ASCII": GOOD.replace(b"\n", b"\n\xff" + HASH, 1),
    "64 hashes": GOOD.replace(b"\n", b"\n" + HASH * 64, 1),
    "signatures missing": GOOD[: GOOD.rindex(b"\n\n") + 2],
    "last newline missing": GOOD[:-1],
    "more after": GOOD + b"more\n",
    "byte-order mark": b"\xef\xbb\xbf" + GOOD,
    "size with zeros": GOOD.replace(b"\n11\n", b"\n011\n"),
    "extension line": GOOD.replace(b"\n\n\xe2", b"\nmore\n\n\xe2"),
    "root too short": GOOD.replace(format_base64(LOG.checkpoint(11).root).encode(), b"AAAA"),
    "origin with a space": GOOD.replace(b"\nlog.example/oblik\n", b"\nlog example/oblik\n"),
    "not UTF-8": GOOD.replace(b"\nlog.example", b"\nlog\xff.example"),
    "size no tree has": GOOD.replace(b"\n11\n", b"\n" + str(MAX_TREE_SIZE + 1).encode() + b"\n"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_not_of_the_form_is_refused(name) -> None:
    """Each of these changes to a good request makes it malformed, before any signature is looked at."""
    assert MUTATIONS[name] != GOOD
    with pytest.raises(Malformed):
        parse_add_checkpoint(MUTATIONS[name])


def test_no_changed_byte_is_answered() -> None:
    """A request with any byte changed, or cut off anywhere, is refused by form, signature or proof."""
    good = format_add_checkpoint(5, LOG.proof(5, 11), sign_checkpoint(LOG.checkpoint(11), [ED25519]))
    assert answer(good, (5, LOG)) == LOG.checkpoint(11)
    for i in range(len(good)):
        for change in (0x01, 0x20, 0x80):
            with pytest.raises(OblikError):
                answer(good[:i] + bytes([good[i] ^ change]) + good[i + 1 :], (5, LOG))
        with pytest.raises(OblikError):
            answer(good[:i], (5, LOG))


def test_the_limits_are_inclusive() -> None:
    """63 hashes and the largest request are read; one more is not."""
    assert len(parse_add_checkpoint(b"old 5\n" + HASH * MAX_PROOF_HASHES + b"\n" + NOTE).proof) == MAX_PROOF_HASHES
    line = sign_checkpoint(LOG.checkpoint(11), [ML_DSA])[len(format_checkpoint(LOG.checkpoint(11))) + 1 :]
    note = NOTE + line * (MAX_SIGNATURES - 2)
    assert parse_add_checkpoint(b"old 5\n" + HASH * MAX_PROOF_HASHES + b"\n" + note)
    with pytest.raises(TooLarge):
        parse_add_checkpoint(GOOD + b"x" * (MAX_ADD_CHECKPOINT_BYTES - len(GOOD) + 1))
    with pytest.raises(Malformed):
        parse_add_checkpoint(GOOD + b"x" * (MAX_ADD_CHECKPOINT_BYTES - len(GOOD)))


@pytest.mark.parametrize(("old", "proof"), [(-1, []), (10**19, []), (5, [b"short"]), (5, [bytes(32)] * 64)])
def test_no_malformed_request_is_written(old, proof) -> None:
    """What could not be read back is not written."""
    with pytest.raises(Malformed):
        format_add_checkpoint(old, proof, NOTE)


# The rule -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", range(12))
def test_every_continuation_is_accepted_and_no_fork(new) -> None:
    """From each size to each later one of the same history; a proof of another history leads to no cosignature."""
    for old in range(new + 1):
        assert answer(LOG.request(old, new), (old, LOG)) == LOG.checkpoint(new)
        if old:
            with pytest.raises(BadProof):
                answer(FORK.request(old, new), (old, LOG))


def test_the_first_checkpoint_of_a_log_needs_no_proof() -> None:
    """Where nothing or the empty tree was cosigned, old is 0 and any tree continues it."""
    for last in (None, (0, LOG)):
        for size in (0, 1, 11):
            assert answer(LOG.request(0, size), last) == LOG.checkpoint(size)


def test_a_proof_from_nothing_is_refused() -> None:
    """Where old is 0 there is nothing to prove, and a proof is 422."""
    for last in (None, (0, LOG)):
        for size in (0, 11):
            with pytest.raises(BadProof):
                answer(format_add_checkpoint(0, [bytes(32)], LOG.note(size)), last)


def test_the_same_size_has_one_root_and_an_empty_proof() -> None:
    """A checkpoint is cosigned again; with another root, or with a proof, it is 422."""
    assert answer(LOG.request(11, 11), (11, LOG)) == LOG.checkpoint(11)
    with pytest.raises(BadProof):
        answer(FORK.request(11, 11), (11, LOG))
    with pytest.raises(BadProof):
        answer(format_add_checkpoint(11, [bytes(32)], NOTE), (11, LOG))


@pytest.mark.parametrize(("old", "last"), [(0, 5), (4, 5), (6, 5), (11, 5), (5, 0), (5, None), (5, 6), (5, 12)])
def test_old_has_to_be_the_last_size_cosigned(old, last) -> None:
    """Otherwise the refusal names that size; even where the proof given is right."""
    with pytest.raises(NotLastCosigned) as refusal:
        answer(LOG.request(old, 11), None if last is None else (last, LOG))
    assert refusal.value.size == (last or 0)


def test_a_proof_is_checked_to_its_last_hash() -> None:
    """One hash less, one more, two swapped, one changed: none of them is a proof."""
    proof = LOG.proof(5, 11)
    changed = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
    for wrong in (proof[:-1], [*proof, bytes(32)], [proof[1], proof[0], *proof[2:]], changed, []):
        with pytest.raises(BadProof):
            answer(format_add_checkpoint(5, wrong, NOTE), (5, LOG))


def test_old_beyond_the_new_size_is_malformed() -> None:
    """400, whatever was cosigned last."""
    for last in (None, (12, LOG), (5, LOG)):
        with pytest.raises(Malformed, match="beyond"):
            answer(format_add_checkpoint(12, [], NOTE), last)


def test_an_unknown_origin_is_not_found() -> None:
    """404, though the log's keys are as good as any."""
    with pytest.raises(NotFound):
        answer(SmallLog("other.example/oblik").request(0, 5), None)


def test_only_a_trusted_key_of_the_log_itself_counts() -> None:
    """403 where others signed, where a trusted key's signature does not verify, and where no one did but a witness."""
    stranger = SmallLog(seed=2)
    witness = Ed25519CosignatureSigner("w.example", stranger.signers[0]._key, lambda: 1)
    text = format_checkpoint(LOG.checkpoint(11))
    forged = f"— {ORIGIN} {format_base64(ED25519.key_id.to_bytes(4) + bytes(64))}\n".encode()
    notes = [stranger.note(11), sign_note(text, [witness]), text + b"\n" + forged, NOTE + forged]
    for note in notes:
        with pytest.raises(Forbidden):
            answer(format_add_checkpoint(5, LOG.proof(5, 11), note), (5, LOG))


def test_one_trusted_key_is_enough_and_unknown_ones_are_passed_over() -> None:
    """Either key of the log will do, beside whatever others signed."""
    text, others = LOG.checkpoint(11), SmallLog(seed=2).signers
    for signers in ([ED25519], [ML_DSA], [*others, ED25519], [ML_DSA, *others]):
        assert answer(format_add_checkpoint(5, LOG.proof(5, 11), sign_checkpoint(text, signers)), (5, LOG)) == text


# The logs -------------------------------------------------------------------------------------------------------------


def test_a_file_of_logs_is_read() -> None:
    """Comments, blank lines and addresses are passed over; lines of one name are keys of one log."""
    other = SmallLog("other.example/log", seed=3)
    line = other.trusted.split(b"\n")[0]
    data = b"# trusted\n\n  # more\n" + LOG.trusted + line + b" https://other.example/log\n"
    logs = parse_logs(data)
    assert {name: [key.key_id for key in keys] for name, keys in logs.items()} == {
        ORIGIN: [signer.key_id for signer in LOG.signers],
        "other.example/log": [other.signers[0].key_id],
    }


VKEY = format_vkey(ED25519)
WITNESS_VKEY = format_vkey(Ed25519CosignatureSigner("w.example", ED25519._key, lambda: 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# nothing\n",
        b"log\n",
        b"log x\n",
        VKEY.encode(),
        f"Log {VKEY}\n".encode(),
        f"witness a {VKEY}\n".encode(),
        f"log {VKEY} a b\n".encode(),
        f"log {WITNESS_VKEY}\n".encode(),
        f"log {VKEY}\nlog {VKEY}\n".encode(),
        f"log {VKEY[:-1]}\n".encode(),
        f"log {VKEY}\n\xff".encode("latin-1"),
        b"#" * (1024 * 1024 + 1),
    ],
)
def test_a_malformed_file_of_logs_is_refused(data) -> None:
    """A word too many, a key twice, a witness's key or none at all: no witness starts on that."""
    with pytest.raises(Malformed):
        parse_logs(data)


def test_a_fault_in_the_file_of_logs_is_named_by_its_line() -> None:
    """The operator is told where to look."""
    with pytest.raises(Malformed, match="line 4"):
        parse_logs(b"# a\n" + LOG.trusted + b"log x\n")

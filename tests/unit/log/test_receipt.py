"""Receipts: what passes, and that every change, missing witness and foreign key is refused."""

import subprocess
import sys

import pytest
from receipts import (
    ENTRIES,
    ESTONIA,
    JAPAN,
    LOG,
    LOG_PQ,
    ORIGIN,
    POLAND,
    POLICY,
    SIZE,
    TIME,
    hashes_of,
    make_entries,
    note_of,
    receipt_of,
)

from ledger.errors import BadCheckpoint, BadEntry, BadNote, BadProof, OblikError, Unverified
from ledger.log.cosignature import MLDSA44Signer
from ledger.log.proof_file import ProofFile, format_proof_file
from ledger.log.receipt import check_receipt, format_receipt
from ledger.log.trust_policy import parse_policy

TRUST = parse_policy(POLICY)


@pytest.mark.parametrize("index", range(SIZE))
def test_a_receipt_of_each_entry_verifies(index) -> None:
    """It gives the entry, and who signed."""
    found = check_receipt(receipt_of(index), TRUST)
    assert found.entry.seq == index
    assert found.entry.body["allowed"] is (index % 3 > 0)
    assert found.trusted.checkpoint.origin == ORIGIN
    assert found.trusted.log_keys == ((ORIGIN, LOG.key_id), (ORIGIN, LOG_PQ.key_id))
    assert found.trusted.cosigned == {"poland": TIME, "japan": TIME}


def test_too_few_witnesses_refuse_a_receipt() -> None:
    """The reason says who cosigned, and what it takes; `quorum none` takes nobody."""
    receipt = receipt_of(3, LOG, ESTONIA)
    with pytest.raises(BadCheckpoint, match=r"too few witnesses .* estonia, where it takes 2 of 3 \(poland, "):
        check_receipt(receipt, TRUST)
    assert check_receipt(receipt, parse_policy(POLICY.replace(b"quorum allies", b"quorum none"))).entry.seq == 3


def test_witnesses_without_the_log_refuse_a_receipt() -> None:
    """As many as there are."""
    with pytest.raises(BadCheckpoint, match="itself signed"):
        check_receipt(receipt_of(3, POLAND, ESTONIA, JAPAN), TRUST)


def test_a_receipt_of_an_unknown_log_is_refused() -> None:
    """A policy that names other keys opens nothing."""
    unknown = b"\n".join(line for line in POLICY.split(b"\n") if not line.startswith(b"log"))
    with pytest.raises(BadNote, match="no known key"):
        check_receipt(receipt_of(3, LOG), parse_policy(unknown))


def test_a_proof_file_without_an_entry_is_no_receipt() -> None:
    """`extra` is optional in a proof file, and not in a receipt."""
    with pytest.raises(BadProof, match="no receipt"):
        check_receipt(format_proof_file(ProofFile(3, tuple(hashes_of(3)), note_of())), TRUST)


def test_another_entry_or_index_or_proof_is_refused() -> None:
    """Each of the three is bound to the root."""
    entry, hashes, note = ENTRIES[3], hashes_of(3), note_of()
    for wrong in (
        format_receipt(ENTRIES[2], 3, hashes, note),
        format_receipt(entry, 2, hashes, note),
        format_receipt(entry, 3, hashes_of(2), note),
        format_receipt(entry, 3, hashes[:-1], note),
        format_receipt(entry, 3, [*hashes, bytes(32)], note),
        format_receipt(entry, 3, hashes[::-1], note),
        format_receipt(entry, 3, hashes, note_of(entries=make_entries(SIZE + 1))),
        format_receipt(entry, SIZE, hashes, note),
    ):
        with pytest.raises(BadProof):
            check_receipt(wrong, TRUST)


def test_an_entry_that_says_another_index_is_refused() -> None:
    """A log that signs a tree in which entry 3 stands at index 2 gets no receipt through."""
    entries = [*ENTRIES[:2], ENTRIES[3], *ENTRIES[3:]]
    wrong = format_receipt(entries[2], 2, hashes_of(2, entries), note_of(entries=entries))
    with pytest.raises(BadEntry, match="entry 2: /seq"):
        check_receipt(wrong, TRUST)


def test_an_entry_that_is_not_canonical_is_refused() -> None:
    """Though the tree has it."""
    entries = [*ENTRIES[:2], ENTRIES[2].replace(b",", b", ", 1), *ENTRIES[3:]]
    wrong = format_receipt(entries[2], 2, hashes_of(2, entries), note_of(entries=entries))
    with pytest.raises(BadEntry, match="canonical"):
        check_receipt(wrong, TRUST)


def test_every_changed_byte_is_refused() -> None:
    """No bit of a receipt can be changed, and no end cut off."""
    receipt = receipt_of(3, LOG, POLAND, JAPAN)
    for i in range(len(receipt)):
        for change in (0x01, 0x20, 0x80):
            with pytest.raises(Unverified):
                check_receipt(receipt[:i] + bytes([receipt[i] ^ change]) + receipt[i + 1 :], TRUST)
        with pytest.raises(Unverified):
            check_receipt(receipt[:i], TRUST)


def test_a_forged_time_of_an_unneeded_key_refuses_all() -> None:
    """A known key's signature has to verify, though others would do."""
    stranger = MLDSA44Signer("nobody.example", LOG_PQ._key, time=lambda: TIME)
    assert check_receipt(receipt_of(3, LOG, POLAND, JAPAN, stranger), TRUST).trusted.quorum_met
    line = note_of(LOG).split(b"\n\n")[1]
    with pytest.raises(BadNote, match="does not verify"):
        check_receipt(receipt_of(3, LOG, POLAND, JAPAN) + line.replace(line[-8:-4], b"AAAA"), TRUST)


def test_verifying_takes_the_pure_folder_alone(tmp_path) -> None:
    """A partner verifies with `ledger.log`: no database, web, network or settings is so much as imported."""
    (tmp_path / "receipt").write_bytes(receipt_of(3))
    (tmp_path / "policy").write_bytes(POLICY)
    program = f"""
import pathlib, sys
sys.path[:0] = {sys.path!r}
from ledger.log.receipt import check_receipt
from ledger.log.trust_policy import parse_policy
folder = pathlib.Path({str(tmp_path)!r})
print(check_receipt((folder / "receipt").read_bytes(), parse_policy((folder / "policy").read_bytes())).entry.seq)
ours = {{name.split(".")[1] for name in sys.modules if name.startswith("ledger.")}}
assert ours == {{"log", "errors"}}, ours
assert not {{"sqlalchemy", "fastapi", "httpx", "typer", "sqlite3"}} & sys.modules.keys()
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_nothing_but_our_errors_comes_out() -> None:
    """Of a receipt that is cut or doubled at each line."""
    lines = receipt_of(3).splitlines(keepends=True)
    for i in range(len(lines)):
        for wrong in (lines[:i] + lines[i + 1 :], lines[: i + 1] + lines[i:]):
            try:
                check_receipt(b"".join(wrong), TRUST)
            except OblikError:
                continue
            assert i >= len(lines) - 4  # a signature that the quorum needs no longer, or that stands twice

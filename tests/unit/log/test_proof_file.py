"""Proof files: one form, bounded, and nothing else reads."""

import pytest
from receipts import hashes_of, note_of

from ledger.errors import BadNote, BadProof, Unverified
from ledger.log.codec import format_base64
from ledger.log.proof_file import (
    MAX_EXTRA_BYTES,
    MAX_HASHES,
    MAX_PROOF_FILE_BYTES,
    ProofFile,
    format_proof_file,
    parse_proof_file,
)

NOTE = note_of()
PROOF = ProofFile(5, tuple(hashes_of(5)), NOTE, b"extra data")
DATA = format_proof_file(PROOF)


def test_the_form_is_that_of_the_specification() -> None:
    """Header, extra, index, hashes, a blank line, the checkpoint as it stands."""
    lines = DATA.split(b"\n")
    assert lines[:3] == [b"c2sp.org/tlog-proof@v1", b"extra ZXh0cmEgZGF0YQ==", b"index 5"]
    assert lines[3:6] == [format_base64(value).encode() for value in PROOF.hashes]
    assert lines[6] == b""
    assert DATA.endswith(b"\n\n" + NOTE)


@pytest.mark.parametrize(
    "proof",
    [
        PROOF,
        ProofFile(0, (), NOTE),
        ProofFile(0, (), NOTE, b"x"),
        ProofFile(10**18, (bytes(32),) * MAX_HASHES, NOTE, bytes(MAX_EXTRA_BYTES)),
    ],
)
def test_what_is_formatted_reads_back(proof) -> None:
    """With and without extra and hashes, up to the limits."""
    assert parse_proof_file(format_proof_file(proof)) == proof


@pytest.mark.parametrize(
    "proof",
    [
        ProofFile(-1, (), NOTE),
        ProofFile(10**19, (), NOTE),
        ProofFile(0, (bytes(31),), NOTE),
        ProofFile(0, (bytes(32),) * (MAX_HASHES + 1), NOTE),
        ProofFile(0, (), NOTE, b""),
        ProofFile(0, (), NOTE, bytes(MAX_EXTRA_BYTES + 1)),
        ProofFile(0, (), NOTE[:-1]),
        ProofFile(0, (), b""),
    ],
)
def test_what_nobody_could_read_is_not_written(proof) -> None:
    """Numbers, hashes and notes out of their form are refused."""
    with pytest.raises(Unverified):
        format_proof_file(proof)


HASH = format_base64(PROOF.hashes[0]).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DATA[: DATA.index(b"\n\n")],
        DATA[: DATA.index(b"\n\n") + 2],
        b"\n" + DATA,
        DATA.replace(b"@v1", b"@v2"),
        DATA.replace(b"index 5", b"index 05"),
        DATA.replace(b"index 5", b"index +5"),
        DATA.replace(b"index 5", b"index -5"),
        DATA.replace(b"index 5", b"index 5 "),
        DATA.replace(b"index 5", b"index  5"),
        DATA.replace(b"index 5", b"index"),
        DATA.replace(b"index 5", b"index 5\nindex 5"),
        DATA.replace(b"index 5\n", b""),
        DATA.replace(b"extra ", b"extra  "),
        DATA.replace(b"extra ", b"Extra "),
        DATA.replace(b"extra ZXh0cmEgZGF0YQ==", b"extra "),
        DATA.replace(b"extra ZXh0cmEgZGF0YQ==", b"extra ZXh0cmEgZGF0YR=="),
        DATA.replace(b"extra ZXh0cmEgZGF0YQ==\nindex 5", b"index 5\nextra ZXh0cmEgZGF0YQ=="),
        DATA.replace(b"ZGF0YQ==\n", b"ZGF0YQ==\nextra ZGF0YQ==\n"),
        DATA.replace(HASH, HASH[:-1]),
        DATA.replace(HASH, HASH + b" "),
        DATA.replace(HASH, HASH + b"\x0c" + HASH),
        DATA.replace(HASH, HASH + "\u2028".encode() + HASH),
        DATA.replace(HASH, b"AAAA"),
        DATA.replace(HASH, b"\xff"),
        DATA.replace(b"\n\n", b"\n\n\n", 1),
        DATA.replace(b"\n", b"\r\n"),
        DATA[:-1],
        DATA + b"\n",
        DATA.replace(b"\n7\n", b"\n07\n"),
    ],
)
def test_what_is_not_of_the_form_is_refused(data) -> None:
    """One file for one proof: no alias of a number, of base64, or of a line's end."""
    with pytest.raises(Unverified):
        parse_proof_file(data)


def test_size_is_capped() -> None:
    """Before anything else; a note over its own limit is refused within it."""
    with pytest.raises(BadProof, match="limit"):
        parse_proof_file(DATA + b"x" * MAX_PROOF_FILE_BYTES)
    with pytest.raises(BadNote, match="limit"):
        parse_proof_file(DATA + b"x" * (MAX_PROOF_FILE_BYTES - len(DATA)))

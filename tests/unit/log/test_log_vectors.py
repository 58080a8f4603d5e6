"""The kept vector: the format means today what it meant when the file was made."""

import base64
import hashlib
import json
import re
import runpy
from pathlib import Path

import pytest
import rfc8785

from ledger.errors import Unverified
from ledger.log.checkpoint import open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.export import Export
from ledger.log.sealed import check_disclosure, seal
from ledger.log.verify import Replica

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "log"
LINES = (FOLDER / "export.jsonl").read_bytes().splitlines(keepends=True)
ROOT = "610d3675b1c5c0964c9c1cce200319ddf8f6b7d1f3e283ee83293bbbf2028cfc"


def verify(lines: list[bytes], verifiers: slice = slice(None)) -> Replica:
    export, replica = Export(lines), Replica()
    for data in export.entries():
        replica.add(data)
    list(export.attachments())
    keys = [parse_vkey(vkey) for vkey in export.header.vkeys]
    replica.check(open_checkpoint(export.checkpoint(), keys[verifiers], origin=export.header.origin))
    return replica


@pytest.mark.parametrize("verifiers", [slice(None), slice(0, 1), slice(1, 2)])
def test_the_kept_file_verifies(verifiers: slice) -> None:
    """Entries, attachment and checkpoint, with both keys and with each alone."""
    assert verify(LINES, verifiers).root().hex() == ROOT


def test_the_program_still_makes_the_same_entries() -> None:
    """Every entry's bytes are what they were."""
    made = runpy.run_path(str(FOLDER / "make_vectors.py"))["make_entries"]()
    assert [line.rstrip(b"\n") for line in LINES[1:10]] == made


def test_the_root_follows_from_the_lines_without_our_code() -> None:
    """By hand: canonical bytes, `prev`, and the tree of nine, with `json`, `rfc8785` and `hashlib` alone."""
    nodes, prev = [], "0" * 64
    for line in LINES[1:10]:
        entry = json.loads(line)
        assert rfc8785.dumps(entry) + b"\n" == line
        assert prev == entry["prev"]
        nodes.append(hashlib.sha256(b"\0" + line[:-1]).digest())
        prev = nodes[-1].hex()

    def root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        k = max(2**i for i in range(8) if 2**i < len(leaves))
        return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()

    assert root(nodes).hex() == ROOT
    checkpoint = json.loads(LINES[-1])["checkpoint"].split("\n")
    assert checkpoint[:3] == ["vectors.example/oblik", "9", base64.b64encode(bytes.fromhex(ROOT)).decode()]


def test_the_sealed_fields_open() -> None:
    """The commitments in entries 1 and 5 are to what the README says."""
    for seq in (1, 5):
        commitment, disclosure = seal("reason", f"причина {seq}", bytes([seq]) * 16)
        assert json.loads(LINES[1 + seq])["sealed"] == {"reason": commitment}
        assert check_disclosure(commitment, disclosure) == ("reason", f"причина {seq}")


def test_any_changed_byte_of_the_file_is_found() -> None:
    """Below the header no changed byte verifies, but for what nothing commits to.

    That is the media type of an attachment, and the name or id of one of two keys, whose line is then passed over.
    """
    free = re.compile("text/plain|— vectors.example/oblik .{6}".encode())
    for number, line in enumerate(LINES[1:], start=1):
        spans = [range(*match.span()) for match in free.finditer(line)]
        for place in range(0, len(line), 3):
            if any(place in span for span in spans):
                continue
            with pytest.raises(Unverified):
                verify(
                    [*LINES[:number], line[:place] + bytes([line[place] ^ 2]) + line[place + 1 :], *LINES[number + 1 :]]
                )

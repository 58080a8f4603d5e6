"""Reading the ledger over HTTP: entries for readers, checkpoint and proofs for anyone, all of which verify."""

import base64
import json

import pytest
from served import check_problem
from world import ORIGIN

from ledger.log.checkpoint import open_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import parse_entry
from ledger.log.merkle import hash_leaf
from ledger.log.note import format_vkey
from ledger.log.proof import check_consistency, check_inclusion


def decoded(answer: dict[str, object]) -> dict[str, object]:
    """Give an answer with its hashes as bytes."""
    out: dict[str, object] = {}
    for name, value in answer.items():
        out[name] = base64.b64decode(value) if isinstance(value, str) else value
    out["hashes"] = [base64.b64decode(item) for item in answer["hashes"]]
    return out


def test_entries_are_given_as_stored(shared_api):
    """A page is the stored bytes, one entry a line, and each links to the one before."""
    lines = shared_api.send("GET", "/ledger/v1/entries?limit=1000", "auditor").content.splitlines()
    assert len(lines) == shared_api.size
    prev = "0" * 64
    for seq, line in enumerate(lines):
        parse_entry(line, seq=seq, prev=prev)
        prev = hash_leaf(line).hex()
    one = shared_api.send("GET", "/ledger/v1/entries/5", "auditor")
    assert (one.content, one.headers["x-leaf-hash"]) == (lines[5], hash_leaf(lines[5]).hex())


def test_pages_join(shared_api):
    """Pages of any size give the same entries, and a page past the end is empty."""
    whole = shared_api.send("GET", "/ledger/v1/entries?limit=1000", "auditor").content
    pages = b"".join(
        shared_api.send("GET", f"/ledger/v1/entries?start={start}&limit=7", "auditor").content
        for start in range(0, shared_api.size, 7)
    )
    assert pages == whole
    assert shared_api.send("GET", "/ledger/v1/entries?start=1000000", "auditor").content == b""


@pytest.mark.parametrize("path", ["/ledger/v1/entries", "/ledger/v1/entries/0"])
def test_entries_take_the_scope_read(shared_api, path):
    """Without the scope `read` entries are 403, without a valid token 401."""
    check_problem(shared_api.send("GET", path, "sato"), 403)
    check_problem(shared_api.send("GET", path, "trainer"), 403)
    check_problem(shared_api.send("GET", path, "unknown"), 401)
    check_problem(shared_api.send("GET", path, None), 401)


def test_a_checkpoint_commits_to_the_head(shared_api):
    """Without a token: both keys signed it, and its root is the head's."""
    response = shared_api.http.get("/ledger/v1/checkpoint")
    assert response.headers["content-type"].startswith("text/plain")
    verifiers = [parse_vkey(format_vkey(signer)) for signer in shared_api.world.service.signers]
    checkpoint = open_checkpoint(response.content, verifiers, origin=ORIGIN)
    assert checkpoint.size == shared_api.size
    assert response.text.count("\n\u2014 ") == 2


def test_every_inclusion_proof_verifies(shared_api):
    """For each entry and some sizes of the tree, the proof leads from the entry's bytes to the root."""
    lines = shared_api.send("GET", "/ledger/v1/entries?limit=1000", "auditor").content.splitlines()
    for size in (1, 2, 7, 32, len(lines)):
        for index in range(size):
            path = f"/ledger/v1/proofs/inclusion?index={index}&size={size}"
            proof = decoded(shared_api.http.get(path).json())
            check_inclusion(index, size, hash_leaf(lines[index]), proof["hashes"], proof["root"])


def test_every_consistency_proof_verifies(shared_api):
    """For each pair of sizes, the larger tree begins with the smaller, and the roots are those of inclusion proofs."""
    size = shared_api.size
    for old in range(1, size + 1, 3):
        proof = decoded(shared_api.http.get(f"/ledger/v1/proofs/consistency?old={old}&new={size}").json())
        check_consistency(old, size, proof["old_root"], proof["new_root"], proof["hashes"])
        inclusion = shared_api.http.get(f"/ledger/v1/proofs/inclusion?index=0&size={old}").json()
        assert proof["old_root"] == base64.b64decode(inclusion["root"])


@pytest.mark.parametrize(
    ("status", "path", "pointer"),
    [
        (404, "entries/1000000", ""),
        (400, "entries/-1", "/seq"),
        (400, "entries/x", "/seq"),
        (400, "entries/99999999999999999999", "/seq"),
        (400, "entries?start=-1", "/start"),
        (400, "entries?limit=0", "/limit"),
        (400, "entries?limit=1001", "/limit"),
        (400, "entries?limit=1.5", "/limit"),
        (404, "proofs/inclusion?index=1000000", ""),
        (404, "proofs/inclusion?index=5&size=5", ""),
        (400, "proofs/inclusion", "/index"),
        (400, "proofs/inclusion?index=0&size=1000000", "/size"),
        (400, "proofs/inclusion?index=0&size=0", "/size"),
        (400, "proofs/consistency", "/old"),
        (400, "proofs/consistency?old=0", "/old"),
        (400, "proofs/consistency?old=5&new=4", "/old"),
        (400, "proofs/consistency?old=1000000", "/old"),
        (400, "proofs/consistency?old=1&new=1000000", "/new"),
    ],
)
def test_what_is_not_there_cannot_be_read(shared_api, status, path, pointer):
    """Indexes and sizes beyond the ledger, and what is no number, are refused by parameter."""
    problem = check_problem(shared_api.send("GET", f"/ledger/v1/{path}", "auditor"), status)
    assert problem.get("pointer", "") == pointer


def test_the_service_says_that_it_is_up(shared_api):
    """`/healthz` needs no token."""
    assert json.loads(shared_api.http.get("/healthz").content) == {"status": "ok"}

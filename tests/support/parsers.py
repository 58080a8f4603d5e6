"""Every parser of bytes from outside that the log has, and of tokens, behind one face: for the fuzzer, and for tests.

A reader takes any bytes. It raises an OblikError, or returns: then it has found that what was read gives the very same
bytes when it is written again, and means what it may mean. Anything else that it raises is a fault of ours. A parser
more is one line of READERS, and its examples in SEEDS.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from receipts import ENTRIES, ESTONIA, JAPAN, LOG, LOG_PQ, POLAND, POLICY, fork_of, hashes_of, note_of, receipt_of

from ledger.errors import Malformed
from ledger.keys.jwt import check_token, public_key, read_token, sign_token
from ledger.log import canonical
from ledger.log.checkpoint import format_checkpoint, parse_checkpoint
from ledger.log.codec import format_base64, parse_base64url
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import format_entry, parse_entry
from ledger.log.evidence import check_evidence, format_evidence, parse_evidence
from ledger.log.export import MAX_LINE_BYTES, STAMPED_FORMAT, Export, Header, format_export
from ledger.log.note import format_vkey, parse_note, parse_signatures, split_vkey
from ledger.log.proof_file import ProofFile, format_proof_file, parse_proof_file
from ledger.log.receipt import check_receipt
from ledger.log.sealed import MAX_DISCLOSURE_BYTES, check_disclosure, commitment_of, seal
from ledger.log.tile import TILE_WIDTH, format_bundle, parse_bundle, parse_tile_path, tile_path
from ledger.log.timestamp import check_timestamp, parse_timestamp
from ledger.log.trust_policy import parse_policy
from ledger.log.witnessing import format_add_checkpoint, parse_add_checkpoint, parse_logs

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "log"
TRUST = parse_policy(POLICY)
TEXT, SIGNATURES = note_of(LOG, POLAND).split(b"\n\n")
TEXT += b"\n"
SIGNERS = (LOG, LOG_PQ, POLAND, ESTONIA, JAPAN)
STAMPED, STAMP, ROOT = ((VECTORS / name).read_bytes() for name in ("checkpoint.txt", "stamp.tsr", "tsa-root.crt"))
STAMP_MEANS = check_timestamp(STAMP, STAMPED, [ROOT])

OTHER = [*ENTRIES[:3], b"another", *ENTRIES[4:]]
FORKS = [format_evidence(fork_of(ENTRIES, other)) for other in (OTHER, OTHER[:5], [*OTHER, b"more"])]
SIGNED = {
    parse_checkpoint(parse_note(note)[0]) for fork in map(parse_evidence, FORKS) for note in (fork.kept, fork.served)
}


def _same(given: bytes, again: bytes) -> None:
    assert given == again, "what was read is written otherwise"


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("", "the text is not UTF-8") from None


def _format_signatures(signatures: list[tuple[str, int, bytes]]) -> bytes:
    lines = (f"— {name} {format_base64(number.to_bytes(4) + blob)}\n" for name, number, blob in signatures)
    return "".join(lines).encode()


def read_note(data: bytes) -> None:
    text, signatures = parse_note(data)
    _same(data, text + b"\n" + _format_signatures(signatures))


def read_signatures(data: bytes) -> None:
    _same(data, _format_signatures(parse_signatures(data)))


def read_checkpoint(data: bytes) -> None:
    _same(data, format_checkpoint(parse_checkpoint(data)))


def read_vkey(data: bytes) -> None:
    vkey = _text(data)
    verifier, (name, algorithm, public) = parse_vkey(vkey), split_vkey(vkey)
    assert verifier.name == name
    _same(data, f"{name}+{verifier.key_id:08x}+{format_base64(bytes([algorithm]) + public)}".encode())


def read_policy(data: bytes) -> None:
    policy = parse_policy(data)
    assert policy.quorum_met([witness.name for witness in policy.witnesses])
    assert policy.quorum_met([]) is (policy.quorum == "none")
    assert policy.describe_quorum()


def read_opened(data: bytes) -> None:
    """Hold that nobody but the keys' owners makes a note that opens: it is a checkpoint that they signed."""
    assert TRUST.open(data).checkpoint == parse_checkpoint(TEXT)


def read_proof_file(data: bytes) -> None:
    _same(data, format_proof_file(parse_proof_file(data)))


def read_receipt(data: bytes) -> None:
    """Hold that a receipt is of an entry that the log has."""
    assert format_entry(check_receipt(data, TRUST).entry) in ENTRIES


def read_tile_path(data: bytes) -> None:
    _same(data, tile_path(*parse_tile_path(_text(data))).encode())


def read_bundle(data: bytes) -> None:
    """Take the first byte for the width, which a path says."""
    _same(data[1:], format_bundle(parse_bundle(data[1:], width=(data[:1] or b"\0")[0] or TILE_WIDTH)))


def read_export(data: bytes) -> None:
    file = io.BytesIO(data)
    export = Export(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""))
    entries, attachments = list(export.entries()), list(export.attachments())
    lines = format_export(export.header, entries, attachments, export.checkpoint(), export.timestamps)
    _same(data, b"".join(lines))


def read_entry(data: bytes) -> None:
    """Take the first byte for the index, which a bundle's place says."""
    _same(data[1:], format_entry(parse_entry(data[1:], seq=(data[:1] or b"\0")[0])))


def read_canonical(data: bytes) -> None:
    _same(data, canonical.encode(canonical.decode(data)))


def read_disclosure(data: bytes) -> None:
    name, value = check_disclosure(commitment_of(data), data)
    salt = parse_base64url(canonical.decode(parse_base64url(data.decode()), limit=MAX_DISCLOSURE_BYTES)[0])
    _same(data, seal(name, value, salt)[1])


def read_timestamp(data: bytes) -> None:
    """Hold that a stamp says one thing, though bytes in it that nobody signs may differ."""
    _same(data, parse_timestamp(data).as_bytes())
    assert check_timestamp(data, STAMPED, [ROOT]) == STAMP_MEANS


def read_evidence(data: bytes) -> None:
    """Hold that nobody but the log can make evidence against it."""
    _same(data, format_evidence(parse_evidence(data)))
    found = check_evidence(data, TRUST)
    assert {found.kept.checkpoint, found.served.checkpoint} <= SIGNED


def read_witnessing(data: bytes) -> None:
    """Write a request to a witness again as the same bytes."""
    asked = parse_add_checkpoint(data)
    _same(data, format_add_checkpoint(asked.old, asked.proof, asked.note))


def read_logs(data: bytes) -> None:
    """Read the keys of a witness's file of logs."""
    assert all(parse_logs(data).values())


TOKEN_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TOKEN = sign_token({"iss": "us", "n": {"a": [1, None]}}, TOKEN_KEY, typ="test+jwt", kid="1")


def read_a_token(data: bytes) -> None:
    """Hold that nobody but its key's owner makes a token."""
    key = public_key(TOKEN_KEY.public_key())
    token = read_token(_text(data))
    token.header.pop("kid", None)
    check_token(token, key, types=("test+jwt",))
    _same(data, TOKEN.encode())


READERS: dict[str, Callable[[bytes], None]] = {
    "token": read_a_token,
    "bundle": read_bundle,
    "canonical": read_canonical,
    "checkpoint": read_checkpoint,
    "disclosure": read_disclosure,
    "entry": read_entry,
    "evidence": read_evidence,
    "logs": read_logs,
    "witnessing": read_witnessing,
    "export": read_export,
    "note": read_note,
    "opened": read_opened,
    "policy": read_policy,
    "proof_file": read_proof_file,
    "receipt": read_receipt,
    "signatures": read_signatures,
    "tile_path": read_tile_path,
    "timestamp": read_timestamp,
    "vkey": read_vkey,
}


def _export(*stamps: tuple[bytes, bytes]) -> bytes:
    stamped = {"format": STAMPED_FORMAT, "timestamps": len(stamps)} if stamps else {}
    header = Header(attachments=1, entries=2, origin="a", vkeys=("b",), **stamped)
    card = "Картка\n".encode()
    attached = [(hashlib.sha256(card).hexdigest(), "text/plain", card)]
    return b"".join(format_export(header, ENTRIES[:2], attached, TEXT, stamps))


SEEDS: dict[str, list[bytes]] = {
    "token": [TOKEN.encode()],
    "logs": [f"# trusted\nlog {format_vkey(LOG)}\nlog {format_vkey(LOG_PQ)}\n".encode()],
    "witnessing": [
        format_add_checkpoint(0, [], note_of(LOG)),
        format_add_checkpoint(3, [bytes(32), b"\7" * 32], note_of(LOG, LOG_PQ)),
    ],
    "bundle": [b"\x07" + format_bundle(ENTRIES), b"\x01\0\0", b"\0" + format_bundle([b"x"] * TILE_WIDTH)],
    "canonical": [
        ENTRIES[0],
        b'{"a":[null,true,-9007199254740991,{"b":"\xd0\x9e\\n\\u0001"}]}',
        b'""',
        b"[[[[[[[]]]]]]]",
    ],
    "checkpoint": [TEXT, b"a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"],
    "disclosure": [seal(name, {"a": ["причина", 1]}, b"s" * 16)[1] for name in ("reason", "")],
    "entry": [bytes([seq]) + entry for seq, entry in enumerate(ENTRIES[:3])],
    "evidence": FORKS,
    "export": [_export(), _export((note_of(LOG), b"token"), (TEXT, b"")), (VECTORS / "export.jsonl").read_bytes()],
    "note": [note_of(LOG), note_of(LOG, POLAND, JAPAN), b"\n\n\xe2\x80\x94 a AAAAAAA=\n"],
    "opened": [note_of(LOG), note_of(LOG, POLAND)],
    "policy": [POLICY, b"quorum none\n", b" # comment\n\n\tquorum\tnone \n"],
    "proof_file": [receipt_of(3, LOG), format_proof_file(ProofFile(0, tuple(hashes_of(0)), note_of(LOG)))],
    "receipt": [receipt_of(3, LOG, POLAND, JAPAN), receipt_of(0, LOG, ESTONIA, JAPAN)],
    "signatures": [SIGNATURES, b"\xe2\x80\x94 a AAAAAAA=\n"],
    "tile_path": [b"tile/0/000", b"tile/entries/x001/x234/067.p/17", b"tile/63/255.p/1"],
    "timestamp": [STAMP],
    "vkey": [format_vkey(signer).encode() for signer in SIGNERS],
}

"""Make `mutations/<format>/`: for each format a file `valid` and, each under the name of what was done to it, bad ones.

Run from the project's root: `PYTHONPATH=.:tests/support python tests/vectors/log/make_mutations.py`. Keys and
signatures are of constant bytes, so that every run gives the same files.
"""

import base64
import shutil
from pathlib import Path

from receipts import ENTRIES, ESTONIA, JAPAN, LOG, POLAND, POLICY, hashes_of, note_of, receipt_of

from ledger.log.note import parse_note
from ledger.log.proof_file import ProofFile, format_proof_file
from ledger.log.tile import format_bundle

FOLDER = Path(__file__).with_name("mutations")
WIDTH = 3
"""Of the bundle, whose path would say it."""


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace the first `old`, which has to be there."""
    assert old in data, old
    return data.replace(old, new, 1)


def checkpoints(valid: bytes) -> dict[str, bytes]:
    """Give wrong texts of checkpoints."""
    origin, size, root = valid.split(b"\n")[:3]
    bits_left = root[:-2] + bytes([root[-2] + 1]) + b"="
    return {
        "empty": b"",
        "origin-empty": replaced(valid, origin, b""),
        "origin-with-space": replaced(valid, b"/", b" "),
        "origin-with-plus": replaced(valid, b"/", b"+"),
        "origin-with-control": replaced(valid, b"/", b"\x07"),
        "origin-not-utf8": replaced(valid, b"/", b"\xff"),
        "origin-too-long": replaced(valid, origin, b"o" * 256),
        "size-leading-zero": replaced(valid, b"\n" + size, b"\n0" + size),
        "size-plus": replaced(valid, b"\n" + size, b"\n+" + size),
        "size-negative": replaced(valid, b"\n" + size, b"\n-" + size),
        "size-underscore": replaced(valid, b"\n" + size, b"\n1_0"),
        "size-space": replaced(valid, b"\n" + size, b"\n " + size),
        "size-hexadecimal": replaced(valid, b"\n" + size, b"\n0x7"),
        "size-arabic-digit": replaced(valid, b"\n" + size, "\n\u0667".encode()),
        "size-too-many-digits": replaced(valid, b"\n" + size, b"\n" + b"9" * 20),
        "size-empty": replaced(valid, b"\n" + size, b"\n"),
        "size-zero-with-another-root": replaced(valid, b"\n" + size, b"\n0"),
        "root-31-bytes": replaced(valid, root, base64.b64encode(bytes(31))),
        "root-33-bytes": replaced(valid, root, base64.b64encode(bytes(33))),
        "root-bits-left-over": replaced(valid, root, bits_left),
        "root-not-padded": replaced(valid, root, root.rstrip(b"=")),
        "root-url-safe": replaced(valid, root, base64.urlsafe_b64encode(b"\xff" * 32)),
        "root-hexadecimal": replaced(valid, root, base64.b64decode(root).hex().encode()),
        "extension-line": valid + b"extension\n",
        "blank-line-after": valid + b"\n",
        "line-missing": replaced(valid, size + b"\n", b""),
        "newline-missing": valid[:-1],
        "carriage-returns": valid.replace(b"\n", b"\r\n"),
    }


def notes(valid: bytes) -> dict[str, bytes]:
    """Give wrong notes, for one who knows the keys of the policy."""
    text, lines = valid.split(b"\n\n")
    first, *others = lines.splitlines(keepends=True)
    return {
        "empty": b"",
        "no-signature": text + b"\n\n",
        "no-blank-line": text + b"\n" + lines,
        "newline-missing": valid[:-1],
        "blank-line-after": valid + b"\n",
        "hyphen-for-dash": replaced(valid, "—".encode(), b"-"),
        "two-spaces": replaced(valid, "— ".encode(), "—  ".encode()),
        "name-missing": replaced(valid, LOG.name.encode() + b" ", b" "),
        "signature-not-padded": replaced(valid, first.split(b" ")[2], first.split(b" ")[2].rstrip(b"=\n") + b"\n"),
        "signature-of-nothing": text + b"\n\n" + b" ".join(first.split(b" ")[:2]) + b" AAAA\n",
        "signature-of-another-text": replaced(valid, b"\n7\n", b"\n8\n"),
        "signature-changed": valid[:-6] + b"AAAA" + valid[-2:],
        "key-id-changed": text + b"\n\n" + b" ".join(first.split(b" ")[:2]) + b" A" + first.split(b" ")[2][1:],
        "tab-in-text": replaced(valid, b"\n7\n", b"\t7\n"),
        "carriage-returns": valid.replace(b"\n", b"\r\n"),
        "not-utf8": replaced(valid, b"\n7\n", b"\n\xff\n"),
        "too-many-signatures": text + b"\n\n" + first * 101,
        "log-has-not-signed": text + b"\n\n" + b"".join(others),
        "unknown-keys-alone": valid.replace(b".example", b".exampla"),
    }


def proof_files(valid: bytes) -> dict[str, bytes]:
    """Give wrong proof files, whatever they prove."""
    header, extra, index, first = valid.split(b"\n")[:4]
    return {
        "empty": b"",
        "another-version": replaced(valid, b"@v1", b"@v2"),
        "no-header": replaced(valid, header + b"\n", b""),
        "extra-empty": replaced(valid, extra, b"extra "),
        "extra-twice": replaced(valid, extra, extra + b"\n" + extra),
        "extra-after-index": replaced(valid, extra + b"\n" + index, index + b"\n" + extra),
        "extra-url-safe": replaced(valid, extra, b"extra __-_"),
        "index-missing": replaced(valid, index + b"\n", b""),
        "index-leading-zero": replaced(valid, b"index ", b"index 0"),
        "index-negative": replaced(valid, b"index ", b"index -"),
        "index-space-after": replaced(valid, index, index + b" "),
        "index-too-many-digits": replaced(valid, index, b"index " + b"9" * 20),
        "hash-31-bytes": replaced(valid, first, base64.b64encode(bytes(31))),
        "hash-not-padded": replaced(valid, first, first.rstrip(b"=")),
        "hash-two-in-a-line": replaced(valid, first, first + b"\x0c" + first),
        "hashes-too-many": replaced(valid, first, b"\n".join([first] * 64)),
        "blank-line-missing": replaced(valid, b"\n\n", b"\n"),
        "blank-line-twice": replaced(valid, b"\n\n", b"\n\n\n"),
        "checkpoint-missing": valid[: valid.index(b"\n\n") + 2],
        "checkpoint-not-signed": valid[: valid.rindex(b"\n\n") + 1],
        "checkpoint-breaks-off": valid[:-1],
        "checkpoint-size-leading-zero": replaced(valid, b"\n7\n", b"\n07\n"),
        "carriage-returns": valid.replace(b"\n", b"\r\n"),
    }


def policies(valid: bytes) -> dict[str, bytes]:
    """Give wrong policies."""
    log, _, poland, estonia, _, group, quorum = valid.split(b"\n")[:7]
    key = poland.split(b" ")[2]
    return {
        "empty": b"",
        "newline-missing": valid[:-1],
        "carriage-returns": valid.replace(b"\n", b"\r\n"),
        "control-character": b"# \x07\n" + valid,
        "unknown-keyword": b"logs" + valid[3:],
        "keyword-in-capitals": b"Log" + valid[3:],
        "log-without-key": replaced(valid, log, b"log"),
        "log-twice": replaced(valid, log, log + b"\n" + log),
        "log-with-a-witness-key": replaced(valid, log, b"log " + key),
        "log-with-a-fourth-item": replaced(valid, log, log + b" a b"),
        "witness-without-key": replaced(valid, poland, b"witness poland"),
        "witness-with-the-log-key": replaced(valid, key, log.split(b" ")[1]),
        "witness-key-twice": replaced(valid, estonia, b"witness estonia " + key),
        "witness-name-twice": replaced(valid, b"witness estonia", b"witness poland"),
        "witness-called-none": replaced(valid, b"witness estonia", b"witness none"),
        "key-id-changed": replaced(valid, key, key.replace(b"+", b"+0", 1)),
        "group-without-members": replaced(valid, group, b"group allies 2"),
        "group-of-zero": replaced(valid, b"allies 2", b"allies 0"),
        "group-of-too-many": replaced(valid, b"allies 2", b"allies 4"),
        "group-number-leading-zero": replaced(valid, b"allies 2", b"allies 02"),
        "group-member-unknown": replaced(valid, b"estonia japan\n", b"estonia japan nobody\n"),
        "group-member-none": replaced(valid, b"estonia japan\n", b"estonia japan none\n"),
        "group-member-twice": replaced(valid, b"estonia japan\n", b"estonia estonia\n"),
        "group-of-itself": replaced(valid, b"estonia japan\n", b"estonia allies\n"),
        "group-before-its-members": group + b"\n" + replaced(valid, group + b"\n", b""),
        "member-of-two-groups": replaced(valid, quorum, b"group more 1 japan\n" + quorum),
        "group-named-like-a-witness": replaced(valid, b"group allies", b"group poland"),
        "quorum-missing": replaced(valid, quorum + b"\n", b""),
        "quorum-twice": valid + quorum + b"\n",
        "quorum-unknown": replaced(valid, b"quorum allies", b"quorum nobody"),
        "quorum-before-its-group": quorum + b"\n" + replaced(valid, quorum + b"\n", b""),
        "quorum-of-two": replaced(valid, b"quorum allies", b"quorum allies poland"),
    }


def receipts(valid: bytes) -> dict[str, bytes]:
    """Give wrong receipts, for one who has the policy."""
    lines = valid.split(b"\n")
    extra, index, first, second = lines[1:5]
    return {
        "empty": b"",
        "no-entry": replaced(valid, extra + b"\n", b""),
        "another-entry": replaced(valid, extra, b"extra " + base64.b64encode(ENTRIES[2])),
        "entry-changed": replaced(
            valid, extra, b"extra " + base64.b64encode(ENTRIES[3].replace(b'"allowed":false', b'"allowed":true'))
        ),
        "entry-with-a-space": replaced(valid, extra, b"extra " + base64.b64encode(ENTRIES[3].replace(b",", b", ", 1))),
        "another-index": replaced(valid, index, b"index 2"),
        "index-past-the-end": replaced(valid, index, b"index 7"),
        "hash-missing": replaced(valid, first + b"\n", b""),
        "hash-too-many": replaced(valid, first, first + b"\n" + first),
        "hashes-exchanged": replaced(valid, first + b"\n" + second, second + b"\n" + first),
        "checkpoint-of-another-size": replaced(valid, b"\n7\n", b"\n8\n"),
        "too-few-witnesses": receipt_of(3, LOG, ESTONIA),
        "no-witness": receipt_of(3, LOG),
        "witnesses-without-the-log": receipt_of(3, POLAND, ESTONIA, JAPAN),
        "cosignature-changed": valid[:-6] + b"AAAA" + valid[-2:],
    }


def tile_paths(_: bytes) -> dict[str, bytes]:
    """Give names of no tile."""
    return {
        "empty": b"",
        "level-leading-zero": b"tile/00/x001/x234/067",
        "level-too-high": b"tile/64/000",
        "level-negative": b"tile/-1/000",
        "level-missing": b"tile//000",
        "level-unknown": b"tile/entry/000",
        "number-two-digits": b"tile/0/67",
        "number-four-digits": b"tile/0/1067",
        "number-without-x": b"tile/0/001/067",
        "number-x-at-the-end": b"tile/0/x001/x067",
        "number-leading-group": b"tile/0/x000/067",
        "number-without-end": b"tile/0/" + b"x001/" * 20 + b"067",
        "number-arabic-digits": "tile/0/\u0660\u0660\u0661".encode(),
        "width-zero": b"tile/0/000.p/0",
        "width-full": b"tile/0/000.p/256",
        "width-leading-zero": b"tile/0/000.p/01",
        "width-missing": b"tile/0/000.p/",
        "slash-before": b"/tile/0/000",
        "slash-after": b"tile/0/000/",
        "dots": b"tile/0/../000",
        "newline-after": b"tile/0/000\n",
    }


def bundles(valid: bytes) -> dict[str, bytes]:
    """Give wrong bundles of WIDTH entries."""
    return {
        "empty": b"",
        "entry-missing": format_bundle(ENTRIES[: WIDTH - 1]),
        "entry-too-many": format_bundle(ENTRIES[: WIDTH + 1]),
        "breaks-off": valid[:-1],
        "breaks-off-in-a-length": valid[:1],
        "goes-on": valid + b"\0",
        "goes-on-with-an-empty-entry": valid + b"\0\0",
        "length-too-large": b"\xff\xff" + valid[2:],
        "length-too-small": b"\0\0" + valid[2:],
    }


def make() -> dict[str, dict[str, bytes]]:
    """Give every file, by format and name."""
    note = note_of(LOG, POLAND, JAPAN)
    proof = format_proof_file(ProofFile(3, tuple(hashes_of(3)), note, b"extra"))
    formats = {
        "checkpoint": (parse_note(note)[0], checkpoints),
        "note": (note, notes),
        "proof_file": (proof, proof_files),
        "policy": (POLICY, policies),
        "receipt": (receipt_of(3, LOG, POLAND, JAPAN), receipts),
        "tile_path": (b"tile/entries/x001/x234/067.p/17", tile_paths),
        "bundle": (format_bundle(ENTRIES[:WIDTH]), bundles),
    }
    return {name: {"valid": valid, **mutate(valid)} for name, (valid, mutate) in formats.items()}


def main() -> None:
    """Write the files, in place of those that are there."""
    for name, files in make().items():
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        (FOLDER / name).mkdir(parents=True)
        for file, data in files.items():
            (FOLDER / name / file).write_bytes(data)


if __name__ == "__main__":
    main()

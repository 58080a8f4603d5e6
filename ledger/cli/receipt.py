"""`oblik receipt`: what a partner kept of a decision, verified offline."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.errors import Misconfigured, TooLarge, show
from ledger.log.canonical import encode
from ledger.log.proof_file import MAX_PROOF_FILE_BYTES
from ledger.log.receipt import Receipt, check_receipt
from ledger.log.trust_policy import MAX_POLICY_BYTES, parse_policy

app = typer.Typer(no_args_is_help=True, help="Receipts: an entry, and the proof that the ledger has it.")


@app.callback()
def receipt() -> None:
    """Make `verify` a word of its own, though it is the only one so far."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The receipt, a `.tlog-proof` file.")],
    policy: Annotated[Path, typer.Option(help="Trust policy: the log's keys, the witnesses', and the quorum.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a receipt offline: entry, proof, and who signed the checkpoint."""
    trusted = parse_policy(_read(policy, MAX_POLICY_BYTES))
    found = check_receipt(_read(file, MAX_PROOF_FILE_BYTES), trusted)
    print(_as_json(found) if as_json else _as_text(found))


def _read(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes. Raises Misconfigured or TooLarge."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Misconfigured(f"{show(str(path))} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise TooLarge(show(str(path)), limit=limit)
    return data


def _as_text(receipt: Receipt) -> str:
    entry, trusted = receipt.entry, receipt.trusted
    checkpoint = trusted.checkpoint
    lines = [
        f"verified: entry {entry.seq} of {checkpoint.origin}, in its tree of {checkpoint.size} entries",
        f"what: {entry.kind}{_decision(entry.body)}",
        f"who: {encode(entry.by).decode()}",
        f"when: {entry.at}",
        f"body: {encode(entry.body).decode()}",
        *(f"signed by: {name} (key {number:08x})" for name, number in trusted.log_keys),
        *(f"witness: {_printable(name)}, at {_moment(time)}" for name, time in trusted.cosigned.items()),
        f"witnesses: {len(trusted.cosigned)}, where it takes {_printable(trusted.needed)}",
    ]
    return "\n".join(lines)


def _as_json(receipt: Receipt) -> str:
    entry, trusted = receipt.entry, receipt.trusted
    value: dict[str, Any] = {
        "seq": entry.seq,
        "kind": entry.kind,
        "by": entry.by,
        "at": entry.at,
        "allowed": entry.body.get("allowed"),
        "body": entry.body,
        "origin": trusted.checkpoint.origin,
        "size": trusted.checkpoint.size,
        "root": trusted.checkpoint.root.hex(),
        "signed_by": [{"name": name, "key_id": f"{number:08x}"} for name, number in trusted.log_keys],
        "witnesses": [{"name": name, "time": time} for name, time in trusted.cosigned.items()],
        "needed": trusted.needed,
    }
    return json.dumps(value)


def _decision(body: dict[str, Any]) -> str:
    """Say the answer, where the entry is one."""
    match body.get("allowed"):
        case True:
            return ", allowed"
        case False:
            return ", denied"
        case _:
            return ""


def _moment(seconds: int) -> str:
    """Write POSIX seconds as a time; a witness may state any number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00") + "Z"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def _printable(name: str) -> str:
    """Write a name of the policy, whose bytes need not be UTF-8."""
    return name.encode(errors="backslashreplace").decode()

"""`oblik receipt`: what a partner kept of a decision, verified offline."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli.common import moment, printable, read_file
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
    trusted = parse_policy(read_file(policy, MAX_POLICY_BYTES))
    found = check_receipt(read_file(file, MAX_PROOF_FILE_BYTES), trusted)
    print(_as_json(found) if as_json else _as_text(found))


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
        *(f"witness: {printable(name)}, at {moment(time)}" for name, time in trusted.cosigned.items()),
        f"witnesses: {len(trusted.cosigned)}, where it takes {printable(trusted.needed)}",
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

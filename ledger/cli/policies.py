"""`oblik policies`: look at a folder that is to be mounted, before it is, without a service.

cases:
  - name: a known user reads
    subject: {type: user, id: alice}
    action: {name: read}
    resource: {type: record, id: record-1}
    answer: allow                          # or deny
    row: 9                                 # line of policy.csv that decides; left out where no row applies
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct

from ledger.access.mount import MountedPolicy, Texts, load_mounted
from ledger.access.mounted import decide_mounted, explain_mounted, parse_mounted, take_brought
from ledger.access.policy import MAX_TEXT_BYTES
from ledger.cli.common import read_file
from ledger.errors import Malformed, Misconfigured

FILES = {"model": "model.conf", "rows": "policy.csv", "mount": "mount.json", "facts": "facts.json"}
"""Names of the files, by what the management API calls their texts."""

FAILED = 1
NO_TIME = "1970-01-01T00:00:00.000000Z"
"""No mounted policy looks at the clock."""

app = typer.Typer(no_args_is_help=True, help="Policies that are mounted for types of resources of their own.")


@app.callback()
def policies() -> None:
    """Policies that are mounted for types of resources of their own."""


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, its answer, and the row that decides."""

    name: str
    subject: dict[str, Any]
    action: dict[str, Any]
    resource: dict[str, Any]
    answer: str
    context: dict[str, Any] = {}
    row: int | None = None


class Cases(Struct, frozen=True, forbid_unknown_fields=True):
    """`cases.yaml`."""

    cases: tuple[Case, ...]


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="Folder of the policy.")]) -> None:
    """Read a folder as the service would, try its cases, and print the digest that its entry will have."""
    policy = load_mounted(folder.name, Texts(**{what: _read(folder / name) for what, name in FILES.items()}))
    cases = _read_cases(folder / "cases.yaml")
    wrong = [line for case in cases if (line := _try(policy, case))]
    for line in wrong:
        print(line)
    print(f"{policy.name}: {len(policy.rows)} rows, {len(cases)} cases, {len(wrong)} wrong; digest {policy.digest}")
    if wrong:
        raise typer.Exit(FAILED)


def _try(policy: MountedPolicy, case: Case) -> str:
    """Say how the answer differs from the case's; "" where it does not."""
    parts = {"subject": case.subject, "action": case.action, "resource": case.resource, "context": case.context}
    try:
        request = parse_mounted(msgspec.json.encode(parts))
        decision = decide_mounted(request, take_brought(request, policy), policy, NO_TIME)
    except Malformed as error:
        return f"{case.name}: is no request: {error}"
    answer, row = "allow" if decision.allowed else "deny", decision.row.line if decision.row is not None else None
    if (answer, row) == (case.answer, case.row) and not decision.errors:
        return ""
    because = "; ".join([*decision.errors, *(reason.en for reason in explain_mounted(decision))])
    return f"{case.name}: {answer}, row {row}, and not {case.answer}, row {case.row}: {because}"


def _read(path: Path) -> str:
    try:
        return read_file(path, MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise Malformed("", f"`{path}` is not UTF-8 at byte {error.start}") from None


def _read_cases(path: Path) -> tuple[Case, ...]:
    text = _read(path)
    try:
        import yaml  # noqa: PLC0415 - the service never needs it
    except ImportError:
        raise Misconfigured("cases are YAML, which nothing here reads", help="pip install pyyaml") from None
    try:
        return msgspec.convert(yaml.safe_load(text), Cases).cases
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise Malformed("", f"`{path}`: {' '.join(str(error).split())}") from None

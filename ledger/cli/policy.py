"""`oblik policy`: what another decision policy would change, before it is adopted.

oblik policy compare OLD NEW             in principle: decided by a solver over all cases there can be
oblik policy dry-run NEW [SOURCE]        in the past: run over the recorded decisions
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger.access.formula import Difference, compare
from ledger.access.policy import MAX_TEXT_BYTES, Policy, load_policy
from ledger.cli.common import read_file
from ledger.cli.offline import new_file, open_source, progress_bar
from ledger.cli.options import read_settings
from ledger.errors import Malformed, Misconfigured
from ledger.services.dry_run import Case, DryRun, digest_of, dry_run, format_dry_run
from ledger.services.policies import find_policy

app = typer.Typer(no_args_is_help=True, help="What another decision policy would change, before it is adopted.")

MAX_SHOWN = 20
"""Lines of each list on the terminal; the files have all that was counted."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

NAMED = "A folder with model.conf and policy.csv, or the digest of a policy that was adopted or proposed."


def _ledger(source: str | None) -> str:
    return source or read_settings(None, None).database_url


def _read(named: str, source: str | None) -> Policy:
    """Read a policy from a folder, or by digest from a ledger. Raises Misconfigured or NotFound."""
    if _DIGEST.fullmatch(named):
        with open_source(_ledger(source)) as reopen:
            return find_policy(reopen, named)
    model, rows = (_text(Path(named) / name) for name in ("model.conf", "policy.csv"))
    try:
        return load_policy(Path(named).resolve().name, model, rows)
    except Malformed as error:
        raise Misconfigured(f"`{named}`: {error.problem}", help=error.help) from None


def _text(path: Path) -> str:
    try:
        return read_file(path, MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise Misconfigured(f"`{path}` is not UTF-8 at byte {error.start}") from None


@app.command("compare")
def compare_policies(
    old: Annotated[str, typer.Argument(help=NAMED)],
    new: Annotated[str, typer.Argument(help="Likewise.")],
    source: Annotated[
        str | None, typer.Option(help="Ledger to find a digest in; without it, this ledger's database.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Decide whether NEW allows anything that OLD denies, and the reverse; each difference is a sentence."""
    differences = compare(_read(old, source), _read(new, source))
    if as_json:
        print(msgspec.json.encode(differences).decode())
        return
    for difference in differences:
        for line in _told(difference):
            print(line)
    wider = sum(difference.wider for difference in differences)
    print(f"compared: {wider} cases that NEW allows and OLD denies, {len(differences) - wider} the other way round")


def _told(difference: Difference) -> Iterator[str]:
    yield f"{'wider' if difference.wider else 'narrower'}: {difference.said.en}"
    yield f"    {difference.said.uk}"
    for rule in difference.rules:
        yield f"    the rule: {rule.en}"
        yield f"    правило: {rule.uk}"
    failing = ", ".join(difference.failing) or "nothing"
    yield f"    for example: {difference.actions[0]} at {difference.tiers[0]}; failing: {failing}"


@app.command("dry-run")
def run_dry(  # noqa: PLR0917 - Typer gives them by name
    new: Annotated[str, typer.Argument(help=NAMED)],
    source: Annotated[
        str | None, typer.Argument(help="A database, an exported file or tiles; without it, this ledger's database.")
    ] = None,
    since: Annotated[int, typer.Option(min=0, help="Index of the first decision to take.")] = 0,
    until: Annotated[int | None, typer.Option(min=1, help="Index after the last; without it, all.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the document that a proposal needs.")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="File for the counts, as a table.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Run NEW over the recorded decisions: who would have gained, who would have lost, and the run's digest."""
    place = _ledger(source)
    policy = _read(new, source)
    with open_source(place) as reopen, progress_bar("running", hidden=quiet) as progress:
        progress.expect(reopen().size)
        found = dry_run(reopen, policy, since=since, until=until, progress=progress.advance)
    document = format_dry_run(found)
    for path, data in ((json_file, document), (csv_file, _csv(found))):
        if path is not None:
            with new_file(path) as target:
                target.write(data)
    for line in _shown(found):
        print(line)
    print(f"dry-run: {digest_of(document)}")


def _counts(found: DryRun) -> Iterator[tuple[str, str, int, int]]:
    """Give (by what, name, gained, lost), in order of what and then of the names."""
    for what, field in (("organisation", "by_org"), ("resource", "by_resource"), ("clause", "by_clause")):
        gained, lost = getattr(found.gained, field), getattr(found.lost, field)
        for name in sorted({*gained, *lost}):
            yield what, name, gained.get(name, 0), lost.get(name, 0)


def _csv(found: DryRun) -> bytes:
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["by", "name", "gained", "lost"])
    writer.writerows([["all", "", found.gained.count, found.lost.count], *_counts(found)])
    return table.getvalue().encode()


def _shown(found: DryRun) -> Iterator[str]:
    yield f"policy {found.policy}"
    yield f"over entries {found.since} to {found.size}, root {found.root}"
    yield f"{found.decisions} decisions: {found.gained.count} would be gained, {found.lost.count} lost"
    counts = [f"{gained:>8} {lost:>8}  {what} {name}" for what, name, gained, lost in _counts(found)]
    if counts:
        yield f"{'gained':>8} {'lost':>8}"
    yield from _cut(counts)
    yield from _cut([_case(case) for case in found.cases])


def _case(case: Case) -> str:
    how = "gains" if case.gains else "loses"
    clauses = ", ".join(case.clauses)
    return f"entry {case.seq}: {case.org} {how} {case.action} of {case.resource} at {case.tier}: {clauses}"


def _cut(lines: list[str]) -> Iterator[str]:
    yield from lines[:MAX_SHOWN]
    if len(lines) > MAX_SHOWN:
        yield f"… and {len(lines) - MAX_SHOWN} more: --json FILE or --csv FILE has them"

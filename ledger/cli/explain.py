"""`oblik explain`: why a decision came out as it did, from the ledger alone, and what would change it."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from ledger.access.explain import Reason
from ledger.cli.offline import open_source, progress_bar
from ledger.cli.options import read_settings
from ledger.services.explaining import Explained, explain_from


def explain(
    id: Annotated[int, typer.Argument(min=0, help="Ledger index of the decision, which its answer gave as `id`.")],
    source: Annotated[
        str | None, typer.Argument(help="A database, an exported file or tiles; without it, this ledger's database.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Explain a past decision: every clause, what it rests on, and the fewest acts that would turn a deny."""
    place = source or read_settings(None, None).database_url
    with open_source(place) as reopen, progress_bar("replaying", hidden=quiet) as progress:
        progress.expect(reopen().size)
        found = explain_from(reopen, id, progress=progress.advance)
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    for line in (*_clauses(found), *_outlook(found)):
        print(line)


def _clauses(found: Explained) -> Iterator[str]:
    yield f"decision {found.id}: {found.outcome}, at {found.evaluated_at}, under policy {found.policy}"
    for error in found.errors:
        yield f"  error: {error}"
    for reason in found.reasons:
        yield from _reason(reason)


def _reason(reason: Reason) -> Iterator[str]:
    entries = ", ".join(map(str, reason.entries)) or "none"
    yield f"  {'holds' if reason.held else 'FAILS'}  {reason.clause} (entries {entries})"
    yield f"         {reason.en}"
    yield f"         {reason.uk}"
    if reason.detail:
        yield "         " + "; ".join(f"{name}: {value}" for name, value in reason.detail.items())


def _outlook(found: Explained) -> Iterator[str]:
    outlook = found.outlook
    if outlook.changes:
        yield f"what would turn it (no smaller set does): {', '.join(outlook.clauses)}"
    for change in outlook.changes:
        everyone = "; it changes a rule for everyone" if change.for_everyone else ""
        yield f"  {change.act}, by {' and '.join(change.by)}{everyone}"
        yield f"         {change.en}"
        yield f"         {change.uk}"
    if outlook.instead is not None:
        yield f"or, without any of these: {outlook.instead.en}"
        yield f"         {outlook.instead.uk}"

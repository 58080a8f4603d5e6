"""`oblik verify`: whether a ledger is whole; with a policy, how much is known of it, and as a report to hand on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from jinja2 import Environment, FileSystemLoader, select_autoescape

from ledger.bootstrap import wall_clock
from ledger.cli.offline import open_source, progress_bar, read_kept, workers_for, write_kept
from ledger.cli.streams import tell_stream
from ledger.errors import Misconfigured, TooLarge, show
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.entry import format_time
from ledger.log.kept import Kept
from ledger.log.note import MAX_NOTE_BYTES, parse_note
from ledger.log.trust_policy import MAX_POLICY_BYTES, parse_policy
from ledger.resources import folder
from ledger.services import verifying
from ledger.services.ladder import Ladder, Trust, climb, describe_sealing, format_json
from ledger.storage.anchor import write_durably

MAX_CERTIFICATE_BYTES = 1_000_000
MARKS = {True: "held", False: "NOT HELD", None: "not asked"}


def verify(  # noqa: PLR0917 - options, which are named
    source: Annotated[
        str, typer.Argument(help="A database (file or URL), an exported file, or tiles (folder or http URL).")
    ],
    policy: Annotated[Path | None, typer.Option(help="Trust policy: the log's keys, witnesses and quorum.")] = None,
    remember: Annotated[
        Path | None, typer.Option(help="With --policy: file of the last checkpoint verified; moved on.")
    ] = None,
    tsa: Annotated[
        list[Path] | None, typer.Option(help="With --policy: certificate of a time-stamp authority.")
    ] = None,
    no_replay: Annotated[bool, typer.Option("--no-replay", help="With --policy: do not derive decisions.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --policy: print one JSON object.")] = False,
    report: Annotated[Path | None, typer.Option(help="With --policy: write a report (HTML), to hand on.")] = None,
    stream: Annotated[str | None, typer.Option(help="With --policy: SOURCE is a stream file, of this stream.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    resume: Annotated[
        Path | None, typer.Option(help="File to keep in what is verified, and to go on from if it is there.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Processes; without it, one for each core, and one alone for a small ledger."),
    ] = None,
) -> None:
    """Verify a ledger offline: bytes, chain, tree and its checkpoint; with --policy, say how much is known of it.

    Exit codes with --policy: 1 not intact, 3 not signed, 4 not consistent with what is remembered, 5 not time-stamped,
    6 not witnessed, 7 not replayed; the lowest rung that was asked for and is not held.
    """
    if policy is None:
        if remember or tsa or no_replay or as_json or report or stream:
            raise Misconfigured("this takes a trust policy", help="--policy FILE, in the form of C2SP tlog-policy")
        _verify(source, resume, quiet=quiet, workers=workers)
        return
    parsed = parse_policy(_read(policy, MAX_POLICY_BYTES))
    if stream is not None:
        tell_stream(source, stream, parsed)
        return
    authorities = [_read(path, MAX_CERTIFICATE_BYTES) for path in tsa or ()]
    trust = Trust(policy=parsed, remembered=_remembered(remember), authorities=authorities, replay=not no_replay)
    found = _climb(source, trust, resume, quiet=quiet, workers=workers)
    print(format_json(found) if as_json else _as_text(found))
    if report is not None:
        _write_report(report, found)
    if remember is not None:
        _remember(remember, found)
    raise typer.Exit(found.exit_code)


def _verify(source: str, resume: Path | None, *, quiet: bool, workers: int | None) -> None:
    with open_source(source) as reopen, progress_bar("verifying", hidden=quiet) as progress:
        found = reopen()
        progress.expect(found.size)
        count = workers or workers_for(found.size)
        kept, keep = _memory(resume)
        verified, _ = verifying.verify(found, progress=progress.advance, workers=count, kept=kept, keep=keep)
    signed = ", checkpoint signed by the ledger's own keys" if verified.signed else ""
    print(f"verified: {verified.size} entries, size {verified.size}, root {verified.root.hex()}{signed}")
    if verified.sealing.total:
        print(f"sealed fields: {describe_sealing(verified.sealing)}")


def _memory(path: Path | None) -> tuple[Kept | None, Callable[[bytes], None] | None]:
    """Give what was kept in a file, and how to keep more of it."""
    return (read_kept(path), partial(write_kept, path)) if path else (None, None)


def _climb(source: str, trust: Trust, resume: Path | None, *, quiet: bool, workers: int | None) -> Ladder:
    with open_source(source) as reopen, progress_bar("verifying", hidden=quiet) as progress:
        size = reopen().size
        progress.expect(size)
        count, (kept, keep) = workers or workers_for(size), _memory(resume)
        return climb(reopen, source, trust, workers=count, progress=progress.advance, kept=kept, keep=keep)


def _as_text(found: Ladder) -> str:
    rungs = [f"{rung.name:<12} {MARKS[rung.held]:<10} {rung.why}" for rung in found.rungs]
    return "\n".join([f"{found.origin or found.source}: {found.size} entries, root {found.root or '-'}", *rungs])


def _remembered(path: Path | None) -> bytes | None:
    return _read(path, MAX_NOTE_BYTES) if path is not None and path.exists() else None


def _remember(path: Path, found: Ladder) -> None:
    """Move on to the checkpoint that was verified, if it is signed and contradicts nothing that is remembered."""
    held = {rung.name: rung.held for rung in found.rungs}
    if held["SIGNED"] and held["CONSISTENT"] is not False and _moves_on(path, found.checkpoint.encode()):
        try:
            write_durably(path, found.checkpoint.encode())
        except OSError as error:
            raise Misconfigured(f"`{path}` cannot be written: {error.strerror}") from None


def _moves_on(path: Path, note: bytes) -> bool:
    last = _remembered(path)
    return last is None or _size(note) >= _size(last)


def _size(note: bytes) -> int:
    return parse_checkpoint(parse_note(note)[0]).size


def _write_report(path: Path, found: Ladder) -> None:
    templates = Environment(loader=FileSystemLoader(folder("ui") / "templates"), autoescape=select_autoescape())
    page = templates.get_template("report.html")
    html = page.render(found=found, marks=MARKS, at=format_time(wall_clock()))
    try:
        path.write_text(html, "utf-8")
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be written: {error.strerror}") from None


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Misconfigured(f"{show(str(path))} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise TooLarge(show(str(path)), limit=limit)
    return data

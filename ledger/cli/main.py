"""The commands. Each reads its arguments, calls one service, and prints."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from ledger.bootstrap import wall_clock
from ledger.cli import demo as demonstration
from ledger.cli.offline import open_source, progress_bar
from ledger.errors import Misconfigured, OblikError, Unverified
from ledger.governance.forms import check_identifier
from ledger.keys import create_keys, load_keys
from ledger.log.note import check_name, format_vkey
from ledger.services import verifying
from ledger.services.setup import open_ledger, read_opening, refuse_second
from ledger.settings import Settings, settings_from
from ledger.storage.engine import open_engine
from ledger.storage.rebuild import rebuild as rebuild_projections
from ledger.storage.schema import check_schema, upgrade_schema

OK, NOT_VERIFIED, MISUSE = 0, 1, 2

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
errors = Console(stderr=True, highlight=False)

Data = Annotated[Path | None, typer.Option(help="Folder of keys and database (OBLIK_DATA; default `oblik-data`).")]
Url = Annotated[
    str | None, typer.Option("--database-url", help="Database (OBLIK_DATABASE_URL; default SQLite in --data).")
]


def main() -> None:
    """Run the command; an error becomes one line on stderr and an exit code."""
    try:
        app()
    except Unverified as error:
        print(f"oblik: does not verify: {error}", file=sys.stderr)
        raise SystemExit(NOT_VERIFIED) from None
    except OblikError as error:
        print(f"oblik: {error}", file=sys.stderr)
        raise SystemExit(MISUSE) from None
    except BrokenPipeError:
        raise SystemExit(OK) from None
    except Exception as error:
        if os.environ.get("OBLIK_TRACEBACK"):
            raise
        print(f"oblik: a fault: {type(error).__name__}: {error} (set OBLIK_TRACEBACK=1 to see where)", file=sys.stderr)
        raise SystemExit(MISUSE) from None


def _settings(data: Path | None, url: str | None) -> Settings:
    given = {"OBLIK_DATA": str(data) if data else "", "OBLIK_DATABASE_URL": url or ""}
    return settings_from({**os.environ, **{name: value for name, value in given.items() if value}})


@app.command()
def init(
    origin: Annotated[
        str, typer.Option(help="Name of the log: a URL without scheme, for example ledger.mod.gov.ua/oblik.")
    ],
    owner: Annotated[str, typer.Option(help="Id of the organisation whose ledger this is.")],
    administrator: Annotated[str, typer.Option(help="Id of the first administrator.")],
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Open a new ledger: make keys, tables and the first entries, and print the first administrator's token."""
    check_name(origin)
    check_identifier(owner, "--owner")
    check_identifier(administrator, "--administrator")
    settings = _settings(data, database_url)
    settings.data.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database_url)
    upgrade_schema(engine)
    refuse_second(engine)
    signers = create_keys(settings.keys, origin=origin)
    vkeys = [format_vkey(signer) for signer in signers]
    opened = open_ledger(engine, origin=origin, owner=owner, administrator=administrator, vkeys=vkeys, now=wall_clock())
    print(f"ledger {origin} of {owner} is open; its database is {engine.url.render_as_string(hide_password=True)}")
    for vkey in vkeys:
        print(f"verifier key: {vkey[:100]}{'…' if len(vkey) > 100 else ''}")  # noqa: PLR2004 - an ML-DSA key is long
    print(f"token of {opened.administrator}, until {opened.expires}, shown only here: {opened.token}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Serve the API and the pages until Ctrl-C."""
    settings = _settings(data, database_url)
    check_schema(open_engine(settings.database_url))
    os.environ["OBLIK_DATA"], os.environ["OBLIK_DATABASE_URL"] = str(settings.data), settings.database_url
    uvicorn.run(
        "ledger.asgi:create_app",
        factory=True,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )


@app.command()
def upgrade(data: Data = None, database_url: Url = None) -> None:
    """Bring an older database to this version's shape."""
    settings = _settings(data, database_url)
    engine = open_engine(settings.database_url)
    upgrade_schema(engine)
    print("the database has this version's shape")


@app.command()
def demo(
    exit: Annotated[bool, typer.Option("--exit", help="End after the story.")] = False,
    inputs: Annotated[Path | None, typer.Option(help="Folder of real inputs; without it, a small set of ours.")] = None,
) -> None:
    """Play the main job, end to end, over the real HTTP API."""
    raise typer.Exit(demonstration.run(inputs=inputs, leave_running=not exit))


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="A database (file or URL) or an exported file.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Verify a ledger offline: bytes, chain, tree and, where there is one, its checkpoint."""
    with open_source(source) as reopen, progress_bar("verifying", hidden=quiet) as progress:
        found = reopen()
        progress.expect(found.size)
        verified, _ = verifying.verify(found, progress=progress.advance)
    signed = ", checkpoint signed by the ledger's own keys" if verified.signed else ""
    print(f"verified: {verified.size} entries, size {verified.size}, root {verified.root.hex()}{signed}")


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="A database (file or URL) or an exported file.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Derive every decision again, from entries and attachments alone."""
    with open_source(source) as reopen, progress_bar("replaying", hidden=quiet) as progress:
        progress.expect(reopen().size)
        _, replayed = verifying.replay(reopen, progress=progress.advance)
    for kind, count in replayed.unknown.items():
        errors.print(f"warning: {count} entries of kind {kind} are not known here, and were replayed as nothing")
    for finding in replayed.findings:
        print(f"entry {finding.seq}: {finding.problem}")
    print(f"replayed: {replayed.entries} entries, {replayed.decisions} decisions, {len(replayed.findings)} findings")
    if replayed.findings:
        raise typer.Exit(NOT_VERIFIED)


@app.command()
def rebuild(
    data: Data = None,
    database_url: Url = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Empty every table that is derived from entries, and fill it from them."""
    engine = open_engine(_settings(data, database_url).database_url)
    check_schema(engine)
    with progress_bar("rebuilding", hidden=quiet) as progress:
        unknown = rebuild_projections(engine, progress=progress.advance)
    for kind, count in unknown.items():
        errors.print(f"warning: {count} entries of kind {kind} are not known here, and changed nothing")
    print("rebuilt every projection from the entries")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Write the whole ledger, with a signed checkpoint, to a file that verifies offline."""
    settings = _settings(data, database_url)
    engine = open_engine(settings.database_url)
    check_schema(engine)
    with engine.connect() as connection:
        signers = load_keys(settings.keys, origin=read_opening(connection).origin)
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("xb") as target, verifying.export(engine, signers=signers) as lines:
            target.writelines(lines)
        os.link(partial, file)
    except FileExistsError as error:
        raise Misconfigured(f"`{error.filename}` is there already", help="it is never overwritten") from None
    except OSError as error:
        raise Misconfigured(f"the file cannot be written: {error}") from None
    finally:
        partial.unlink(missing_ok=True)
    print(f"exported to {file}")

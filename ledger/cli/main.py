"""The commands. Each reads its arguments, calls one service, and prints."""

import os
import sys
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console

from ledger.bootstrap import load_signers, wall_clock
from ledger.cli import monitor, policies, policy, receipt, sealing, streams, witness
from ledger.cli.explain import explain
from ledger.cli.keys import keys
from ledger.cli.offline import new_file, open_existing, open_source, progress_bar
from ledger.cli.options import Data, Url, read_settings, shortened
from ledger.cli.verify import verify
from ledger.errors import BadNote, Malformed, Misconfigured, OblikError, Unverified, show
from ledger.governance.forms import check_identifier
from ledger.keys import create_keys
from ledger.keys.tokens import ensure_token_key
from ledger.log.note import check_name, format_vkey
from ledger.services import verifying
from ledger.services.publishing import publish
from ledger.services.setup import open_ledger, read_opening, refuse_second
from ledger.services.tiles import export_tiles
from ledger.storage.anchor import Anchor
from ledger.storage.engine import open_engine
from ledger.storage.rebuild import rebuild as rebuild_projections
from ledger.storage.schema import check_schema, upgrade_schema
from ledger.storage.tiles import open_tiles

OK, NOT_VERIFIED, MISUSE = 0, 1, 2

HELP = """Keep account of who may use datasets and models, and of what came of it, in a ledger that outsiders verify.

Exit codes: 0 done; 1 something does not verify; 2 misuse, or a setup that is not right;
3 a log contradicts itself (`oblik monitor`).
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
app.add_typer(receipt.app, name="receipt")
app.add_typer(witness.app, name="witness")
app.add_typer(keys, name="keys")
app.add_typer(sealing.app, name="disclosure")
app.add_typer(streams.app, name="stream")
app.add_typer(policy.app, name="policy")
app.add_typer(policies.app, name="policies")
app.command()(explain)
app.command("monitor")(monitor.monitor)
app.add_typer(monitor.evidence_app, name="evidence")
errors = Console(stderr=True, highlight=False)


def main() -> None:
    """Run the command; an error becomes one line on stderr and an exit code."""
    os.umask(0o077)  # what is written here, keys or sealed values, is its owner's alone
    try:
        app()
    except Unverified as error:
        raise _ended(NOT_VERIFIED, f"does not verify: {error}") from None
    except OblikError as error:
        raise _ended(MISUSE, str(error)) from None
    except sa.exc.DBAPIError as error:
        raise _ended(MISUSE, f"the database cannot be used: {error.orig}") from None
    except BrokenPipeError:
        raise SystemExit(NOT_VERIFIED) from None  # nobody heard the end of it, so it does not count as done
    except Exception as error:
        if os.environ.get("OBLIK_TRACEBACK"):
            raise
        fault = f"a fault: {type(error).__name__}: {error} (set OBLIK_TRACEBACK=1 to see where)"
        raise _ended(MISUSE, fault) from None


def _ended(code: int, message: str) -> SystemExit:
    """Say on one line what was wrong; a server's own words may have several. Gives the exit to raise."""
    print(f"oblik: {' '.join(message.split())}", file=sys.stderr)
    return SystemExit(code)


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
    _check_origin(origin)
    check_identifier(owner, "--owner")
    check_identifier(administrator, "--administrator")
    settings = read_settings(data, database_url)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = open_engine(settings.database_url)
    upgrade_schema(engine)
    refuse_second(engine)
    signers = create_keys(
        settings.keys, origin=origin, passphrase_file=settings.key_passphrase_file, token=settings.token
    )
    ensure_token_key(settings.keys, now=wall_clock(), passphrase_file=settings.key_passphrase_file)
    vkeys = [format_vkey(signer) for signer in signers]
    opened = open_ledger(engine, origin=origin, owner=owner, administrator=administrator, vkeys=vkeys, now=wall_clock())
    print(f"ledger {origin} of {owner} is open; its database is {engine.url.render_as_string(hide_password=True)}")
    for vkey in vkeys:
        print(f"verifier key: {shortened(vkey)}")
    print(f"token of {opened.administrator}, until {opened.expires}, shown only here: {opened.token}")


def _check_origin(origin: str) -> None:
    try:
        check_name(origin)
    except BadNote:
        raise Malformed("--origin", f"{show(origin)} is not the name of a log", help="no space and no `+`") from None


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Serve the API and the pages until Ctrl-C."""
    from ledger.cli import logs, serving  # noqa: PLC0415 - offline commands start without a server

    settings = read_settings(data, database_url)
    logs.configure(settings.log_form)
    check_schema(open_existing(settings.database_url))
    os.environ["OBLIK_DATA"], os.environ["OBLIK_DATABASE_URL"] = str(settings.data), settings.database_url
    os.environ["OBLIK_ADDRESS"] = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if not serving.serve(host, port, drain_seconds=settings.drain_seconds):
        raise Misconfigured(f"the service did not start on {host}:{port}", help="is the port free?")


@app.command()
def upgrade(data: Data = None, database_url: Url = None) -> None:
    """Bring an older database to this version's shape."""
    settings = read_settings(data, database_url)
    engine = open_existing(settings.database_url)
    upgrade_schema(engine)
    print("the database has this version's shape")


@app.command()
def demo(
    exit: Annotated[bool, typer.Option("--exit", help="End after the story.")] = False,
    inputs: Annotated[Path | None, typer.Option(help="Folder of real inputs; without it, a small set of ours.")] = None,
) -> None:
    """Play the main job, end to end, over the real HTTP API."""
    from ledger.cli import demo as demonstration  # noqa: PLC0415 - likewise

    raise typer.Exit(demonstration.run(inputs=inputs, leave_running=not exit))


app.command()(verify)


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="A database (file or URL) or an exported file.")],
    since: Annotated[int, typer.Option(min=0, help="Index of the first decision to derive.")] = 0,
    until: Annotated[int | None, typer.Option(min=1, help="Index after the last; without it, all.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Derive every decision again, or those of a range, from entries and attachments alone."""
    with open_source(source) as reopen, progress_bar("replaying", hidden=quiet) as progress:
        progress.expect(reopen().size)
        _, replayed = verifying.replay(reopen, progress=progress.advance, since=since, until=until)
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
    engine = open_existing(read_settings(data, database_url).database_url)
    check_schema(engine)
    with progress_bar("rebuilding", hidden=quiet) as progress:
        unknown = rebuild_projections(engine, progress=progress.advance)
    for kind, count in unknown.items():
        errors.print(f"warning: {count} entries of kind {kind} are not known here, and changed nothing")
    print("rebuilt every projection from the entries")


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="File to write; it must not exist.")] = None,
    tiles: Annotated[
        str | None, typer.Option(help="Write tiles instead: a folder or `s3://bucket/prefix`; only what is new.")
    ] = None,
    hashes_only: Annotated[bool, typer.Option("--hashes-only", help="With --tiles: no entries, only hashes.")] = False,
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Write the whole ledger, with a signed checkpoint, to a file that verifies offline; or as tiles."""
    settings = read_settings(data, database_url)
    engine = open_existing(settings.database_url)
    check_schema(engine)
    with engine.connect() as connection:
        opening, signers = read_opening(connection), load_signers(settings, connection)
    signed = publish(engine, origin=opening.origin, signers=signers, anchor=Anchor(settings.anchor), show=False)
    if tiles is not None:
        count = export_tiles(engine, open_tiles(tiles), note=signed.note, entries=not hashes_only)
        print(f"exported {count:,} new entries to {tiles}")
        return
    if file is None:
        raise Misconfigured("nothing says where to", help="name a file, or a folder with --tiles")
    with new_file(file) as target, verifying.export(engine, note=signed.note) as lines:
        target.writelines(lines)
    print(f"exported to {file}")

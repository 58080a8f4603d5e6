"""`oblik stream`: a partner fetches all that concerns it, and verifies offline that it is all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.offline import new_file
from ledger.errors import BadNote, Malformed, Misconfigured
from ledger.log.cosignature import parse_vkey
from ledger.log.stream_file import MAX_LINE_BYTES, verify_stream
from ledger.log.trust_policy import NO_QUORUM, LogKey, Policy
from ledger.remote.streams import fetch_stream

app = typer.Typer(no_args_is_help=True, help="One stream of the ledger, whole.")

Stream = Annotated[str, typer.Option(help="Name of the stream, for example org:acme-jp.")]


@app.command()
def fetch(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    stream: Stream,
    url: Annotated[str, typer.Option(help="Address of the service; the token is read from OBLIK_TOKEN.")],
) -> None:
    """Fetch a stream with its proofs, as it was sealed last."""
    with new_file(file) as target:
        target.writelines(fetch_stream(url, stream, token=_token()))
    print(f"fetched {stream} to {file}")


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="A stream file, or the address of a service.")],
    stream: Stream,
    vkey: Annotated[
        list[str], typer.Option(help="Verifier key of the log, as the owner published it. One has to have signed.")
    ],
) -> None:
    """Verify that a stream file is whole: every entry in the signed tree, none left out up to the latest seal."""
    logs = tuple(_log_key(text) for text in vkey)
    tell_stream(source, stream, Policy(logs=logs, witnesses=(), groups=(), quorum=NO_QUORUM))


def tell_stream(source: str, stream: str, policy: Policy) -> None:
    """Verify a stream file by a trust policy, and print what it comes to."""
    with open_stream(source, stream) as lines:
        found = verify_stream(lines, stream=stream, policy=policy)
    print(f"verified: {found.entries} entries of {stream}, all that there were at entry {found.sealed}")
    print(f"sealed at {found.sealed_at}; size {found.checkpoint.size}, root {found.checkpoint.root.hex()}")


@contextmanager
def open_stream(source: str, stream: str) -> Iterator[Iterator[bytes]]:
    """Open a stream file, or fetch it from a service. Raises Misconfigured where there is none."""
    if source.startswith(("https://", "http://")):
        yield fetch_stream(source, stream, token=_token())
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115 - closed below; only opening it may fail so
    except OSError as error:
        raise Misconfigured(f"`{source}` cannot be read: {error.strerror}") from None
    with file:
        yield iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")


def _token() -> str:
    token = os.environ.get("OBLIK_TOKEN", "")
    if not token:
        raise Misconfigured("OBLIK_TOKEN is not set", help="it holds the API token, so that `ps` does not show it")
    return token


def _log_key(text: str) -> LogKey:
    try:
        return LogKey(parse_vkey(text), text, "")
    except BadNote as error:
        raise Malformed("--vkey", error.problem) from None

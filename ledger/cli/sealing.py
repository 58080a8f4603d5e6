"""`oblik disclosure`: what a reader of a sealed field checks offline, with two files and no service."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import Misconfigured, Unverified
from ledger.log.canonical import encode
from ledger.log.entry import MAX_ENTRY_BYTES, parse_unplaced
from ledger.log.merkle import hash_leaf
from ledger.log.sealed import MAX_DISCLOSURE_BYTES, open_sealed

app = typer.Typer(no_args_is_help=True, help="Values behind sealed fields.")


@app.callback()
def disclosure() -> None:
    """Values behind sealed fields."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The disclosure, as the service gave it.")],
    entry: Annotated[Path, typer.Option(help="The entry's bytes, as the service gave them.")],
) -> None:
    """Check that a value is the one that an entry committed to, and print it."""
    data = _read(entry, MAX_ENTRY_BYTES)
    found = parse_unplaced(data)
    name, value = open_sealed(found.sealed, _read(file, MAX_DISCLOSURE_BYTES))
    print(f"verified: `{name}` of entry {found.seq}, whose leaf hash is {hash_leaf(data).hex()}")
    print(encode(value).decode())


def _read(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes and a newline. Raises Misconfigured or Unverified."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 2)
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be read: {error.strerror}") from None
    data = data.removesuffix(b"\n")
    if len(data) > limit:
        raise Unverified(f"`{path}` is over the limit of {limit:,} bytes")
    return data

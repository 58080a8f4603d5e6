"""`oblik witness`: run a witness for the logs of others. It shares nothing with a ledger, and needs none."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import BadNote, Malformed, Misconfigured, show
from ledger.keys.pem import read_passphrase
from ledger.keys.witness import VKEYS_FILE, WHOSE, create_witness_keys, encrypt_witness_keys
from ledger.log.cosignature import check_cosigner
from ledger.settings import WITNESS_DATABASE
from ledger.storage.witnessed import check_absent, create_witnessed

MAX_CONNECTIONS = 200
"""Connections at a time; logs are few, and each asks about once a second."""

app = typer.Typer(no_args_is_help=True, help="Run a witness, which cosigns the checkpoints of logs that never go back.")

Data = Annotated[Path, typer.Option(help="Folder of the witness's keys and memory.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(envvar=WHOSE.variable, help="File of the passphrase that the key files are encrypted with."),
]


@app.command()
def init(
    name: Annotated[str, typer.Option(help="Name of the witness: a URL without scheme, as witness.mod.example.")],
    data: Data,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a new witness: its keys and an empty memory, and print its verifier keys."""
    _check_name(name)
    check_absent(data / WITNESS_DATABASE)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = create_witness_keys(data, name=name, passphrase_file=passphrase_file)
    create_witnessed(data / WITNESS_DATABASE)
    print(f"witness {name} is made; its verifier keys stand whole in {data / VKEYS_FILE}")
    for vkey in keys.vkeys():
        print(f"verifier key: {vkey[:100]}{'…' if len(vkey) > 100 else ''}")  # noqa: PLR2004 - an ML-DSA key is long


def _check_name(name: str) -> None:
    try:
        check_cosigner(name)
    except BadNote as error:
        raise Malformed("--name", f"{show(name)} is not the name of a witness", help=error.help) from None


@app.command()
def encrypt(data: Data, passphrase_file: PassphraseFile = None) -> None:
    """Encrypt the key files of a witness with the passphrase; the keys stay the same."""
    passphrase = read_passphrase(passphrase_file)
    if passphrase is None:
        raise Misconfigured("no passphrase is set", help=f"--passphrase-file, or set {WHOSE.variable}")
    for path in encrypt_witness_keys(data, passphrase):
        print(f"encrypted {path}")
    print("every key file is encrypted")


@app.command()
def serve(
    data: Data,
    logs: Annotated[Path, typer.Option(help="File of the logs to trust: `log <verifier key>` a line.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Serve the witness until Ctrl-C."""
    import uvicorn  # noqa: PLC0415 - offline commands start without it

    from ledger.cli.patience import WitnessProtocol  # noqa: PLC0415 - likewise

    os.environ["OBLIK_WITNESS_DATA"], os.environ["OBLIK_WITNESS_LOGS"] = str(data), str(logs)
    os.environ[WHOSE.variable] = str(passphrase_file or "")
    try:
        uvicorn.run(
            "ledger.asgi:create_witness",
            factory=True,
            host=host,
            port=port,
            http=WitnessProtocol,
            ws="none",
            access_log=False,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
        )
    except SystemExit as error:  # uvicorn has said why
        if error.code:
            raise Misconfigured(f"the witness did not start on {host}:{port}", help="is the port free?") from None

"""What several commands share: options, the settings that they make, and how a long key is shown."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ledger.settings import Settings, settings_from

Data = Annotated[Path | None, typer.Option(help="Folder of keys and database (OBLIK_DATA; default `oblik-data`).")]
Url = Annotated[
    str | None, typer.Option("--database-url", help="Database (OBLIK_DATABASE_URL; default SQLite in --data).")
]

SHOWN_KEY_CHARACTERS = 100
"""An Ed25519 verifier key is shown whole; an ML-DSA-44 one has 1,800 characters."""


def read_settings(data: Path | None, url: str | None) -> Settings:
    """Give the settings of the environment, but for what was given as an option."""
    given = {"OBLIK_DATA": str(data) if data else "", "OBLIK_DATABASE_URL": url or ""}
    return settings_from({**os.environ, **{name: value for name, value in given.items() if value}})


def shortened(vkey: str) -> str:
    """Give a verifier key as a terminal shows it."""
    return vkey if len(vkey) <= SHOWN_KEY_CHARACTERS else vkey[:SHOWN_KEY_CHARACTERS] + "…"

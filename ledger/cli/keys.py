"""`oblik keys`: the operator changes the log's keys, on the machine that has them and the database."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from ledger.bootstrap import load_signers, wall_clock
from ledger.cli.offline import open_existing
from ledger.cli.options import Data, Url, read_settings, shortened
from ledger.errors import Misconfigured
from ledger.events.key_history import key_label
from ledger.keys import BOTH, add_keys
from ledger.keys.files import encrypt_keys
from ledger.keys.pem import read_passphrase
from ledger.keys.tokens import AHEAD, OVERLAP, create_token_key
from ledger.log.cosignature import ML_DSA_44_COSIGNATURE
from ledger.log.note import ED25519
from ledger.services.keys import Rotated, retire_key, rotate_keys
from ledger.storage.schema import check_schema

RESTART = "start every process of the service again: it signs no checkpoint with the keys of before"


class Algorithm(StrEnum):
    """Which keys are made anew."""

    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    BOTH = "both"

    @property
    def types(self) -> Sequence[int]:
        """The types of key that are meant."""
        return {self.ED25519: (ED25519,), self.ML_DSA_44: (ML_DSA_44_COSIGNATURE,), self.BOTH: BOTH}[self]


keys = typer.Typer(no_args_is_help=True, help="Change the keys that sign the log's checkpoints, and access tokens.")


@keys.command()
def rotate(
    algorithm: Annotated[Algorithm, typer.Option(help="Which keys to make anew.")] = Algorithm.BOTH,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "rotated",
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Leave the old keys in force beside the new.")] = False,
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Make new keys, have the old ones introduce them in the ledger, and retire the old."""
    settings = read_settings(data, database_url)
    engine = open_existing(settings.database_url)
    check_schema(engine)
    with engine.connect() as connection:
        old = load_signers(settings, connection)
    # What was made stays, whatever comes: where a commit's outcome is not known, the ledger may rest on it.
    new = add_keys(
        settings.keys,
        origin=old[0].name,
        types=algorithm.types,
        passphrase_file=settings.key_passphrase_file,
        token=settings.token,
    )
    _tell(rotate_keys(engine, old=old, new=new, reason=reason, keep_old=keep_old, now=wall_clock()))


@keys.command()
def retire(
    key_id: Annotated[str, typer.Argument(help="The key's id: 8 hex digits, as in its verifier key.")],
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")],
    data: Data = None,
    database_url: Url = None,
) -> None:
    """Retire a key in force; another of its type has to remain."""
    engine = open_existing(read_settings(data, database_url).database_url)
    check_schema(engine)
    _tell(retire_key(engine, key_id=key_id, reason=reason, now=wall_clock()))


@keys.command()
def encrypt(data: Data = None, database_url: Url = None) -> None:
    """Encrypt the key files with the passphrase in OBLIK_KEY_PASSPHRASE_FILE; the keys stay the same."""
    settings = read_settings(data, database_url)
    passphrase = read_passphrase(settings.key_passphrase_file)
    if passphrase is None:
        raise Misconfigured("no passphrase is set", help="set OBLIK_KEY_PASSPHRASE_FILE")
    for path in encrypt_keys(settings.keys, passphrase):
        print(f"encrypted {path}")
    print("every key file is encrypted")


@keys.command()
def rotate_tokens(data: Data = None, database_url: Url = None) -> None:
    """Make a new key for access tokens; every process takes it up by itself, once it has been published for a while."""
    settings = read_settings(data, database_url)
    path = create_token_key(settings.keys, now=wall_clock(), passphrase_file=settings.key_passphrase_file)
    print(f"made {path}")
    print(f"it signs in {_minutes(AHEAD)} minutes; the key before it is believed for {_minutes(OVERLAP)} more")


def _minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)


def _tell(rotated: Rotated) -> None:
    for vkey in rotated.introduced:
        print(f"introduced: {shortened(vkey)}")
    for vkey in rotated.retired:
        print(f"retired: {key_label(vkey)}")
    print(f"in force from size {rotated.size} on; {RESTART}")

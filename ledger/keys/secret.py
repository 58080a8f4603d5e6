"""Secrets in files: a passphrase or a PIN, on one line, readable by its owner only."""

from pathlib import Path

from ledger.errors import Misconfigured

MAX_SECRET_BYTES = 1_024
"""What the crypto library takes as a passphrase."""

OTHERS = 0o077
"""Bits of a file's mode that are for group and others."""


def read_secret(path: Path, what: str) -> bytes:
    """Read a secret, without the newline at its end. Raises Misconfigured where others may read it, or it is none."""
    try:
        with path.open("rb") as file:
            if path.stat().st_mode & OTHERS:
                raise Misconfigured(f"{what} `{path}` is open to others", help=f"run `chmod 600 {path}`")
            secret = file.read(MAX_SECRET_BYTES + 1).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise Misconfigured(f"{what} `{path}` cannot be read: {error.strerror}") from None
    if not 1 <= len(secret) <= MAX_SECRET_BYTES or b"\n" in secret:
        raise Misconfigured(f"{what} `{path}` is not one line of 1 to {MAX_SECRET_BYTES:,} bytes")
    return secret

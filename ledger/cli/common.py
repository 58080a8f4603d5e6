"""What several commands read and write alike: files of a bounded size, times, names that a policy gave."""

from datetime import UTC, datetime
from pathlib import Path

from ledger.errors import Misconfigured, TooLarge, show


def read_file(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes. Raises Misconfigured or TooLarge."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Misconfigured(f"{show(str(path))} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise TooLarge(show(str(path)), limit=limit)
    return data


def moment(seconds: int) -> str:
    """Write POSIX seconds as a time; a witness may state any number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00") + "Z"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def printable(name: str) -> str:
    """Write a name of the policy, whose bytes need not be UTF-8."""
    return name.encode(errors="backslashreplace").decode()

"""Make `checkpoint.txt`, `stamp.tsr` and `tsa-root.crt`: a time-stamp that has to verify for ever.

Run from the project's root, with `openssl` there:
`PYTHONPATH=.:tests/support python tests/vectors/log/make_timestamp.py`. A new run gives another authority, and time.
"""

import tempfile
from pathlib import Path

from receipts import note_of

from ledger.cli.local_tsa import local_tsa
from ledger.log.note import parse_note
from ledger.remote.timestamps import request_timestamp

FOLDER = Path(__file__).parent
SECONDS = 30


def main() -> None:
    """Write the files."""
    text, _ = parse_note(note_of())
    with tempfile.TemporaryDirectory() as folder, local_tsa(Path(folder), name="A time-stamp authority") as tsa:
        files = {
            "checkpoint.txt": text,
            "stamp.tsr": request_timestamp(tsa.url, text, SECONDS),
            "tsa-root.crt": tsa.root,
        }
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()

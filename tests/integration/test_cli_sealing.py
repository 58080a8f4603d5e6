"""`oblik disclosure verify`: two files prove a value, and nothing else does."""

from commands import oblik, refused

from ledger.log.entry import Entry, format_entry
from ledger.log.sealed import seal

NAME = "justification"


def write(folder, *, sealed_as: str = NAME, value: str = "a detector of mines") -> None:
    commitment, disclosure = seal(NAME, value, bytes(16))
    entry = Entry(
        about={}, at="2026-11-21T09:30:00.123456Z", body={"id": "req-1"}, by={"person": "k.sato"},
        kind="access.requested", prev="ab" * 32, sealed={sealed_as: commitment}, seq=17, v=1,
    )  # fmt: skip
    (folder / "entry.json").write_bytes(format_entry(entry) + b"\n")
    (folder / "disclosure").write_bytes(disclosure + b"\n")


def verify(folder):
    return oblik("disclosure", "verify", "disclosure", "--entry", "entry.json", cwd=folder)


def test_a_disclosure_verifies_against_its_entry(tmp_path):
    """The command prints the field, the index, the leaf hash by which the log knows the entry, and the value."""
    write(tmp_path)
    done = verify(tmp_path)
    first, value = done.stdout.splitlines()
    assert first.startswith("verified: `justification` of entry 17, whose leaf hash is ")
    assert (done.returncode, value, done.stderr) == (0, '"a detector of mines"', "")


def test_another_value_does_not_verify(tmp_path):
    """A disclosure of another value, under another name, cut, or against another entry, ends with 1."""
    write(tmp_path)
    whole = (tmp_path / "disclosure").read_bytes()
    (tmp_path / "disclosure").write_bytes(seal(NAME, "something else", bytes(16))[1])
    refused(verify(tmp_path), "no commitment to this disclosure", code=1)
    (tmp_path / "disclosure").write_bytes(whole[:-3])
    refused(verify(tmp_path), "no commitment to this disclosure", code=1)
    write(tmp_path, sealed_as="note")
    refused(verify(tmp_path), "the entry committed to it as `note`", code=1)
    for entry in (b"{}", b"[]", b"\xff", b'{"seq":true}', b"x" * 70_000):
        (tmp_path / "entry.json").write_bytes(entry)
        refused(verify(tmp_path), code=1)


def test_a_missing_file_is_misuse(tmp_path):
    """A path that is not there ends with 2."""
    write(tmp_path)
    (tmp_path / "entry.json").unlink()
    refused(verify(tmp_path), "`entry.json` cannot be read", code=2)

"""Key files: how they are named, written, encrypted and refused."""

import stat
from pathlib import Path

import pytest

from ledger.errors import Misconfigured
from ledger.keys import add_keys, create_keys, load_keys
from ledger.keys.files import encrypt_keys
from ledger.keys.pem import read_passphrase
from ledger.log.note import ED25519, format_vkey

ORIGIN = "example.org/log"
FIRST = ["log-ed25519.pem", "log-ml-dsa-44.pem"]


def passphrase(folder: Path, text: str = "0123456789abcdef0123456789abcdef", mode: int = 0o600) -> Path:
    path = folder / "passphrase"
    path.write_text(text + "\n", encoding="utf-8")
    path.chmod(mode)
    return path


def vkeys(signers) -> list[str]:
    return [format_vkey(signer) for signer in signers]


def load(folder: Path, wanted, **options):
    return load_keys(folder, origin=ORIGIN, vkeys=vkeys(wanted), **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_exactly_the_keys_that_are_wanted_are_loaded(tmp_path):
    """Later keys get the next number; whichever are asked for come, in that order, and no other."""
    keys = tmp_path / "keys"
    first = create_keys(keys, origin=ORIGIN)
    second = add_keys(keys, origin=ORIGIN)
    third = add_keys(keys, origin=ORIGIN, types=[ED25519])
    assert sorted([*FIRST, "log-ed25519-2.pem", "log-ed25519-3.pem", "log-ml-dsa-44-2.pem"]) == names(keys)
    for wanted in (first, second, [third[0], second[1]], [first[1], first[0], third[0]]):
        assert vkeys(wanted) == vkeys(load(keys, wanted))
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()}


def test_a_number_is_not_used_again(tmp_path):
    """The next key is numbered after the last that is there, over a gap and beside names that are not ours."""
    create_keys(tmp_path, origin=ORIGIN)
    (tmp_path / "log-ed25519.pem").rename(tmp_path / "log-ed25519-7.pem")
    for name in ("log-ed25519-old.pem", "log-ed25519-08.pem", "log-ed255190.pem"):
        (tmp_path / name).write_text("not ours", encoding="utf-8")
    (new,) = add_keys(tmp_path, origin=ORIGIN, types=[ED25519])
    assert "log-ed25519-8.pem" in names(tmp_path)
    assert vkeys([new]) == vkeys(load(tmp_path, [new]))


def test_what_is_not_wanted_may_be_unreadable(tmp_path):
    """A retired key's file that is damaged stops nobody; it is told where a key is missing."""
    create_keys(tmp_path, origin=ORIGIN)
    second = add_keys(tmp_path, origin=ORIGIN)
    (tmp_path / FIRST[0]).write_text("damaged", encoding="utf-8")
    assert vkeys(second) == vkeys(load(tmp_path, second))
    (tmp_path / "log-ed25519-2.pem").unlink()
    with pytest.raises(Misconfigured, match=r"log-ed25519\.pem` cannot be read"):
        load(tmp_path, second)


def test_keys_are_never_overwritten(tmp_path):
    """Where a key of either type is, under whatever number, no new log's keys are made."""
    create_keys(tmp_path, origin=ORIGIN)
    for name in FIRST:
        (tmp_path / name).rename(tmp_path / name.replace(".pem", "-2.pem"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(Misconfigured, match="is there already"):
        create_keys(tmp_path, origin=ORIGIN)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_log_without_keys_is_told(tmp_path):
    """No verifier key in force is the operator's to mend."""
    with pytest.raises(Misconfigured, match="has no key in force"):
        load(tmp_path, [])


def test_keys_are_encrypted_where_a_passphrase_is_set(tmp_path):
    """They are written encrypted, and open with that passphrase and no other."""
    secret = passphrase(tmp_path)
    keys = tmp_path / "keys"
    made = create_keys(keys, origin=ORIGIN, passphrase_file=secret)
    assert all(path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") for path in keys.iterdir())
    assert vkeys(made) == vkeys(load(keys, made, passphrase_file=secret))
    passphrase(tmp_path, "another passphrase of many characters")
    with pytest.raises(Misconfigured, match="does not open with this passphrase"):
        load(keys, made, passphrase_file=secret)
    with pytest.raises(Misconfigured, match="is encrypted, and no passphrase is set"):
        load(keys, made)


def test_a_key_that_is_not_encrypted_is_refused_where_a_passphrase_is_set(tmp_path):
    """Whoever sets a passphrase believes the keys to be encrypted."""
    made = create_keys(tmp_path / "keys", origin=ORIGIN)
    with pytest.raises(Misconfigured, match=r"not encrypted, though a passphrase is set.*oblik keys encrypt"):
        load(tmp_path / "keys", made, passphrase_file=passphrase(tmp_path))


def test_encrypting_keeps_the_keys(tmp_path):
    """The same keys are in the files after it; a second time, and after one that broke off, it does what is left."""
    keys, secret = tmp_path / "keys", passphrase(tmp_path)
    made = create_keys(keys, origin=ORIGIN)
    later = add_keys(keys, origin=ORIGIN, passphrase_file=secret)
    assert [keys / name for name in FIRST] == encrypt_keys(keys, read_passphrase(secret))
    assert encrypt_keys(keys, read_passphrase(secret)) == []
    assert vkeys(made + later) == vkeys(load(keys, made + later, passphrase_file=secret))
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()}
    assert len(names(keys)) == 4


@pytest.mark.parametrize("name", FIRST)
def test_encrypting_changes_all_files_or_none(tmp_path, name):
    """A file that cannot be read, or has another passphrase, is named before any is changed."""
    keys, secret = tmp_path / "keys", passphrase(tmp_path)
    create_keys(keys, origin=ORIGIN)
    (keys / name).write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in keys.iterdir()}
    with pytest.raises(Misconfigured, match=name):
        encrypt_keys(keys, read_passphrase(secret))
    assert before == {path: path.read_bytes() for path in keys.iterdir()}
    with pytest.raises(Misconfigured, match="no key file"):
        encrypt_keys(tmp_path / "nowhere", read_passphrase(secret))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_passphrase_is_its_owners_alone(tmp_path, mode):
    """A file with any right for group or others is refused."""
    with pytest.raises(Misconfigured, match=r"is open to others.*chmod 600"):
        read_passphrase(passphrase(tmp_path, mode=mode))
    assert read_passphrase(passphrase(tmp_path, mode=0o400)) == b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not one line"),
        ("x" * 31, "fewer than 32 bytes"),
        ("x" * 32 + "\nmore", "not one line"),
        ("x" * 1_025, "not one line"),
    ],
)
def test_a_passphrase_is_one_long_line(tmp_path, text, words):
    """Too short, too long, empty, or more lines than one: refused, and not repeated."""
    with pytest.raises(Misconfigured, match=words) as raised:
        read_passphrase(passphrase(tmp_path, text))
    assert "xxx" not in str(raised.value)
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_passphrase(tmp_path / "missing")
    assert read_passphrase(None) is None

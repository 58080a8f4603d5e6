"""The keys that sign tokens: which one signs and which are believed, at each moment of a rotation."""

import stat
from datetime import UTC, datetime, timedelta

import pytest

from ledger.errors import Misconfigured
from ledger.keys import create_keys
from ledger.keys.files import encrypt_keys
from ledger.keys.pem import read_passphrase
from ledger.keys.tokens import (
    AHEAD,
    LOOK_SECONDS,
    MAX_KEYS,
    OVERLAP,
    TokenKeys,
    create_token_key,
    ensure_token_key,
    load_token_keys,
    published_keys,
    signing_key,
)

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
TICK = timedelta(seconds=1)
LATER = START + timedelta(days=30)


def test_one_key_signs_at_once(tmp_path):
    """And it is published for as long as it is the last."""
    create_token_key(tmp_path, now=START)
    keys = load_token_keys(tmp_path)
    for now in (START - timedelta(days=1), START, LATER):
        assert (signing_key(keys, now), published_keys(keys, now)) == (keys[0], keys)


def test_a_new_key_is_published_before_it_signs_and_the_old_one_after(tmp_path):
    """To the second, at either end; every key that signed is believed for an hour more."""
    create_token_key(tmp_path, now=START)
    create_token_key(tmp_path, now=LATER)
    keys = load_token_keys(tmp_path)
    old, new = keys
    assert signing_key(keys, LATER + AHEAD - TICK) == old
    assert signing_key(keys, LATER + AHEAD) == new
    assert published_keys(keys, LATER) == [old, new]
    assert published_keys(keys, LATER + AHEAD + OVERLAP - TICK) == [old, new]
    assert published_keys(keys, LATER + AHEAD + OVERLAP) == [new]


def test_what_signs_is_always_published(tmp_path):
    """At every minute of three rotations, two of them in haste."""
    for minutes in (0, 100, 105, 400):
        create_token_key(tmp_path, now=START + timedelta(minutes=minutes))
    keys = load_token_keys(tmp_path)
    signed_at = {}
    for minute in range(600):
        now = START + timedelta(minutes=minute)
        signed_at[minute] = signing_key(keys, now)
        believed = published_keys(keys, now)
        assert all(signed_at[earlier] in believed for earlier in range(max(0, minute - 15), minute + 1))


def test_files_are_found_while_the_service_runs(tmp_path):
    """A new one after it was looked again; a deleted one is gone then; one that cannot be read changes nothing."""
    create_token_key(tmp_path, now=START)
    keys, look = TokenKeys(tmp_path), timedelta(seconds=LOOK_SECONDS)
    (first,) = keys.published(START)
    path = create_token_key(tmp_path, now=START + TICK)
    assert keys.published(START + look - TICK).keys() == {first}
    assert len(keys.published(START + look)) == 2
    path.unlink()
    assert keys.published(START + 2 * look).keys() == {first}
    (tmp_path / "token-20270101T000000Z.pem").write_text("", encoding="utf-8")
    assert keys.published(START + 3 * look).keys() == {first}


def test_without_a_key_nothing_is_signed(tmp_path):
    """It says what makes one; `ensure_token_key` makes the first and no more."""
    with pytest.raises(Misconfigured, match=r"no key for tokens.*rotate-tokens"):
        TokenKeys(tmp_path).signing(START)
    ensure_token_key(tmp_path / "keys", now=START)
    ensure_token_key(tmp_path / "keys", now=LATER)
    assert len(load_token_keys(tmp_path / "keys")) == 1


def test_keys_are_its_owners_alone_and_encrypted_as_the_logs_are(tmp_path):
    """Mode 0600; encrypted where a passphrase is set, and by `oblik keys encrypt` afterwards."""
    folder, secret = tmp_path / "keys", tmp_path / "passphrase"
    secret.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    secret.chmod(0o600)
    plain = create_token_key(folder, now=START)
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600
    (kid,) = (key.public.kid for key in load_token_keys(folder))
    with pytest.raises(Misconfigured, match="not encrypted, though a passphrase is set"):
        load_token_keys(folder, passphrase_file=secret)
    create_keys(folder, origin="test.example", passphrase_file=secret)
    assert encrypt_keys(folder, read_passphrase(secret)) == [plain]
    sealed = create_token_key(folder, now=LATER, passphrase_file=secret)
    assert sealed.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_token_keys(folder, passphrase_file=secret)[0].public.kid == kid


def test_keys_are_bounded_and_never_overwritten(tmp_path):
    """A second one of the same second, one too many, and a name that is none are refused."""
    create_token_key(tmp_path, now=START)
    with pytest.raises(Misconfigured, match="is there already"):
        create_token_key(tmp_path, now=START)
    for number in range(1, MAX_KEYS):
        create_token_key(tmp_path, now=START + number * TICK)
    with pytest.raises(Misconfigured, match="delete those that are out of use"):
        create_token_key(tmp_path, now=LATER)
    other = tmp_path / "other"
    other.mkdir()
    (other / "token-1.pem").write_text("", encoding="utf-8")
    with pytest.raises(Misconfigured, match="not named by the time"):
        load_token_keys(other)

"""The Ed25519 key in a token, with SoftHSM: what it signs opens under the ordinary verifier."""

import secrets
import sys
from pathlib import Path

import msgspec
import pytest
import softhsm

from ledger.errors import Misconfigured, Unavailable
from ledger.keys import Token, add_keys, create_keys, load_keys, pkcs11
from ledger.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.introduction import check_introduction, sign_introduction
from ledger.log.note import ED25519, Ed25519Signer, format_vkey

ORIGIN = "example.org/log"
CHECKPOINT = Checkpoint(origin=ORIGIN, size=42, root=bytes(32))
PREV = "ab" * 32

pytestmark = pytest.mark.xdist_group("softhsm")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    """Give the folder of this process's tokens."""
    pytest.importorskip("pkcs11", reason="no python-pkcs11: `pip install oblik[hsm]`")
    folder = tmp_path_factory.mktemp("softhsm")
    with softhsm.store(folder):
        yield folder


@pytest.fixture
def token(store: Path) -> Token:
    """Give an empty token of the test's own, and have the library find it."""
    made = softhsm.make_token(store, f"test-{secrets.token_hex(4)}")
    import pkcs11 as library

    library.unload(str(made.module))  # tokens are counted when the library starts
    return made


def vkeys(signers) -> list[str]:
    return [format_vkey(signer) for signer in signers]


def test_a_checkpoint_signed_in_the_token_opens_under_the_ordinary_verifier(token, tmp_path):
    """`create_keys` makes one key in the token and one file; loaded again, both sign, and each opens alone."""
    made = create_keys(tmp_path, origin=ORIGIN, token=token)
    assert [path.name for path in tmp_path.iterdir()] == ["log-ml-dsa-44.pem"]
    loaded = load_keys(tmp_path, origin=ORIGIN, vkeys=vkeys(made), token=token)
    assert vkeys(made) == vkeys(loaded)
    for signers in (made, loaded):
        note = sign_checkpoint(CHECKPOINT, signers)
        for vkey in vkeys(made):
            assert open_checkpoint(note, [parse_vkey(vkey)], origin=ORIGIN) == CHECKPOINT


def test_the_key_does_not_leave_the_token(token):
    """It is sensitive and not extractable, and its value is not given."""
    made = pkcs11.create_key(token, origin=ORIGIN)
    from pkcs11 import Attribute, AttributeSensitive

    assert made._key[Attribute.SENSITIVE] is True
    assert made._key[Attribute.EXTRACTABLE] is False
    with pytest.raises(AttributeSensitive):
        made._key[Attribute.VALUE]


def test_a_later_key_in_the_token_is_introduced_by_one_before_it(token, tmp_path):
    """Keys of one token are told apart, each by its public half; a key hands on to the next, from a file too."""
    old = create_keys(tmp_path, origin=ORIGIN)
    first, second = (add_keys(tmp_path, origin=ORIGIN, types=[ED25519], token=token)[0] for _ in range(2))
    assert isinstance(old[0], Ed25519Signer)
    for introducer, new in ((old[0], first), (first, second)):
        vkey = format_vkey(new)
        proof = sign_introduction(introducer, vkey=vkey, prev=PREV)
        check_introduction(proof, vkey=vkey, prev=PREV, by=[format_vkey(introducer)])
    for wanted in ([old[0], old[1]], [first, old[1]], [second, old[1], first]):
        assert vkeys(wanted) == vkeys(load_keys(tmp_path, origin=ORIGIN, vkeys=vkeys(wanted), token=token))


def test_keys_of_other_labels_are_not_the_logs(token, tmp_path):
    """A key under another label is neither loaded nor counted; one of this label stands in the way of a new log."""
    made = create_keys(tmp_path / "a", origin=ORIGIN, token=token)
    other = msgspec.structs.replace(token, label="other")
    assert pkcs11.load_keys(other, origin=ORIGIN) == []
    create_keys(tmp_path / "b", origin=ORIGIN, token=other)
    assert vkeys(made[:1]) == vkeys(pkcs11.load_keys(token, origin=ORIGIN))
    with pytest.raises(Misconfigured, match="has a key `oblik-log` already"):
        create_keys(tmp_path / "c", origin=ORIGIN, token=token)
    assert not (tmp_path / "c").exists()


def test_a_key_that_is_in_no_token_and_no_file_is_missing(token, tmp_path):
    """The key is named."""
    made = create_keys(tmp_path / "a", origin=ORIGIN)
    with pytest.raises(Misconfigured, match=r"log-ed25519\.pem` is missing"):
        load_keys(tmp_path / "b", origin=ORIGIN, vkeys=vkeys(made), token=token)


def test_a_token_that_cannot_be_used_is_told(token, tmp_path):
    """No such token, no such library, a wrong PIN, an open PIN file: each is the operator's to mend."""
    replace = msgspec.structs.replace
    wrong = tmp_path / "wrong.pin"
    wrong.write_text("9999", encoding="utf-8")
    wrong.chmod(0o600)
    for changed, words in (
        (replace(token, name="nobody"), "token `nobody` cannot be used: NoSuchToken"),
        (replace(token, module=tmp_path / "none.so"), "cannot be used: PKCS11Error"),
        (replace(token, pin_file=wrong), "cannot be used: PinIncorrect"),
        (replace(token, pin_file=tmp_path / "missing.pin"), "cannot be read"),
    ):
        with pytest.raises(Misconfigured, match=words):
            pkcs11.load_keys(changed, origin=ORIGIN)
    wrong.chmod(0o644)
    with pytest.raises(Misconfigured, match="is open to others"):
        pkcs11.load_keys(replace(token, pin_file=wrong), origin=ORIGIN)


def test_a_token_that_is_gone_signs_nothing(token):
    """Where the session is lost, it is the service's to say that it cannot now."""
    made = pkcs11.create_key(token, origin=ORIGIN)
    made._key.session.close()
    with pytest.raises(Unavailable, match="does not sign"):
        made.sign(b"text\n")


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    """The package starts without python-pkcs11; a token that is set then is refused."""
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    token = Token(module=Path("/none.so"), name="t", pin_file=tmp_path / "pin")
    with pytest.raises(Misconfigured, match=r"pip install oblik\[hsm\]"):
        pkcs11.load_keys(token, origin=ORIGIN)

"""Signed notes: the specification's vector, and every rule by which a note is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import BadNote
from ledger.log.codec import format_base64
from ledger.log.cosignature import parse_vkey
from ledger.log.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Ed25519Signer,
    Ed25519Verifier,
    add_signatures,
    format_vkey,
    key_id,
    open_note,
    select_signatures,
    sign_note,
)

# The example of C2SP signed-note v1.0.0.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
TEXT = b"This is an example message.\n"
LINE = (
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
NOTE = TEXT + b"\n" + LINE
EXAMPLE = parse_vkey(VKEY)


def make_signer(name: str = "example.org/log", seed: int = 1) -> Ed25519Signer:
    return Ed25519Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def verifier_of(signer: Ed25519Signer) -> Ed25519Verifier:
    return Ed25519Verifier(signer.name, signer.public_bytes)


def test_the_example_of_the_specification_opens() -> None:
    """The specification's note opens with its key, and with no other."""
    opened = open_note(NOTE, [EXAMPLE])
    assert opened.text == TEXT
    assert opened.signed_by == (("example.com/foo", 0x530D903A),)
    with pytest.raises(BadNote, match="no known key"):
        open_note(NOTE, [verifier_of(make_signer("example.com/foo"))])
    with pytest.raises(BadNote, match="no known key"):
        open_note(NOTE, [])


def test_every_changed_byte_of_the_example_is_refused() -> None:
    """No single-byte change of text or signature opens."""
    for i in range(len(NOTE)):
        for change in (0x01, 0x20, 0x80):
            with pytest.raises(BadNote):
                open_note(NOTE[:i] + bytes([NOTE[i] ^ change]) + NOTE[i + 1 :], [EXAMPLE])
        with pytest.raises(BadNote):
            open_note(NOTE[:i], [EXAMPLE])


def test_what_is_signed_opens_with_each_key_named_once() -> None:
    """Known keys are named in the order of the lines; unknown ones are passed over."""
    signers = [make_signer("example.org/log", seed) for seed in (1, 2, 3)]
    note = sign_note(TEXT, [*signers, signers[0]])
    opened = open_note(note, [verifier_of(signers[2]), verifier_of(signers[0])])
    assert opened.signed_by == (("example.org/log", signers[0].key_id), ("example.org/log", signers[2].key_id))


def test_one_bad_signature_of_a_known_key_rejects_the_note() -> None:
    """Even beside good ones, and even where the same key has signed well in a line before."""
    good, other = make_signer(seed=1), make_signer(seed=2)
    lines = sign_note(TEXT, [good, other]).split(b"\n\n")[1].splitlines(keepends=True)
    forged = b"\xe2\x80\x94 example.org/log " + format_base64(good.key_id.to_bytes(4) + bytes(64)).encode() + b"\n"
    head = TEXT + b"\n"
    assert open_note(head + lines[0] + lines[1], [verifier_of(good), verifier_of(other)]).text == TEXT
    for note in (head + lines[1] + forged, head + lines[0] + forged, head + forged + lines[0]):
        with pytest.raises(BadNote, match="does not verify"):
            open_note(note, [verifier_of(good), verifier_of(other)])


def test_text_and_signatures_part_at_the_last_blank_line() -> None:
    """A text may hold blank lines, and end in one."""
    for text in (b"a\n\nb\n", b"a\n\n", b"\n", b"\n\n\n", "Облік\n".encode()):
        signer = make_signer()
        assert text == open_note(sign_note(text, [signer]), [verifier_of(signer)]).text


def test_as_many_signatures_as_the_limit_open_and_one_more_does_not() -> None:
    """At least 16 lines have to be accepted; the cap is far above."""
    assert MAX_SIGNATURES >= 16
    head, line = NOTE[: len(TEXT) + 1], LINE
    assert len(open_note(head + line * MAX_SIGNATURES, [EXAMPLE]).signed_by) == 1
    with pytest.raises(BadNote, match="signatures"):
        open_note(head + line * (MAX_SIGNATURES + 1), [EXAMPLE])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        TEXT,
        TEXT + b"\n",
        TEXT + LINE,
        NOTE + b"\n",
        NOTE[:-1],
        NOTE + b"junk\n",
        NOTE.replace("—".encode(), b"-"),
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace(b" is ", b" \x00 "),
        NOTE.replace(b" is ", b" \t "),
        NOTE.replace(b" is ", b" \xff "),
        NOTE + "— a\u00a0b AAAAAAA=\n".encode(),
        NOTE + "— a\x85b AAAAAAA=\n".encode(),
        NOTE + "— a+b AAAAAAA=\n".encode(),
        NOTE + "—  AAAAAAA=\n".encode(),
        NOTE + "— a AAAAAA==\n".encode(),
        NOTE + "— a AAAAAB==\n".encode(),
        NOTE + "— a AAAAAAA\n".encode(),
        NOTE + "— a AAAAAAA= \n".encode(),
        NOTE + "— a  AAAAAAA=\n".encode(),
        NOTE + b"\xe2\x80\x94 \xff AAAAAAA=\n",
    ],
)
def test_malformed_notes_are_refused(note: bytes) -> None:
    """A note that is not of the form is refused, though a known key signed it."""
    with pytest.raises(BadNote):
        open_note(note, [EXAMPLE])


@pytest.mark.parametrize("text", [b"tab\t\n", b"bell\x07\n", b"return\r\n", b"\xff\n", b"\xed\xa0\x80\n"])
def test_a_malformed_text_is_refused_though_its_signature_verifies(text: bytes) -> None:
    """A known key's signature does not excuse the form."""
    signer = make_signer()
    blob = signer.key_id.to_bytes(4) + signer.sign(text)
    note = text + f"\n— {signer.name} {format_base64(blob)}\n".encode()
    with pytest.raises(BadNote):
        open_note(note, [verifier_of(signer)])


def test_size_is_capped() -> None:
    """The limit is checked before anything else, and is inclusive."""
    signer = make_signer()
    frame = len(sign_note(b"\n", [signer]))
    note = sign_note(b"x" * (MAX_NOTE_BYTES - frame) + b"\n", [signer])
    assert len(note) == MAX_NOTE_BYTES
    assert open_note(note, [verifier_of(signer)]).text
    with pytest.raises(BadNote, match="limit"):
        open_note(b"x" + note, [verifier_of(signer)])


@pytest.mark.parametrize("text", [b"", b"no newline", b"tab\t\n", b"\xff\n", b"nul\x00\n"])
def test_no_malformed_text_is_signed(text: bytes) -> None:
    """What could not be opened is not signed."""
    with pytest.raises(BadNote):
        sign_note(text, [make_signer()])
    with pytest.raises(BadNote, match="signatures"):
        sign_note(TEXT, [])


def test_verifier_keys_come_back() -> None:
    """A key's text reads back to the same name and id."""
    for signer in (make_signer(), make_signer("облік.example/log", 7)):
        verifier = parse_vkey(format_vkey(signer))
        assert (signer.name, signer.key_id) == (verifier.name, verifier.key_id)
    assert EXAMPLE.key_id == 0x530D903A


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "+",
        "++",
        "example.com/foo+530d903a",
        "example.com/foo+530d903a+",
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "0530d903a"),
        VKEY.replace("foo", "bar"),
        VKEY.replace("foo", "f o"),
        VKEY.replace("example", "\udc80xample"),
        VKEY[:-1],
        VKEY + "=",
        VKEY + "\n",
        " " + VKEY,
        "a+b+c+d",
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    """A key's text has one form, and its id is that of its name and key."""
    with pytest.raises(BadNote):
        parse_vkey(vkey)


@pytest.mark.parametrize(
    ("algorithm", "length"), [(0x01, 31), (0x04, 33), (0x06, 32), (0x06, 1311), (0x02, 32), (0xFF, 40)]
)
def test_keys_of_unknown_type_or_wrong_length_are_refused(algorithm: int, length: int) -> None:
    """The type says what the key has to be."""

    class Fake:
        name = "example.org/log"
        public_bytes = bytes(length)

        def sign(self, text: bytes) -> bytes:
            raise AssertionError

    fake = Fake()
    fake.algorithm, fake.key_id = algorithm, key_id(fake.name, algorithm, fake.public_bytes)
    with pytest.raises(BadNote):
        parse_vkey(format_vkey(fake))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\x1fb", "\ud800"])
def test_names_that_no_line_could_carry_are_refused(name: str) -> None:
    """A signer or verifier of such a name cannot be made."""
    with pytest.raises(BadNote):
        make_signer(name)


def test_two_keys_of_one_name_and_id_are_refused() -> None:
    """Which of them a line means could not be told."""
    with pytest.raises(BadNote, match="one name and id"):
        open_note(NOTE, [EXAMPLE, EXAMPLE])


def test_signatures_are_added_each_key_once() -> None:
    """A cosignature joins the lines there are; a newer one by the same key takes the older one's place."""
    first, second = make_signer(seed=1), make_signer("witness.example", seed=2)
    note, line = sign_note(TEXT, [first]), sign_note(TEXT, [second])[len(TEXT) + 1 :]
    joined = add_signatures(note, line)
    assert joined == sign_note(TEXT, [first, second])
    assert add_signatures(joined, line) == joined


@pytest.mark.parametrize("lines", [b"", b"no line\n", LINE[:-1], LINE * (MAX_SIGNATURES + 1)])
def test_what_is_no_signature_line_is_not_added(lines) -> None:
    """Nothing, nonsense, a broken line and more than a note may have are refused."""
    with pytest.raises(BadNote):
        add_signatures(sign_note(TEXT, [make_signer()]), lines)


def test_a_note_takes_no_more_signatures_than_it_may_have() -> None:
    """The limit holds for what the lines come to together."""
    note = sign_note(TEXT, [make_signer(f"k{i}.example") for i in range(MAX_SIGNATURES)])
    with pytest.raises(BadNote, match="101 signatures"):
        add_signatures(note, LINE)


def test_signatures_of_known_keys_are_selected() -> None:
    """Lines by others are left out, a key stands once, and a known key's bad signature rejects the note."""
    first, second = make_signer(seed=1), make_signer("witness.example", seed=2)
    note, alone = sign_note(TEXT, [first, second, first]), sign_note(TEXT, [first])[len(TEXT) + 1 :]
    assert alone == select_signatures(note, [verifier_of(first)])
    with pytest.raises(BadNote, match="no known key"):
        select_signatures(note, [verifier_of(make_signer(seed=3))])
    with pytest.raises(BadNote, match="does not verify"):
        select_signatures(b"x" + note, [verifier_of(first)])

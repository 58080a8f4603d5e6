"""Sealed fields: RFC 9901's own digest, and nothing opens that was not committed to."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, TooLarge, Unverified
from ledger.log.codec import format_base64url
from ledger.log.entry import Entry, format_entry
from ledger.log.sealed import MAX_DISCLOSURE_BYTES, check_disclosure, commitment_of, seal

SALT = bytes(range(16))


def test_a_disclosure_of_the_rfc_has_its_digest() -> None:
    """The array of RFC 9901 §4.2.1, spaces and all, has the digest of §4.2.3."""
    array = '["_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"]'.encode()
    disclosure = base64.urlsafe_b64encode(array).rstrip(b"=")
    assert disclosure == b"WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert commitment_of(disclosure) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


@given(
    st.text("abc_", min_size=1), st.text(st.characters(exclude_categories=["Cs"])), st.binary(min_size=16, max_size=32)
)
def test_what_is_sealed_opens(name: str, value: str, salt: bytes) -> None:
    """Name and value come back, and the commitment has the form that an entry demands."""
    commitment, disclosure = seal(name, value, salt)
    assert (name, value) == check_disclosure(commitment, disclosure)
    assert len(commitment) == 43


def test_the_commitment_fits_an_entry() -> None:
    """What `seal` gives is what `sealed` of an entry takes."""
    commitment, _ = seal("reason", {"any": ["JSON", 1, None]}, SALT)
    fields: dict[str, Any] = {"about": {}, "body": {}, "by": {}, "sealed": {"reason": commitment}}
    entry = Entry(at="2026-11-21T09:30:00.000000Z", kind="a.b", prev="0" * 64, seq=0, v=1, **fields)
    assert commitment.encode() in format_entry(entry)


def test_salt_name_and_value_all_change_the_commitment() -> None:
    """Two sealings agree only where all three do."""
    base = seal("reason", "x", SALT)[0]
    assert base == seal("reason", "x", SALT)[0]
    assert (
        len({base, seal("reason", "y", SALT)[0], seal("other", "x", SALT)[0], seal("reason", "x", SALT[::-1])[0]}) == 4
    )


def test_every_changed_byte_is_refused() -> None:
    """A disclosure with one byte changed, or with another commitment, does not open."""
    commitment, disclosure = seal("reason", "значення", SALT)
    for i in range(len(disclosure)):
        with pytest.raises(Unverified):
            check_disclosure(commitment, disclosure[:i] + bytes([disclosure[i] ^ 1]) + disclosure[i + 1 :])
    with pytest.raises(Unverified, match="committed"):
        check_disclosure(seal("reason", "other", SALT)[0], disclosure)


@pytest.mark.parametrize(
    "array",
    [
        b"",
        b"[]",
        b'["AAECAwQFBgcICQoLDA0ODw","name"]',
        b'["AAECAwQFBgcICQoLDA0ODw",1,"x"]',
        b'["AAECAwQFBgcICQoLDA0ODw","name","x","y"]',
        b'["AAECAwQFBgcICQoLDA0O","name","short salt"]',
        b'["AAECAwQFBgcICQoLDA0OD+","name","x"]',
        b'[null,"name","x"]',
        b'["AAECAwQFBgcICQoLDA0ODw", "name", "spaces"]',
        b'["AAECAwQFBgcICQoLDA0ODw","name",1.5]',
        b'{"a":1}',
        b"\xff",
        b"[" * 5_000,
    ],
)
def test_a_commitment_to_another_form_does_not_open(array: bytes) -> None:
    """Though the hash agrees, what is not a canonical [salt, name, value] is refused."""
    disclosure = format_base64url(array).encode()
    with pytest.raises(Unverified):
        check_disclosure(commitment_of(disclosure), disclosure)


@pytest.mark.parametrize("disclosure", [b"AB", b"AA==", b"\xff\xfe", b"W 10", b"A" * (MAX_DISCLOSURE_BYTES + 1)])
def test_a_disclosure_that_is_not_base64url_is_refused(disclosure: bytes) -> None:
    """One text for each array, of bounded size."""
    with pytest.raises(Unverified):
        check_disclosure(commitment_of(disclosure), disclosure)


def test_misuse_of_seal_is_refused() -> None:
    """A short salt, a value that is not canonical JSON, a value over the limit."""
    for value, salt in (("x", bytes(15)), (1.5, SALT), (b"x", SALT)):
        with pytest.raises(Malformed):
            seal("reason", value, salt)
    with pytest.raises(TooLarge):
        seal("reason", "x" * MAX_DISCLOSURE_BYTES, SALT)

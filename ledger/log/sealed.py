"""Sealed fields (I9): an entry carries a salted commitment, the value lies beside the ledger.

A disclosure is `[salt, name, value]` in the shape of SD-JWT (RFC 9901 §4.2.1), as base64url text:

    ["_26bc4LT-ac6q2KI6cBW5es","family_name","Möbius"]   →   WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsImZhbWls…

Its commitment is the SHA-256 of that text, in base64url too (§4.2.3). Without the salt, which is random, nobody can
tell or guess the value.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ledger.errors import Malformed, TooLarge, Unverified, show
from ledger.log.canonical import decode, encode
from ledger.log.codec import format_base64url, parse_base64url

MIN_SALT_BYTES = 16
"""128 bits (RFC 9901 §9.3)."""

MAX_DISCLOSURE_BYTES = 1024 * 1024
"""Of the text: a sensitive field is a sentence or a page, not a file."""

FORM = "a disclosure is [salt, name, value] in base64url of canonical JSON"


def seal(name: str, value: Any, salt: bytes) -> tuple[str, bytes]:
    """Seal a JSON value. Returns the commitment for the entry, and the disclosure to be kept beside it.

    Raises Malformed where the value is not canonical JSON or the salt is short, and TooLarge.
    """
    if len(salt) < MIN_SALT_BYTES:
        raise Malformed("/salt", f"a salt of {len(salt)} bytes is shorter than {MIN_SALT_BYTES}")
    disclosure = format_base64url(encode([format_base64url(salt), name, value])).encode("ascii")
    if len(disclosure) > MAX_DISCLOSURE_BYTES:
        raise TooLarge("the sealed field", limit=MAX_DISCLOSURE_BYTES)
    return commitment_of(disclosure), disclosure


def commitment_of(disclosure: bytes) -> str:
    """Give the commitment to a disclosure (RFC 9901 §4.2.3)."""
    return format_base64url(hashlib.sha256(disclosure).digest())


def check_disclosure(commitment: str, disclosure: bytes) -> tuple[str, Any]:
    """Open a disclosure as (name, value). Raises Unverified unless it is well-formed and the commitment is to it."""
    if len(disclosure) > MAX_DISCLOSURE_BYTES:
        raise Unverified(f"the disclosure is over the limit of {MAX_DISCLOSURE_BYTES:,} bytes")
    if commitment_of(disclosure) != commitment:
        raise Unverified("the disclosure is not what the entry committed to")
    try:
        fields = decode(parse_base64url(disclosure.decode("ascii")), limit=MAX_DISCLOSURE_BYTES)
    except (Malformed, TooLarge, UnicodeDecodeError) as error:
        raise Unverified(f"the disclosure does not read: {error}", help=FORM) from None
    match fields:
        case [str(salt), str(name), value] if _is_salt(salt):
            return name, value
        case _:
            raise Unverified("the disclosure is not of its form", help=FORM)


def open_sealed(sealed: Mapping[str, str], disclosure: bytes) -> tuple[str, Any]:
    """Open a disclosure of one of an entry's `sealed` fields as (name, value).

    Raises Unverified unless the entry committed to it, under the name that it discloses.
    """
    commitment = commitment_of(disclosure)
    committed_as = next((name for name, stated in sealed.items() if stated == commitment), None)
    if committed_as is None:
        raise Unverified("the entry has no commitment to this disclosure")
    name, value = check_disclosure(commitment, disclosure)
    if name != committed_as:
        raise Unverified(f"the disclosure is of {show(name)}, and the entry committed to it as {show(committed_as)}")
    return name, value


def _is_salt(text: str) -> bool:
    try:
        return len(parse_base64url(text)) >= MIN_SALT_BYTES
    except Malformed:
        return False

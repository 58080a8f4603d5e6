"""Base64, read strictly: one text for each string of bytes, where lax decoders accept aliases.

AAEC/w==     standard alphabet, padded (RFC 4648 §4): notes, checkpoints, keys
AAEC_w       URL-safe alphabet, not padded (RFC 4648 §5, as in RFC 7515 §2): commitments and disclosures
"""

import base64
import binascii

from ledger.errors import Malformed, show


def format_base64(data: bytes) -> str:
    """Give `data` in the standard alphabet, padded."""
    return base64.b64encode(data).decode("ascii")


def parse_base64(text: str) -> bytes:
    """Read what `format_base64` gives, and nothing else. Raises Malformed."""
    return _parse(text, text)


def format_base64url(data: bytes) -> str:
    """Give `data` in the URL-safe alphabet, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def parse_base64url(text: str) -> bytes:
    """Read what `format_base64url` gives, and nothing else. Raises Malformed."""
    if any(character in text for character in "+/="):
        raise Malformed("", f"{show(text)} is not URL-safe base64 without padding")
    return _parse(text, text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def _parse(given: str, standard: str) -> bytes:
    try:
        data = binascii.a2b_base64(standard, strict_mode=True)
    except ValueError:  # binascii.Error among them; text that is not ASCII too
        data = None
    if data is None or format_base64(data) != standard:  # bits left over at the end: RFC 4648 §3.5
        raise Malformed("", f"{show(given)} is not canonical base64")
    return data

"""Base64, read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.log.codec import format_base64, format_base64url, parse_base64, parse_base64url


@given(st.binary(max_size=40))
def test_both_alphabets_come_back(data: bytes) -> None:
    """What is formatted parses to the same bytes."""
    assert data == parse_base64(format_base64(data))
    assert data == parse_base64url(format_base64url(data))


@pytest.mark.parametrize(
    "text", ["AB==", "AA=", "AA", "AA==\n", "AA==AA==", " AA==", "A-__", "A", "é", "AA== ", "===="]
)
def test_aliases_of_standard_base64_are_refused(text: str) -> None:
    """Bits left over, missing or extra padding, whitespace and foreign characters are refused."""
    with pytest.raises(Malformed):
        parse_base64(text)


@pytest.mark.parametrize("text", ["AB", "AA==", "A+//", "A", "AA\n", "é", "AA=", " AA"])
def test_aliases_of_url_safe_base64_are_refused(text: str) -> None:
    """Likewise without padding, and in the other alphabet."""
    with pytest.raises(Malformed):
        parse_base64url(text)

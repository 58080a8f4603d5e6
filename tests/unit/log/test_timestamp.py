"""Time-stamps, offline: the one that is kept verifies, and what is none is refused."""

from datetime import UTC, datetime

import pytest
from parsers import ROOT, STAMP, STAMPED
from receipts import note_of

from ledger.errors import BadTimestamp
from ledger.log.note import parse_note
from ledger.log.timestamp import check_timestamp, parse_timestamp


def test_the_kept_stamp_verifies_though_its_certificate_has_ended() -> None:
    """A certificate has to be valid when it stamps, and need not be later; the text is that without signatures."""
    found = check_timestamp(STAMP, parse_note(note_of())[0], [ROOT])
    assert found.authority == "CN=A time-stamp authority"
    assert found.time == datetime(2026, 11, 21, 11, 58, 42, tzinfo=UTC)


def test_the_kept_stamp_is_of_that_text_alone() -> None:
    """The whole note is another text."""
    with pytest.raises(BadTimestamp, match="Mismatch"):
        check_timestamp(STAMP, note_of(), [ROOT])
    assert check_timestamp(STAMP, STAMPED, [ROOT])


@pytest.mark.parametrize(
    "stamp", [b"", b"junk", STAMP[:-1], STAMP + b"\0", STAMP[9:], b"\x30\x80" + STAMP[4:] + b"\0\0"]
)
def test_what_is_no_stamp_is_refused(stamp) -> None:
    """A token without the answer around it, and BER, among them."""
    with pytest.raises(BadTimestamp, match="does not read"):
        parse_timestamp(stamp)

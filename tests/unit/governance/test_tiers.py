"""Tiers: an order, and nothing outside it."""

from itertools import product

import pytest

from ledger.errors import Malformed
from ledger.governance.tiers import TIERS, lowest, rank, within


def test_order():
    """The order is metadata, aggregate, synthetic, derived, redacted, raw."""
    assert sorted(TIERS, key=rank) == ["metadata", "aggregate", "synthetic", "derived", "redacted", "raw"]
    assert [rank(tier) for tier in TIERS] == [0, 1, 2, 3, 4, 5]


def test_within_is_the_order():
    """A tier is within a ceiling if and only if it shows no more, for all 36 pairs."""
    for (i, asked), (j, ceiling) in product(enumerate(TIERS), repeat=2):
        assert (i <= j) is within(asked, ceiling)


def test_lowest():
    """The lowest of several is the one that shows the least, in whatever order they come."""
    assert lowest(["raw", "aggregate", "redacted"]) == "aggregate"
    assert lowest(["raw"]) == "raw"


@pytest.mark.parametrize("bad", ["", "RAW", "secret", "raw "])
def test_unknown_tier_is_malformed(bad):
    """What is not a tier is never ranked, on either side of a comparison."""
    for ask in (
        lambda: rank(bad),
        lambda: within(bad, "raw"),
        lambda: within("raw", bad),
        lambda: lowest(["raw", bad]),
    ):
        with pytest.raises(Malformed, match="is not a tier"):
            ask()


def test_no_tiers_have_no_lowest():
    """The lowest of none is refused, not guessed."""
    with pytest.raises(Malformed):
        lowest([])

"""Tiers: how much of a resource is seen, from what describes it to the thing itself (DESIGN §5).

    metadata < aggregate < synthetic < derived < redacted < raw

A ceiling at `redacted` lets a request for `aggregate` through and stops one for `raw`.
"""

from collections.abc import Iterable

from ledger.errors import Malformed, show

TIERS = ("metadata", "aggregate", "synthetic", "derived", "redacted", "raw")
"""From the least that can be seen to the most."""


def rank(tier: str, pointer: str = "/tier") -> int:
    """Give the place of `tier` in TIERS, 0 for the least. Raises Malformed at `pointer` on a tier that is not one."""
    if tier not in TIERS:
        raise Malformed(pointer, f"{show(tier)} is not a tier", help=f"one of {', '.join(TIERS)}")
    return TIERS.index(tier)


def within(asked: str, ceiling: str) -> bool:
    """Tell whether `asked` shows no more than `ceiling`. Raises Malformed."""
    return rank(asked) <= rank(ceiling)


def lowest(tiers: Iterable[str]) -> str:
    """Give the tier that shows the least. Raises Malformed on one that is not a tier, and where there is none."""
    ranked = sorted(tiers, key=rank)
    if not ranked:
        raise Malformed("/tiers", "is empty: there is no lowest of no tiers")
    return ranked[0]

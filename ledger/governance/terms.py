"""Terms: for what, by which activities, up to which tier, in which environments and countries, from when until when.

The same struct bounds an agreement and a grant under it; the grant's may be no wider (`wider_fields`). As JSON:

    {"activities": ["evaluate", "train"], "countries": ["POL", "UKR"], "ends": "2027-06-01T00:00:00.000000Z",
     "environments": ["enclave"], "obligations": [{"type": "cite"}, {"type": "report_use", "within_hours": 72}],
     "purposes": ["humanitarian.demining"], "starts": "2026-12-01T00:00:00.000000Z", "tier": "redacted"}

They hold from `starts` on and no longer at `ends`. Sets are sorted and never empty: terms that permit nothing are a
mistake, not an agreement. Whether a purpose exists is the tree's to say (`purposes`), so what depends on it takes
`covers`, for example `PurposeTree.covers`.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from ledger.errors import Malformed, show
from ledger.governance.forms import check_country, check_identifier, check_set, parse_time
from ledger.governance.tiers import rank, within

Covers = Callable[[str, str], bool]
"""`covers(granted, asked)`: whether the purpose `asked` is `granted` or lies below it."""

ACTIVITIES = ("check_interoperability", "evaluate", "improve", "infer", "read_metadata", "train", "tune")
ENVIRONMENTS = ("edge", "enclave", "federated", "partner_hosted")

TIMED_DUTIES = ("delete_on_end", "notify_breach", "report_use", "send_results")
"""Duties with a time within which they are met, in hours after what triggers them; 0 is at once."""

STANDING_DUTIES = ("cite", "no_reidentification", "no_transfer", "safeguard")
"""Duties that hold throughout, with no time to meet them in."""


class Duty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a party has to do, and within how many hours of what triggers it (0: at once, or throughout)."""

    type: str
    within_hours: int = 0


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is permitted, and the duties that come with it. `tier` is a ceiling; see the module for the rest."""

    purposes: tuple[str, ...]
    activities: tuple[str, ...]
    tier: str
    environments: tuple[str, ...]
    countries: tuple[str, ...]
    starts: str
    ends: str
    obligations: tuple[Duty, ...] = ()


def check_terms(terms: Terms, pointer: str) -> None:
    """Check every field by itself, and that `starts` is before `ends`. Raises Malformed naming the place."""
    check_scope(terms.purposes, terms.activities, terms.tier, terms.environments, pointer)
    check_filled(terms.countries, f"{pointer}/countries")
    for i, country in enumerate(terms.countries):
        check_country(country, f"{pointer}/countries/{i}")
    if parse_time(terms.starts, f"{pointer}/starts") >= parse_time(terms.ends, f"{pointer}/ends"):
        raise Malformed(f"{pointer}/ends", f"{show(terms.ends)} is not after the start {show(terms.starts)}")
    check_duties(terms.obligations, f"{pointer}/obligations")


def check_scope(
    purposes: tuple[str, ...], activities: tuple[str, ...], tier: str, environments: tuple[str, ...], pointer: str
) -> None:
    """Check what terms share with the limits of a template. Raises Malformed naming the place."""
    check_filled(purposes, f"{pointer}/purposes")
    for i, purpose in enumerate(purposes):
        check_identifier(purpose, f"{pointer}/purposes/{i}")
    _check_known(activities, ACTIVITIES, f"{pointer}/activities")
    rank(tier, f"{pointer}/tier")
    _check_known(environments, ENVIRONMENTS, f"{pointer}/environments")


def check_filled(values: tuple[str, ...], pointer: str) -> None:
    """Check that `values` are a set with something in it. Raises Malformed."""
    if not values:
        raise Malformed(pointer, "is empty: at least one is needed")
    check_set(values, pointer)


def check_duties(duties: tuple[Duty, ...], pointer: str) -> None:
    """Check that duties are known, sorted by type, each type once, and timed if and only if they can be.

    Raises Malformed naming the place.
    """
    check_set(tuple(duty.type for duty in duties), pointer)
    for i, duty in enumerate(duties):
        if duty.type not in TIMED_DUTIES + STANDING_DUTIES:
            raise Malformed(f"{pointer}/{i}/type", f"{show(duty.type)} is not a duty")
        if duty.within_hours < 0 or (duty.within_hours > 0 and duty.type in STANDING_DUTIES):
            raise Malformed(
                f"{pointer}/{i}/within_hours", f"{show(duty.within_hours)} hours cannot be for {show(duty.type)}"
            )


def _check_known(values: tuple[str, ...], known: tuple[str, ...], pointer: str) -> None:
    check_filled(values, pointer)
    for i, value in enumerate(values):
        if value not in known:
            raise Malformed(f"{pointer}/{i}", f"{show(value)} is not known", help=f"of {', '.join(known)}")


def uncovered(purposes: Iterable[str], granted: Iterable[str], covers: Covers) -> tuple[str, ...]:
    """Give those of `purposes` that no purpose of `granted` covers."""
    granted = tuple(granted)
    return tuple(asked for asked in purposes if not any(covers(node, asked) for node in granted))


def laxer_duties(duties: tuple[Duty, ...], than: tuple[Duty, ...]) -> tuple[str, ...]:
    """Give the types of those `duties` that leave more time than the same type leaves in `than`."""
    limits = {duty.type: duty.within_hours for duty in than}
    return tuple(duty.type for duty in duties if duty.within_hours > limits.get(duty.type, duty.within_hours))


def wider_fields(inner: Terms, outer: Terms, covers: Covers) -> tuple[str, ...]:
    """Name each field in which `inner` permits what `outer` does not, in the order of the struct's fields.

    A duty that `inner` does not repeat is no finding: the outer duties hold for whatever lies within. Both are taken to
    have passed `check_terms`.
    """
    wider = {
        "purposes": uncovered(inner.purposes, outer.purposes, covers),
        "activities": set(inner.activities) - set(outer.activities),
        "tier": not within(inner.tier, outer.tier),
        "environments": set(inner.environments) - set(outer.environments),
        "countries": set(inner.countries) - set(outer.countries),
        "starts": inner.starts < outer.starts,
        "ends": inner.ends > outer.ends,
        "obligations": laxer_duties(inner.obligations, outer.obligations),
    }
    return tuple(field for field, beyond in wider.items() if beyond)

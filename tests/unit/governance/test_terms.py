"""Terms: every field by its form, and never wider than what bounds them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.governance.terms import ACTIVITIES, ENVIRONMENTS, Duty, Terms, check_terms, wider_fields
from ledger.governance.tiers import TIERS

TERMS = Terms(
    purposes=("humanitarian.demining", "research"),
    activities=("evaluate", "train"),
    tier="redacted",
    environments=("enclave",),
    countries=("POL", "UKR"),
    starts="2026-12-01T00:00:00.000000Z",
    ends="2027-06-01T00:00:00.000000Z",
    obligations=(Duty(type="cite"), Duty(type="report_use", within_hours=72)),
)


def covers(granted, asked):
    """Stand in for a tree whose ids follow its paths."""
    return asked == granted or asked.startswith(granted + ".")


def change(**fields):
    return msgspec.structs.replace(TERMS, **fields)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"purposes": ()}, "/terms/purposes"),
        ({"purposes": ("research", "humanitarian")}, "/terms/purposes/1"),
        ({"purposes": ("a b",)}, "/terms/purposes/0"),
        ({"activities": ()}, "/terms/activities"),
        ({"activities": ("evaluate", "steal")}, "/terms/activities/1"),
        ({"tier": "secret"}, "/terms/tier"),
        ({"environments": ("cloud",)}, "/terms/environments/0"),
        ({"environments": ()}, "/terms/environments"),
        ({"countries": ()}, "/terms/countries"),
        ({"countries": ("POL", "UA")}, "/terms/countries/1"),
        ({"countries": ("UKR", "POL")}, "/terms/countries/1"),
        ({"starts": "2026-12-01"}, "/terms/starts"),
        ({"ends": ""}, "/terms/ends"),
        ({"ends": TERMS.starts}, "/terms/ends"),
        ({"ends": "2026-11-30T23:59:59.999999Z"}, "/terms/ends"),
        ({"obligations": (Duty(type="dance"),)}, "/terms/obligations/0/type"),
        ({"obligations": (Duty(type="report_use", within_hours=-1),)}, "/terms/obligations/0/within_hours"),
        ({"obligations": (Duty(type="cite", within_hours=1),)}, "/terms/obligations/0/within_hours"),
        ({"obligations": (Duty(type="safeguard"), Duty(type="cite"))}, "/terms/obligations/1"),
        ({"obligations": (Duty(type="cite"), Duty(type="cite"))}, "/terms/obligations/1"),
    ],
)
def test_each_field_is_checked(fields, pointer):
    """A field that is not of its form is refused at its place."""
    check_terms(TERMS, "/terms")
    with pytest.raises(Malformed) as refused:
        check_terms(change(**fields), "/terms")
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("purposes", ("humanitarian", "research")),
        ("purposes", ("humanitarian.demining", "logistics")),
        ("activities", ("evaluate", "infer", "train")),
        ("tier", "raw"),
        ("environments", ("edge", "enclave")),
        ("countries", ("POL", "UKR", "USA")),
        ("starts", "2026-11-30T23:59:59.999999Z"),
        ("ends", "2027-06-01T00:00:00.000001Z"),
        ("obligations", (Duty(type="report_use", within_hours=73),)),
    ],
)
def test_one_wider_field_is_named(field, value):
    """A field that permits the least bit more is named, and it alone."""
    assert wider_fields(change(**{field: value}), TERMS, covers) == (field,)


def test_what_is_the_same_or_narrower_is_not_wider():
    """The same terms, and terms narrower in every field, are within."""
    narrower = Terms(
        purposes=("humanitarian.demining.mapping", "research.perception"),
        activities=("train",),
        tier="metadata",
        environments=("enclave",),
        countries=("UKR",),
        starts="2026-12-02T00:00:00.000000Z",
        ends="2027-05-01T00:00:00.000000Z",
        obligations=(Duty(type="report_use", within_hours=1), Duty(type="send_results", within_hours=9)),
    )
    assert wider_fields(TERMS, TERMS, covers) == ()
    assert wider_fields(narrower, TERMS, covers) == ()


def a_set(values):
    return st.sets(st.sampled_from(values), min_size=1).map(lambda s: tuple(sorted(s)))


PURPOSES = ["h", "h.d", "h.d.m", "r", "r.p"]
DAYS = [f"2026-12-{day:02}T00:00:00.000000Z" for day in range(1, 8)]


@st.composite
def terms(draw):
    first, last = sorted(draw(st.lists(st.integers(0, 6), min_size=2, max_size=2, unique=True)))
    return Terms(
        purposes=draw(a_set(PURPOSES)),
        activities=draw(a_set(ACTIVITIES[:3])),
        tier=draw(st.sampled_from(TIERS)),
        environments=draw(a_set(ENVIRONMENTS[:2])),
        countries=draw(a_set(["POL", "UKR"])),
        starts=DAYS[first],
        ends=DAYS[last],
    )


def permitted(value):
    """Give, for each field, everything of a small world that it permits."""
    return {
        "purposes": {asked for asked in PURPOSES if any(covers(node, asked) for node in value.purposes)},
        "activities": set(value.activities),
        "tier": set(TIERS[: TIERS.index(value.tier) + 1]),
        "environments": set(value.environments),
        "countries": set(value.countries),
        "starts": {day for day in DAYS if value.starts <= day},
        "ends": {day for day in DAYS if day < value.ends},
    }


@given(terms(), terms())
def test_a_field_is_wider_if_it_permits_more(inner, outer):
    """A field is named if and only if it permits something that the outer one does not, told by trying everything."""
    inside, outside = permitted(inner), permitted(outer)
    expected = tuple(field for field in inside if not inside[field] <= outside[field])
    assert expected == wider_fields(inner, outer, covers)


@given(terms())
def test_terms_survive_json(value):
    """Terms read back from an entry are the same, their duties with them."""
    value = msgspec.structs.replace(value, obligations=TERMS.obligations)
    assert value == msgspec.convert(msgspec.to_builtins(value), Terms)

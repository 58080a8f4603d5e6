"""Clauses: each rule by itself, at its edges, and that what is missing or unknown never permits."""

import msgspec
import pytest

from ledger.access.clauses import CLAUSES, MAX_LISTED
from ledger.access.vocabulary import TIERS, tier_within

NOW = "2026-11-21T09:30:00.000000Z"
BEFORE, AFTER = "2026-11-21T09:29:59.999999Z", "2026-11-21T09:30:00.000001Z"


@pytest.fixture
def find(world):
    """Evaluate one clause on the base with differences."""

    def evaluate(clause, facts=None, request=None):
        found = world.facts(facts)
        grant = found.grants[0] if found.grants else None
        return CLAUSES[clause](world.request(request), found, grant, NOW)

    return evaluate


def test_all_hold_on_the_base(find):
    """On the base every clause holds, under its own name, and rests on some entry."""
    for name in CLAUSES:
        finding = find(name)
        assert name == finding.clause
        assert finding.holds
        assert finding.entries


@pytest.mark.parametrize("clause", CLAUSES)
def test_nothing_known(clause, world):
    """Where nothing is known, no clause holds, none raises, and each says what is missing."""
    nothing = msgspec.convert(
        {"party": None, "purpose": None, "resource": None, "ancestors": [], "grants": []}, type(world.facts())
    )
    finding = CLAUSES[clause](world.request(), nothing, None, NOW)
    assert not finding.holds
    assert "missing" in finding.detail


FIRST = "grants.0."
AGREED = "grants.0.agreement."


@pytest.mark.parametrize(
    ("clause", "facts", "holds"),
    [
        ("subject_in_good_standing", {"party.status": "proposed"}, False),
        ("subject_in_good_standing", {"party.status": "suspended"}, False),
        ("subject_in_good_standing", {"party.id": "another"}, False),
        ("agreement_in_force", {AGREED + "starts": NOW}, True),
        ("agreement_in_force", {AGREED + "starts": AFTER}, False),
        ("agreement_in_force", {AGREED + "ends": AFTER}, True),
        ("agreement_in_force", {AGREED + "ends": NOW}, False),
        ("agreement_in_force", {AGREED + "status": "proposed"}, False),
        ("agreement_in_force", {AGREED + "status": "suspended"}, False),
        ("agreement_in_force", {AGREED + "status": "ended"}, False),
        ("grant_current", {FIRST + "starts": NOW}, True),
        ("grant_current", {FIRST + "starts": AFTER}, False),
        ("grant_current", {FIRST + "ends": AFTER}, True),
        ("grant_current", {FIRST + "ends": NOW}, False),
        ("grant_current", {FIRST + "revoked_seq": 0}, False),
        ("activity_permitted", {FIRST + "activities": []}, False),
        ("activity_permitted", {AGREED + "activities": []}, False),
        ("purpose_permitted", {FIRST + "purpose": "humanitarian.demining"}, True),
        ("purpose_permitted", {FIRST + "purpose": "humanitarian.demining.mines"}, False),
        ("purpose_permitted", {FIRST + "purpose": "humanit"}, False),
        ("purpose_permitted", {AGREED + "purposes": []}, False),
        ("purpose_permitted", {AGREED + "purposes": ["research"]}, False),
        ("purpose_not_prohibited", {"purpose.prohibited_at": "humanitarian"}, False),
        ("tier_within_grant", {FIRST + "tier": "derived"}, False),
        ("tier_within_grant", {AGREED + "tier": "derived"}, False),
        ("tier_within_grant", {FIRST + "tier": "raw", AGREED + "tier": "raw"}, True),
        ("tier_within_grant", {FIRST + "tier": "cosmic"}, False),
        ("tier_within_grant", {AGREED + "tier": ""}, False),
        ("environment_permitted", {FIRST + "environments": ["edge"]}, False),
        ("environment_permitted", {AGREED + "environments": []}, False),
        ("location_permitted", {FIRST + "countries": ["UKR"]}, False),
        ("location_permitted", {AGREED + "countries": []}, False),
        ("resource_available", {"resource.tier": "raw"}, False),
        ("resource_available", {"resource.until": AFTER}, True),
        ("resource_available", {"resource.until": NOW}, False),
        ("resource_available", {"resource.withdrawn": True}, False),
        ("releasable_to_partner", {"resource.releasable_to": []}, False),
        ("releasable_to_partner", {"resource.releasable_to": ["POL"]}, False),
        ("releasable_to_partner", {"resource.releasable_to": ["AP4"]}, True),
        ("releasable_to_partner", {"resource.releasable_to": [], "resource.originator": "acme-jp"}, True),
    ],
)
def test_edge(clause, facts, holds, find):
    """A rule holds up to its edge and not beyond it, in grant and agreement alike."""
    assert holds is find(clause, facts).holds


QUOTA = {FIRST + "max_runs": 2, FIRST + "runs_seq": 43}


@pytest.mark.parametrize(
    ("runs", "runs_open", "action", "holds"),
    [
        (0, 0, "train", True),
        (1, 0, "train", True),
        (2, 0, "train", False),
        (2, 0, "tune", False),
        (2, 0, "improve", False),
        (3, 0, "train", False),
        (2, 1, "train", True),
        (2, 0, "evaluate", True),
        (2, 0, "read_metadata", True),
    ],
)
def test_quota(runs, runs_open, action, holds, find):
    """Runs are left up to the quota; one that goes on is let go on; what does not train needs none."""
    finding = find(
        "quota_left", {**QUOTA, FIRST + "runs": runs, FIRST + "runs_open": runs_open}, {"action.name": action}
    )
    assert holds is finding.holds
    assert (finding.entries, finding.detail) == ((17, 43), {"runs": str(runs), "max_runs": "2"}) or holds


def test_no_quota(find):
    """Without a quota any number of runs may be started."""
    assert find("quota_left", {FIRST + "runs": 1_000}).holds


GIVEN = {"purpose": "humanitarian", "starts": BEFORE, "ends": AFTER, "seq": 41}


@pytest.mark.parametrize(
    ("needed_at", "given", "holds"),
    [
        ("humanitarian", [], False),
        ("humanitarian", [GIVEN], True),
        ("humanitarian", [GIVEN | {"purpose": "humanitarian.demining"}], True),
        ("humanitarian.demining", [GIVEN | {"purpose": "humanitarian.demining"}], True),
        ("humanitarian.demining", [GIVEN], False),
        ("humanitarian", [GIVEN | {"purpose": "research"}], False),
        ("humanitarian", [GIVEN | {"starts": NOW}], True),
        ("humanitarian", [GIVEN | {"starts": AFTER}], False),
        ("humanitarian", [GIVEN | {"ends": NOW}], False),
        ("humanitarian", [GIVEN | {"ends": NOW, "seq": 40}, GIVEN], True),
        ("elsewhere", [GIVEN | {"purpose": "elsewhere"}], False),
        (None, [], True),
    ],
)
def test_authorisation(needed_at, given, holds, find):
    """A purpose that needs an authorisation has one for a node from there down to itself, in force now."""
    finding = find("purpose_authorised", {"purpose.authorisation_at": needed_at, "authorisations": given})
    assert holds is finding.holds
    assert ((2, 41) if needed_at and holds else (2,)) == finding.entries
    assert holds or finding.detail == {"authorisation_at": needed_at}


VAULT = {"kind": "enclave", "country": "JPN", "starts": BEFORE, "ends": AFTER, "withdrawn": False, "seq": 42}
NAMED = {"context.environment": {"kind": "enclave", "country": "JPN", "id": "vault-1"}}


@pytest.mark.parametrize(
    ("attestation", "holds"),
    [
        (VAULT, True),
        (None, False),
        (VAULT | {"starts": NOW}, True),
        (VAULT | {"starts": AFTER}, False),
        (VAULT | {"ends": NOW}, False),
        (VAULT | {"withdrawn": True}, False),
        (VAULT | {"kind": "edge"}, False),
        (VAULT | {"country": "UKR"}, False),
    ],
)
@pytest.mark.parametrize("required", [False, True])
def test_attestation(attestation, holds, required, find):
    """An enclave that is named is attested now, as one, in that country, whether or not the grant asks for it."""
    finding = find("environment_attested", {FIRST + "attestation": required, "attestation": attestation}, NAMED)
    assert holds is finding.holds
    assert ((17, 42) if attestation else (17,)) == finding.entries
    assert holds or finding.detail


def test_attestation_where_none_is_named(find):
    """An environment that is not named holds only where the grant asks for no attestation."""
    assert find("environment_attested").holds
    finding = find("environment_attested", {FIRST + "attestation": True, "attestation": VAULT})
    assert (finding.holds, finding.detail) == (False, {"missing": "environment.id"})


def test_attestation_of_what_is_no_enclave(find):
    """Another kind of environment needs to be attested only where the grant asks for it."""
    edge = {"context.environment": {"kind": "edge", "country": "JPN", "id": "truck-1"}}
    assert find("environment_attested", None, edge).holds
    assert not find("environment_attested", {FIRST + "attestation": True}, edge).holds
    asked = {FIRST + "attestation": True, "attestation": VAULT | {"kind": "edge"}}
    assert find("environment_attested", asked, edge).holds


BOTH = ["JPN", "UKR"]
STORED = {"context.environment": {"kind": "enclave", "country": "JPN", "storage_country": "UKR"}}


@pytest.mark.parametrize(
    ("clause", "place", "value"),
    [
        ("location_permitted", FIRST + "countries", ["JPN"]),
        ("location_permitted", AGREED + "countries", ["JPN"]),
        ("lineage_permits", "resource.countries", ["JPN"]),
        ("lineage_permits", "ancestors.0.countries", ["JPN"]),
        ("lineage_permits", "ancestors.0.countries", []),
    ],
)
def test_storage(clause, place, value, find):
    """Where it is stored is held to the countries that processing is held to, each by itself."""
    open_ = {FIRST + "countries": BOTH, AGREED + "countries": BOTH}
    assert find(clause, open_, STORED).holds
    finding = find(clause, {**open_, place: value}, STORED)
    assert not finding.holds
    assert finding.detail.get("asked", "JPN, stored in UKR") == "JPN, stored in UKR"
    assert place == "ancestors.0.countries" or find(clause, {**open_, place: value}).holds


@pytest.mark.parametrize(
    ("scope", "target", "holds"),
    [
        ("everything", "", False),
        ("organisation", "acme-jp", False),
        ("organisation", "acme", True),
        ("resource", "dataset:uav-thermal", False),
        ("resource", "dataset:uav-thermal@redacted-1", False),
        ("resource", "dataset:uav-thermal@raw-1", False),
        ("resource", "dataset:uav-thermal@raw-2", True),
        ("resource", "dataset:uav", True),
        ("agreement", "a-1", False),
        ("agreement", "a-2", True),
        ("grant", "g-1", False),
        ("grant", "a-1", True),
        ("purpose", "humanitarian.demining", False),
        ("purpose", "humanitarian", False),
        ("purpose", "humanitarian.demining.mines", True),
        ("environment", "enclave", False),
        ("environment", "edge", True),
        ("unheard-of", "", False),
    ],
)
def test_restraint(scope, target, holds, find):
    """A pause or incident stops what it names and what lies below it, and nothing beside it; evidence is its entry."""
    for clause, facts in (("not_paused", "pauses"), ("no_open_incident", "incidents")):
        finding = find(clause, {facts: [{"scope": scope, "target": target, "seq": 40}]})
        assert holds is finding.holds
        assert holds or (finding.entries, finding.detail) == ((40,), {"scope": scope})


def test_a_pause_without_a_resource_or_grant(find):
    """Pauses cover by name what does not exist at the tier asked for; of a grant that is not there, none is paused."""
    pauses = [{"scope": "resource", "target": "dataset:uav-thermal", "seq": 40}]
    assert not find("not_paused", {"pauses": pauses, "resource": None, "ancestors": []}).holds
    for scope, target in (("grant", "g-1"), ("agreement", "a-1")):
        pauses = [{"scope": scope, "target": target, "seq": 40}]
        assert find("not_paused", {"pauses": pauses, "grants": []}).holds


def test_several_pauses(find):
    """A refusal names every pause that covers the use, and no other."""
    pauses = [
        {"scope": "purpose", "target": "humanitarian", "seq": 40},
        {"scope": "grant", "target": "another", "seq": 41},
        {"scope": "grant", "target": "g-1", "seq": 42},
    ]
    finding = find("not_paused", {"pauses": pauses})
    assert (finding.entries, finding.detail) == ((40, 42), {"scope": "grant, purpose"})


LINE = ["resource.", "ancestors.0."]


@pytest.mark.parametrize(
    ("bound", "value", "refused_by"),
    [
        ("withdrawn", True, "withdrawn"),
        ("until", NOW, "until"),
        ("releasable_to", [], "releasable_to"),
        ("releasable_to", ["POL"], "releasable_to"),
        ("purposes", [], "purposes"),
        ("purposes", ["research"], "purposes"),
        ("purposes", ["humanitarian.demining.mines"], "purposes"),
        ("countries", [], "countries"),
        ("countries", ["UKR"], "countries"),
    ],
)
@pytest.mark.parametrize("item", LINE)
def test_lineage_refuses(item, bound, value, refused_by, find):
    """A bound of the resource or of any ancestor refuses, and the finding rests on that entry alone."""
    finding = find("lineage_permits", {item + bound: value})
    assert not finding.holds
    assert finding.entries == (12 if item == "resource." else 11,)
    assert {"refused_by": refused_by} == finding.detail


@pytest.mark.parametrize("item", LINE)
def test_empty_is_the_originator_alone(item, find):
    """Empty bounds are open to the originator, in its own country, and there only."""
    empty = {item + bound: [] for bound in ("releasable_to", "purposes", "countries")}
    own = {**empty, item + "originator": "acme-jp"}
    assert not find("lineage_permits", empty).holds
    assert find("lineage_permits", own).holds
    abroad = {"resource.countries": ["JPN", "UKR"], "ancestors.0.countries": ["JPN", "UKR"]} | own
    assert not find("lineage_permits", abroad, {"context.environment.country": "UKR"}).holds


def test_bounds_hold_the_originator_too(find):
    """Bounds that an originator set are its own to keep: it may not use its data for a purpose that they leave out."""
    own = {"resource.originator": "acme-jp", "resource.purposes": ["research"]}
    assert not find("lineage_permits", own).holds


def test_others_are_not_told_of(find):
    """A refusal names neither those to whom a label releases, nor an ancestor."""
    refusals = [
        find("releasable_to_partner", {"resource.releasable_to": ["POL"]}),
        find("lineage_permits", {"ancestors.0.releasable_to": ["POL"]}),
    ]
    for finding in refusals:
        assert not {"POL", "raw-1", "mod-ua"} & set(" ".join(finding.detail.values()).replace("@", " ").split())


def test_long_sets_are_cut(find):
    """A detail repeats no more than MAX_LISTED values of a set."""
    countries = [f"X{a}{b}" for a in "ABCDEF" for b in "ABCDEF"]
    shown = find("location_permitted", {"grants.0.countries": countries}).detail["grant"].split(", ")
    assert [*sorted(countries)[:MAX_LISTED], "…"] == shown


def test_tiers_are_an_order():
    """A tier is within another if and only if it comes no later, and what is no tier is within nothing."""
    for i, asked in enumerate(TIERS):
        for j, ceiling in enumerate(TIERS):
            assert (i <= j) is tier_within(asked, ceiling)
        assert not tier_within(asked, "cosmic")
        assert not tier_within("cosmic", asked)
    assert not tier_within("cosmic", "cosmic")


def test_one_entry_for_several_of_the_line(find):
    """A refusal counts though the same entry concerns another item of the line that permits."""
    shared = {"resource.seq": 40, "ancestors.0.seq": 40}
    assert not find("lineage_permits", shared | {"resource.purposes": ["research"]}).holds
    assert not find("lineage_permits", shared | {"ancestors.0.purposes": ["research"]}).holds

"""Labels and security policies that others wrote."""

from collections import Counter

import pytest

from ledger.errors import Conflict, Malformed
from ledger.governance.labels import derive, format_label, marking, parse_label, releasable_to
from ledger.governance.spif import parse_spif

pytestmark = pytest.mark.real


@pytest.fixture
def nato(shared_data):
    return parse_spif((shared_data / "labels" / "nato-4774-policy.xml").read_bytes())


@pytest.fixture
def labels(shared_data, nato):
    return {n: parse_label((shared_data / f"labels/nato-4774-17-{n}.nato").read_bytes(), nato) for n in (1, 2, 4)}


def test_the_policy_of_an_alliance(nato):
    """The policy has five classifications in order, and 205 values in five tag sets."""
    assert (nato.name, nato.id) == ("NATO", "1.3.26.1.3.1")
    heights = {each.name: each.hierarchy for each in nato.classifications}
    assert heights == {"UNCLASSIFIED": 1, "RESTRICTED": 2, "CONFIDENTIAL": 3, "SECRET": 4, "TOP SECRET": 5}
    assert Counter({(s.name, t.type): len(t.values) for s in nato.tag_sets for t in s.tags}) == {
        ("Additional Sensitivity", "RESTRICTIVE"): 9,
        ("Releasable To", "PERMISSIVE"): 90,
        ("Only", "PERMISSIVE"): 90,
        ("Administrative", "INFORMATIVE"): 5,
        ("Context", "PERMISSIVE"): 11,
    }


def test_a_policy_in_the_default_namespace(shared_data):
    """The other policy, with the namespace as default, has sets of several tags and types."""
    policy = parse_spif((shared_data / "labels" / "tlp-plus.xml").read_bytes())
    assert (policy.name, policy.id) == ("TLPX", "1.2.826.0.1.6726289.0.1")
    assert [each.name for each in policy.classifications] == ["WHITE", "GREEN", "AMBER", "RED"]
    assert [(s.name, [(t.name, t.type) for t in s.tags]) for s in policy.tag_sets] == [
        ("Dissemination", [("Jurisdiction", "PERMISSIVE"), ("Additional Handling", "INFORMATIVE")]),
        ("Mandatory Data Handling", [("Handling", "RESTRICTIVE"), ("Encryption", "RESTRICTIVE")]),
        ("Data Status", [("Actions", "INFORMATIVE")]),
    ]
    (other,) = policy.tag_sets[0].tags[1].values
    assert {"WHITE", "GREEN"} == other.excluded


def test_markings(nato, labels):
    """The three labels read as their publisher says."""
    assert {n: marking(label, nato) for n, label in labels.items()} == {
        1: "NATO UNCLASSIFIED Releasable to ISAF, KFOR, RESOLUTE SUPPORT",
        2: "NATO UNCLASSIFIED",
        4: "NATO RESTRICTED Releasable to Japan, Switzerland, Ukraine",
    }
    assert marking(labels[4], nato, "fr") == "NATO DIFFUSION RESTREINTE Communicable a Japon, Suisse, Ukraine"


def test_round_trip(nato, labels):
    """Each label written and read again is the same."""
    assert labels == {n: parse_label(format_label(label), nato) for n, label in labels.items()}


def test_who_may_receive(nato, labels):
    """The derivation of two is for whom both name, and of all three for nobody but the originator."""
    assert releasable_to(labels[4]) == {"NATO", "JPN", "CHE", "UKR"}
    assert releasable_to(derive([labels[1], labels[4]], nato)) == {"NATO"}
    all_three = derive(list(labels.values()), nato)
    assert frozenset() == releasable_to(all_three)
    assert marking(all_three, nato) == "NATO RESTRICTED"


def test_top_secret_is_cosmic(shared_data, nato):
    """At the highest classification the policy's name gives way, and the countries are excluded."""
    xml = (shared_data / "labels" / "nato-4774-17-2.nato").read_bytes().replace(b"UNCLASSIFIED", b"TOP SECRET")
    assert marking(parse_label(xml, nato), nato) == "COSMIC TOP SECRET"
    xml = (shared_data / "labels" / "nato-4774-17-4.nato").read_bytes().replace(b">RESTRICTED", b">TOP SECRET")
    with pytest.raises(Malformed, match="`Releasable` must not stand") as refused:
        parse_label(xml, nato)
    assert refused.value.pointer == "/ConfidentialityInformation/Category[1]/GenericValue[2]"


def test_the_short_form_is_another_format(shared_data, nato):
    """A label in the publisher's own short form is not ADatP-4774 and is refused."""
    with pytest.raises(Malformed, match="surevine"):
        parse_label((shared_data / "labels" / "nato-4774-17-4.xml").read_bytes(), nato)


def test_a_label_of_one_policy_does_not_read_by_another(shared_data, labels):
    """A label is read, derived and marked by its own policy."""
    other = parse_spif((shared_data / "labels" / "tlp-plus.xml").read_bytes())
    with pytest.raises(Malformed) as refused:
        parse_label((shared_data / "labels" / "nato-4774-17-2.nato").read_bytes(), other)
    assert refused.value.pointer == "/ConfidentialityInformation/PolicyIdentifier"
    with pytest.raises(Conflict):
        marking(labels[2], other)

"""Purposes of the W3C Data Privacy Vocabulary 2.3, as published."""

import csv

import pytest

from ledger.governance.purposes import parse_dpv, parse_tree

pytestmark = pytest.mark.real


@pytest.fixture
def table(shared_data):
    return (shared_data / "purposes" / "dpv-purposes.csv").read_bytes()


def test_every_purpose_of_the_table_is_in_one_tree(table):
    """All 122 purposes form one tree under `Purpose`; what is left out is the sector and two properties."""
    tree = parse_tree(parse_dpv(table))
    terms = {row["term"] for row in csv.DictReader(table.decode().splitlines())}
    assert terms - set(tree.nodes) == {"Sector", "hasPurpose", "hasSector"}
    assert len(tree.nodes) == 122
    assert all(tree.path(term)[0] == "Purpose" for term in tree.nodes)


@pytest.mark.parametrize(
    "path",
    [
        ("Purpose", "ResearchAndDevelopment", "AcademicResearch"),
        ("Purpose", "Marketing", "Advertising", "PersonalisedAdvertising", "TargetedAdvertising"),
        ("Purpose", "CommercialPurpose", "CommercialResearch"),
        ("Purpose", "EnforceSecurity", "Verification", "AgeVerification"),
        ("Purpose", "RightsFulfilment"),
    ],
)
def test_paths(table, path):
    """Paths follow the first broader purpose; a broader term outside the table leaves the top concept."""
    assert parse_tree(parse_dpv(table)).path(path[-1]) == path


def test_each_step_is_a_broader_term_of_the_table(table):
    """Every step of every path is one that DPV itself states, the one below the top concept apart."""
    tree = parse_tree(parse_dpv(table))
    broader = {
        row["term"]: {iri.rpartition("#")[2] for iri in row["hasbroader"].split(";")}
        for row in csv.DictReader(table.decode().splitlines())
    }
    for term, node in tree.nodes.items():
        assert node.parent is None or node.parent in broader[term] or node.parent == "Purpose"
    assert {"RightsFulfilment"} == {t for t, n in tree.nodes.items() if n.parent and n.parent not in broader[t]}


def test_a_mapped_term_takes_its_branch_along(table):
    """With a class for `PublicBenefit`, what lies below it is of that class, and research no longer covers it."""
    tree = parse_tree(parse_dpv(table, {"PublicBenefit": "humanitarian"}))
    assert tree.path("ImproveHealthcare") == ("PublicBenefit", "ImproveHealthcare")
    assert tree.node("ImproveHealthcare").cls == "humanitarian"
    assert not tree.covers("Purpose", "ImproveHealthcare")
    assert tree.node("AcademicResearch").cls == "research"

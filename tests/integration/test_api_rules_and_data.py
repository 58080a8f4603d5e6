"""Purposes, policies, security policies, datasets and their versions over HTTP."""

import hashlib
import json
import re

import pytest
from served import spif, version_body

from ledger.access.clauses import CLAUSES
from ledger.resources import folder
from ledger.services.rules import INDISPENSABLE

NODE = {"id": "humanitarian", "cls": "humanitarian", "en": "Humanitarian work", "uk": "Гуманітарна діяльність"}
POLICY_FOLDER = folder("policy_models") / "dataset_access"
POLICY = {
    "name": "dataset_access",
    "model": (POLICY_FOLDER / "model.conf").read_text("utf-8"),
    "rows": (POLICY_FOLDER / "policy.csv").read_text("utf-8"),
}


@pytest.fixture
def labelled(api):
    """Give a world in which the security policy is adopted that labels are read by."""
    api.ok("security-policies", "security", spif())
    return api


def test_a_purpose_tree_replaces_the_one_before(api):
    """Once a tree without it is in force, a purpose that was granted is denied."""
    assert api.decide()["decision"] is True
    seq = api.ok("purposes", "legal", {"nodes": [NODE]})["seq"]
    assert api.entries(seq)[0].kind == "purposes.adopted"
    assert api.decide()["decision"] is False


@pytest.mark.parametrize(
    ("nodes", "pointer"),
    [
        ([], "/nodes"),
        ([NODE, NODE], "/nodes/1/id"),
        ([{**NODE, "parent": "nothing"}], "/nodes/0/parent"),
        ([{**NODE, "parent": "humanitarian"}], "/nodes/0/parent"),
        ([{**NODE, "cls": "commercial"}], "/nodes/0/cls"),
        ([{**NODE, "uk": ""}], "/nodes/0/uk"),
        ([{**NODE, "prohibited": "yes"}], "/nodes/0/prohibited"),
    ],
)
def test_a_purpose_tree_that_is_none_is_refused(shared_api, nodes, pointer):
    """A tree that is empty, repeats an id, has an unknown or circular parent, or an unknown class is refused there."""
    shared_api.refused(400, "purposes", "steward", {"nodes": nodes}, pointer=pointer)


def test_a_purpose_tree_larger_than_an_entry_is_refused(shared_api):
    """A tree that would not fit into an entry is too large, and nothing of it is written."""
    nodes = [{**NODE, "id": f"p{i}", "en": "x" * 1_000} for i in range(100)]
    shared_api.refused(413, "purposes", "steward", {"nodes": nodes}, "over the limit of 65,535 bytes")


@pytest.mark.parametrize(
    ("path", "body", "allowed"),
    [
        ("purposes", {"nodes": [NODE]}, {"steward", "legal"}),
        ("policies", POLICY, {"security"}),
        ("security-policies", spif(), {"security"}),
        ("datasets", {"id": "sar", "title": "Radar"}, {"steward"}),
        ("datasets/uav/versions", version_body(), {"steward"}),
        ("datasets/uav/versions/raw-1/withdrawal", {"reason": "x"}, {"steward", "security"}),
    ],
)
def test_each_rule_has_its_roles(shared_api, path, body, allowed):
    """Whoever is not in the role is refused, partners and systems among them."""
    for token in {"admin", "steward", "security", "legal", "ethics", "auditor", "sato", "trainer", "gate"} - allowed:
        shared_api.refused(403, path, token, body)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"model": "x"}, "/model/1"),
        ({"model": POLICY["model"].replace("deny", "allow")}, "/model/11"),
        ({"rows": "x"}, "/rows/1"),
        ({"rows": "p, train, raw, no_such_clause, deny, x, y\n" + POLICY["rows"]}, "/rows/1"),
    ],
)
def test_a_policy_that_does_not_load_is_refused(shared_api, change, pointer):
    """A model or rows that are none, another model, and an unknown clause are refused by line, never put in force."""
    shared_api.refused(400, "policies", "security", {**POLICY, **change}, pointer=pointer)


def test_what_a_policy_may_leave_out():
    """Every clause is indispensable but the two that lineage implies for the resource itself."""
    assert set(CLAUSES) - set(INDISPENSABLE) == {"resource_available", "releasable_to_partner"}


@pytest.mark.parametrize("clause", INDISPENSABLE)
def test_a_policy_without_an_indispensable_clause_is_refused(shared_api, clause):
    """Whatever else a policy permits, it has to deny everything where one of these clauses does not hold."""
    rows = "\n".join(line for line in POLICY["rows"].splitlines() if f"not {clause}," not in line)
    assert rows.count("\np,") == POLICY["rows"].count("\np,") - 1
    shared_api.refused(400, "policies", "security", {**POLICY, "rows": rows}, f"`{clause}` does not hold", "/rows")


def test_a_label_that_says_only_is_refused(api):
    """A category `Only` narrows the audience in a way that derivation would lose: the label is refused by name."""
    text = spif()["spif"]
    released = re.search(r'<securityCategoryTagSet name="Releasable To".*?</securityCategoryTagSet>', text, re.DOTALL)[
        0
    ]
    only = released.replace("Releasable To", "Only").replace("32473.1.2", "32473.1.9")
    api.ok("security-policies", "security", {"spif": text.replace(released, released + only)})
    label = version_body()["label"].replace("Releasable To", "Only")
    api.refused(400, "datasets/uav/versions", "steward", version_body(label=label), "`Only`", "/label")


@pytest.mark.parametrize("text", ["x", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_a_security_policy_that_is_none_is_refused(shared_api, text):
    """What is not XML, another document, or one with entities of its own is refused."""
    shared_api.refused(400, "security-policies", "security", {"spif": text})


def test_a_version_is_registered_with_its_documents(labelled):
    """Card, manifest and label are attached, and the entry names each by its SHA-256."""
    body = version_body()
    entry = labelled.entries(labelled.ok("datasets/uav/versions", "steward", body)["seq"])[0]
    assert entry.kind == "dataset.version_registered"
    for name in ("card", "manifest", "label"):
        assert hashlib.sha256(body[name].encode()).hexdigest() == entry.body[f"{name}_sha256"]
    assert entry.body["label"]["classification"] == "RESTRICTED"
    labelled.refused(409, "datasets/uav/versions", "steward", body, "exists already")


def test_a_derived_version_takes_its_label_from_its_parents(labelled):
    """Without a label of its own it has its parents'; with none and no parents it is refused."""
    labelled.ok("datasets/uav/versions", "steward", version_body())
    derived = version_body("redacted-2", tier="redacted", label=None, derived_from=["raw-2"])
    entry = labelled.entries(labelled.ok("datasets/uav/versions", "steward", derived)["seq"])[0]
    assert entry.body["derived_from"] == ["raw-2"]
    assert entry.body["label"]["classification"] == "RESTRICTED"
    labelled.refused(400, "datasets/uav/versions", "steward", version_body("x", label=None), "is missing", "/label")


def test_a_derived_version_is_never_wider(labelled):
    """More countries or purposes than its parent has, or a later end, are refused (I6)."""
    bounds = {"purposes": ["humanitarian"], "countries": ["JPN", "UKR"], "until": "2027-06-01T00:00:00.000000Z"}
    labelled.ok("datasets/uav/versions", "steward", version_body(bounds=bounds))
    for change in ({"countries": ["JPN", "POL", "UKR"]}, {"purposes": ["research"]}, {"until": ""}):
        wider = version_body("x", tier="redacted", label=None, derived_from=["raw-2"], bounds={**bounds, **change})
        labelled.refused(409, "datasets/uav/versions", "steward", wider, next(iter(change)))


def test_a_derived_version_may_not_declare_a_wider_label(labelled):
    """A label that releases to more than the parent's is a conflict that says how."""
    labelled.ok("datasets/uav/versions", "steward", version_body())
    label = version_body()["label"].replace("RESTRICTED", "UNCLASSIFIED")
    wider = version_body("x", tier="redacted", label=label, derived_from=["raw-2"])
    labelled.refused(409, "datasets/uav/versions", "steward", wider, "the label is wider than that of")


def _without(name: str) -> dict[str, object]:
    files = version_body()["files"]
    return {"files": {path: digest for path, digest in files.items() if path != name}}


def _card(change) -> dict[str, object]:
    card = json.loads(version_body()["card"])
    change(card)
    return {"card": json.dumps(card)}


REFUSED_VERSIONS = {
    "a file that was not signed": (422, {"files": {**version_body()["files"], "extra.bin": "00" * 32}}, "extra.bin"),
    "a file that is missing": (422, _without("thermal-001.pgm"), "thermal-001.pgm"),
    "a manifest that is none": (422, {"manifest": "{}"}, ""),
    "a manifest of another key": (422, {"manifest": version_body()["manifest"]}, "signature"),
    "a key that is none": (400, {"public_key": "x"}, ""),
    "a card that is none": (400, {"card": "{}"}, ""),
    "a card whose digest is none": (
        400,
        _card(lambda card: card["distribution"][0].update(sha256="sha256")),
        "`sha256`",
    ),
    "a card that contradicts the manifest": (
        400,
        _card(lambda card: [f.update(sha256="ab" * 32) for f in card["distribution"] if "sha256" in f]),
        "is not what the signed manifest says",
    ),
    "a label of an unknown category": (
        400,
        {"label": version_body()["label"].replace("Releasable To", "Sellable To")},
        "Sellable To",
    ),
    "a label that is none": (400, {"label": "<a/>"}, ""),
    "an unknown security policy": (404, {"security_policy": "NATO"}, "no adopted security policy `NATO`"),
    "an unknown parent": (404, {"derived_from": ["raw-9"]}, "no resource `dataset:uav@raw-9`"),
    "a prohibited purpose": (400, {"bounds": {"purposes": ["offensive.strike"]}}, "is prohibited"),
    "an unknown tier": (400, {"tier": "secret"}, ""),
    "a digest in capitals": (400, {"files": {"a": "AB" * 32}}, ""),
}


@pytest.mark.parametrize("case", REFUSED_VERSIONS)
def test_a_version_that_does_not_hold_together_is_refused(shared_api, case):
    """Each flaw of a version's documents is refused by name, and neither entry nor attachment is left behind."""
    status, change, detail = REFUSED_VERSIONS[case]
    with shared_api.world.service.engine.connect() as connection:
        known = connection.exec_driver_sql("SELECT count(*) FROM security_policy").scalar_one()
    if not known:
        shared_api.ok("security-policies", "security", spif())
    attachments = _attachments(shared_api)
    problem = shared_api.post("datasets/uav/versions", "steward", {**version_body("bad"), **change})
    assert (status, True) == (problem.status_code, detail in problem.json()["detail"]), problem.text
    assert attachments == _attachments(shared_api)
    assert "bad" not in str(shared_api.entries()[-1].body)


def _attachments(api) -> int:
    with api.world.service.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM attachment").scalar_one()


def test_a_dataset_is_registered_once(api):
    """A dataset has one id, for ever, and a version needs its dataset."""
    api.ok("datasets", "steward", {"id": "sar", "title": "Radar"})
    api.refused(409, "datasets", "steward", {"id": "sar", "title": "Radar"}, "dataset `sar` exists already")
    api.refused(404, "datasets/none/versions", "steward", version_body(), "no dataset `none`")


def test_a_withdrawn_version_closes_what_was_derived_from_it(api):
    """Withdrawing the raw version denies the redacted one; a second withdrawal is refused."""
    assert api.decide()["decision"] is True
    api.ok("datasets/uav/versions/raw-1/withdrawal", "security", {"reason": "a person can be recognised"})
    denied = api.decide()
    assert denied["decision"] is False
    assert "lineage_permits" in [reason["clause"] for reason in denied["context"]["reasons"] if not reason["held"]]
    api.refused(409, "datasets/uav/versions/raw-1/withdrawal", "steward", {"reason": "x"}, "was withdrawn by entry")
    api.refused(404, "datasets/uav/versions/raw-9/withdrawal", "steward", {"reason": "x"}, "no resource")

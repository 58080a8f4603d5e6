"""Agreements, requests for access, votes and grants over HTTP: the quorum's rules, and every refusal."""

import base64
import hashlib
import json

import pytest
from world import OTHER, OWNER, PARTNER
from world import TERMS as WORLD_TERMS

from ledger.events.registry import MemberAppointed
from ledger.events.sharing import AgreementProposed, AgreementSigned

STARTS, ENDS = "2026-11-21T00:00:00.000000Z", "2027-06-01T00:00:00.000000Z"
TERMS = {
    "purposes": ["humanitarian"],
    "activities": ["train", "evaluate"],
    "tier": "redacted",
    "environments": ["enclave"],
    "countries": ["UKR", "JPN", "JPN"],
    "starts": STARTS,
    "ends": ENDS,
}
AGREEMENT = {"id": "ua-2", "template": "data_use", "template_version": "v1", "consumer": PARTNER, "terms": TERMS}
WANTED = {
    "purpose": "humanitarian.demining",
    "activities": ["train"],
    "tier": "redacted",
    "environments": ["enclave"],
    "countries": ["JPN"],
    "starts": STARTS,
    "ends": ENDS,
}
REQUEST = {
    "id": "req-2",
    "agreement": "ua-acme",
    "resource": "dataset:uav",
    "terms": WANTED,
    "justification": "a detector of mines for clearance teams",
}
VOTES = "access-requests/req-2/votes"


def approve(role: str) -> dict[str, str]:
    return {"role": role, "vote": "approve", "note": "within the agreement"}


def test_an_agreement_is_in_force_once_both_have_signed(api):
    """The steward proposes, legal and the partner's signatory sign, and the last signature puts it in force."""
    entry = api.entries(api.ok("agreements", "steward", AGREEMENT)["seq"])[0]
    assert entry.body["terms"]["countries"] == ["JPN", "UKR"]
    assert "report_use" in [duty["type"] for duty in entry.body["terms"]["obligations"]]
    api.refused(409, "access-requests", "sato", {**REQUEST, "agreement": "ua-2"}, "is proposed, not in force")
    signed = [api.entries(api.ok("agreements/ua-2/signatures", who)["seq"])[0].body for who in ("legal", "sato")]
    assert [body["in_force"] for body in signed] == [False, True]
    api.refused(409, "agreements/ua-2/signatures", "legal", detail="is in_force, not proposed")


def test_a_party_signs_once(api):
    """The same party cannot give the signature that the other owes."""
    api.ok("agreements", "legal", AGREEMENT)
    api.ok("agreements/ua-2/signatures", "sato")
    api.refused(403, "agreements/ua-2/signatures", "sato", detail="has signed already")


def test_nobody_signs_for_another(api):
    """The owner's signature takes legal, the partner's its signatory; another partner does not see the agreement."""
    api.ok("agreements", "steward", AGREEMENT)
    for token in ("steward", "security", "admin", "gate", "trainer"):
        api.refused(403, "agreements/ua-2/signatures", token)
    api.refused(404, "agreements/ua-2/signatures", "other", detail="no agreement `ua-2`")
    api.refused(404, "agreements/none/signatures", "legal", detail="no agreement `none`")


@pytest.mark.parametrize("token", ["admin", "security", "ethics", "auditor", "sato", "trainer"])
def test_only_steward_or_legal_propose(shared_api, token):
    """Terms are proposed by the owner's steward or legal alone."""
    shared_api.refused(403, "agreements", token, AGREEMENT)


@pytest.mark.parametrize(
    ("status", "change", "detail"),
    [
        (409, {"id": "ua-acme"}, "agreement `ua-acme` exists already"),
        (404, {"consumer": "nobody"}, "no organisation `nobody`"),
        (404, {"template": "none"}, "no agreement template `none/v1`"),
        (404, {"template_version": "v9"}, "no agreement template"),
        (409, {"terms": {**TERMS, "purposes": ["offensive.strike"]}}, "`offensive.strike` is prohibited at"),
        (400, {"terms": {**TERMS, "tier": "raw"}}, "`raw` is above the template's `redacted`"),
        (400, {"terms": {**TERMS, "environments": ["edge"]}}, "`edge` is not among what the template permits"),
        (400, {"terms": {**TERMS, "ends": "2028-06-01T00:00:00.000000Z"}}, "more than 366 days after the start"),
        (400, {"terms": {**TERMS, "ends": STARTS}}, "is not after the start"),
        (404, {"terms": {**TERMS, "purposes": ["nothing"]}}, "no purpose `nothing`"),
    ],
)
def test_terms_stay_within_the_template(shared_api, status, change, detail):
    """An agreement that exists, has no such party or template, or goes beyond its template's limits, is refused."""
    problem = shared_api.post("agreements", "steward", {**AGREEMENT, **change})
    assert (status, True) == (problem.status_code, detail in problem.json()["detail"]), problem.text
    assert "ua-2" not in str(shared_api.entries()[-1].body)


@pytest.mark.parametrize("name", ["..", ".", "data_use/../data_use"])
def test_a_template_is_named_never_found_by_path(shared_api, name):
    """A template's name leads to its folder alone."""
    shared_api.refused(400, "agreements", "steward", {**AGREEMENT, "template": name}, pointer="/template")


def test_a_quorum_grants(api):
    """Two people in the required roles grant; the grant allows, and each step is an entry by its person."""
    asked = api.ok("access-requests", "sato", REQUEST)
    assert asked["quorum"] == ["security", "steward"]
    first = api.ok(VOTES, "steward", approve("steward"))
    assert (first["outcome"], first["missing_roles"], first["grant"]) == ("pending", ["security"], None)
    second = api.ok(VOTES, "security", approve("security"), wrote=2)
    assert (second["outcome"], second["missing_roles"], second["grant"]) == ("granted", [], "grant-req-2")
    grant = api.entries(second["granted_seq"])[0]
    assert (grant.kind, grant.body["terms"]) == ("grant.issued", WANTED)
    api.refused(409, VOTES, "legal", approve("legal"), "is granted, not under review")


def test_a_justification_is_sealed(api):
    """The entry holds a commitment to it, and its text stands nowhere in the ledger (I9)."""
    entry = api.entries(api.ok("access-requests", "sato", REQUEST)["seq"])[0]
    with api.world.service.engine.connect() as connection:
        disclosure = connection.exec_driver_sql("SELECT data FROM disclosure").scalar_one()
        stored = connection.exec_driver_sql("SELECT data FROM entry ORDER BY seq DESC LIMIT 1").scalar_one()
    salt, name, value = json.loads(base64.urlsafe_b64decode(disclosure + b"=="))
    commitment = base64.urlsafe_b64encode(hashlib.sha256(disclosure).digest()).decode().rstrip("=")
    assert entry.sealed == {"justification": commitment}
    assert (name, value) == ("justification", REQUEST["justification"])
    assert len(base64.urlsafe_b64decode(salt + "==")) >= 16
    assert value.encode() not in stored


def test_a_refusal_closes_a_request(api):
    """One refusal refuses it, on record, and no later approval changes that."""
    api.ok("access-requests", "sato", REQUEST)
    counted = api.ok(VOTES, "steward", {"role": "steward", "vote": "refuse"}, wrote=2)
    assert (counted["outcome"], counted["grant"]) == ("refused", None)
    assert api.entries()[-1].kind == "access.refused"
    api.refused(409, VOTES, "security", approve("security"), "is refused, not under review")


def test_a_person_votes_once(api):
    """The same person cannot fill a second role, nor vote again in the same one."""
    api.world.append(_appointed("o.koval", "security", "steward"))
    api.ok("access-requests", "sato", REQUEST)
    api.ok(VOTES, "steward", approve("steward"))
    api.refused(409, VOTES, "steward", approve("steward"), "has voted already")
    api.refused(409, VOTES, "steward", approve("security"), "has voted already")


def test_a_requester_never_votes(api):
    """Someone of the owner's who asks may not vote on it, whatever their roles."""
    api.world.append(_appointed("o.koval", "applicant", "security", "steward"), *_agreement_with_itself())
    api.ok("access-requests", "steward", {**REQUEST, "agreement": "ua-ua"})
    api.refused(403, VOTES, "steward", approve("steward"), "may not vote on what they asked for")
    api.ok(VOTES, "security", approve("security"))


def test_a_vote_takes_the_role_it_is_cast_in(api):
    """A role that one does not have, one that has no say here, and another organisation's are refused."""
    api.ok("access-requests", "sato", REQUEST)
    api.refused(403, VOTES, "steward", approve("security"), "in the role security")
    api.refused(403, VOTES, "legal", approve("legal"), "the role `legal` has no vote here")
    api.refused(403, VOTES, "sato", approve("applicant"), "a person of `mod-ua`")
    api.refused(403, VOTES, "gate", approve("steward"))
    api.refused(403, VOTES, "auditor", approve("auditor"), "not scoped for `govern`")
    api.refused(404, "access-requests/none/votes", "steward", approve("steward"), "no access request `none`")


def test_a_suspended_agreement_grants_nothing(api):
    """Where the agreement is no longer in force when the quorum completes, the last vote is refused with it."""
    api.ok("access-requests", "sato", REQUEST)
    api.ok(VOTES, "steward", approve("steward"))
    with api.world.service.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE agreement SET status = 'suspended'")
    api.refused(409, VOTES, "security", approve("security"), "is no longer in force")


@pytest.mark.parametrize(
    ("status", "change", "detail"),
    [
        (409, {"id": "req-1"}, "request `req-1` exists already"),
        (404, {"agreement": "none"}, "no agreement `none`"),
        (404, {"resource": "dataset:none"}, "no resource `dataset:none`"),
        (409, {"terms": {**WANTED, "purpose": "offensive.strike"}}, "is prohibited at `offensive.strike`"),
        (409, {"terms": {**WANTED, "purpose": "research"}}, "purposes"),
        (409, {"terms": {**WANTED, "tier": "raw"}}, "tier"),
        (409, {"terms": {**WANTED, "countries": ["USA"]}}, "countries"),
        (409, {"terms": {**WANTED, "activities": ["infer"]}}, "activities"),
        (409, {"terms": {**WANTED, "environments": ["federated"]}}, "environments"),
        (409, {"terms": {**WANTED, "ends": "2029-01-01T00:00:00.000000Z"}}, "ends"),
        (400, {"terms": {**WANTED, "ends": STARTS}}, "is not after the start"),
        (404, {"terms": {**WANTED, "purpose": "nothing"}}, "no purpose `nothing`"),
    ],
)
def test_a_request_stays_within_its_agreement(shared_api, status, change, detail):
    """What is wider than the agreement in any field, or names what is not there, is refused and named."""
    problem = shared_api.post("access-requests", "sato", {**REQUEST, **change})
    assert (status, True) == (problem.status_code, detail in problem.json()["detail"]), problem.text
    assert "req-2" not in str(shared_api.entries()[-1].body)


@pytest.mark.parametrize("token", ["steward", "security", "trainer", "gate", "other"])
def test_only_an_applicant_asks(shared_api, token):
    """Asking takes an applicant of the partner's own."""
    shared_api.refused(403, "access-requests", token, REQUEST)


@pytest.mark.parametrize("token", ["steward", "security", "legal"])
def test_any_one_approver_revokes(api, token):
    """One person ends a grant, at once: the next decision is denied and names the revocation."""
    assert api.decide()["decision"] is True
    seq = api.ok("grants/grant-1/revocation", token, {"reason": "the enclave's attestation lapsed"})["seq"]
    denied = api.decide()
    failed = {reason["clause"]: reason for reason in denied["context"]["reasons"] if not reason["held"]}
    assert denied["decision"] is False
    assert seq in failed["grant_current"]["entries"]
    api.refused(409, "grants/grant-1/revocation", token, {"reason": "x"}, f"was revoked by entry {seq}")


@pytest.mark.parametrize("token", ["admin", "ethics", "auditor", "sato", "trainer", "gate", "other"])
def test_nobody_else_revokes(shared_api, token):
    """A grant is not the administrator's, a system's or a partner's to end."""
    shared_api.refused(403, "grants/grant-1/revocation", token, {"reason": "x"})
    assert shared_api.post("grants/none/revocation", token, {"reason": "x"}).status_code in {403, 404}


def _appointed(person: str, *roles: str):
    return MemberAppointed(org=OWNER, person=person, roles=roles)


def _agreement_with_itself():
    yield AgreementProposed(
        id="ua-ua",
        template="data_use",
        version="1",
        template_sha256="44" * 32,
        provider=OTHER,
        consumer=OWNER,
        terms=WORLD_TERMS,
    )
    yield AgreementSigned(id="ua-ua", org=OWNER, in_force=True)

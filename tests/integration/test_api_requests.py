"""From a deny to a request for access, its approval, and another evaluation (draft AuthZEN access request profile)."""

from datetime import timedelta

import pytest
from served import check_problem
from world import LAST_DAY

from ledger.log.entry import format_time, parse_time

REQUESTS = "/access/v1/requests"
KEY = {"Idempotency-Key": "7f3c-1"}
COUNTRY = {"country": "UKR"}
"""The agreement covers it, and the world's grant does not."""


def asked_for(denied, **changes):
    body = {
        "binding_token": denied["context"]["access_request"]["binding_token"],
        "agreement": "ua-acme",
        "ends": LAST_DAY,
        "justification": "the second site",
    }
    return {**body, **changes}


def refused(api, status, body, detail, *, token="sato", headers=KEY):
    before = api.size
    problem = check_problem(api.post(REQUESTS, token, body, headers=headers), status)
    assert detail in problem["detail"]
    assert api.size == before


def state(api, id, token="trainer"):
    response = api.send("GET", f"{REQUESTS}/{id}", token)
    assert response.status_code == 200, response.text
    return response.json()["state"]


def test_a_deny_leads_to_a_request_and_its_approval_to_another_evaluation(api_on_each_engine):
    """Pending until the quorum is complete, then approved; neither allows by itself: the evaluation after it does."""
    api = api_on_each_engine
    denied = api.decide(**COUNTRY)
    offered = denied["context"]["access_request"]
    assert offered["endpoint"] == api.world.service.url + REQUESTS
    expires = parse_time(denied["context"]["evaluated_at"]) + timedelta(hours=1)
    assert offered["expires_at"] == format_time(expires)
    response = api.post(REQUESTS, "sato", asked_for(denied), headers=KEY)
    told = response.json()
    assert (response.status_code, told["state"], told["quorum"]) == (201, "pending", ["security", "steward"])
    requested = api.entries(told["seq"])[0]
    assert requested.kind == "access.requested"
    assert requested.body["terms"]["countries"] == ["UKR"]
    assert state(api, told["id"]) == "pending"
    for role in ("steward", "security"):
        assert api.decide(**COUNTRY)["decision"] is False
        vote = {"role": role, "vote": "approve", "note": ""}
        api.post(f"access-requests/{told['id']}/votes", role, vote).raise_for_status()
    assert state(api, told["id"]) == "approved"
    allowed = api.decide(**COUNTRY)
    assert (allowed["decision"], allowed["context"]["grant"]) == (True, f"grant-{told['id']}")
    assert "access_request" not in allowed["context"]


def test_the_same_key_is_the_same_request(api):
    """Sent again it changes nothing and tells how it stands; with another question it is refused."""
    denied = api.decide(**COUNTRY)
    first = api.post(REQUESTS, "sato", asked_for(denied), headers=KEY).json()
    size = api.size
    again = api.post(REQUESTS, "sato", asked_for(denied), headers=KEY)
    assert (again.status_code, again.json(), api.size) == (201, first, size)
    refused(api, 409, asked_for(denied, ends="2027-01-01T00:00:00.000000Z"), "was used for another request")
    other = api.post(REQUESTS, "sato", asked_for(denied), headers={"Idempotency-Key": "7f3c-2"}).json()
    assert other["id"] != first["id"]


def test_a_request_is_denied_by_a_vote_and_expires_with_its_term(api):
    """A refusal ends it; one that nobody decided is over when what it asks for is."""
    denied = api.decide(**COUNTRY)
    first = api.post(REQUESTS, "sato", asked_for(denied), headers=KEY).json()["id"]
    soon = format_time(api.world.clock.now + timedelta(hours=2))
    second = api.post(REQUESTS, "sato", asked_for(denied, ends=soon), headers={"Idempotency-Key": "2"}).json()["id"]
    vote = {"role": "steward", "vote": "refuse", "note": "not there"}
    api.post(f"access-requests/{first}/votes", "steward", vote).raise_for_status()
    assert (state(api, first), state(api, second)) == ("denied", "pending")
    api.world.clock.now += timedelta(hours=3)
    assert (state(api, first), state(api, second)) == ("denied", "expired")


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "offensive.strike"},
        {"tier": "raw"},
        {"country": "USA"},
        {"action": {"name": "infer"}},
        {"resource": {"type": "dataset", "id": "none"}},
        {"subject": {"type": "organisation", "id": "nobody"}},
        {},
    ],
    ids=repr,
)
def test_what_a_grant_would_not_cure_is_not_requestable(shared_api, changes):
    """Beyond the agreement, prohibited, of nobody, or allowed: there is nothing to ask for."""
    assert "access_request" not in shared_api.decide("gate", **changes)["context"]


def test_what_is_refused(api):
    """No key, no such deny, an allow, a deny that nothing cures, one of an hour ago; nobody but an applicant."""
    denied = api.decide(**COUNTRY)
    body = asked_for(denied)
    refused(api, 400, body, "no Idempotency-Key", headers={})
    refused(api, 400, body, "no Idempotency-Key", headers={"Idempotency-Key": "a" * 129})
    refused(api, 400, {**body, "binding_token": 42}, "string")
    for token in ("0", "99999", "-1", "x", "9" * 400, "٤٢"):
        refused(api, 404, {**body, "binding_token": token}, "no decision")
    refused(api, 409, {**body, "binding_token": str(api.allowed())}, "none that a request for access could change")
    strike = api.decide(purpose="offensive.strike")["context"]["id"]
    refused(api, 409, {**body, "binding_token": strike}, "none that a request for access could change")
    others = api.decide("other", subject={"type": "system", "id": "orion-pl/trainer-1"})["context"]["id"]
    refused(api, 404, {**body, "binding_token": others}, "no decision")
    refused(api, 404, {**body, "agreement": "none"}, "no agreement")
    refused(api, 403, body, "in the role applicant", token="steward")
    refused(api, 403, body, "govern", token="trainer")
    refused(api, 401, body, "unknown", token="unknown")
    api.world.clock.now += timedelta(hours=1)
    refused(api, 409, body, "more than an hour old")


def test_a_request_is_its_organisations_to_see(api):
    """Its own callers and the owner's see where it stands; to others it does not exist."""
    id = api.post(REQUESTS, "sato", asked_for(api.decide(**COUNTRY)), headers=KEY).json()["id"]
    assert {state(api, id, token) for token in ("sato", "trainer", "steward", "gate")} == {"pending"}
    for token, status in (("other", 404), ("auditor", 403), (None, 401)):
        check_problem(api.send("GET", f"{REQUESTS}/{id}", token), status)
    check_problem(api.send("GET", f"{REQUESTS}/none", "sato"), 404)

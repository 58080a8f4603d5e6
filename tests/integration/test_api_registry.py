"""Organisations, members and credentials over HTTP: who may put them there, and what each refusal says."""

from datetime import timedelta

import pytest
from served import check_problem, evaluation
from world import LAST_DAY, OWNER, PARTNER

ORGANISATION = {"id": "nova-ca", "name": "Nova", "country": "CAN", "communities": ["NATO"], "trust_tier": 3}
CREDENTIAL = {
    "id": "sato-2",
    "org": PARTNER,
    "holder": "k.sato",
    "holder_type": "person",
    "scopes": ["govern"],
    "expires": LAST_DAY,
}


def test_an_organisation_is_proposed_by_one_and_confirmed_by_another(api):
    """An administrator proposes, security confirms, and each step is one entry by that person."""
    proposed = api.ok("organisations", "admin", ORGANISATION)["seq"]
    confirmed = api.ok("organisations/nova-ca/enrolment", "security")["seq"]
    first, second = api.entries(proposed)
    assert (proposed, confirmed) == (first.seq, second.seq)
    assert (first.kind, first.by) == ("organisation.proposed", {"org": OWNER, "person": "v.melnyk"})
    assert (second.kind, second.by) == ("organisation.enrolled", {"org": OWNER, "person": "i.bondar"})
    assert first.body == ORGANISATION
    api.refused(409, "organisations/nova-ca/enrolment", "security", detail="`nova-ca` is enrolled, not proposed")


def test_nobody_confirms_what_they_proposed(api):
    """A person who is both administrator and security may not confirm their own proposal."""
    roles = {"roles": ["administrator", "security"]}
    assert api.send("PUT", f"/api/v1/organisations/{OWNER}/members/v.melnyk", "admin", roles).status_code == 200
    api.ok("organisations", "admin", ORGANISATION)
    api.refused(403, "organisations/nova-ca/enrolment", "admin", detail="may not confirm it")
    api.ok("organisations/nova-ca/enrolment", "security")


def test_an_organisation_that_is_only_proposed_changes_nothing(api):
    """Its signatory may act only once it is enrolled."""
    api.ok("organisations", "admin", ORGANISATION)
    path = "/api/v1/organisations/nova-ca/members/t.roy"
    assert api.send("PUT", path, "admin", {"roles": ["applicant", "signatory"]}).status_code == 200
    issued = api.ok("credentials", "admin", {**CREDENTIAL, "id": "roy", "org": "nova-ca", "holder": "t.roy"})
    body = {
        "id": "req-9",
        "agreement": "ua-acme",
        "resource": "dataset:uav",
        "terms": {
            "purpose": "humanitarian",
            "activities": ["train"],
            "tier": "redacted",
            "environments": ["enclave"],
            "countries": ["JPN"],
            "starts": LAST_DAY,
            "ends": LAST_DAY,
        },
        "justification": "x",
    }
    api.refused(403, "access-requests", issued["token"], body, "`nova-ca` is not enrolled")


@pytest.mark.parametrize("token", ["steward", "security", "legal", "auditor", "sato", "trainer", "gate", "other"])
def test_only_an_administrator_registers(shared_api, token):
    """Proposing, appointing and issuing take the administrator's role, whoever else asks."""
    shared_api.refused(403, "organisations", token, ORGANISATION)
    shared_api.refused(403, "credentials", token, CREDENTIAL)
    before = shared_api.size
    path = f"/api/v1/organisations/{OWNER}/members/o.koval"
    assert shared_api.send("PUT", path, token, {"roles": ["administrator"]}).status_code == 403
    assert shared_api.size == before


@pytest.mark.parametrize("token", ["admin", "steward", "legal", "auditor", "sato", "trainer"])
def test_only_security_enrols(shared_api, token):
    """Confirming an organisation takes the role security, before it is told whether the organisation exists."""
    shared_api.refused(403, "organisations/nobody/enrolment", token)


def test_what_exists_is_not_registered_twice(shared_api):
    """A second organisation or credential of one id is a conflict, and names the id."""
    shared_api.refused(409, "organisations", "admin", {**ORGANISATION, "id": PARTNER}, "`acme-jp` exists already")
    shared_api.refused(409, "credentials", "admin", {**CREDENTIAL, "id": "credential-sato"}, "exists already")


def test_what_does_not_exist_is_named(shared_api):
    """Organisations, members and credentials that are not there are 404, by name."""
    shared_api.refused(404, "organisations/nobody/enrolment", "security", detail="no organisation `nobody`")
    shared_api.refused(404, "credentials", "admin", {**CREDENTIAL, "org": "nobody"}, "no organisation `nobody`")
    shared_api.refused(404, "credentials", "admin", {**CREDENTIAL, "holder": "x"}, "no member of `acme-jp` called `x`")
    shared_api.refused(404, "credentials/none/revocation", "admin", {"reason": "x"}, "no credential `none`")


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"scopes": ["everything"]}, "/scopes", "`everything` is no scope"),
        ({"holder_type": "system", "holder": "s", "scopes": ["govern"]}, "/scopes", "a system does not govern"),
        ({"expires": "2026-11-21T09:29:59.000000Z"}, "/expires", "is past"),
        ({"expires": "2027-02-30T00:00:00.000000Z"}, "/expires", ""),
    ],
)
def test_a_credential_is_refused_by_field(shared_api, change, pointer, detail):
    """An unknown scope, a system that would govern, and a time that is past or not in the calendar are refused."""
    shared_api.refused(400, "credentials", "admin", {**CREDENTIAL, **change}, detail, pointer)


def test_an_unknown_role_is_refused(shared_api):
    """Appointing to a role that does not exist names the field."""
    before = shared_api.size
    response = shared_api.send("PUT", f"/api/v1/organisations/{OWNER}/members/x", "admin", {"roles": ["king"]})
    assert (
        response.status_code,
        response.json()["pointer"],
        response.json()["detail"],
    ) == (400, "/roles", "`king` is no role")
    assert "administrator" in response.json()["help"]
    assert shared_api.size == before


def test_a_token_works_from_issue_to_revocation(api):
    """The token that is shown once acts as its holder; revoked, it is nobody's, and a second revocation is refused."""
    issued = api.ok("credentials", "admin", {**CREDENTIAL, "id": "koval-2", "org": OWNER, "holder": "o.koval"})
    assert issued["token"].startswith("oblik_")
    api.ok("datasets", issued["token"], {"id": "sar", "title": "Radar"})
    api.ok("credentials/koval-2/revocation", "security", {"reason": "lost"})
    api.refused(401, "datasets", issued["token"], {"id": "sonar", "title": "Sonar"}, "unknown, expired or revoked")
    api.refused(409, "credentials/koval-2/revocation", "security", {"reason": "lost"}, "was revoked by entry")


def test_a_token_is_not_in_the_ledger(api):
    """Neither entry nor table holds the token: its SHA-256 alone."""
    issued = api.ok("credentials", "admin", CREDENTIAL)
    secret = issued["token"].removeprefix("oblik_")
    with api.world.service.engine.connect() as connection:
        dump = b"".join(
            bytes(str(row), "utf-8")
            for name in ("entry", "credential", "stream", "disclosure")
            for row in connection.exec_driver_sql(f"SELECT * FROM {name}")
        )
    assert secret.encode() not in dump


def test_a_holder_ends_its_own_token(api):
    """A system without the scope `govern` may still revoke its own token, and no other."""
    api.refused(403, "credentials/credential-other/revocation", "trainer", {"reason": "x"})
    api.ok("credentials/credential-trainer/revocation", "trainer", {"reason": "it leaked"})
    api.refused(401, "runs", "trainer", {"id": "r", "decisions": [1]})


def test_an_expired_token_is_nobody(api):
    """A token stops at its expiry, for commands, decisions and reads alike."""
    soon = "2026-11-21T10:00:00.000000Z"
    body = {**CREDENTIAL, "id": "t", "holder": "t-1", "holder_type": "system", "expires": soon}
    body["scopes"] = ["evaluate", "read", "train"]
    token = api.ok("credentials", "admin", body)["token"]
    own = "/ledger/v1/streams/org:acme-jp/entries"
    assert api.send("GET", own, token).status_code == 200
    assert api.decide(token)["decision"] is True
    api.world.clock.now += timedelta(hours=1)
    expired = "unknown, expired or revoked"
    api.refused(401, "runs", token, {"id": "r", "decisions": [1]}, expired)
    api.refused(401, "/access/v1/evaluation", token, evaluation(), expired)
    check_problem(api.send("GET", own, token), 401)


def test_an_appointment_replaces_the_one_before(api):
    """Roles that are not named again are gone, at once."""
    assert api.send("PUT", f"/api/v1/organisations/{OWNER}/members/o.koval", "admin", {"roles": []}).status_code == 200
    api.refused(403, "datasets", "steward", {"id": "sar", "title": "Radar"}, "in the role steward")

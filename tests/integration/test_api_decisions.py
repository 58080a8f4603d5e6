"""The decision point over HTTP: the rules of OpenID AuthZEN 1.0, and what its callers rely on."""

import json
from datetime import timedelta

import msgspec
import pytest
from served import check_problem, evaluation
from world import OWNER, PARTNER, TERMS, grant

from ledger.events.sharing import AgreementProposed, AgreementSigned
from ledger.governance.terms import Duty

EVALUATION = "/access/v1/evaluation"


def test_an_allow_says_where_it_is_on_record(api):
    """200 with true, the entry's index, the version it is for, and the reasons; the entry says the same."""
    before = api.size
    answer = api.decide()
    context = answer["context"]
    (entry,) = api.entries(before)
    assert answer["decision"] is True
    assert (context["id"], context["version"], context["grant"]) == (str(before), "dataset:uav@redacted-1", "grant-1")
    assert (entry.kind, entry.body["allowed"]) == ("decision.recorded", True)
    assert (entry.body["policy"], entry.body["evaluated_at"]) == (context["policy"], context["evaluated_at"])
    assert all(reason["held"] for reason in context["reasons"])
    assert entry.by == {"org": PARTNER, "system": "trainer-1"}


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"purpose": "offensive.strike"}, "purpose_not_prohibited"),
        ({"purpose": "research"}, "purpose_permitted"),
        ({"purpose": "no.such.purpose"}, "purpose_permitted"),
        ({"tier": "raw"}, "tier_within_grant"),
        ({"country": "USA"}, "location_permitted"),
        ({"country": "UKR"}, "location_permitted"),
        ({"action": {"name": "infer"}}, "activity_permitted"),
        ({"resource": {"type": "dataset", "id": "none"}}, "grant_current"),
        ({"subject": {"type": "organisation", "id": "nobody"}}, "subject_in_good_standing"),
    ],
)
def test_a_deny_is_an_answer(shared_api, change, clause):
    """A deny is 200 with false, recorded, and names the clause in both languages with what would change it."""
    asker = "gate" if "subject" in change else "trainer"
    before = shared_api.size
    answer = shared_api.decide(asker, **change)
    failed = {reason["clause"]: reason for reason in answer["context"]["reasons"] if not reason["held"]}
    assert answer["decision"] is False
    assert clause in failed
    assert failed[clause]["en"]
    assert failed[clause]["uk"]
    assert failed[clause]["remedy"].keys() == {"en", "uk"}
    assert "version" not in answer["context"] or answer["context"]["version"] is None
    (entry,) = shared_api.entries(before)
    assert clause in entry.body["failed"]


def _without(*path: str) -> dict[str, object]:
    body = evaluation()
    at = body
    for name in path[:-1]:
        at = at[name]
    del at[path[-1]]
    return body


PATHS = [
    ("subject",),
    ("subject", "type"),
    ("subject", "id"),
    ("action",),
    ("action", "name"),
    ("resource",),
    ("resource", "type"),
    ("resource", "id"),
    ("context",),
    ("context", "purpose"),
    ("context", "tier"),
    ("context", "environment"),
    ("context", "environment", "kind"),
    ("context", "environment", "country"),
]


@pytest.mark.parametrize("path", PATHS, ids="/".join)
def test_a_missing_attribute_is_400(shared_api, path):
    """Each attribute that is left out is named by its pointer, and nothing is recorded."""
    shared_api.refused(400, EVALUATION, "trainer", _without(*path), "is missing", "/" + "/".join(path))


@pytest.mark.parametrize("value", [123, True, None, 1.5, [], {}, ["train"], {"name": "x"}], ids=repr)
@pytest.mark.parametrize("path", PATHS, ids="/".join)
def test_a_wrongly_typed_attribute_is_400(shared_api, path, value):
    """Types are strict: nothing is made into text or an object."""
    body = evaluation()
    at = body
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    before = shared_api.size
    problem = check_problem(shared_api.post(EVALUATION, "trainer", body), 400)
    assert problem["pointer"].startswith("/" + "/".join(path))
    assert shared_api.size == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("subject", "type"), "user"),
        (("subject", "id"), "acme-jp"),
        (("subject", "id"), "/trainer-1"),
        (("subject", "id"), "acme-jp/"),
        (("subject", "id"), ""),
        (("subject", "id"), "a" * 129),
        (("action", "name"), "sell"),
        (("resource", "type"), "door"),
        (("resource", "id"), ""),
        (("resource", "id"), "uav\u0000"),
        (("resource", "id"), "uäv"),
        (("context", "purpose"), ""),
        (("context", "purpose"), "a b"),
    ],
)
def test_an_unknown_value_is_400(shared_api, path, value):
    """Words outside the vocabulary, and ids that are empty, too long or not plain, are refused by pointer."""
    body = evaluation()
    body[path[0]][path[1]] = value
    shared_api.refused(400, EVALUATION, "trainer", body, pointer="/" + "/".join(path))


GOOD = json.dumps(evaluation()).encode()

BROKEN = {
    "empty": b"",
    "not JSON": b"subject=acme",
    "cut short": GOOD[:-1],
    "more than one document": GOOD + b"{}",
    "an array": b"[]",
    "null": b"null",
    "not UTF-8": GOOD.replace(b"uav", b"u\xffv"),
    "NaN": GOOD[:-1] + b', "x": NaN}',
    "a key twice": GOOD[:-1] + b', "action": {"name": "infer"}}',
    "a key twice, deep within what is ignored": GOOD[:-1] + b', "x": {"y": [{"z": 1, "z": 2}]}}',
    "a key twice, half of a surrogate pair": GOOD[:-1] + b', "x": {"\\ud800": 1, "\\ud800": 2}}',
    "half of a surrogate pair": GOOD.replace(b"uav", b"\\ud800"),
    "nested too deeply": b'{"subject":' * 5_000 + b"1" + b"}" * 5_000,
    "nested too deeply within what is ignored": GOOD[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_body_is_400(shared_api, case):
    """What is not one JSON object with each key once is refused as a problem document, and nothing is recorded."""
    before = shared_api.size
    check_problem(shared_api.post(EVALUATION, "trainer", BROKEN[case]), 400)
    assert shared_api.size == before


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"]
)
def test_another_content_type_is_400(shared_api, content_type):
    """A framework's 415 is 400 here."""
    response = shared_api.post(EVALUATION, "trainer", GOOD, headers={"Content-Type": content_type})
    assert "content type" in check_problem(response, 400)["detail"]


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_with_parameters_is_json(shared_api, content_type):
    """Parameters and case of the media type make no difference."""
    assert shared_api.post(EVALUATION, "trainer", GOOD, headers={"Content-Type": content_type}).status_code == 200


def test_unknown_fields_are_ignored(shared_api):
    """Properties and further fields, a number of 5,000 digits among them, change neither answer nor reasons."""
    body = evaluation(extra={"deep": [1, {"a": None}]})
    body["subject"]["properties"] = {"clearance": "high"}
    body["context"]["time"] = "1985-10-26T01:22-07:00"
    data = json.dumps(body).encode().replace(b'"high"', b"9" * 5_000)
    answer = shared_api.post(EVALUATION, "trainer", data)
    assert answer.status_code == 200
    assert answer.json()["decision"] is True
    assert answer.json()["context"]["reasons"] == shared_api.decide()["context"]["reasons"]


@pytest.mark.parametrize(
    ("status", "token", "body"),
    [
        (200, "trainer", GOOD),
        (200, "trainer", json.dumps(evaluation(tier="raw")).encode()),
        (400, "trainer", b""),
        (400, "trainer", b"{}"),
        (401, "unknown", GOOD),
        (401, None, GOOD),
        (403, "sato", GOOD),
        (403, "other", GOOD),
        (413, "trainer", b" " * 70_000 + GOOD),
    ],
)
def test_a_request_id_is_echoed(shared_api, status, token, body):
    """X-Request-ID comes back on answers and refusals alike, and is not made up where none was sent."""
    sent = shared_api.post(EVALUATION, token, body, headers={"X-Request-ID": "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"})
    assert (sent.status_code, sent.headers["x-request-id"]) == (status, "bfe9eb29-ab87-4ca3-be83-a1d5d8305716")
    assert "x-request-id" not in shared_api.post(EVALUATION, token, body).headers


def test_who_may_ask_for_whom(shared_api):
    """A partner asks for itself only, the owner's gate for anyone, and a token without the scope for nobody."""
    assert shared_api.decide("gate")["decision"] is True
    shared_api.refused(403, EVALUATION, "other", evaluation(), "may ask for `orion-pl` only, not for `acme-jp`")
    shared_api.refused(403, EVALUATION, "steward", evaluation(), "not scoped for `evaluate`")
    shared_api.refused(401, EVALUATION, "unknown", evaluation(), "unknown, expired or revoked")
    shared_api.refused(401, EVALUATION, None, evaluation(), "no API token was given")


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dHJhaW5lcjo=", "trainer", "Bearer\ttrainer x"])
def test_an_authorization_that_is_none_is_401(shared_api, header):
    """Another scheme, and a token that is missing, are refused alike, with how to authenticate."""
    check_problem(shared_api.post(EVALUATION, None, GOOD, headers={"Authorization": header}), 401)


def test_a_body_over_the_limit_is_413(shared_api):
    """65,536 bytes are read; one more is refused, announced or not, and nothing is recorded."""
    exactly = b" " * (65_536 - len(GOOD)) + GOOD
    assert shared_api.post(EVALUATION, "trainer", exactly).status_code == 200
    shared_api.refused(413, EVALUATION, "trainer", b" " + exactly, "over the limit of 65,536 bytes")
    chunks = (exactly[i : i + 1_000] for i in range(0, len(exactly), 1_000))
    before = shared_api.size
    headers = {"Authorization": "Bearer trainer", "Content-Type": "application/json"}
    sent = shared_api.http.post(EVALUATION, content=(b" " + chunk for chunk in chunks), headers=headers)
    assert "transfer-encoding" in sent.request.headers
    check_problem(sent, 413)
    assert shared_api.size == before


def test_a_grant_ends_by_itself(api):
    """At the end of its grant, and not before, the answer turns to a deny."""
    api.world.clock.now = api.world.clock.now.replace(year=2027, month=12, day=30)
    assert api.decide("gate")["decision"] is True
    body = {"id": "g", "org": "mod-ua", "holder": "g-1", "holder_type": "system", "scopes": ["evaluate"]}
    token = api.ok("credentials", "admin", {**body, "expires": "2030-01-01T00:00:00.000000Z"})["token"]
    api.world.clock.now += timedelta(days=1)
    assert api.decide(token)["decision"] is False


def test_without_a_policy_nothing_is_allowed(api):
    """Where no policy is in force the answer is 503, says so, and tells when to come back."""
    with api.world.service.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM policy")
    api.ok("datasets", "steward", {"id": "sar", "title": "Radar"})  # moves `state_seq`: what was remembered is stale
    response = api.post(EVALUATION, "trainer", GOOD)
    assert "no policy has been adopted" in check_problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "1"


def test_the_obligation_is_the_agreements(api):
    """An allow obliges to report within the hours of the agreement's own duty, and within a day where it has none."""
    assert api.decide()["context"]["obligations"][0]["properties"] == {"within_hours": "24"}
    duty = msgspec.structs.replace(TERMS, obligations=(Duty(type="report_use", within_hours=6),))
    agreed = AgreementProposed(
        id="ua-2",
        template="data_use",
        version="1",
        template_sha256="44" * 32,
        provider=OWNER,
        consumer=PARTNER,
        terms=duty,
    )
    api.world.revoke()
    api.world.append(agreed, AgreementSigned(id="ua-2", org=PARTNER, in_force=True), grant(2, agreement="ua-2"))
    assert api.decide()["context"]["obligations"][0]["properties"] == {"within_hours": "6"}

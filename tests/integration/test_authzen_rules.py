"""OpenID AuthZEN 1.0, rule by rule, in the order in which FORMATS §7 has them; on both engines.

Searches have tests of their own. What is tested in more cases elsewhere is named: `test_api_decisions.py` for a single
evaluation, `test_api_evaluations.py` for many.
"""

import json
from collections.abc import Iterator

import pytest
from served import Served, check_problem, evaluation, serving

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
METADATA = "/.well-known/authzen-configuration"
BOTH = pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
GOOD = json.dumps(evaluation()).encode()
ID = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"


@pytest.fixture(scope="module")
def point(shared_database_url, tmp_path_factory) -> Iterator[Served]:
    """Give a decision point that the module's tests share, on each engine."""
    with serving(shared_database_url, tmp_path_factory.mktemp("rules")) as served:
        yield served


def without(name):
    return {key: value for key, value in evaluation().items() if key != name}


# POST /access/v1/evaluation -------------------------------------------------------------------------------------------


def test_an_evaluation_is_answered_with_a_decision_and_its_context(point):
    """`subject, action, resource, context` → 200 with a boolean `decision`, and `context` an object."""
    answer = point.post(EVALUATION, "trainer", GOOD)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["decision"] is True
    assert isinstance(answer.json()["context"], dict)


def test_entities_may_have_properties(point):
    """`properties` of subject, action and resource may be any object, and change nothing in this policy."""
    body = evaluation()
    for name in ("subject", "action", "resource"):
        body[name] = {**body[name], "properties": {"a": [1, {"b": None}], "name": "other"}}
    assert point.post(EVALUATION, "trainer", body).json()["decision"] is True


@pytest.mark.parametrize("value", [1, "x", None, [], True], ids=repr)
@pytest.mark.parametrize("name", ["subject", "action", "resource"])
@BOTH
def test_properties_are_an_object(point, path, name, value):
    """Any other type is 400, by pointer."""
    body = evaluation()
    body[name] = {**body[name], "properties": value}
    point.refused(400, path, "trainer", body, pointer=f"/{name}/properties")


# POST /access/v1/evaluations ------------------------------------------------------------------------------------------


def decisions(point, *items, semantic=None, **top):
    options = {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    response = point.post(EVALUATIONS, "gate", {**evaluation(), **top, "evaluations": list(items), **options})
    assert response.status_code == 200, response.text
    return [answer["decision"] for answer in response.json()["evaluations"]]


DENIED = {"action": {"name": "infer"}}


def test_what_stands_at_the_top_is_the_default(point):
    """Items without entities are each the default; one with an entity has that, and the rest by default."""
    assert decisions(point, {}, DENIED, {"resource": {"type": "dataset", "id": "none"}}) == [True, False, False]
    assert decisions(point, {"action": {"name": "train"}}, {}, **DENIED) == [True, False]


def test_an_items_entity_replaces_the_whole_default(point):
    """A context with a purpose alone is not completed from the default: it is broken."""
    response = point.post(EVALUATIONS, "gate", {**evaluation(), "evaluations": [{"context": {"purpose": "research"}}]})
    (answer,) = response.json()["evaluations"]
    assert answer["context"]["error"] == {"status": 400, "message": "/context/tier: is missing"}


@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        (None, [True, False, True]),
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
def test_the_semantic_says_when_it_ends(point, semantic, expected):
    """All are made unless the options say otherwise; else the first deny, or the first permit, is the last answer."""
    assert decisions(point, {}, DENIED, {}, semantic=semantic) == expected


@pytest.mark.parametrize("semantic", ["any", "", "EXECUTE_ALL", 1, None, []], ids=repr)
def test_another_semantic_is_400(point, semantic):
    """What is none of the three is refused whole, and nothing is recorded."""
    body = {**evaluation(), "evaluations": [{}], "options": {"evaluations_semantic": semantic}}
    point.refused(400, EVALUATIONS, "trainer", body, pointer="/options/evaluations_semantic")


@pytest.mark.parametrize("items", [{}, {"evaluations": []}], ids=["missing", "empty"])
def test_without_items_it_behaves_as_a_single_evaluation(point, items):
    """The answer is one decision, with the same content but for its place and time."""
    many, single = (point.post(path, "trainer", {**evaluation(), **items}).json() for path in (EVALUATIONS, EVALUATION))
    for answer in (many, single):
        del answer["context"]["id"], answer["context"]["evaluated_at"]
    assert single == many


# GET /.well-known/authzen-configuration -------------------------------------------------------------------------------


def test_metadata_names_the_decision_point_and_its_endpoints(point):
    """It takes no token; the endpoints are those that answer, below the address that the operator has set."""
    response = point.http.get(METADATA)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    told = response.json()
    address = told.pop("policy_decision_point")
    assert address == point.world.service.url
    expected = {
        "access_evaluation_endpoint": EVALUATION,
        "access_evaluations_endpoint": EVALUATIONS,
        **{f"search_{sought}_endpoint": f"/access/v1/search/{sought}" for sought in ("subject", "resource", "action")},
    }
    assert expected.items() <= {name: url.removeprefix(address) for name, url in told.items()}.items()
    for url in told.values():
        assert point.http.post(url.removeprefix(address), json={}).status_code == 401


# Error rules ----------------------------------------------------------------------------------------------------------


def test_a_deny_is_200_with_false(point):
    """Never 403, which is for callers who may not ask."""
    assert point.decide(**DENIED)["decision"] is False


@pytest.mark.parametrize("name", ["subject", "action", "resource", "context"])
@BOTH
def test_a_missing_attribute_is_400(point, path, name):
    """Each is named by its pointer."""
    point.refused(400, path, "trainer", without(name), "is missing", f"/{name}")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"action": {"name": 123}}, "/action/name"),
        ({"subject": {"type": 1, "id": "x"}}, "/subject/type"),
        ({"subject": {"type": "system", "id": True}}, "/subject/id"),
        ({"resource": "uav"}, "/resource"),
        ({"context": []}, "/context"),
    ],
)
@BOTH
def test_types_are_strict(point, path, change, pointer):
    """Nothing is made into text: `"name": 123` is 400."""
    point.refused(400, path, "trainer", evaluation(**change), pointer=pointer)


BROKEN = {
    "empty": b"",
    "not JSON": b"subject=acme",
    "an array": b"[]",
    "cut short": GOOD[:-1],
    "a key twice": GOOD[:-1] + b', "action": {"name": "infer"}}',
    "NaN": GOOD[:-1] + b', "x": NaN}',
    "Infinity": GOOD[:-1] + b', "x": -Infinity}',
    "invalid UTF-8": GOOD[:-1] + b', "x": "\xff"}',
    "nested too deeply": GOOD[:-1] + b', "x": ' + b"[" * 33 + b"]" * 33 + b"}",
}


@pytest.mark.parametrize("case", BROKEN)
@BOTH
def test_a_body_that_is_not_one_json_object_is_400(point, path, case):
    """An empty body, malformed JSON, a key twice, NaN, invalid UTF-8: refused, and nothing is recorded."""
    point.refused(400, path, "trainer", BROKEN[case], pointer="/action" if case == "a key twice" else "")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
@BOTH
def test_a_wrong_content_type_is_400(point, path, content_type):
    """A framework's 415 is 400."""
    check_problem(point.post(path, "trainer", GOOD, headers={"Content-Type": content_type}), 400)


@pytest.mark.parametrize("token", [None, "unknown"])
@BOTH
def test_without_a_valid_token_it_is_401_with_how_to_authenticate(point, path, token):
    """WWW-Authenticate names the scheme; `refused` looks at it."""
    point.refused(401, path, token, evaluation(), "token")


@BOTH
def test_unknown_fields_are_ignored(point, path):
    """At the top, in entities, in the context and in options."""
    body = evaluation(extra=1, options={"other": {"a": 1}})
    for name in ("subject", "action", "resource", "context"):
        body[name] = {**body[name], "extra": {"deep": [1]}}
    assert point.post(path, "trainer", body).json()["decision"] is True


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "status"),
    [
        *(("POST", path, "trainer", GOOD, 200) for path in (EVALUATION, EVALUATIONS)),
        ("POST", EVALUATIONS, "trainer", json.dumps({**evaluation(), "evaluations": [{}, 5]}).encode(), 200),
        *(("POST", path, "trainer", b"", 400) for path in (EVALUATION, EVALUATIONS)),
        *(("POST", path, None, GOOD, 401) for path in (EVALUATION, EVALUATIONS)),
        *(("POST", path, "steward", GOOD, 403) for path in (EVALUATION, EVALUATIONS)),
        *(("POST", path, "trainer", GOOD + b" " * 300_000, 413) for path in (EVALUATION, EVALUATIONS)),
        *(("GET", path, "trainer", None, 405) for path in (EVALUATION, EVALUATIONS)),
        ("GET", METADATA, None, None, 200),
        ("POST", METADATA, None, None, 405),
        ("POST", "/access/v1/none", "trainer", GOOD, 404),
    ],
)
def test_a_request_id_is_echoed(point, method, path, token, body, status):  # noqa: PLR0917
    """`X-Request-ID` comes back on every answer of these paths, and is not made up where none was sent."""
    sent = point.send(method, path, token, body, headers={"X-Request-ID": ID})
    assert (sent.status_code, sent.headers.get_list("x-request-id")) == (status, [ID])
    assert "x-request-id" not in point.send(method, path, token, body).headers


def test_a_broken_item_is_an_error_in_a_batch_that_is_200(point):
    """`decision: false` with `context.error{status,message}`; the others are decided; nothing is written for it."""
    before = point.size
    response = point.post(EVALUATIONS, "trainer", {**evaluation(), "evaluations": [{}, {"action": {}}, {}]})
    first, broken, last = response.json()["evaluations"]
    assert (response.status_code, first["decision"], last["decision"]) == (200, True, True)
    error = {"status": 400, "message": "/action/name: is missing"}
    assert broken == {"decision": False, "context": {"error": error}}
    assert point.size == before + 2


# Drafts ---------------------------------------------------------------------------------------------------------------


def test_obligations_have_the_drafts_form(point):
    """An allow's `context.obligations` are objects of `id`, `type` and `properties`; a deny has none."""
    (obligation,) = point.decide()["context"]["obligations"]
    assert obligation == {"id": "report-use", "type": "report_use", "properties": {"within_hours": "24"}}
    assert point.decide(**DENIED)["context"]["obligations"] == []

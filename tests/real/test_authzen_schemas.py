"""The decision point against the JSON Schemas that the AuthZEN working group publishes."""

import json
from collections.abc import Iterator

import jsonschema
import pytest
from served import Served, check_problem, evaluation, serving

pytestmark = pytest.mark.real

EVALUATION = "/access/v1/evaluation"


@pytest.fixture(scope="module")
def decision_point(tmp_path_factory) -> Iterator[Served]:
    """Give a served world."""
    folder = tmp_path_factory.mktemp("authzen")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        yield served


def _schema(shared_data, name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((shared_data / "authzen" / f"evaluation-{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def requests_schema(shared_data) -> jsonschema.Draft202012Validator:
    """Give the validator of requests."""
    return _schema(shared_data, "request")


@pytest.fixture(scope="module")
def responses_schema(shared_data) -> jsonschema.Draft202012Validator:
    """Give the validator of responses."""
    return _schema(shared_data, "response")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tier": "raw"},
        {"country": "USA"},
        {"purpose": "offensive.strike"},
        {"resource": {"type": "dataset", "id": "none"}},
        {"action": {"name": "infer", "properties": {"method": "GET"}}},
    ],
)
def test_requests_and_responses_are_of_the_standards_form(requests_schema, responses_schema, decision_point, changes):
    """What we send and what is answered, allow or deny, validates against the published schemas."""
    body = evaluation(**changes)
    requests_schema.validate(body)
    response = decision_point.post(EVALUATION, "gate", body)
    assert response.status_code == 200
    responses_schema.validate(response.json())
    assert response.json()["decision"] is (changes == {})


@pytest.mark.parametrize(
    "broken",
    [
        {"subject": {"type": "system"}},
        {"subject": {"type": "system", "id": 7}},
        {"subject": "acme-jp/trainer-1"},
        {"action": {}},
        {"action": {"name": None}},
        {"resource": {"id": "uav"}},
        {"resource": []},
        {"context": "now"},
    ],
)
def test_what_the_schema_refuses_is_400(requests_schema, decision_point, broken):
    """A request that the published schema calls invalid is refused, and nothing is recorded."""
    body = evaluation(**broken)
    with pytest.raises(jsonschema.ValidationError):
        requests_schema.validate(body)
    before = decision_point.size
    check_problem(decision_point.post(EVALUATION, "trainer", body), 400)
    assert decision_point.size == before


def test_foreign_requests_are_answered_or_refused(requests_schema, shared_data, decision_point):
    """Requests of another domain, from the published test, are well-formed and 400 here: its words are not ours."""
    document = json.loads((shared_data / "authzen" / "todo-decisions.json").read_text(encoding="utf-8"))
    cases = [case["request"] for case in document["evaluation"]]
    assert len(cases) > 10
    for request in cases:
        requests_schema.validate(request)
        check_problem(decision_point.post(EVALUATION, "trainer", request), 400)

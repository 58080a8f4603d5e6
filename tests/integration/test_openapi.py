"""The OpenAPI document: valid by itself, complete for whoever writes a client, and true of the service."""

import json
from typing import Any

import jsonschema
import pytest
from served import evaluation

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture(scope="module")
def document(shared_api) -> dict[str, Any]:
    """Give the document as the service serves it."""
    response = shared_api.http.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


def operations(document: dict[str, Any]):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def parts_with_content(operation: dict[str, Any]):
    """Give (where, media type, content) of request and answers."""
    parts = {"body": operation.get("requestBody", {}), **operation["responses"]}
    for where, part in parts.items():
        for media_type, content in part.get("content", {}).items():
            yield where, media_type, content


def walk(value: Any):
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Give a validator of a schema whose references are into the document."""
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def test_the_document_is_openapi(document):
    """It says its version, title and paths; each operation has a method that exists, and an id of its own."""
    assert document["openapi"].startswith("3.1.")
    assert document["info"].keys() >= {"title", "version"}
    assert all(set(methods) <= METHODS for methods in document["paths"].values())
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for name, operation in operations(document):
        told = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert told == {part[1:-1] for part in name.split("/") if part.startswith("{")}
        assert all(response["description"] for response in operation["responses"].values())


def test_every_reference_leads_somewhere(document):
    """No `$ref` names a schema that is not in the document."""
    for value in walk(document):
        if isinstance(value, dict) and "$ref" in value:
            at: Any = document
            for step in value["$ref"].removeprefix("#/").split("/"):
                assert step in at, value["$ref"]
                at = at[step]


def test_every_schema_is_one(document):
    """Each schema is valid JSON Schema 2020-12, which OpenAPI 3.1 builds on."""
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name
    for name, operation in operations(document):
        for _, _, content in parts_with_content(operation):
            jsonschema.Draft202012Validator.check_schema(content.get("schema", {}))
        assert name


def test_every_route_says_what_it_does(document):
    """Each operation has a summary and a sentence, and each field of each body an example or a description."""
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        assert operation["tags"], name


def test_every_refusal_is_told(document):
    """Each operation but those that ask for nothing tells 400 to 503 as problem documents; 401 where a token is due."""
    for name, operation in operations(document):
        if name in {"get /healthz", "get /livez", "get /readyz", "get /.well-known/authzen-configuration"}:
            continue
        told = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "503"} <= told, name
        assert "401" in told or "security" not in operation, name
        # OAuth has a form of its own for errors (RFC 6749 §5.2)
        form = "application/json" if name == "post /oauth2/token" else "application/problem+json"
        for status in told:
            assert list(operation["responses"][status]["content"]) == [form], (name, status)


def test_every_example_is_valid(document):
    """Every body and answer has an example, and each validates against its own schema."""
    for name, operation in operations(document):
        for where, media_type, content in parts_with_content(operation):
            assert "example" in content, (name, where, media_type)
            if "schema" in content and media_type.endswith("json"):
                validator(document, content["schema"]).validate(content["example"])


def test_a_field_without_its_required_ones_is_invalid(document):
    """The validator above refuses: an example of which a field is left out does not pass."""
    content = document["paths"]["/api/v1/agreements"]["post"]["requestBody"]["content"]["application/json"]
    wrong = json.loads(json.dumps(content["example"]))
    del wrong["terms"]["tier"]
    with pytest.raises(jsonschema.ValidationError, match="'tier' is a required property"):
        validator(document, content["schema"]).validate(wrong)


def test_examples_are_of_the_form_that_the_service_takes(document, shared_api):
    """Sent as they are, examples are never malformed, where they stand for no document and no earlier decision."""
    documents = {"/api/v1/policies", "/api/v1/security-policies", "/api/v1/weights", "/api/v1/datasets/{id}/versions"}
    documents.add("/api/v1/policy-proposals")
    documents |= {"/api/v1/runs", "/access/v1/requests"}  # their decision has to be one
    for name, operation in operations(document):
        method, _, path = name.partition(" ")
        if "application/json" not in operation.get("requestBody", {}).get("content", {}) or path in documents:
            continue
        example = operation["requestBody"]["content"]["application/json"]["example"]
        for token in ("admin", "steward", "sato", "trainer"):
            response = shared_api.send(
                method.upper(), path.replace("{seq}", "0").replace("{", "").replace("}", ""), token, example
            )
            assert response.status_code not in {400, 413, 422, 500}, (name, token, response.text)


def test_answers_are_as_told(document, shared_api):
    """What the service answers validates against the schema that the document gives for it."""
    told = document["paths"]["/access/v1/evaluation"]["post"]["responses"]
    allowed = shared_api.post("/access/v1/evaluation", "trainer", evaluation())
    validator(document, told["200"]["content"]["application/json"]["schema"]).validate(allowed.json())
    refused = shared_api.post("/access/v1/evaluation", "trainer", {})
    problem = validator(document, told["400"]["content"]["application/problem+json"]["schema"])
    problem.validate(refused.json())
    refused = shared_api.post("organisations", "admin", {})
    problem.validate(refused.json())
    written = document["paths"]["/api/v1/datasets"]["post"]["responses"]["201"]["content"]["application/json"]
    answer = shared_api.ok("datasets", "steward", {"id": "sar", "title": "Radar"})
    validator(document, written["schema"]).validate(answer)

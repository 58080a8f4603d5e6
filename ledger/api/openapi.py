"""What the OpenAPI document says beyond what FastAPI finds out: the decision point, problems, whole examples."""

from collections.abc import Mapping
from typing import Any

from ledger.api.models import Problem

Schema = Mapping[str, Any]

PROBLEM: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}

REQUEST_EXAMPLE: dict[str, Any] = {
    "subject": {"type": "system", "id": "acme-jp/trainer-1"},
    "action": {"name": "train"},
    "resource": {"type": "dataset", "id": "uav-thermal"},
    "context": {
        "purpose": "humanitarian.demining",
        "tier": "redacted",
        "environment": {"kind": "enclave", "country": "JPN"},
    },
}

ANSWER_EXAMPLE: dict[str, Any] = {
    "decision": False,
    "context": {
        "id": "42",
        "evaluated_at": "2026-11-21T09:30:00.123456Z",
        "policy": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "reasons": [
            {
                "clause": "purpose_permitted",
                "held": False,
                "en": "The purpose must be covered by the grant and by its agreement.",
                "uk": "Мета має охоплюватися дозволом і його угодою.",
                "entries": [24],
            }
        ],
        "obligations": [],
    },
}


def _named(*required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {name: {"type": "string"} for name in required}}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": PROBLEM}}}


EVALUATION: dict[str, Any] = {
    "post": {
        "tags": ["decisions"],
        "summary": "Evaluate",
        "description": "AuthZEN 1.0 evaluation (scope `evaluate`). A deny is 200 with `decision: false`.",
        "operationId": "evaluate",
        "security": [{"HTTPBearer": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["subject", "action", "resource", "context"],
                        "properties": {
                            "subject": _named("type", "id"),
                            "action": _named("name"),
                            "resource": _named("type", "id"),
                            "context": {
                                "type": "object",
                                "required": ["purpose", "tier", "environment"],
                                "properties": {
                                    "purpose": {"type": "string"},
                                    "tier": {"type": "string"},
                                    "environment": _named("kind", "country"),
                                },
                            },
                        },
                    },
                    "example": REQUEST_EXAMPLE,
                }
            },
        },
        "responses": {
            "200": {
                "description": "the decision, on record before it was sent",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["decision"],
                            "properties": {"decision": {"type": "boolean"}, "context": {"type": "object"}},
                        },
                        "example": ANSWER_EXAMPLE,
                    }
                },
            },
            "400": _problem("malformed; names the field"),
            "401": _problem("no valid token"),
            "403": _problem("not this caller's to ask"),
            "413": _problem("too large"),
            "503": _problem("the ledger cannot be written now; nothing was allowed"),
        },
    }
}


def complete(document: dict[str, Any]) -> None:
    """Add what problems look like, and to each body and answer an example, put together from those of its fields."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema()
    for methods in document["paths"].values():
        for operation in methods.values():
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in part.get("content", {}).values():
                    if "schema" in content and "example" not in content:
                        content["example"] = _example(content["schema"], schemas)


def _example(schema: Schema, schemas: Schema) -> Any:
    """Give a value of the schema: its own example, or one made of those of its parts."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if "items" in schema:
        return [_example(schema["items"], schemas)]
    return {name: _example(field, schemas) for name, field in schema.get("properties", {}).items()}

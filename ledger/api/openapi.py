"""What the OpenAPI document says beyond what FastAPI finds out: the decision point, problems, whole examples."""

from collections.abc import Mapping
from typing import Any

from ledger.access.evaluations import ENDS_AT, MAX_EVALUATIONS
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


def _named(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name in (*required, *optional)}
    return {"type": "object", "required": list(required), "properties": properties}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": PROBLEM}}}


ENTITIES: dict[str, Any] = {
    "subject": _named("type", "id"),
    "action": _named("name"),
    "resource": _named("type", "id"),
    "context": {
        "type": "object",
        "required": ["purpose", "tier", "environment"],
        "properties": {
            "purpose": {"type": "string"},
            "tier": {"type": "string"},
            "environment": _named("kind", "country", optional=("id", "storage_country")),
        },
    },
}

ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"type": "boolean"}, "context": {"type": "object"}},
}

OF_ANY_TYPE: dict[str, Any] = {**ENTITIES, "context": {"type": "object"}}
"""What is asked about a resource of another type, under a mounted policy, has a context of its own, or none."""

ASKED: dict[str, Any] = {
    "anyOf": [
        {"type": "object", "required": list(ENTITIES), "properties": ENTITIES},
        {"type": "object", "required": ["subject", "action", "resource"], "properties": OF_ANY_TYPE},
    ]
}

BATCH: dict[str, Any] = {
    "type": "object",
    "properties": {
        **OF_ANY_TYPE,
        "evaluations": {
            "type": "array",
            "maxItems": MAX_EVALUATIONS,
            "items": {"type": "object", "properties": OF_ANY_TYPE},
        },
        "options": {
            "type": "object",
            "properties": {"evaluations_semantic": {"enum": list(ENDS_AT), "default": "execute_all"}},
        },
    },
}

ANSWERS: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "required": ["evaluations"],
            "properties": {"evaluations": {"type": "array", "items": ANSWER}},
        },
        ANSWER,
    ]
}

BATCH_EXAMPLE: dict[str, Any] = {
    **{name: value for name, value in REQUEST_EXAMPLE.items() if name != "resource"},
    "evaluations": [{"resource": {"type": "dataset", "id": name}} for name in ("uav-thermal", "sar coast")],
    "options": {"evaluations_semantic": "execute_all"},
}

ANSWERS_EXAMPLE: dict[str, Any] = {
    "evaluations": [
        ANSWER_EXAMPLE,
        {
            "decision": False,
            "context": {"error": {"status": 400, "message": "/resource/id: `sar coast` is not an identifier"}},
        },
    ]
}

TOO_OFTEN = "more requests a second than a caller may make; `Retry-After` says when to come back"

PROBLEMS = {
    "400": _problem("malformed; names the field"),
    "401": _problem("no valid token"),
    "403": _problem("not this caller's to ask"),
    "413": _problem("too large"),
    "429": _problem(TOO_OFTEN),
    "503": _problem("the ledger cannot be written now; nothing was allowed"),
}


def _evaluate(summary: str, description: str, request: Schema, answer: Schema) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["decisions"],
            "summary": summary,
            "description": description,
            "operationId": summary.lower().replace(" ", "_"),
            "security": [{"HTTPBearer": []}],
            "requestBody": {"required": True, "content": {"application/json": request}},
            "responses": {
                "200": {
                    "description": "decided, and on record before it was sent",
                    "content": {"application/json": answer},
                },
                **PROBLEMS,
            },
        }
    }


EVALUATION = _evaluate(
    "Evaluate",
    "AuthZEN 1.0 evaluation (scope `evaluate`). A deny is 200 with `decision: false`. Resources of other types than "
    "datasets and weights are decided on by mounted policies.",
    {"schema": ASKED, "example": REQUEST_EXAMPLE},
    {"schema": ANSWER, "example": ANSWER_EXAMPLE},
)

EVALUATIONS = _evaluate(
    "Evaluate many",
    "AuthZEN 1.0 evaluations (scope `evaluate`): what stands at the top is the default of each item. An item that is "
    "no request is answered with an `error` in its context. Without items it is one evaluation.",
    {"schema": BATCH, "example": BATCH_EXAMPLE},
    {"schema": ANSWERS, "example": ANSWERS_EXAMPLE},
)

METADATA: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "policy_decision_point": "https://oblik.mod.example",
                    "access_evaluation_endpoint": "https://oblik.mod.example/access/v1/evaluation",
                    "access_evaluations_endpoint": "https://oblik.mod.example/access/v1/evaluations",
                    "search_subject_endpoint": "https://oblik.mod.example/access/v1/search/subject",
                    "search_resource_endpoint": "https://oblik.mod.example/access/v1/search/resource",
                    "search_action_endpoint": "https://oblik.mod.example/access/v1/search/action",
                }
            }
        }
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

"""Whatever is sent to the management API is answered in the 200s or 400s: broken bodies, wrong types, odd paths."""

import copy
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Served, check_problem, spif, version_body

from ledger.api.strict import MAX_BODY_BYTES
from ledger.cli.story import signed_manifest

FUZZ_EXAMPLES = 300

TERMS = {
    "activities": ["train"],
    "tier": "redacted",
    "environments": ["enclave"],
    "countries": ["JPN"],
    "starts": "2026-11-21T00:00:00.000000Z",
    "ends": "2027-06-01T00:00:00.000000Z",
}
VALID = {name: TERMS[name] for name in ("starts", "ends")}
MANIFEST, PUBLIC_KEY = signed_manifest({"model.bin": "ab" * 32}, "detector")

BODIES: dict[tuple[str, str, str], dict[str, Any]] = {
    ("POST", "organisations", "admin"): {
        "id": "nova-ca",
        "name": "Nova",
        "country": "CAN",
        "communities": ["NATO"],
        "trust_tier": 3,
    },
    ("PUT", "organisations/mod-ua/members/n.new", "admin"): {"roles": ["steward"]},
    ("POST", "credentials", "admin"): {
        "id": "sato-2",
        "org": "acme-jp",
        "holder": "k.sato",
        "holder_type": "person",
        "scopes": ["govern"],
        "expires": "2027-05-01T00:00:00.000000Z",
    },
    ("POST", "credentials/none/revocation", "admin"): {"reason": "lost"},
    ("POST", "purposes", "steward"): {
        "nodes": [
            {
                "id": "a",
                "parent": None,
                "cls": "research",
                "prohibited": False,
                "special_authorisation": True,
                "en": "A",
                "uk": "Ю",
            }
        ]
    },
    ("POST", "policies", "security"): {"name": "dataset_access", "model": "x", "rows": "x"},
    ("POST", "mounted-policies", "security"): {"name": "r", "model": "x", "rows": "x", "mount": "x", "facts": "x"},
    ("POST", "security-policies", "security"): spif(),
    ("POST", "datasets", "steward"): {"id": "sar", "title": "Radar"},
    ("POST", "datasets/uav/versions", "steward"): version_body(derived_from=["raw-1"]),
    ("POST", "datasets/uav/versions/none/withdrawal", "steward"): {"reason": "x"},
    ("POST", "agreements", "steward"): {
        "id": "ua-2",
        "template": "data_use",
        "template_version": "v1",
        "consumer": "acme-jp",
        "terms": {**TERMS, "purposes": ["humanitarian"], "obligations": [{"type": "cite", "within_hours": 0}]},
    },
    ("POST", "access-requests", "sato"): {
        "id": "req-2",
        "agreement": "ua-acme",
        "resource": "dataset:uav",
        "terms": {**TERMS, "purpose": "humanitarian.demining", "attestation": True, "max_runs": 3},
        "justification": "x",
    },
    ("POST", "access-requests/none/votes", "steward"): {"role": "steward", "vote": "approve", "note": "x"},
    ("POST", "grants/none/revocation", "security"): {"reason": "x"},
    ("POST", "entries/1/disclosures/justification/readers", "steward"): {
        "org": "mod-ua",
        "reader": "i.bondar",
        "reader_type": "person",
        "reason": "x",
    },
    ("POST", "entries/1/disclosures/justification/erasure", "legal"): {"reason": "x"},
    ("POST", "pauses", "security"): {"id": "p-1", "scope": "resource", "target": "dataset:uav", "reason": "x"},
    ("POST", "pauses/none/lifting", "steward"): {"role": "steward", "note": "x"},
    ("POST", "incidents", "sato"): {"id": "i-1", "scope": "organisation", "target": "acme-jp", "account": "x"},
    ("POST", "incidents/none/blocking", "legal"): {"reason": "x"},
    ("POST", "incidents/none/closure", "security"): {"reason": "x"},
    ("POST", "authorisations", "legal"): {
        "id": "a-1",
        "purpose": "humanitarian",
        "org": "acme-jp",
        "basis": "legal",
        "document_sha256": "ab" * 32,
        **VALID,
    },
    ("POST", "authorisations/none/withdrawal", "legal"): {"reason": "x"},
    ("POST", "organisations/acme-jp/environments/vault-1/attestation", "security"): {
        "kind": "enclave",
        "country": "JPN",
        "evidence_sha256": "ab" * 32,
        **VALID,
    },
    ("POST", "organisations/acme-jp/environments/none/withdrawal", "security"): {"reason": "x"},
    ("POST", "uses", "trainer"): {
        "decision": 1,
        "resource": "dataset:uav",
        "version": "dataset:uav@redacted-1",
        "quantity": {"files": 1, "bytes": 2, "records": 3},
        "started": "2026-11-21T10:00:00.000000Z",
        "ended": "2026-11-21T10:00:00.000000Z",
    },
    ("POST", "runs", "trainer"): {"id": "run-1", "decisions": [1]},
    ("POST", "runs/none/end", "trainer"): {"outcome": "complete", "metrics": {"loss": "0.173"}},
    ("POST", "weights", "trainer"): {
        "id": "w-1",
        "run": "none",
        "manifest": MANIFEST,
        "public_key": PUBLIC_KEY,
        "files": {"model.bin": "ab" * 32},
    },
    ("POST", "promotions", "trainer"): {
        "id": "p-1",
        "weights": "none",
        "stage": "validated",
        "evidence": [{"metric": "recall", "value": "0.94", "dataset": "dataset:uav@redacted-1"}],
        "thresholds": [{"metric": "recall", "at_least": "0.90", "at_most": "1"}],
    },
    ("POST", "promotions/none/votes", "legal"): {"role": "legal", "vote": "approve", "note": "x"},
    ("POST", "policy-proposals", "security"): {"id": "p-1", "name": "x", "model": "x", "rows": "x", "dry_run": "{}"},
    ("POST", "policy-proposals/none/votes", "legal"): {"role": "legal", "vote": "approve", "note": "x"},
    ("POST", "credentials/keys", "admin"): {
        "id": "key-1",
        "org": "acme-jp",
        "holder": "trainer-1",
        "scopes": ["evaluate"],
        "expires": "2027-05-01T00:00:00.000000Z",
        "public_key": PUBLIC_KEY,
        "certificate_bound": False,
    },
}
"""A body of each route that takes one; it is well-formed, whatever the service makes of it."""

ROUTES = sorted(BODIES)
NULLABLE = {"max_runs", "parent", "label", "at_least", "at_most"}
WRONG = (None, True, 7, -1, 1.5, "", "\u0000", "а", [], [None], {}, {"x": 1}, 2**70, "x" * 3_000)


def at_fields(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Walk every field and item below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from at_fields(item, (*path, name))


def changed(body: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Give the body with `value` at `path`."""
    made = copy.deepcopy(body)
    at: Any = made
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return made


def send(api: Served, route: tuple[str, str, str], body: Any) -> tuple[int, dict[str, Any]]:
    """Send the body. Gives status and problem; fails on anything in the 500s, or a refusal that is no problem."""
    method, path, token = route
    response = api.send(method, f"/api/v1/{path}", token, body)
    assert response.status_code < 500, (route, body, response.text)
    problem = check_problem(response, response.status_code) if response.status_code >= 400 else {}
    return response.status_code, problem


def test_every_route_that_takes_a_body_is_here(shared_api):
    """The table above has a body for each route of the management API that takes one."""
    paths = shared_api.http.get("/openapi.json").json()["paths"]
    taking = {
        (method.upper(), path.removeprefix("/api/v1/"))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/api/v1/") and "requestBody" in operation
    }
    shapes = {(method, path.split("/")[0], path.count("/"), path.split("/")[-1]) for method, path, _ in BODIES}
    assert len(shapes) == len(BODIES)
    assert {(method, path.split("/")[0], path.count("/")) for method, path in taking} == {s[:3] for s in shapes}
    assert len(taking) == len(BODIES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_a_field_of_another_type_is_refused_by_pointer(shared_api, route):
    """Each field of each body, with a value of each other JSON type in its place, is 400 and named by its pointer."""
    body, before = BODIES[route], shared_api.size
    for path in at_fields(body):
        good = body
        for name in path:
            good = good[name]
        for wrong in WRONG:
            if type(wrong) is type(good) or (wrong is None and path[-1] in NULLABLE):
                continue
            if good is None and isinstance(wrong, str):
                continue
            status, problem = send(shared_api, route, changed(body, path, wrong))
            pointer = "/" + "/".join(str(name) for name in path)
            assert (status, True) == (400, problem.get("pointer", "").startswith(pointer)), (path, wrong, problem)
    assert shared_api.size == before


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_an_unknown_or_missing_field_is_refused_by_pointer(shared_api, route):
    """A field that the route does not know is 400 by name, and so is an empty object where something is required."""
    before = shared_api.size
    status, problem = send(shared_api, route, {**BODIES[route], "surprise": 1})
    assert (status, problem["pointer"]) == (400, "/surprise")
    status, problem = send(shared_api, route, {})
    assert (status, problem["pointer"].lstrip("/") in BODIES[route]) == (400, True)
    assert shared_api.size == before


GOOD = json.dumps(BODIES["POST", "organisations", "admin"]).encode()

BROKEN: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "", "not JSON"),
    "not JSON": (b"id=nova", "", "not JSON"),
    "cut short": (GOOD[:-1], "", "not JSON"),
    "two documents": (GOOD + GOOD, "", "not JSON"),
    "an array": (b"[]", "", "dictionary"),
    "null": (b"null", "", "dictionary"),
    "a number": (b"1", "", "dictionary"),
    "not UTF-8": (GOOD.replace(b"Nova", b"N\xffva"), "", "not UTF-8 at byte"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "", "not UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "", "not JSON"),
    "NaN": (GOOD.replace(b"3", b"NaN"), "", "`NaN` is not JSON"),
    "Infinity": (GOOD.replace(b"3", b"-Infinity"), "", "`-Infinity` is not JSON"),
    "a key twice": (GOOD[:-1] + b', "id": "other"}', "/id", "stands twice"),
    "half of a surrogate pair": (GOOD.replace(b"Nova", b"\\ud800"), "/name", ""),
    "a key twice, half of a surrogate pair": (b'{"\\ud800": 1, "\\ud800": 2}', "/\ud800", "stands twice"),
    "nested too deeply": (b"[" * 100_000, "", "nested too deeply"),
    "a number of 5,000 digits": (GOOD.replace(b"3", b"3" * 5_000), "", "not JSON"),
    "a float": (GOOD.replace(b"3", b"3.0"), "/trust_tier", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_body_is_refused(shared_api, case):
    """What is not one JSON object, in UTF-8, each key once, is 400 with what is wrong and where, and writes nothing."""
    body, pointer, detail = BROKEN[case]
    shared_api.refused(400, "organisations", "admin", body, detail, pointer)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_another_content_type_is_refused(shared_api, content_type):
    """A body that does not say that it is JSON is not read as such."""
    response = shared_api.post("organisations", "admin", GOOD, headers={"Content-Type": content_type})
    assert "content type" in check_problem(response, 400)["detail"]


def test_an_oversized_body_is_refused_however_it_comes(shared_api):
    """Announced or in chunks, a body over the limit is 413, and is not read to its end."""
    before, limit = shared_api.size, f"over the limit of {MAX_BODY_BYTES:,} bytes"
    headers = {"Authorization": "Bearer admin", "Content-Type": "application/json"}
    announced = f"POST /api/v1/organisations HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((shared_api.http.base_url.host, shared_api.http.base_url.port), 30) as raw:
        raw.sendall((announced + fields + "\r\n").encode())  # and not one byte of the body
        assert raw.recv(1_000).startswith(b"HTTP/1.1 413 ")
    chunks = (b" " * 2**20 for _ in range(MAX_BODY_BYTES // 2**20 + 1))
    sent = shared_api.http.post("/api/v1/organisations", content=chunks, headers=headers)
    assert sent.request.headers["transfer-encoding"] == "chunked"
    assert limit in check_problem(sent, 413)["detail"]
    assert shared_api.size == before


def test_an_unknown_route_and_a_wrong_method_are_problems(shared_api):
    """404 and 405 are problem documents too; 405 says which methods there are."""
    for method, path in (("GET", "/api/v1/none"), ("POST", "/"), ("GET", "/api/v1/../../etc/passwd"), ("GET", "/docs")):
        check_problem(shared_api.send(method, path, "admin"), 404)
    for path in ("/api/v1/organisations", "/access/v1/evaluation"):
        response = shared_api.send("GET", path, "admin")
        check_problem(response, 405)
        assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("name", ["%2e%2e", "a%2Fb", "%00", "a b", "%F0%9F%98%80", "x" * 65, "-x", "a%0A"])
def test_a_name_in_a_path_is_checked(shared_api, name):
    """What is no identifier is 400 by the parameter's name, or no route at all; it never reaches a query."""
    response = shared_api.post(f"grants/{name}/revocation", "security", {"reason": "x"})
    problem = check_problem(response, response.status_code)
    assert problem["status"] in {400, 404}
    assert problem.get("pointer") == "/id" or problem["detail"] == "Not Found"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["humanitarian", "acme-jp", "2026-11-21T10:00:00.000000Z", "dataset:uav", "\ud800", "0.5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(
    max_examples=FUZZ_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
@given(data=st.data())
def test_nothing_that_is_sent_is_a_fault(shared_api, data):
    """Any JSON in place of any part of any body is answered under 500, and a refusal is a problem document."""
    route = data.draw(st.sampled_from(ROUTES))
    body = BODIES[route]
    path = data.draw(st.sampled_from(list(at_fields(body))))
    made = changed(body, path, data.draw(json_values))
    method, target, token = route
    response = shared_api.send(method, f"/api/v1/{target}", token, json.dumps(made).encode())
    assert response.status_code < 500, (route, made, response.text)
    if response.status_code >= 400:
        check_problem(response, response.status_code)

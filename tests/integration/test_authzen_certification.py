"""The certification scenario of OpenID AuthZEN 1.0, as its profile tells it: Basic and Search, core and properties.

The fixture is `policy_models/records_example`. Numbers are those of the scenario's sections.
"""

import pytest
import records
from served import Served, serving

EVALUATION = "/access/v1/evaluation"
ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
ADMIN = {**BOB, "properties": {"role": "admin"}}
ACTIVE, ARCHIVED = ({"type": "record", "id": f"record-{n}"} for n in (1, 2))
ARCHIVED_SO = {**ARCHIVED, "properties": {"status": "archived"}}
READ, WRITE = {"name": "read"}, {"name": "write"}
SOFT, HARD = ({"name": "delete", "properties": {"soft": soft}} for soft in (True, False))


@pytest.fixture(scope="module")
def pdp(tmp_path_factory) -> Served:
    """Give a service in which the fixture is mounted."""
    folder = tmp_path_factory.mktemp("pdp")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder) as served:
        records.mount(served.world)
        yield served


def post(pdp: Served, path: str, body, status: int = 200, **headers):
    response = pdp.post(path, "gate", body, headers=headers)
    assert response.status_code == status, response.text
    if status == 200:
        assert response.headers["content-type"] == "application/json"
    return response


RULES = {
    "1.4 rule 1": (ALICE, READ, ACTIVE, True),
    "1.4 rule 2": (ALICE, WRITE, ACTIVE, True),
    "1.4 rule 3": (BOB, READ, ACTIVE, True),
    "1.4 rule 4": (BOB, WRITE, ACTIVE, False),
    "1.4 rule 5": (ALICE, WRITE, ARCHIVED_SO, False),
    "1.4 rule 5, said of the other record": (ALICE, WRITE, {**ACTIVE, "properties": {"status": "archived"}}, False),
    "1.4 rule 6": (ADMIN, WRITE, ARCHIVED_SO, True),
    "1.4 rule 6, said of the other user": ({**ALICE, "properties": {"role": "admin"}}, WRITE, ARCHIVED_SO, True),
    "1.4 rule 7": (ALICE, SOFT, ACTIVE, True),
    "1.4 rule 8": (ALICE, HARD, ACTIVE, False),
}


@pytest.mark.parametrize("context", [None, {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}])
@pytest.mark.parametrize("rule", RULES)
def test_the_required_decisions(pdp, rule, context):
    """Each decision that the fixture demands is given, with and without a context (2.2.1 to 2.2.7)."""
    subject, action, resource, decision = RULES[rule]
    body = {"subject": subject, "action": action, "resource": resource}
    answer = post(pdp, EVALUATION, body if context is None else {**body, "context": context}).json()
    assert answer["decision"] is decision
    assert isinstance(answer["context"], dict)


@pytest.mark.parametrize(
    "more",
    [
        {"foo": "bar", "futureField": {"nested": True}},
        {
            "subject": {**ALICE, "properties": {"department": "Sales", "role": "manager"}},
            "action": {**READ, "properties": {"method": "GET"}},
            "resource": {**ACTIVE, "properties": {"status": "active", "owner": "bob"}},
        },
    ],
)
def test_what_is_unknown_is_ignored(pdp, more):
    """Further properties and fields change nothing (2.2.8, 2.2.9)."""
    assert (
        post(pdp, EVALUATION, {"subject": ALICE, "action": READ, "resource": ACTIVE, **more}).json()["decision"] is True
    )


BASE = {"subject": ALICE, "action": READ, "resource": ACTIVE}


@pytest.mark.parametrize(
    "body",
    [
        *({k: v for k, v in BASE.items() if k != part} for part in BASE),
        {**BASE, "subject": {"id": "alice"}},
        {**BASE, "subject": {"type": "user"}},
        {**BASE, "action": {}},
        {**BASE, "resource": {"id": "record-1"}},
        {**BASE, "resource": {"type": "record"}},
        {**BASE, "subject": "alice"},
        {**BASE, "action": {"name": 123}},
        b"",
        b"{",
    ],
)
def test_malformed_is_400(pdp, body):
    """Missing and wrongly typed attributes, and bodies that are no JSON, are 400 (2.4)."""
    post(pdp, EVALUATION, body, 400)


def test_headers(pdp):
    """Another media type is 400; an X-Request-ID comes back (2.4.3, 2.5)."""
    headers = {"Authorization": "Bearer gate", "Content-Type": "text/plain"}
    assert pdp.http.post(EVALUATION, content=b"{}", headers=headers).status_code == 400
    assert post(pdp, EVALUATION, BASE, **{"X-Request-ID": "abc"}).headers["x-request-id"] == "abc"
    found = post(pdp, "/access/v1/search/subject", {**BASE, "subject": {"type": "user"}}, **{"X-Request-ID": "abc"})
    assert found.headers["x-request-id"] == "abc"


def test_the_same_answer_each_time(pdp):
    """The same request has the same decision, however often it is sent (2.6)."""
    assert {post(pdp, EVALUATION, BASE).json()["decision"] for _ in range(5)} == {True}


SEARCHES = {
    "4.2.1": ("subject", {"subject": {"type": "user"}, "action": READ, "resource": ACTIVE}, {"alice", "bob"}),
    "4.2.4": ("subject", {"subject": {"type": "user"}, "action": WRITE, "resource": ARCHIVED_SO}, {"bob"}),
    "4.3.1": ("resource", {"subject": ALICE, "action": READ, "resource": {"type": "record"}}, {"record-1"}),
    "4.3.3": ("resource", {"subject": ADMIN, "action": WRITE, "resource": {"type": "record"}}, {"record-2"}),
    "4.4.1": ("action", {"subject": ALICE, "resource": ACTIVE}, {"read", "write"}),
    "4.4.3": ("action", {"subject": ADMIN, "resource": ARCHIVED_SO}, {"write"}),
}


@pytest.mark.parametrize("context", [{}, {"context": {"time": "2025-06-27T18:03-07:00"}}])
@pytest.mark.parametrize("section", SEARCHES)
def test_the_required_searches(pdp, section, context):
    """Each search of the fixture finds what it has to, of the type that is sought, with and without a context."""
    sought, body, expected = SEARCHES[section]
    results = post(pdp, f"/access/v1/search/{sought}", {**body, **context}).json()["results"]
    if sought == "action":
        assert expected <= {result["name"] for result in results}
    else:
        assert {result["type"] for result in results} == {body[sought]["type"]}
        assert expected <= {result["id"] for result in results}


def test_pages(pdp):
    """A limit is taken; the next page is asked for by its token alone, and the last says so with "" (4.5)."""
    body = {"subject": {"type": "user"}, "action": READ, "resource": ACTIVE}
    first = post(pdp, "/access/v1/search/subject", {**body, "page": {"limit": 1}}).json()
    assert (len(first["results"]), bool(first["page"]["next_token"])) == (1, True)
    rest = post(pdp, "/access/v1/search/subject", {**body, "page": {"token": first["page"]["next_token"]}}).json()
    assert [result["id"] for result in first["results"] + rest["results"]] == ["alice", "bob"]
    assert rest["page"]["next_token"] == ""


@pytest.mark.parametrize(
    ("sought", "body"),
    [
        ("action", {"subject": {"type": "user", "id": "nonexistent-user"}, "resource": ACTIVE}),
        ("subject", {"subject": {"type": "spaceship"}, "action": READ, "resource": ACTIVE}),
    ],
)
def test_unknown_entities_give_nothing(pdp, sought, body):
    """An unknown id and an unknown type give an empty list (4.6)."""
    assert post(pdp, f"/access/v1/search/{sought}", body).json()["results"] == []


@pytest.mark.parametrize(
    ("sought", "body"),
    [
        ("subject", {"subject": {"type": "user"}, "resource": ACTIVE}),
        ("resource", {"action": READ, "resource": {"type": "record"}}),
        ("action", {"subject": ALICE}),
        ("subject", {"subject": {"type": "user"}, "action": READ, "resource": {"type": "record"}}),
        ("resource", {"subject": {"type": "user"}, "action": READ, "resource": {"type": "record"}}),
    ],
)
def test_malformed_searches_are_400(pdp, sought, body):
    """Missing attributes of a search are 400 (4.7)."""
    post(pdp, f"/access/v1/search/{sought}", body, 400)

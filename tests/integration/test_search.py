"""Search (AuthZEN 1.0 §8): what is found is what evaluations allow, page by page, for those who may ask."""

import base64
import json
from itertools import chain

import pytest
import records
from served import Served, check_problem, evaluation
from world import FIRST_DAY, LAST_DAY, OTHER, OWNER, PARTNER, grant, version

from ledger.events.data import DatasetRegistered
from ledger.events.registry import CredentialIssued, CredentialRevoked, OrganisationEnrolled, OrganisationProposed
from ledger.services import search as module
from ledger.services.caller import hash_token

SUBJECT, RESOURCE, ACTION = (f"/access/v1/search/{what}" for what in ("subject", "resource", "action"))


@pytest.fixture
def mounted(api_on_each_engine: Served) -> Served:
    """Give a served world in which the example is mounted."""
    records.mount(api_on_each_engine.world)
    return api_on_each_engine


def find(api: Served, path: str, body: dict, token: str = "gate") -> dict:
    """Search, which leaves nothing in the ledger. Gives the answer."""
    before = api.size
    response = api.post(path, token, body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["page"]["count"] == len(answer["results"])
    assert api.size == before
    return answer


def ids(answer: dict) -> list[str]:
    return [one["id"] for one in answer["results"]]


def names(answer: dict) -> list[str]:
    return [one["name"] for one in answer["results"]]


def without(part: str, **changes) -> dict:
    """Give the world's evaluation as a search: without the id of one part."""
    body = evaluation(**changes)
    if part == "action":
        del body["action"]
    else:
        body[part] = {"type": body[part]["type"]}
    return body


# Under the main policy ------------------------------------------------------------------------------------------------


def test_a_partner_finds_what_it_may_use(api_on_each_engine):
    """The world's partner finds its one dataset, the one action and its own system; nothing past a bound."""
    api = api_on_each_engine
    assert find(api, RESOURCE, without("resource"), "trainer")["results"] == [{"type": "dataset", "id": "uav"}]
    assert find(api, ACTION, without("action"), "trainer")["results"] == [{"name": "train"}]
    assert ids(find(api, SUBJECT, without("subject"), "trainer")) == [f"{PARTNER}/trainer-1"]
    for changes in ({"tier": "raw"}, {"purpose": "offensive.strike"}, {"country": "USA"}):
        for path, part in ((RESOURCE, "resource"), (ACTION, "action"), (SUBJECT, "subject")):
            assert find(api, path, without(part, **changes), "trainer")["results"] == []


def test_what_is_found_is_what_is_allowed(api):
    """For every subject, action and resource that is known, searches and evaluations agree."""
    api.world.append(
        DatasetRegistered(id="sar", owner=OWNER, title="Radar"),
        version("redacted-1", "redacted", dataset="sar"),
        grant(2, org=OTHER, resource="dataset:sar"),
    )
    for who in (f"{PARTNER}/trainer-1", f"{OTHER}/trainer-1", f"{OWNER}/gate-1"):
        subject = {"subject": {"type": "system", "id": who}}
        for name in ("train", "infer"):
            asked = {**subject, "action": {"name": name}}
            allowed = [
                what
                for what in ("sar", "uav")
                if api.decide("gate", **asked, resource={"type": "dataset", "id": what})["decision"]
            ]
            assert ids(find(api, RESOURCE, without("resource", **asked))) == allowed


def test_whom_a_search_tells_of(api):
    """The owner's gateway is told of everyone; a partner of itself alone, and may not ask about others."""
    everyone = find(api, SUBJECT, without("subject", subject={"type": "organisation"}))
    own = find(api, SUBJECT, without("subject", subject={"type": "organisation"}), "trainer")
    assert PARTNER in ids(everyone)
    assert ids(own) == [PARTNER]
    assert ids(find(api, SUBJECT, without("subject"), "other")) == []
    for path, part in ((RESOURCE, "resource"), (ACTION, "action")):
        api.refused(403, path, "other", without(part))
        api.refused(403, path, "auditor", without(part))
        api.refused(401, path, None, without(part))
        api.refused(401, path, "nobody", without(part))


def test_systems_are_those_with_a_token_in_force(api_on_each_engine):
    """A system is found once, however many tokens it holds, and no more when the last one ended."""
    api = api_on_each_engine
    issued = {"org": PARTNER, "holder_type": "system", "scopes": ("evaluate",)}
    for name, expires in (("two", LAST_DAY), ("three", LAST_DAY), ("old", FIRST_DAY)):
        holder = "trainer-2" if name != "old" else "trainer-9"
        api.world.append(
            CredentialIssued(id=name, holder=holder, token_sha256=hash_token(name), expires=expires, **issued)
        )
    both = [f"{PARTNER}/trainer-1", f"{PARTNER}/trainer-2"]
    assert ids(find(api, SUBJECT, without("subject"), "trainer")) == both
    api.world.append(CredentialRevoked(id="two", org=PARTNER, reason="x"))
    assert ids(find(api, SUBJECT, without("subject"), "trainer")) == both
    api.world.append(CredentialRevoked(id="three", org=PARTNER, reason="x"))
    assert ids(find(api, SUBJECT, without("subject"), "trainer")) == both[:1]


def test_a_revocation_is_seen_by_the_next_search(api):
    """After a revocation nothing is found."""
    assert ids(find(api, RESOURCE, without("resource"), "trainer")) == ["uav"]
    api.world.revoke()
    assert ids(find(api, RESOURCE, without("resource"), "trainer")) == []


def test_the_context_is_read_as_in_an_evaluation(shared_api):
    """Under the main policy a search takes the context that an evaluation takes, and is refused by pointer."""
    body = without("resource")
    del body["context"]["tier"]
    shared_api.refused(400, RESOURCE, "trainer", body, pointer="/context/tier")
    shared_api.refused(
        400, RESOURCE, "trainer", without("resource", country="xx"), pointer="/context/environment/country"
    )
    odd = json.dumps(without("resource", context={"x": "\ud800", "y": 2**70})).encode()
    shared_api.refused(400, RESOURCE, "trainer", odd)


# Under a mounted policy -----------------------------------------------------------------------------------------------


def test_a_mounted_policy_is_searched(mounted):
    """Subjects, resources and actions are those that the policy allows; what is sought brings nothing along."""
    assert ids(find(mounted, SUBJECT, records.request(subject=None))) == ["alice", "bob"]
    assert ids(find(mounted, SUBJECT, records.request(subject=None, action="write"))) == ["alice"]
    assert ids(
        find(mounted, SUBJECT, records.request(subject=None, action="write", role="admin", record="record-2"))
    ) == ["bob"]
    assert ids(find(mounted, RESOURCE, records.request(subject="bob", action="write", record=None))) == ["record-2"]
    assert names(find(mounted, ACTION, records.request(action=None))) == ["read", "write"]


def test_partners_do_not_search_what_is_mounted(mounted):
    """A partner's system is refused, as in an evaluation."""
    mounted.refused(403, SUBJECT, "trainer", records.request(subject=None))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ACTION, records.request(subject="nonexistent-user", action=None)),
        (ACTION, records.request(record="record-9", action=None)),
        (SUBJECT, records.request(subject=None, record="record-9")),
        (SUBJECT, {**records.request(), "subject": {"type": "spaceship"}}),
        (SUBJECT, records.request(subject=None, action="burn")),
        (RESOURCE, {**records.request(), "resource": {"type": "spaceship"}}),
        (RESOURCE, {**records.request(), "subject": {"type": "user", "id": "nobody"}}),
        (RESOURCE, {**without("resource"), "action": {"name": "burn"}}),
        (RESOURCE, {**without("resource"), "subject": {"type": "spaceship", "id": "x"}}),
        (ACTION, {**without("action"), "resource": {"type": "dataset", "id": "none"}}),
        (SUBJECT, {**without("subject"), "resource": {"type": "weights", "id": "none"}}),
    ],
)
def test_what_is_unknown_gives_nothing(mounted, path, body):
    """An unknown type, id or action is an empty list, and no error."""
    assert find(mounted, path, body) == {"results": [], "page": {"next_token": "", "count": 0}}


# Pages ----------------------------------------------------------------------------------------------------------------


def many(count: int) -> str:
    users = [{"type": "user", "id": f"u{n:03}"} for n in range(count)]
    return json.dumps({"subjects": users, "resources": [{"type": "record", "id": "record-1"}]})


def pages(api: Served, path: str, body: dict, **page) -> list[list[str]]:
    found, token = [], ""
    while True:
        answer = find(api, path, {**body, "page": {**page, "token": token}})
        found.append(ids(answer))
        token = answer["page"]["next_token"]
        if not token:
            return found


def test_pages_join_to_the_whole(mounted):
    """Each result stands on one page, in order, none longer than the limit; the last has no token."""
    records.mount(mounted.world, facts=many(7))
    found = pages(mounted, SUBJECT, records.request(subject=None), limit=3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert list(chain(*found)) == [f"u{n:03}" for n in range(7)]


def test_pages_join_under_the_main_policy(api_on_each_engine):
    """The same for organisations, systems and datasets, of which each page is a query."""
    api = api_on_each_engine
    for name in ("b-org", "a-org"):
        api.world.append(
            OrganisationProposed(id=name, name=name, country="JPN", communities=(), trust_tier=3),
            OrganisationEnrolled(id=name),
            DatasetRegistered(id=name, owner=OWNER, title=name),
            version("redacted-1", "redacted", dataset=name),
            grant(len(name) + ord(name[0]), resource=f"dataset:{name}"),
        )
    assert pages(api, RESOURCE, without("resource"), limit=1) == [["a-org"], ["b-org"], ["uav"]]
    assert list(chain(*pages(api, SUBJECT, without("subject"), limit=1))) == [f"{PARTNER}/trainer-1"]
    organisations = without("subject", subject={"type": "organisation"})
    assert list(chain(*pages(api, SUBJECT, organisations, limit=1))) == [PARTNER]


def test_work_on_a_page_is_bounded(mounted, monkeypatch):
    """A page ends after so many candidates though none was found, and the next goes on; the limit is capped."""
    monkeypatch.setattr(module, "MAX_SCANNED", 2)
    monkeypatch.setattr(module, "MAX_RESULTS", 1)
    rows = "p, read, r.sub.id == 'u004', allow, X., Ю."
    records.mount(mounted.world, facts=many(5), rows=rows)
    assert pages(mounted, SUBJECT, records.request(subject=None), limit=50) == [[], [], ["u004"]]


def test_a_token_is_for_one_search(mounted):
    """With a token, other parameters are refused; the limit may be left out, and counts on."""
    records.mount(mounted.world, facts=many(5))
    body = records.request(subject=None)
    token = find(mounted, SUBJECT, {**body, "page": {"limit": 2}})["page"]["next_token"]
    assert ids(find(mounted, SUBJECT, {**body, "page": {"token": token}})) == ["u002", "u003"]
    assert ids(find(mounted, SUBJECT, {**body, "foo": 1, "page": {"token": token, "limit": 2}})) == ["u002", "u003"]
    for other in (
        {**body, "page": {"token": token, "limit": 3}},
        {**body, "context": {"x": 1}, "page": {"token": token}},
        {**records.request(subject=None, action="write"), "page": {"token": token}},
        {**records.request(subject=None, status="active"), "page": {"token": token}},
    ):
        mounted.refused(400, SUBJECT, "gate", other, pointer="/page/token")
    mounted.refused(
        400, ACTION, "gate", {**records.request(action=None), "page": {"token": token}}, pointer="/page/token"
    )


@pytest.mark.parametrize("token", ["x", "ключ", "e30=", "W10=", "\u0000", "W" * 2000])
def test_a_token_that_is_none(shared_api, token):
    """A token that was not given out is 400."""
    body = {**without("resource"), "page": {"token": token}}
    shared_api.refused(400, RESOURCE, "trainer", body, pointer="/page/token")


def test_a_forged_token_shows_nothing_more(mounted):
    """A token that is made by hand begins elsewhere, and every result is still one that an evaluation allows."""
    body = records.request(subject=None, action="write")
    real = find(mounted, SUBJECT, {**body, "page": {"limit": 1}})["page"]["next_token"]
    digest, limit, _ = json.loads(base64.urlsafe_b64decode(real))
    for after, expected in (("a", ["alice"]), ("zz", [])):
        forged = base64.urlsafe_b64encode(json.dumps([digest, 10**9, after]).encode()).decode()
        assert ids(find(mounted, SUBJECT, {**body, "page": {"token": forged}})) == expected
    odd = base64.urlsafe_b64encode(json.dumps([digest, limit, "\u0000"]).encode()).decode()
    mounted.refused(400, SUBJECT, "gate", {**body, "page": {"token": odd}}, pointer="/page/token")


# Form -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (SUBJECT, {"subject": {"type": "user"}, "resource": {"type": "record", "id": "r"}}, "/action"),
        (RESOURCE, {"action": {"name": "read"}, "resource": {"type": "record"}}, "/subject"),
        (ACTION, {"subject": {"type": "user", "id": "a"}}, "/resource"),
        (SUBJECT, records.request(subject=None, record=None), "/resource/id"),
        (RESOURCE, records.request(subject=None, record=None), "/subject/id"),
        (SUBJECT, {**records.request(subject=None), "action": {"name": 123}}, "/action/name"),
        (SUBJECT, {**records.request(subject=None), "subject": "alice"}, "/subject"),
        (ACTION, records.request(subject="", action=None), "/subject/id"),
        (SUBJECT, {**records.request(subject=None), "page": {"limit": 0}}, "/page/limit"),
        (SUBJECT, {**records.request(subject=None), "page": {"limit": "1"}}, "/page/limit"),
        (SUBJECT, {**records.request(subject=None), "page": []}, "/page"),
        (SUBJECT, {**records.request(subject=None), "context": []}, "/context"),
    ],
)
def test_a_search_that_is_none(shared_api, path, body, pointer):
    """A missing attribute, a wrong type and an empty identifier are 400, by pointer, and the request's id is echoed."""
    before = shared_api.size
    response = shared_api.post(path, "gate", body, headers={"X-Request-ID": "r-1"})
    problem = check_problem(response, 400)
    assert problem["pointer"] == pointer
    assert response.headers["x-request-id"] == "r-1"
    assert shared_api.size == before


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'{"subject": {"type": "user"}, "subject": {"type": "user"}}', b'{"subject": NaN}', b"[]"],
)
def test_bytes_that_are_no_search(shared_api, data):
    """An empty body, malformed JSON, a key that stands twice, NaN and invalid UTF-8 are 400, with the id echoed."""
    response = shared_api.send("POST", SUBJECT, "gate", data, headers={"X-Request-ID": "r-2"})
    check_problem(response, 400)
    assert response.headers["x-request-id"] == "r-2"


def test_headers_and_sizes(shared_api):
    """Another media type is 400, a body over the limit 413; an answer echoes the request's id, or has none."""
    wrong = shared_api.http.post(
        SUBJECT, content=b"{}", headers={"Authorization": "Bearer gate", "Content-Type": "text/plain"}
    )
    check_problem(wrong, 400)
    large = {**records.request(subject=None), "context": {"x": "x" * 70_000}}
    check_problem(shared_api.post(SUBJECT, "gate", large), 413)
    answer = shared_api.post(RESOURCE, "trainer", without("resource"), headers={"X-Request-ID": "r-3"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "r-3")
    refused = shared_api.post(RESOURCE, "nobody", without("resource"), headers={"X-Request-ID": "r-4"})
    assert (refused.status_code, refused.headers["x-request-id"]) == (401, "r-4")
    assert "x-request-id" not in shared_api.post(RESOURCE, "trainer", without("resource")).headers


def test_the_id_of_what_is_sought_is_ignored(mounted):
    """An id that is given for what is sought changes nothing, whatever it is."""
    body = records.request(subject="alice")
    body["subject"]["id"] = 7
    assert ids(find(mounted, SUBJECT, body)) == ["alice", "bob"]
    assert names(find(mounted, ACTION, records.request(action="read"))) == ["read", "write"]


def test_what_is_sought_brings_nothing_along(mounted):
    """Properties of what is sought make nobody an administrator: what is stored counts."""
    body = records.request(subject=None, role="admin", action="write", record="record-2")
    assert ids(find(mounted, SUBJECT, body)) == ["bob"]

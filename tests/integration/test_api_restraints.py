"""Pauses and incidents over HTTP, on each engine: who may, what they stop at once, and who lets it go on."""

import pytest
from promised import replayed

ABOUT = {"reason": "a person can be recognised"}
ACCOUNT = {"account": "a laptop with frames on it is missing"}


@pytest.fixture
def api(api_on_each_engine):
    return api_on_each_engine


def pause(**changes):
    return {"id": "p-1", "scope": "organisation", "target": "acme-jp", **ABOUT, **changes}


def incident(**changes):
    return {"id": "i-1", "scope": "resource", "target": "dataset:uav", **ACCOUNT, **changes}


def failed(answer):
    return [reason["clause"] for reason in answer["context"]["reasons"] if not reason["held"]]


SCOPES = {
    "everything": "",
    "organisation": "acme-jp",
    "resource": "dataset:uav@raw-1",
    "agreement": "ua-acme",
    "grant": "grant-1",
    "purpose": "humanitarian",
    "environment": "enclave",
}


def test_a_pause_at_every_scope_stops_at_once_and_is_lifted_by_two(api):
    """At each scope one official stops the use, the deny rests on the pause, and two in different roles lift it."""
    for scope, target in SCOPES.items():
        placed = api.ok("pauses", "security", pause(id=f"p-{scope}", scope=scope, target=target))["seq"]
        denied = api.decide()
        assert (denied["decision"], failed(denied)) == (False, ["not_paused"])
        (reason,) = [r for r in denied["context"]["reasons"] if r["clause"] == "not_paused"]
        assert [placed] == reason["entries"]
        first = api.ok(f"pauses/p-{scope}/lifting", "steward", {"role": "steward"})
        assert (first["outcome"], first["missing_roles"], first["lifted_seq"]) == ("pending", ["security"], None)
        assert not api.decide()["decision"]
        last = api.ok(f"pauses/p-{scope}/lifting", "security", {"role": "security"}, wrote=2)
        assert ("lifted", last["seq"] + 1) == (last["outcome"], last["lifted_seq"])
        assert api.decide()["decision"]
    assert replayed(api.world.service.engine).findings == ()


def test_the_role_that_placed_a_pause_has_to_agree(api):
    """A pause that ethics placed is lifted by ethics and security; nobody else has a say, and nobody two."""
    api.ok("pauses", "ethics", pause())
    api.refused(403, "pauses/p-1/lifting", "steward", {"role": "steward"}, detail="has no vote here")
    api.refused(403, "pauses/p-1/lifting", "steward", {"role": "security"}, detail="takes a person of `mod-ua`")
    api.ok("pauses/p-1/lifting", "security", {"role": "security"})
    api.refused(409, "pauses/p-1/lifting", "security", {"role": "security"}, detail="has voted already")
    api.ok("pauses/p-1/lifting", "ethics", {"role": "ethics"}, wrote=2)
    api.refused(409, "pauses/p-1/lifting", "ethics", {"role": "ethics"}, detail="was lifted by entry")
    assert api.decide()["decision"]


@pytest.mark.parametrize("token", ["admin", "engineering", "auditor", "sato", "trainer", "gate"])
def test_only_officials_pause(shared_api, token):
    """A pause takes a person of the owner in security, steward, legal or ethics."""
    shared_api.refused(403, "pauses", token, pause())


@pytest.mark.parametrize(
    ("scope", "target", "status", "detail"),
    [
        ("everything", "acme-jp", 400, "everything has no target"),
        ("organisation", "nobody", 404, "no organisation `nobody`"),
        ("organisation", "", 404, "no organisation ``"),
        ("resource", "dataset:none", 404, "no resource `dataset:none`"),
        ("agreement", "none", 404, "no agreement `none`"),
        ("grant", "none", 404, "no grant `none`"),
        ("purpose", "none", 404, "no purpose `none`"),
        ("environment", "moon", 400, "`moon` is no environment"),
    ],
)
def test_a_pause_names_what_there_is(shared_api, scope, target, status, detail):
    """A target that does not exist is refused, and nothing is written."""
    pointer = "/target" if status == 400 else ""
    shared_api.refused(status, "pauses", "security", pause(scope=scope, target=target), detail=detail, pointer=pointer)


def test_a_pause_has_a_scope_that_there_is(shared_api):
    """A scope that is none is refused."""
    shared_api.refused(400, "pauses", "security", pause(scope="planet"), pointer="/scope")


def test_a_pause_is_placed_once(api):
    """The id of a pause is used once, lifted or not; one that was never placed is not lifted."""
    api.ok("pauses", "legal", pause())
    api.refused(409, "pauses", "legal", pause(), detail="exists already")
    api.refused(404, "pauses/p-2/lifting", "security", {"role": "security"}, detail="no pause `p-2`")


def test_an_incident_stops_once_it_is_made_blocking_and_until_it_is_closed(api):
    """A report stops nothing; an official makes it blocking; another, in security, closes it."""
    api.ok("incidents", "trainer", incident())
    assert api.decide()["decision"]
    blocking = api.ok("incidents/i-1/blocking", "steward", ABOUT)["seq"]
    denied = api.decide()
    assert (denied["decision"], failed(denied)) == (False, ["no_open_incident"])
    (reason,) = [r for r in denied["context"]["reasons"] if r["clause"] == "no_open_incident"]
    assert [blocking] == reason["entries"]
    api.refused(409, "incidents/i-1/blocking", "steward", ABOUT, detail="is blocking, not reported")
    api.refused(403, "incidents/i-1/closure", "steward", ABOUT)
    api.ok("incidents/i-1/closure", "security", ABOUT)
    assert api.decide()["decision"]
    api.refused(409, "incidents/i-1/closure", "security", ABOUT, detail="is closed")
    assert replayed(api.world.service.engine).findings == ()


def test_nobody_closes_what_they_made_blocking(api):
    """Whoever made an incident blocking may not close it; one that blocks nothing anyone in security closes."""
    api.ok("incidents", "security", incident(scope="organisation", target="acme-jp"))
    api.ok("incidents/i-1/blocking", "security", ABOUT)
    api.refused(403, "incidents/i-1/closure", "security", ABOUT, detail="may not close it")
    api.ok("incidents", "security", incident(id="i-2"))
    api.ok("incidents/i-2/closure", "security", ABOUT)


def test_who_reports_about_whom(api):
    """A partner reports about resources and itself, not about others; a token without the scope reports nothing."""
    api.ok("incidents", "sato", incident(scope="organisation", target="acme-jp"))
    api.refused(403, "incidents", "sato", incident(id="i-2", scope="organisation", target="orion-pl"))
    api.refused(403, "incidents", "auditor", incident(id="i-2"), detail="neither `govern` nor `report`")
    api.refused(409, "incidents", "sato", incident(), detail="exists already")
    for token in ("sato", "admin", "trainer"):
        api.refused(403, "incidents/i-1/blocking", token, ABOUT)
    api.refused(404, "incidents/none/closure", "security", ABOUT, detail="no incident `none`")


def test_the_account_of_an_incident_is_sealed(api):
    """What happened stands beside the ledger; the entry commits to it."""
    seq = api.ok("incidents", "trainer", incident())["seq"]
    (entry,) = api.entries(seq)
    assert {"account"} == entry.sealed.keys()
    assert "laptop" not in str(entry.body)

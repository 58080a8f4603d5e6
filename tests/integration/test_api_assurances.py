"""Authorisations, attestations and quotas over HTTP, on each engine: recorded, needed, used up, withdrawn."""

import msgspec
import pytest
from promised import replayed
from world import FIRST_DAY, GRANT_TERMS, LAST_DAY, PARTNER, closed_purpose, grant, version

from ledger.events.rules import PurposesAdopted
from ledger.governance.purposes import Node

SHA256 = "ab" * 32
ENDED = {"reason": "the government decided so"}
VAULT = "organisations/acme-jp/environments/vault-1"
BEFORE_START = "2026-11-21T09:30:00.000000Z"


@pytest.fixture
def api(api_on_each_engine):
    return api_on_each_engine


def authorisation(**changes):
    said = {"id": "au-1", "purpose": "humanitarian", "org": PARTNER, "basis": "political", "document_sha256": SHA256}
    return {**said, "starts": FIRST_DAY, "ends": LAST_DAY, **changes}


def attestation(**changes):
    said = {"kind": "enclave", "country": "JPN", "evidence_sha256": SHA256, "starts": FIRST_DAY, "ends": LAST_DAY}
    return {**said, **changes}


def failed(answer):
    return [reason["clause"] for reason in answer["context"]["reasons"] if not reason["held"]]


def entries_of(answer, clause):
    return next(reason["entries"] for reason in answer["context"]["reasons"] if reason["clause"] == clause)


def close_purposes(api):
    """Have all humanitarian purposes need an authorisation."""
    nodes = [
        msgspec.structs.replace(node, special_authorisation=node.id == "humanitarian")
        for node in closed_purpose().nodes
    ]
    return api.world.append(PurposesAdopted(nodes=tuple(nodes)))


def give(api, **terms):
    """Replace the partner's grant by one of other terms."""
    api.world.append(grant(2, terms=msgspec.structs.replace(GRANT_TERMS, **terms)))
    api.world.revoke()


# Authorisations -------------------------------------------------------------------------------------------------------


def test_a_purpose_that_needs_an_authorisation_is_closed_without_one(api):
    """Marked in the tree, a purpose is closed until legal records an authorisation, and again once it is withdrawn."""
    adopted = close_purposes(api)
    assert failed(api.decide()) == ["purpose_authorised"]
    given = api.ok("authorisations", "legal", authorisation())["seq"]
    allowed = api.decide()
    assert allowed["decision"]
    assert [adopted, given] == entries_of(allowed, "purpose_authorised")
    api.ok("authorisations/au-1/withdrawal", "ethics", ENDED)
    assert failed(api.decide()) == ["purpose_authorised"]
    api.refused(409, "authorisations/au-1/withdrawal", "legal", ENDED, detail="was withdrawn by entry")
    api.refused(409, "authorisations", "legal", authorisation(), detail="exists already")
    assert replayed(api.world.service.engine).findings == ()


def test_an_authorisation_of_another_opens_nothing(api):
    """One for another organisation, another purpose or another time does not do."""
    close_purposes(api)
    for i, changes in enumerate(
        ({"org": "orion-pl"}, {"purpose": "humanitarian.search_and_rescue"}, {"ends": BEFORE_START})
    ):
        api.ok("authorisations", "legal", authorisation(id=f"other-{i}", **changes))
        assert failed(api.decide()) == ["purpose_authorised"]


@pytest.mark.parametrize("token", ["admin", "steward", "security", "ethics", "sato", "trainer"])
def test_only_legal_records_an_authorisation(shared_api, token):
    """An authorisation is recorded by the owner's legal officer alone."""
    shared_api.refused(403, "authorisations", token, authorisation())


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"org": "nobody"}, 404, "no organisation `nobody`"),
        ({"purpose": "none"}, 404, "no purpose `none`"),
        ({"ends": FIRST_DAY}, 400, "is not after"),
    ],
)
def test_an_authorisation_names_what_there_is(shared_api, changes, status, detail):
    """An unknown organisation or purpose, and an end that is not after the start, are refused."""
    pointer = "/ends" if status == 400 else ""
    shared_api.refused(status, "authorisations", "legal", authorisation(**changes), detail=detail, pointer=pointer)
    shared_api.refused(404, "authorisations/none/withdrawal", "legal", ENDED, detail="no authorisation `none`")


def test_a_purpose_that_needs_an_authorisation_is_adopted_over_the_api(api):
    """The tree that is adopted says which purposes need one."""
    node = {"id": "sensitive", "cls": "research", "special_authorisation": True, "en": "Sensitive", "uk": "Чутливе"}
    seq = api.ok("purposes", "steward", {"nodes": [node]})["seq"]
    (entry,) = api.entries(seq)
    assert entry.body["nodes"] == [node]
    assert Node(**node).special_authorisation


# Attestations ---------------------------------------------------------------------------------------------------------


def asked(api, **environment):
    return api.decide(environment=environment)


def test_an_enclave_that_is_named_is_attested(api):
    """A named enclave is taken for one once security attested it, until that ends, is replaced or withdrawn."""
    assert failed(asked(api, id="vault-1")) == ["environment_attested"]
    assert api.decide()["decision"]
    first = api.ok(f"{VAULT}/attestation", "security", attestation())["seq"]
    allowed = asked(api, id="vault-1")
    assert allowed["decision"]
    assert first in entries_of(allowed, "environment_attested")
    assert failed(asked(api, id="vault-2")) == ["environment_attested"]
    api.ok(f"{VAULT}/attestation", "security", attestation(ends=BEFORE_START))
    assert failed(asked(api, id="vault-1")) == ["environment_attested"]
    api.ok(f"{VAULT}/attestation", "security", attestation())
    assert asked(api, id="vault-1")["decision"]
    api.ok(f"{VAULT}/withdrawal", "steward", ENDED)
    assert failed(asked(api, id="vault-1")) == ["environment_attested"]
    api.refused(409, f"{VAULT}/withdrawal", "steward", ENDED, detail="was withdrawn by entry")
    assert replayed(api.world.service.engine).findings == ()


def test_a_grant_may_ask_for_attestation(api):
    """Under a grant that asks for it, an environment that is not named is denied."""
    give(api, attestation=True)
    api.ok(f"{VAULT}/attestation", "security", attestation())
    assert failed(api.decide()) == ["environment_attested"]
    assert asked(api, id="vault-1")["decision"]


def test_who_attests(shared_api):
    """Security attests; an organisation or an environment that is not known is refused."""
    for token in ("admin", "steward", "legal", "sato", "trainer"):
        shared_api.refused(403, f"{VAULT}/attestation", token, attestation())
    nobody = "organisations/nobody/environments/vault-1/attestation"
    shared_api.refused(404, nobody, "security", attestation(), detail="no organisation `nobody`")
    shared_api.refused(404, f"{VAULT}/withdrawal", "security", ENDED, detail="no attestation of")


# Storage --------------------------------------------------------------------------------------------------------------


def test_storage_is_held_to_the_same_countries(api):
    """Data that is processed at home and stored abroad is denied, by the grant and by the lineage."""
    assert asked(api, storage_country="JPN")["decision"]
    assert failed(asked(api, storage_country="UKR")) == ["location_permitted"]
    give(api, countries=("JPN", "UKR"))
    assert asked(api, storage_country="UKR")["decision"]
    assert failed(asked(api, storage_country="POL")) == ["location_permitted", "lineage_permits"]
    assert replayed(api.world.service.engine).findings == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", ""), ("id", "a b"), ("id", None), ("storage_country", ""), ("storage_country", "Japan")],
)
def test_what_is_optional_is_read_strictly(shared_api, field, value):
    """An environment's name or country of storage that is empty, null or no such thing is refused, by its pointer."""
    before = shared_api.size
    environment = {"kind": "enclave", "country": "JPN", field: value}
    context = {"purpose": "humanitarian.demining", "tier": "redacted", "environment": environment}
    subject, resource = {"type": "system", "id": "acme-jp/trainer-1"}, {"type": "dataset", "id": "uav"}
    body = {"subject": subject, "action": {"name": "train"}, "resource": resource, "context": context}
    response = shared_api.post("/access/v1/evaluation", "trainer", body)
    assert (response.status_code, response.json()["pointer"]) == (400, f"/context/environment/{field}")
    assert shared_api.size == before


# Quotas ---------------------------------------------------------------------------------------------------------------


def test_runs_are_counted_under_their_grant(api):
    """A grant for two runs allows training until the second has ended; no third is started under an allow of before."""
    give(api, max_runs=2)
    allow = api.allowed()
    for run in ("run-1", "run-2"):
        api.ok("runs", "trainer", {"id": run, "decisions": [allow]})
    assert api.decide()["decision"]  # the second goes on
    api.refused(403, "runs", "trainer", {"id": "run-3", "decisions": [allow]}, detail="all 2 runs")
    for run in ("run-1", "run-2"):
        last = api.ok(f"runs/{run}/end", "trainer", {"outcome": "failed"})["seq"]
    denied = api.decide()
    assert failed(denied) == ["quota_left"]
    assert last in entries_of(denied, "quota_left")
    assert replayed(api.world.service.engine).findings == ()


def test_one_run_under_two_allows_counts_once(api):
    """A run under several allows of one grant is one run."""
    give(api, max_runs=2)
    allows = [api.allowed(), api.allowed()]
    api.ok("runs", "trainer", {"id": "run-1", "decisions": allows})
    api.ok("runs/run-1/end", "trainer", {"outcome": "complete"})
    assert api.decide()["decision"]


@pytest.mark.parametrize(
    ("clause", "path", "token", "body"),
    [
        ("not_paused", "pauses", "security", {"id": "p-1", "scope": "everything", "reason": "test"}),
        ("purpose_authorised", None, None, None),
    ],
)
def test_a_run_does_not_start_once_something_stops_it(api, clause, path, token, body):
    """An allow of before does not start a run that is paused since, or whose purpose needs an authorisation since."""
    allow = api.allowed()
    if path is None:
        close_purposes(api)
    else:
        api.ok(path, token, body)
    api.refused(403, "runs", "trainer", {"id": "run-1", "decisions": [allow]}, detail=f"`{clause}` does not hold")


def test_a_quota_is_asked_for(api):
    """A request names a quota and attestation, and the grant has them."""
    api.world.append(version("redacted-3", "redacted"))
    terms = {**msgspec.to_builtins(GRANT_TERMS), "max_runs": 1, "attestation": True}
    request = {"id": "req-5", "agreement": "ua-acme", "resource": "dataset:uav", "terms": terms, "justification": "x"}
    api.ok("access-requests", "sato", request)
    api.ok("access-requests/req-5/votes", "steward", {"role": "steward", "vote": "approve"})
    granted = api.ok("access-requests/req-5/votes", "security", {"role": "security", "vote": "approve"}, wrote=2)
    (entry,) = api.entries(granted["granted_seq"])
    assert (entry.body["terms"]["max_runs"], entry.body["terms"]["attestation"]) == (1, True)

"""Explanations over HTTP and from the ledger: whom they are for, what they rest on, and that they permit nothing."""

import pytest
from proposals import NO_TRAINING, change_policy
from served import check_problem, evaluation
from world import OTHER, PARTNER, revocation, version

from ledger.errors import NotFound
from ledger.events.registry import CredentialIssued
from ledger.services.caller import hash_token
from ledger.services.explaining import explain_from
from ledger.services.sources import DatabaseSource
from ledger.storage.engine import snapshot

PATH = "/access/v1/explanations"


def explained(api, seq, token="trainer"):
    response = api.send("GET", f"{PATH}/{seq}", token)
    assert response.status_code == 200, response.text
    return response.json()


def denied(api):
    return int(api.decide(country="POL")["context"]["id"])


def clauses(found):
    return {reason["clause"]: reason["held"] for reason in found["reasons"]}


def from_ledger(api, seq):
    with snapshot(api.world.service.engine) as connection:
        return explain_from(lambda: DatabaseSource(connection), seq)


def test_a_deny_is_explained(api_on_each_engine):
    """Every clause with its sentences and entries, as the answer had them, and who could do what."""
    api = api_on_each_engine
    answer = api.decide(country="POL")
    seq, size = answer["context"]["id"], api.size
    found = explained(api, seq)
    assert (found["id"], found["outcome"], found["derived"]) == (seq, "deny", "facts")
    assert found["reasons"] == answer["context"]["reasons"]
    assert found["outlook"]["clauses"] == ["location_permitted", "lineage_permits"]
    assert [change["act"] for change in found["outlook"]["changes"]] == ["grant", "release"]
    assert found["outlook"]["instead"]["fields"] == ["country"]
    assert found["entries"] == sorted({entry for reason in found["reasons"] for entry in reason["entries"]})
    assert api.size == size


def test_an_allow_is_explained(api):
    """An allow has every clause held, and nothing to change."""
    found = explained(api, api.allowed())
    assert (found["outcome"], all(clauses(found).values())) == ("allow", True)
    assert found["outlook"] == {"clauses": [], "changes": [], "instead": None}
    assert "decision" not in found
    assert found["version"] == "dataset:uav@redacted-1"


def test_a_change_elsewhere_leaves_it_whole(api):
    """An entry that changes state, but none of the decision's facts, leaves the explanation as it was."""
    seq = denied(api)
    before = explained(api, seq)
    api.world.append(version("raw-9", "raw"))
    assert explained(api, seq) == before


def test_after_a_fact_changed_the_record_is_told(api):
    """Once a fact is another, what stands on record is told, and nothing of the present: it says so."""
    seq = api.allowed()
    api.world.append(revocation())
    found = explained(api, seq)
    assert (found["outcome"], found["derived"]) == ("allow", "recorded")
    assert all(clauses(found).values())
    assert all(reason["entries"] == [] for reason in found["reasons"])
    assert found["entries"] == list(api.entries(seq)[0].body["rests_on"])


def test_a_deny_that_is_only_on_record_has_an_outlook(api):
    """From the record alone it is known that there was no grant, and that one would turn all of it."""
    seq = int(
        api.decide("other", subject={"type": "system", "id": f"{OTHER}/trainer-1"}, country="JPN")["context"]["id"]
    )
    api.world.append(version("redacted-9", "redacted", derived_from=("raw-1",)))
    found = explained(api, seq, "other")
    assert found["derived"] == "recorded"
    acts = [change["act"] for change in found["outlook"]["changes"]]
    assert acts[0] == "grant"
    assert found == {**explained(api, seq, "steward")}


def test_the_policy_is_the_one_that_decided(api):
    """A decision is explained in the words of the policy then in force, though another one is by now."""
    seq = denied(api)
    before = explained(api, seq)
    change_policy(api, NO_TRAINING)
    assert explained(api, seq) == before
    after = api.post(PATH, "trainer", evaluation()).json()
    assert after["outlook"]["clauses"] == ["no_rule_allows"]


def test_for_whom(api):
    """The organisation that it was about sees it, and the owner's readers; nobody else learns that there is one."""
    seq = denied(api)
    for token in ("trainer", "steward", "auditor"):
        explained(api, seq, token)
    for token in ("other", "gate", "sato"):
        check_problem(api.send("GET", f"{PATH}/{seq}", token), 404)
    check_problem(api.send("GET", f"{PATH}/{seq}", None), 401)
    for missing in (3, api.size, 2**52):
        found = check_problem(api.send("GET", f"{PATH}/{missing}", "steward"), 404)
        assert found["detail"] == f"no decision `{missing}`"


def test_one_scope_of_the_partner_suffices(api):
    """A partner's reader sees it, by the scope `read` alone."""
    reader = CredentialIssued(
        id="credential-reader",
        org=PARTNER,
        holder="reader-1",
        holder_type="system",
        scopes=("read",),
        token_sha256=hash_token("reader"),
        expires="2027-12-31T00:00:00.000000Z",
    )
    api.world.append(reader)
    assert explained(api, denied(api), "reader")["outcome"] == "deny"


@pytest.mark.parametrize("country", ["JPN", "POL"])
def test_a_hypothetical_request(api_on_each_engine, country):
    """It is answered as asking would be, marked, without a decision or an index; and nothing is written."""
    api = api_on_each_engine
    size = api.size
    response = api.post(PATH, "trainer", evaluation(country=country))
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["hypothetical"], found["derived"]) == (True, "evaluated")
    assert not {"decision", "id"} & found.keys()
    assert api.size == size
    answer = api.decide(country=country)
    assert (found["outcome"] == "allow") is answer["decision"]
    assert found["reasons"] == answer["context"]["reasons"]


@pytest.mark.parametrize(
    ("token", "status"), [("other", 403), ("steward", 403), ("sato", 403), ("nobody", 401), (None, 401), ("gate", 200)]
)
def test_a_hypothetical_request_takes_the_permission_to_ask(shared_api, token, status):
    """Whoever may not ask about this subject is not told what would be answered."""
    assert shared_api.post(PATH, token, evaluation()).status_code == status
    assert shared_api.post("/access/v1/evaluation", token, evaluation()).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"subject": 1}', 400), (b'"' + b"x" * 70_000 + b'"', 413), (b'{"subject":1,"subject":2}', 400)],
)
def test_a_hypothetical_request_is_read_as_strictly(shared_api, body, status):
    """What is no evaluation is refused as there, over 64 KiB too."""
    check_problem(shared_api.post(PATH, "trainer", body), status)


def test_without_a_policy(database_url, tmp_path):
    """Where no policy has been adopted there is nothing to explain by: 503, as for asking."""
    from served import serving

    with serving(database_url, tmp_path, policy=False) as api:
        check_problem(api.post(PATH, "trainer", evaluation()), 503)


def test_a_database_from_before_says_what_to_do(api):
    """Where the policy of an old decision is not indexed yet, the operator is told; a rebuild mends it."""
    from ledger.storage.rebuild import rebuild

    seq = denied(api)
    with api.world.service.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM adopted_policy")
    found = check_problem(api.send("GET", f"{PATH}/{seq}", "trainer"), 503)
    assert "oblik rebuild" in found["help"]
    rebuild(api.world.service.engine)
    assert explained(api, seq)["derived"] == "facts"


def test_from_the_ledger_alone(api):
    """From the ledger a past decision is explained whole, whatever changed since; another entry is not found."""
    seq = denied(api)
    before = explained(api, seq)
    api.world.append(revocation())
    assert explained(api, seq)["derived"] == "recorded"
    found = from_ledger(api, seq)
    assert (found.derived, found.outcome, found.id) == ("replayed", "deny", str(seq))
    assert [(r.clause, r.held, list(r.entries)) for r in found.reasons] == [
        (r["clause"], r["held"], r["entries"]) for r in before["reasons"]
    ]
    assert [change.act for change in found.outlook.changes] == [c["act"] for c in before["outlook"]["changes"]]
    for missing in (3, api.size, 2**52):
        with pytest.raises(NotFound):
            from_ledger(api, missing)

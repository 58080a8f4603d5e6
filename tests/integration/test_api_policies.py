"""The decision policy over HTTP: the first is adopted, others are proposed with a dry-run and voted on."""

import hashlib
import json

import pytest
from proposals import MODEL, NO_TRAINING, ROWS, STRICTER, approve, proposal, run
from served import serving

VOTES = "policy-proposals/p1/votes"


def test_the_first_policy_is_adopted_by_digest(database_url, tmp_path):
    """Security adopts the first policy alone: the entry names both texts, the next decision the policy."""
    body = {"name": "dataset_access", "model": MODEL, "rows": ROWS}
    with serving(database_url, tmp_path, policy=False) as api:
        api.refused(409, "policy-proposals", "steward", {**body, "id": "p1", "dry_run": "{}"}, "no policy is in force")
        seq = api.ok("policies", "security", body)["seq"]
        entry = api.entries(seq)[0].body
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in (MODEL, ROWS)]
        assert digests == [entry["model_sha256"], entry["rows_sha256"]]
        assert entry["digest"] == api.decide()["context"]["policy"]
        api.refused(409, "policies", "security", {**body, "rows": STRICTER}, "a policy is in force")


def test_another_policy_takes_a_dry_run_and_two_roles(api_on_each_engine):
    """A proposal with its dry-run, and the votes of security and legal, put another policy in force; one is too few."""
    api = api_on_each_engine
    api.allowed()
    body = proposal(api, NO_TRAINING)
    told = api.ok("policy-proposals", "steward", body)
    proposed = api.entries(told["seq"])[0].body
    assert proposed["dry_run_sha256"] == hashlib.sha256(body["dry_run"].encode()).hexdigest()
    assert told["quorum"] == ["legal", "security"]
    voted = api.ok(VOTES, "security", approve("security"))
    assert (voted["outcome"], voted["missing_roles"], voted["adopted_seq"]) == ("pending", ["legal"], None)
    assert api.decide()["decision"] is True
    voted = api.ok(VOTES, "legal", approve("legal"), wrote=2)
    assert (voted["outcome"], voted["adopted_seq"]) == ("adopted", voted["seq"] + 1)
    answer = api.decide()
    assert (answer["decision"], answer["context"]["policy"]) == (False, told["digest"])
    api.refused(409, VOTES, "legal", approve("legal"), "adopted")


def test_whoever_proposed_does_not_vote(api):
    """The proposer's own vote is refused, in whatever role, and so are those of other roles and of partners."""
    api.ok("policy-proposals", "security", proposal(api))
    api.refused(403, VOTES, "security", approve("security"), "may not vote on what they asked for")
    api.refused(403, VOTES, "steward", approve("steward"), "has no vote here")
    for token in ("ethics", "sato", "trainer", "gate", "auditor"):
        api.refused(403, VOTES, token, approve("legal"))
        api.refused(403, "policy-proposals", token, proposal(api, id="p2"))
    api.refused(404, "policy-proposals/p9/votes", "legal", approve("legal"))


def test_one_refusal_refuses(api):
    """A vote against closes the proposal, and the policy in force stays; it can be proposed again."""
    api.ok("policy-proposals", "steward", proposal(api))
    before = api.decide()["context"]["policy"]
    assert api.ok(VOTES, "legal", {"role": "legal", "vote": "refuse"}, wrote=2)["outcome"] == "refused"
    api.refused(409, VOTES, "security", approve("security"), "is refused")
    assert api.decide()["context"]["policy"] == before
    api.refused(409, "policy-proposals", "steward", proposal(api), "exists already")
    api.ok("policy-proposals", "steward", proposal(api, id="p2"))


def test_a_proposal_is_open_once(api):
    """The policy in force cannot be proposed, nor one whose proposal is open."""
    api.refused(409, "policy-proposals", "steward", proposal(api, ROWS), "this policy is in force")
    api.ok("policy-proposals", "steward", proposal(api))
    api.refused(409, "policy-proposals", "steward", proposal(api, id="p2"), "proposed already, as `p1`")


def test_a_policy_that_was_overtaken_is_not_adopted(api):
    """The vote that would complete a quorum is refused where another policy came into force meanwhile."""
    api.ok("policy-proposals", "steward", proposal(api))
    api.ok("policy-proposals", "steward", proposal(api, NO_TRAINING, id="p2"))
    for token in ("security", "legal"):
        last = token == "legal"
        api.ok("policy-proposals/p2/votes", token, approve(token), wrote=1 + last)
    api.ok(VOTES, "security", approve("security"))
    api.refused(409, VOTES, "legal", approve("legal"), "another policy came into force")


FORGERIES = {
    "nothing": lambda _: "",
    "no document": lambda _: "{}",
    "not canonical": lambda told: json.dumps(json.loads(told), indent=1),
    "another policy": lambda told: told.replace(json.loads(told)["policy"], "0" * 64),
    "another ledger": lambda told: told.replace(json.loads(told)["root"], "0" * 64),
    "another size": lambda told: told.replace('"size":', '"size":1'),
    "no size": lambda told: told.replace(f'"size":{json.loads(told)["size"]}', '"size":0'),
    "another format": lambda told: told.replace("oblik-dry-run/1", "oblik-dry-run/2"),
    "a field more": lambda told: told.replace('"cases":', '"a":1,"cases":'),
    "half of a surrogate pair": lambda told: told.replace("oblik-dry-run", "\ud800"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_dry_run_of_something_else_is_refused(shared_api, forgery):
    """A document that is none, or of another policy or ledger, is refused, and nothing is written."""
    told = FORGERIES[forgery](run(shared_api, STRICTER))
    body = json.dumps({**proposal(shared_api, dry_run="x"), "dry_run": told}).encode()
    shared_api.refused(400, "policy-proposals", "steward", body, pointer="/dry_run")


def test_a_dry_run_from_before_the_policy_in_force_is_refused(shared_api):
    """A dry-run that ends before the policy in force was adopted tells nothing of what it has decided."""
    early = run(shared_api, STRICTER, until=3)
    body = proposal(shared_api, dry_run=early)
    shared_api.refused(400, "policy-proposals", "steward", body, "before the policy in force", "/dry_run")


def test_a_proposed_policy_is_checked_like_an_adopted_one(shared_api):
    """A proposal that leaves out an indispensable clause is refused at its rows."""
    rows = "\n".join(line for line in ROWS.splitlines() if "not lineage_permits" not in line)
    body = proposal(shared_api, rows)
    shared_api.refused(400, "policy-proposals", "steward", body, "`lineage_permits` does not hold", "/rows")

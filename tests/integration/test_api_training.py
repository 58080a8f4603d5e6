"""Uses, runs, weights and promotions over HTTP: what follows a decision, and what is refused on record."""

import pytest
from served import Served, spif
from world import OTHER, PARTNER

from ledger.cli.story import signed_manifest

RAW, REDACTED = "dataset:uav@raw-1", "dataset:uav@redacted-1"
DIGESTS = {"model.bin": "ab" * 32}
SOON, LATER = "2026-11-21T10:00:00.000000Z", "2026-11-21T10:05:00.000000Z"
BOARD = ("engineering", "ethics", "legal", "security")
BALLOTS = "promotions/promo-1/votes"


def use(decision: int, **changes) -> dict[str, object]:
    body = {
        "decision": decision,
        "resource": "dataset:uav",
        "version": REDACTED,
        "quantity": {"files": 3, "bytes": 1_048_576},
        "started": SOON,
        "ended": LATER,
    }
    return {**body, **changes}


def weights(**changes) -> dict[str, object]:
    manifest, public_key = signed_manifest(DIGESTS, "detector")
    body = {"id": "detector-1", "run": "run-1", "manifest": manifest, "public_key": public_key, "files": DIGESTS}
    return {**body, **changes}


def promotion(**changes) -> dict[str, object]:
    body = {
        "id": "promo-1",
        "weights": "detector-1",
        "stage": "validated",
        "evidence": [{"metric": "recall", "value": "0.94", "dataset": REDACTED}],
        "thresholds": [{"metric": "recall", "at_least": "0.90"}],
    }
    return {**body, **changes}


def ballot(role: str, vote: str = "approve") -> dict[str, str]:
    return {"role": role, "vote": vote}


def trained(api: Served) -> None:
    """Train, so that there are weights `detector-1`."""
    api.ok("security-policies", "security", spif())
    api.ok("runs", "trainer", {"id": "run-1", "decisions": [api.allowed()]})
    api.ok("runs/run-1/end", "trainer", {"outcome": "complete", "metrics": {"loss": "0.173"}})
    api.ok("weights", "trainer", weights())


def on_record(api: Served, path: str, token: str, body: object, kind: str) -> dict[str, object]:
    """POST what is refused with 403 after one entry of `kind` was appended. Returns the entry's body."""
    before = api.size
    response = api.post(path, token, body)
    assert response.status_code == 403, response.text
    assert f"entry {before}" in response.json()["detail"]
    (entry,) = api.entries(before)
    assert kind == entry.kind
    return entry.body


# Uses -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["trainer", "gate"])
def test_a_use_is_recorded_under_its_decision(api, reporter):
    """The partner's gateway and the owner's may report what was read; the entry names decision, version and root."""
    decision = api.allowed()
    entry = api.entries(api.ok("uses", reporter, use(decision))["seq"])[0]
    assert ("use.reported", decision, REDACTED, PARTNER) == (
        entry.kind,
        entry.body["decision"],
        entry.body["version"],
        entry.body["org"],
    )
    assert entry.body["quantity"] == {"bytes": 1_048_576, "files": 3}
    assert entry.body["manifest_root"] == "00" * 32


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"decision": 0}, "the report names no decision"),
        ({"decision": 2**53 - 1}, "the report names no decision"),
        ({"resource": "dataset:other"}, "the decision was about `dataset:uav`"),
        ({"version": RAW}, f"the decision was about version `{REDACTED}`"),
        ({"started": "2026-11-21T09:00:00.000000Z"}, "the use began before the decision"),
        ({"ended": SOON, "started": LATER}, "the use ended before it began"),
    ],
)
def test_a_use_that_no_allow_covers_is_an_anomaly(api, change, problem):
    """It is refused to the reporter, and put on record with what was wrong and what was reported."""
    report = {**use(api.allowed()), **change}
    body = on_record(api, "uses", "trainer", report, "use.anomalous")
    assert problem == body["problem"]
    assert (report["decision"], report["version"]) == (body["decision"], body["version"])


def test_a_use_under_a_deny_is_an_anomaly(api):
    """A deny covers nothing."""
    denied = int(api.decide(tier="raw")["context"]["id"])
    assert on_record(api, "uses", "trainer", use(denied), "use.anomalous")["problem"] == "the decision was a deny"


def test_a_use_begun_after_the_revocation_is_an_anomaly(api):
    """The allow came before the revocation, the use after it: that is on record as what it is."""
    allowed = api.allowed()
    seq = api.world.revoke()
    body = on_record(api, "uses", "trainer", use(allowed), "use.anomalous")
    assert body["problem"] == f"the grant was revoked by entry {seq} before the use began"


def test_a_use_under_the_decision_of_another_is_an_anomaly(api):
    """One partner's allow is nothing to another, and the anomaly is in the reporter's own stream."""
    body = on_record(api, "uses", "other", use(api.allowed()), "use.anomalous")
    assert (f"the decision was not made for `{OTHER}`", OTHER) == (body["problem"], body["org"])


def test_reporting_takes_its_scope(shared_api):
    """A token without the scope `report` leaves no anomaly behind."""
    for token in ("sato", "steward", "auditor"):
        shared_api.refused(403, "uses", token, use(1), "not scoped for `report`")


# Runs -----------------------------------------------------------------------------------------------------------------


def test_a_run_goes_from_an_allow_to_weights(api):
    """A run starts under an allow, ends once, and its output takes label and bounds from the data."""
    trained(api)
    entry = api.entries()[-1]
    assert (entry.kind, next(k for k in entry.by if k != "org")) == ("weights.registered", "system")
    assert f"{PARTNER}/trainer-1" == entry.body["trainer"]
    assert entry.body["bounds"]["countries"] == ["JPN", "UKR"]
    assert entry.body["label"]["categories"][0]["values"] == ["JPN", "UKR"]
    api.refused(409, "runs/run-1/end", "trainer", {"outcome": "failed"}, "run `run-1` is complete, not started")
    api.refused(409, "weights", "trainer", weights(), "weights `detector-1` exist already")
    api.refused(409, "runs", "trainer", {"id": "run-1", "decisions": [api.allowed()]}, "exists already")


def test_a_run_needs_an_allow_to_train(api):
    """A deny, an allow for another activity, another's decision and an entry of another kind start nothing."""
    denied = int(api.decide(tier="raw")["context"]["id"])
    api.refused(403, "runs", "trainer", {"id": "r", "decisions": [denied]}, "does not allow training")
    allowed = api.allowed()
    api.refused(400, "runs", "other", {"id": "r", "decisions": [allowed]}, "is no decision for", "/decisions/0")
    api.refused(400, "runs", "trainer", {"id": "r", "decisions": [allowed, 0]}, "is no decision", "/decisions/1")
    api.refused(400, "runs", "trainer", {"id": "r", "decisions": [10**9]}, "is no decision", "/decisions/0")
    api.refused(400, "runs", "trainer", {"id": "r", "decisions": []}, pointer="/decisions")
    api.refused(403, "runs", "sato", {"id": "r", "decisions": [allowed]}, "not scoped for `train`")
    api.refused(403, "runs", "gate", {"id": "r", "decisions": [allowed]}, "not scoped for `train`")


def test_a_run_needs_a_grant_in_force(api):
    """An allow made before a revocation starts nothing after it."""
    allowed = api.allowed()
    api.ok("grants/grant-1/revocation", "security", {"reason": "x"})
    api.refused(403, "runs", "trainer", {"id": "r", "decisions": [allowed]}, "no longer in force")


def test_a_run_is_its_own_organisations(api):
    """Another partner may neither end a run nor register weights from it, nor learn that it exists."""
    api.ok("runs", "trainer", {"id": "run-1", "decisions": [api.allowed()]})
    api.refused(404, "runs/run-1/end", "other", {"outcome": "complete"}, "no run `run-1`")
    api.refused(404, "weights", "other", weights(), "no run `run-1`")
    api.refused(404, "runs/none/end", "trainer", {"outcome": "complete"}, "no run `none`")


@pytest.mark.parametrize("outcome", ["failed", "aborted"])
def test_a_run_that_is_not_complete_makes_no_weights(api, outcome):
    """Weights come of a complete run alone: not of one under way, failed or aborted."""
    api.ok("runs", "trainer", {"id": "run-1", "decisions": [api.allowed()]})
    api.refused(409, "weights", "trainer", weights(), "run `run-1` is started, not complete")
    api.ok("runs/run-1/end", "trainer", {"outcome": outcome})
    api.refused(409, "weights", "trainer", weights(), f"run `run-1` is {outcome}, not complete")


@pytest.mark.parametrize(
    ("status", "change", "detail"),
    [
        (422, {"files": {**DIGESTS, "more.bin": "cd" * 32}}, "more.bin"),
        (422, {"files": {"model.bin": "cd" * 32}}, "model.bin"),
        (422, {"manifest": weights()["manifest"]}, "signature"),
        (400, {"public_key": "x"}, "public key"),
    ],
)
def test_weights_are_what_was_signed(api, status, change, detail):
    """Files that differ from the manifest, and a manifest of another key, are refused."""
    api.ok("security-policies", "security", spif())
    api.ok("runs", "trainer", {"id": "run-1", "decisions": [api.allowed()]})
    api.ok("runs/run-1/end", "trainer", {"outcome": "complete"})
    before = api.size
    response = api.post("weights", "trainer", weights(**change))
    assert (status, True) == (response.status_code, detail in response.json()["detail"]), response.text
    assert before == api.size


# Promotion ------------------------------------------------------------------------------------------------------------


def test_a_board_promotes(api):
    """Four people in four roles move weights one stage on; the last vote promotes, and the next stage is open."""
    trained(api)
    assert list(BOARD) == api.ok("promotions", "trainer", promotion())["quorum"]
    for role in BOARD[:-1]:
        assert api.ok(BALLOTS, role, ballot(role))["outcome"] == "pending"
    last = api.ok(BALLOTS, "security", ballot("security"), wrote=2)
    assert (last["outcome"], last["stage"], last["missing_roles"]) == ("promoted", "validated", [])
    assert api.entries(last["promoted_seq"])[0].kind == "weights.promoted"
    api.refused(409, BALLOTS, "legal", ballot("legal"), "promotion `promo-1` is promoted")
    api.refused(409, "promotions", "trainer", promotion(id="promo-2"), "do not go from `validated` to `validated`")
    api.ok("promotions", "trainer", promotion(id="promo-2", stage="approved"))


@pytest.mark.parametrize("token", ["trainer", "sato"])
def test_a_trainer_never_promotes(api, token):
    """The trainer, and everyone of its organisation, is refused on record, and the promotion stays open."""
    trained(api)
    api.ok("promotions", "trainer", promotion())
    body = on_record(api, BALLOTS, token, ballot("engineering"), "promotion.refused")
    assert (body["final"], body["org"]) == (False, PARTNER)
    assert api.ok(BALLOTS, "engineering", ballot("engineering"))["outcome"] == "pending"


def test_a_gate_that_does_not_hold_is_refused_on_record(api):
    """Evidence under a threshold, or none for it, closes the proposal with an entry that says which."""
    trained(api)
    low = promotion(evidence=[{"metric": "recall", "value": "0.89", "dataset": REDACTED}])
    body = on_record(api, "promotions", "trainer", low, "promotion.refused")
    assert "`recall` on `dataset:uav@redacted-1` is `0.89`, under `0.90`" in body["problem"]
    assert body["final"] is True
    missing = promotion(id="promo-2", evidence=[])
    assert (
        "`recall` was not measured" in on_record(api, "promotions", "trainer", missing, "promotion.refused")["problem"]
    )


def test_a_refusal_closes_a_promotion(api):
    """One member of the board refuses: it is closed on record, and nothing is promoted."""
    trained(api)
    api.ok("promotions", "trainer", promotion())
    counted = api.ok(BALLOTS, "ethics", ballot("ethics", "refuse"), wrote=2)
    assert (counted["outcome"], counted["stage"], counted["promoted_seq"]) == ("refused", None, None)
    assert api.entries()[-1].kind == "promotion.refused"
    api.refused(409, BALLOTS, "legal", ballot("legal"), "promotion `promo-1` is refused")


def test_the_boards_rules(api):
    """Nobody votes twice, in a role not theirs, in one without a say, or on what they proposed."""
    trained(api)
    api.ok("promotions", "engineering", promotion())
    api.refused(403, BALLOTS, "engineering", ballot("engineering"), "may not vote on what they asked for or made")
    api.ok(BALLOTS, "legal", ballot("legal"))
    api.refused(409, BALLOTS, "legal", ballot("legal"), "has voted already")
    api.refused(403, BALLOTS, "legal", ballot("ethics"), "in the role ethics")
    api.refused(403, BALLOTS, "steward", ballot("steward"), "the role `steward` has no vote here")
    api.refused(404, BALLOTS, "other", ballot("engineering"), "no promotion `promo-1`")
    api.refused(404, "promotions/none/votes", "legal", ballot("legal"), "no promotion `none`")


def test_only_those_concerned_propose(api):
    """Another partner may not propose the promotion of weights that are not its own, nor learn their stage."""
    trained(api)
    api.refused(404, "promotions", "other", promotion(), "no weights `detector-1`")


def test_a_promotion_that_was_overtaken_moves_nothing(api):
    """Where the weights have moved on since it was proposed, a promotion cannot complete: retired stays retired."""
    trained(api)
    api.ok("promotions", "trainer", promotion())
    api.ok("promotions", "steward", promotion(id="promo-2", stage="retired"))
    for role in BOARD:
        last = api.post("promotions/promo-2/votes", role, ballot(role)).json()
    assert (last["outcome"], last["stage"]) == ("promoted", "retired")
    for role in BOARD[:-1]:
        api.post(BALLOTS, role, ballot(role))
    api.refused(409, BALLOTS, BOARD[-1], ballot(BOARD[-1]), "do not go from `retired` to `validated`")


def test_a_run_needs_its_version(api):
    """An allow for a version that has been withdrawn since starts nothing."""
    allowed = api.allowed()
    api.ok("datasets/uav/versions/raw-1/withdrawal", "steward", {"reason": "a person can be recognised"})
    before = api.size
    assert api.post("runs", "trainer", {"id": "r", "decisions": [allowed]}).status_code in {403, 409}
    assert api.size == before


@pytest.mark.parametrize(
    ("status", "change", "detail", "pointer"),
    [
        (404, {"weights": "none"}, "no weights `none`", ""),
        (409, {"stage": "deployed"}, "do not go from `candidate` to `deployed`", ""),
        (400, {"thresholds": []}, "", "/thresholds"),
        (400, {"thresholds": [{"metric": "recall"}]}, "bounds `recall` neither", "/thresholds/0"),
        (400, {"thresholds": [{"metric": "m", "at_least": "1", "at_most": "0"}]}, "cannot be met", "/thresholds/0"),
        (400, {"evidence": [{"metric": "m", "value": "NaN", "dataset": REDACTED}]}, "", "/evidence/0/value"),
        (400, {"evidence": [{"metric": "m", "value": 0.9, "dataset": REDACTED}]}, "", "/evidence/0/value"),
        (400, {"stage": "candidate"}, "", "/stage"),
    ],
)
def test_a_promotion_that_is_none_is_refused(trained_api, status, change, detail, pointer):
    """Unknown weights, a stage skipped, and gates or evidence that measure nothing are refused, and leave nothing."""
    trained_api.refused(status, "promotions", "trainer", promotion(**change), detail, pointer)


@pytest.fixture(scope="module")
def trained_api(shared_api):
    """Give a shared world in which there are weights."""
    trained(shared_api)
    return shared_api


def test_weights_are_asked_for_like_data(api):
    """Weights are a resource of their own: without a grant for them they are denied, and the deny is on record."""
    trained(api)
    answer = api.decide(resource={"type": "weights", "id": "detector-1"}, action={"name": "infer"}, tier="derived")
    assert answer["decision"] is False
    entry = api.entries(int(answer["context"]["id"]))[0]
    assert (entry.kind, entry.body["asked"]["resource"]) == ("decision.recorded", "weights:detector-1")

"""Batches with items of mounted types (AuthZEN 1.0 §7), as the certification scenario's Batch level has them."""

import json

import pytest
import records
from served import Served, check_problem, evaluation
from world import BY, revocation

from ledger.access.mounted import parse_mounted
from ledger.errors import NotScoped, Unauthenticated
from ledger.services.caller import Access, hash_token
from ledger.services.decisions import MountedQuestion

EVALUATIONS = "/access/v1/evaluations"
ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
ONE, TWO = ({"type": "record", "id": f"record-{number}"} for number in (1, 2))
READ, WRITE = {"name": "read"}, {"name": "write"}

YES = records.request()
NO = records.request(subject="bob", action="write")
BROKEN = records.request(action="sell")
UNKNOWN = {**YES, "resource": {"type": "book", "id": "b-1"}}


@pytest.fixture
def mounted(api_on_each_engine: Served) -> Served:
    """Give a served world in which the example is mounted."""
    records.mount(api_on_each_engine.world)
    return api_on_each_engine


@pytest.fixture
def point(api: Served) -> Served:
    """Give the same on one engine."""
    records.mount(api.world)
    return api


def asked(api: Served, *items, token="gate", semantic=None, **defaults):
    """Ask for many. Returns (answers, entries that it left)."""
    before = api.size
    options = {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    response = api.post(EVALUATIONS, token, {**defaults, "evaluations": list(items), **options})
    assert response.status_code == 200, response.text
    return response.json()["evaluations"], api.entries(before)


def decisions(answers):
    return [answer["decision"] for answer in answers]


def statuses(answers):
    return [answer["context"].get("error", {}).get("status") for answer in answers]


def test_a_batch_asks_both_policies(mounted):
    """Items of either kind are answered at their places, on record in their order, and decided on one state."""
    answers, entries = asked(mounted, YES, evaluation(), NO, evaluation(tier="raw"), YES)
    assert decisions(answers) == [True, True, False, False, True]
    assert [entry.kind for entry in entries] == [
        "decision.mounted",
        "decision.recorded",
        "decision.mounted",
        "decision.recorded",
        "decision.mounted",
    ]
    assert [str(entry.seq) for entry in entries] == [answer["context"]["id"] for answer in answers]
    assert len({(entry.at, entry.body["state_seq"], entry.body["evaluated_at"]) for entry in entries}) == 1


def test_an_answer_in_a_batch_is_the_answer_alone(point):
    """But for its place in the ledger and its time, an item is answered as the same request alone."""
    for request in (YES, NO, records.request(action="write", record="record-2", role="admin", status="archived")):
        (answer,), _ = asked(point, request)
        alone = point.post("/access/v1/evaluation", "gate", request).json()
        for context in (answer["context"], alone["context"]):
            del context["id"], context["evaluated_at"]
        assert alone == answer


def test_defaults_of_mounted_types(point):
    """A default fills what an item lacks; an item's own entity replaces it whole, with its properties."""
    answers, _ = asked(
        point, {"resource": ONE}, {"resource": TWO}, {"resource": ONE, "subject": BOB}, subject=ALICE, action=WRITE
    )
    assert decisions(answers) == [True, False, False]
    archived, admin = {**ONE, "properties": {"status": "archived"}}, {**BOB, "properties": {"role": "admin"}}
    answers, _ = asked(point, {}, {"resource": ONE}, {"subject": admin}, subject=ALICE, action=WRITE, resource=archived)
    assert decisions(answers) == [False, True, True]


def test_each_item_reads_a_default_as_its_policy_does(point):
    """A default that is one policy's alone is wrong for the items of the other, and for those that need it only."""
    own = evaluation()
    answers, _ = asked(point, {"resource": ONE}, {**own}, {**own, "subject": ALICE}, subject=ALICE, action=READ)
    assert (decisions(answers), statuses(answers)) == ([True, True, False], [None, None, 400])
    assert answers[2]["context"]["error"]["message"].startswith("/subject/type: ")
    answers, _ = asked(point, {"resource": ONE, "subject": BOB}, {}, {"resource": ONE}, **{**own, "action": READ})
    assert (decisions(answers), statuses(answers)) == ([True, False, False], [None, 400, 400])


def test_defaults_that_no_item_can_use_are_refused_whole(point):
    """Where nothing is asked of a mounted policy, a default has to be of the main policy's form, as ever."""
    own = evaluation()
    point.refused(400, EVALUATIONS, "gate", {**own, "subject": ALICE, "evaluations": [own]}, pointer="/subject/type")
    twice = (
        b'{"subject": {"type": "user", "id": "alice", "id": "bob"}, "evaluations": [{"resource": {"type": "record"}}]}'
    )
    point.refused(400, EVALUATIONS, "gate", twice, "stands twice", pointer="/id")
    many = {"subject": ALICE, "evaluations": [YES] * 201}
    point.refused(413, EVALUATIONS, "gate", many, "over the limit of 200 evaluations")


def test_without_items_it_is_a_single_evaluation(point):
    """The answer is one decision under the mounted policy."""
    for items in ({}, {"evaluations": []}):
        answer = point.post(EVALUATIONS, "gate", {**YES, **items}).json()
        assert (answer["decision"], answer["context"]["reasons"][0].keys()) == (True, {"en", "uk", "row"})


@pytest.mark.parametrize(
    ("semantic", "items", "expected"),
    [
        ("execute_all", [YES, NO, YES], [True, False, True]),
        ("deny_on_first_deny", [YES, YES, NO, YES], [True, True, False]),
        ("permit_on_first_permit", [NO, NO, YES, NO], [False, False, True]),
        ("deny_on_first_deny", [YES, evaluation(), evaluation(tier="raw"), YES], [True, True, False]),
        ("permit_on_first_permit", [NO, evaluation(tier="raw"), YES, evaluation()], [False, False, True]),
        ("permit_on_first_permit", [NO, evaluation(), YES], [False, True]),
        ("deny_on_first_deny", [evaluation(), NO, evaluation()], [True, False]),
    ],
)
def test_nothing_is_on_record_after_the_decision_that_ends_it(mounted, semantic, items, expected):
    """Whichever policy makes it, the decision that ends a batch is the last answer and the last entry."""
    answers, entries = asked(mounted, *items, semantic=semantic)
    assert decisions(answers) == expected
    assert [entry.body["allowed"] for entry in entries] == expected


@pytest.mark.parametrize(
    "wrong", [BROKEN, UNKNOWN, {**YES, "subject": {**ALICE, "id": ""}}], ids=["action", "type", "id"]
)
def test_a_broken_item_is_a_deny_of_its_own_that_leaves_no_entry(point, wrong):
    """It is answered with what is wrong with it; where a deny ends the batch, nothing comes after it."""
    for semantic, expected in (("execute_all", 3), ("deny_on_first_deny", 2), ("permit_on_first_permit", 1)):
        answers, entries = asked(point, YES, wrong, YES, semantic=semantic)
        assert statuses(answers) == [None, 400, None][:expected]
        assert len(entries) == expected - (expected > 1)


def test_nothing_is_evaluated_after_the_end(point, monkeypatch):
    """What follows the decision that ends a batch is not decided by the mounted policy at all."""
    from ledger.services import mounted

    seen = []
    true = mounted.decide_mounted

    def noting(request, *rest):
        seen.append(request.subject_id)
        return true(request, *rest)

    monkeypatch.setattr(mounted, "decide_mounted", noting)
    asked(point, NO, YES, YES, semantic="deny_on_first_deny")
    assert set(seen) == {"bob"}


def test_who_may_ask(point):
    """A partner is told 403 for each mounted item, and answered its own; who may not ask at all is refused whole."""
    answers, entries = asked(point, YES, evaluation(), token="trainer")
    assert (decisions(answers), statuses(answers)) == ([False, True], [403, None])
    assert [entry.kind for entry in entries] == ["decision.recorded"]
    for items in ([YES], [UNKNOWN], [BROKEN, evaluation()]):
        point.refused(401, EVALUATIONS, "unknown", {"evaluations": items}, "unknown, expired or revoked")
        point.refused(403, EVALUATIONS, "steward", {"evaluations": items}, "not scoped for `evaluate`")


def test_without_a_main_policy_the_mounted_ones_answer(api):
    """An item that no policy can answer is 503 there; what was decided beside it is on record, and so is told."""
    with api.world.service.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM policy")
    records.mount(api.world)  # moves `state_seq`: what was remembered is stale
    answers, entries = asked(api, YES, evaluation())
    assert (decisions(answers), statuses(answers)) == ([True, False], [None, 503])
    assert [entry.kind for entry in entries] == ["decision.mounted"]
    check_problem(api.post(EVALUATIONS, "gate", {"evaluations": [evaluation()]}), 503)


def test_a_change_of_state_counts_for_the_items_after_it(mounted):
    """Two batches around a mounting are each decided by the policy of their moment, and say which."""
    before, _ = asked(mounted, YES, evaluation())
    closed = "\n".join(row.replace(", allow,", ", deny,") for row in records.texts()["rows"].split("\n"))
    records.mount(mounted.world, rows=closed)
    mounted.world.service.sequencer.submit(lambda tx: tx.append(revocation(), BY)).result(30)
    after, _ = asked(mounted, YES, evaluation())
    assert (decisions(before), decisions(after)) == ([True, True], [False, False])
    assert before[0]["context"]["policy"] != after[0]["context"]["policy"]


@pytest.mark.parametrize(
    ("scopes", "expires", "error"),
    [({"read"}, "9", NotScoped), ({"evaluate"}, "2000-01-01T00:00:00.000000Z", Unauthenticated)],
    ids=["scope", "time"],
)
def test_an_access_token_gives_no_more_than_it_says(point, scopes, expires, error):
    """Under a mounted policy, too: one of another scope, or whose time is over, is refused, and another is not."""
    request, ask = parse_mounted(json.dumps(YES).encode()), point.world.service.sequencer.ask_from_thread
    known_by = hash_token("gate")
    wrong, right = Access("gate", frozenset(scopes), expires), Access("gate", frozenset({"evaluate"}), "9")
    assert ask(MountedQuestion(known_by, request, right)).result(30)[1].event.allowed is True
    with pytest.raises(error):
        ask(MountedQuestion(known_by, request, wrong)).result(30)

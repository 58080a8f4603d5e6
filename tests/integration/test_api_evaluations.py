"""Many evaluations in one request (AuthZEN 1.0 §7): decided on one state, recorded in one transaction."""

import asyncio
import json

import pytest
from served import check_problem, evaluation
from world import BY, question, revocation

from ledger.access.evaluations import MAX_EVALUATIONS
from ledger.bootstrap import open_service
from ledger.errors import Forbidden
from ledger.services.decisions import Until
from ledger.storage import batch as batches

EVALUATIONS = "/access/v1/evaluations"

YES: dict[str, object] = {}
NO = {"action": {"name": "infer"}}
BROKEN = {"action": {"name": 123}}
ANOTHERS = {"subject": {"type": "system", "id": "orion-pl/trainer-1"}}


def batch(*items, semantic=None, **changes):
    options = {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    return {**evaluation(**changes), "evaluations": list(items), **options}


def asked(api, *items, token="trainer", **more):
    """Ask for many. Returns (answers, entries that it left)."""
    before = api.size
    response = api.post(EVALUATIONS, token, batch(*items, **more))
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"evaluations"}
    return response.json()["evaluations"], api.entries(before)


def test_a_batch_is_answered_in_order_and_on_record_without_a_gap(api_on_each_engine):
    """Each item has its answer at its place, its entry in the same order, and all are decided on one state."""
    items = [NO if number % 3 == 2 else YES for number in range(30)]
    answers, entries = asked(api_on_each_engine, *items)
    assert [item is YES for item in items] == [answer["decision"] for answer in answers]
    assert [str(entry.seq) for entry in entries] == [answer["context"]["id"] for answer in answers]
    assert [entry.body["allowed"] for entry in entries] == [answer["decision"] for answer in answers]
    assert len({(entry.at, entry.body["state_seq"], entry.body["evaluated_at"]) for entry in entries}) == 1
    assert {entry.kind for entry in entries} == {"decision.recorded"}


def test_an_answer_in_a_batch_is_the_answer_alone(shared_api):
    """But for its place in the ledger and its time, an item is answered as the same request alone."""
    for change in (YES, NO, {"resource": {"type": "dataset", "id": "none"}}):
        (answer,), _ = asked(shared_api, change)
        alone = shared_api.decide(**change)
        for context in (answer["context"], alone["context"]):
            del context["id"], context["evaluated_at"]
        assert alone == answer


@pytest.mark.parametrize(
    ("semantic", "items", "decisions"),
    [
        ("execute_all", [NO, YES, NO], [False, True, False]),
        ("deny_on_first_deny", [YES, YES, NO, YES, NO], [True, True, False]),
        ("deny_on_first_deny", [YES, YES], [True, True]),
        ("permit_on_first_permit", [NO, NO, YES, NO, YES], [False, False, True]),
        ("permit_on_first_permit", [NO, NO], [False, False]),
    ],
)
def test_nothing_is_on_record_after_the_decision_that_ends_it(api_on_each_engine, semantic, items, decisions):
    """Answers and entries alike go up to the first deny, or the first permit, and no further."""
    answers, entries = asked(api_on_each_engine, *items, semantic=semantic)
    assert decisions == [answer["decision"] for answer in answers]
    assert decisions == [entry.body["allowed"] for entry in entries]


@pytest.mark.parametrize(
    ("semantic", "items", "statuses"),
    [
        ("execute_all", [BROKEN, YES, ANOTHERS, NO], [400, 200, 403, 200]),
        ("deny_on_first_deny", [YES, BROKEN, YES], [200, 400]),
        ("deny_on_first_deny", [YES, ANOTHERS, YES, BROKEN], [200, 403]),
        ("permit_on_first_permit", [BROKEN, ANOTHERS, NO, YES, BROKEN, YES], [400, 403, 200, 200]),
    ],
)
def test_a_broken_item_is_a_deny_of_its_own_that_leaves_no_entry(shared_api, semantic, items, statuses):
    """It is answered false with the status and the message that it would have had alone, and 200 for the batch."""
    answers, entries = asked(shared_api, *items, semantic=semantic)
    errors = [answer["context"].get("error", {"status": 200}) for answer in answers]
    assert statuses == [error["status"] for error in errors]
    assert all(answer["decision"] is False for answer, status in zip(answers, statuses, strict=True) if status != 200)
    assert all(set(answer["context"]) == {"error"} for answer in answers if "error" in answer["context"])
    assert all(error["message"] for error in errors if error["status"] != 200)
    assert statuses.count(200) == len(entries)


def test_an_item_says_what_is_wrong_with_it(shared_api):
    """The message names the field, or whom the caller may ask for."""
    answers, _ = asked(shared_api, BROKEN, ANOTHERS, 5)
    messages = [answer["context"]["error"]["message"] for answer in answers]
    assert messages == [
        "/action/name: Expected `str`, got `int`",
        "`acme-jp/trainer-1` may ask for `acme-jp` only, not for `orion-pl`",
        "Expected `object`, got `int`",
    ]


@pytest.mark.parametrize("change", [{}, {"evaluations": []}, {"options": {"evaluations_semantic": "execute_all"}}])
def test_without_items_it_is_a_single_evaluation(shared_api, change):
    """A list that is missing or empty is answered as the other path answers, and is bound to its size."""
    before = shared_api.size
    response = shared_api.post(EVALUATIONS, "trainer", {**evaluation(), **change})
    assert (response.status_code, response.json()["decision"]) == (200, True)
    assert shared_api.size == before + 1
    shared_api.refused(400, EVALUATIONS, "trainer", {**change}, "is missing", "/subject")
    long = json.dumps({**evaluation(), **change}).encode() + b" " * 65_536
    shared_api.refused(413, EVALUATIONS, "trainer", long, "over the limit of 65,536 bytes")


@pytest.mark.parametrize("items", [[YES], [BROKEN], [ANOTHERS], [YES, BROKEN]], ids=repr)
def test_who_may_not_ask_at_all_is_refused_whole(shared_api, items):
    """A token that is none is 401, one for something else 403, whatever the items are; nothing is written."""
    shared_api.refused(401, EVALUATIONS, "unknown", batch(*items), "unknown, expired or revoked")
    shared_api.refused(401, EVALUATIONS, None, batch(*items), "no API token was given")
    shared_api.refused(403, EVALUATIONS, "steward", batch(*items), "not scoped for `evaluate`")


def test_limits_of_a_batch(shared_api):
    """As many items as the limit are decided; one more, or more bytes, are 413, and nothing is written."""
    answers, entries = asked(shared_api, *[YES] * MAX_EVALUATIONS)
    assert len(answers) == len(entries) == MAX_EVALUATIONS
    too_many = batch(*[YES] * (MAX_EVALUATIONS + 1))
    shared_api.refused(413, EVALUATIONS, "trainer", too_many, "over the limit of 200 evaluations")
    shared_api.refused(413, EVALUATIONS, "trainer", b" " * 262_145, "over the limit of 262,144 bytes")


def test_where_no_policy_is_in_force_the_batch_is_503(api):
    """What would be 503 alone is 503 for all."""
    with api.world.service.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM policy")
    api.ok("datasets", "steward", {"id": "sar", "title": "Radar"})  # moves `state_seq`: what was remembered is stale
    check_problem(api.post(EVALUATIONS, "trainer", batch(YES, BROKEN)), 503)


def test_a_batch_that_cannot_be_written_is_503_and_leaves_nothing(api_on_each_engine, monkeypatch):
    """When the transaction fails, no item is answered and none is on record; the next batch is."""

    def fail(*_args):
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(batches.Tail, "write", fail)
        before = api_on_each_engine.size
        check_problem(api_on_each_engine.post(EVALUATIONS, "trainer", batch(YES, NO)), 503)
        assert api_on_each_engine.size == before
    answers, entries = asked(api_on_each_engine, YES, NO)
    assert len(answers) == len(entries) == 2


@pytest.mark.parametrize(
    ("semantic", "decisions"),
    [
        ("execute_all", [False, False, False]),
        ("deny_on_first_deny", [False]),
        ("permit_on_first_permit", [False, False, False]),
    ],
)
def test_what_ends_a_batch_is_decided_under_the_lock(api_on_each_engine, monkeypatch, semantic, decisions):
    """A revocation by another process, after the batch was evaluated and before the lock, binds each of its items."""
    world = api_on_each_engine.world
    another = open_service(world.settings, clock=world.clock)
    assert asked(api_on_each_engine, YES)[0][0]["decision"] is True  # from here on the facts are remembered
    prepare = batches.BatchWriter._prepare

    def overtaken(self, connection, payloads):
        found = prepare(self, connection, payloads)
        if payloads:
            monkeypatch.undo()
            another.sequencer.submit(lambda tx: tx.append(revocation(), BY)).result(30)
        return found

    monkeypatch.setattr(batches.BatchWriter, "_prepare", overtaken)
    try:
        answers, (revoked, *entries) = asked(api_on_each_engine, YES, YES, YES, semantic=semantic)
    finally:
        another.close()
    assert revoked.kind == "grant.revoked"
    assert decisions == [answer["decision"] for answer in answers]
    assert {entry.body["state_seq"] for entry in entries} == {revoked.seq}
    assert len(entries) == len(decisions)


def test_nothing_is_evaluated_after_the_end(api, monkeypatch):
    """What follows the decision that ends a batch is not decided at all; another batch beside it is, to its end."""
    from ledger.services import decisions

    seen = []
    true = decisions.decide

    def noting(request, *rest):
        seen.append(request.tier)
        return true(request, *rest)

    monkeypatch.setattr(decisions, "decide", noting)
    first, second = Until(allowed=False), Until(allowed=True)

    def of(until, **changes):
        asked = question(**changes)
        return decisions.Question(asked.token_hash, asked.request, until=until)

    together = [of(first, tier="raw"), of(second, tier="raw"), of(first), of(second), of(second)]
    with api.world.service.engine.connect() as connection:
        evaluator = decisions.Evaluator(owner="mod-ua")
        found = evaluator(connection, together, now="2026-11-21T09:30:00.000000Z", state_seq=10**6)
    assert [answer is None for answer in found] == [False, False, True, False, True]
    assert seen == ["raw", "raw", "redacted"]


def test_an_error_is_a_deny_that_ends_a_batch(api):
    """Whoever may not ask for an item is denied it: where a deny ends the batch, nothing after it is decided."""

    async def ask(allowed):
        until = Until(allowed=allowed)
        questions = [question(org="orion-pl"), question()]
        return await api.world.service.sequencer.ask_all(
            [type(asked)(asked.token_hash, asked.request, until=until) for asked in questions]
        )

    refused, after = asyncio.run(ask(allowed=False))
    assert (type(refused), after) == (Forbidden, None)
    refused, after = asyncio.run(ask(allowed=True))
    assert (type(refused), after[1].event.allowed) == (Forbidden, True)


def test_batches_and_single_questions_share_a_transaction(api_on_each_engine):
    """Asked at the same time they are each answered with their own entries, none of which is lost or doubled."""
    world = api_on_each_engine.world

    async def ask():
        sequencer = world.service.sequencer
        many = [sequencer.ask_all([question()] * 7) for _ in range(40)]
        one = [sequencer.ask(question()) for _ in range(40)]
        return await asyncio.gather(*(each for pair in zip(many, one, strict=True) for each in pair))

    before = api_on_each_engine.size
    answers = asyncio.run(ask())
    seqs = [[seq for seq, _ in answer] if isinstance(answer, list) else [answer[0]] for answer in answers]
    assert all(found == list(range(found[0], found[0] + len(found))) for found in seqs)
    assert sorted(seq for found in seqs for seq in found) == list(range(before, before + 320))

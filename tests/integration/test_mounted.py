"""Mounted policies in service: adopted by an entry, deciding beside the main policy, on record, derived again."""

import json
from pathlib import Path

import pytest
import records
from served import Served, serving
from world import BY, OWNER, question

from ledger.access.mounted import parse_mounted
from ledger.errors import Conflict, Malformed
from ledger.events.decisions import MountedDecisionRecorded
from ledger.services import sources, verifying
from ledger.services.caller import hash_token
from ledger.services.decisions import MountedQuestion

EVALUATION = "/access/v1/evaluation"


@pytest.fixture
def mounted(api_on_each_engine: Served) -> Served:
    """Give a served world in which the example is mounted."""
    records.mount(api_on_each_engine.world)
    return api_on_each_engine


def asked(token: str = "gate", **changes) -> MountedQuestion:
    return MountedQuestion(hash_token(token), parse_mounted(json.dumps(records.request(**changes)).encode()))


def replayed(served: Served):
    with served.world.service.engine.connect() as connection:
        _, found = verifying.replay(lambda: sources.DatabaseSource(connection))
    return found


def test_mounting_is_an_entry(api):
    """Security mounts a folder with one request; the entry names its digest, its types and its texts."""
    seq = api.ok("mounted-policies", "security", records.body())["seq"]
    (entry,) = api.entries(seq)
    assert (entry.kind, entry.body["name"]) == ("policy.mounted", "records_example")
    assert list(entry.body["resource_types"]) == ["record"]
    answer = records.decide(api)
    assert (answer["decision"], answer["context"]["policy"]) == (True, entry.body["digest"])


def test_who_may_mount(api):
    """Only a person of the owner in the role of security mounts a policy; a folder that is none is refused whole."""
    for token in ("steward", "gate", "sato"):
        api.refused(403, "mounted-policies", token, records.body())
    api.refused(400, "mounted-policies", "security", records.body(rows="p, x"), pointer="/rows/1")
    api.refused(400, EVALUATION, "gate", records.request(), pointer="/resource/type")


def test_a_type_has_one_policy(mounted):
    """A second policy for a type is refused with 409; the same name puts one in place of the other."""
    problem = mounted.refused(409, "mounted-policies", "security", records.body(name="other"))
    assert "records_example" in problem["detail"]
    mounted.ok("mounted-policies", "security", records.body())


def test_how_many_may_be_mounted(mounted, monkeypatch):
    """Over the limit, another name is refused, and the same name is not."""
    monkeypatch.setattr("ledger.services.mounted.MAX_MOUNTED", 1)
    books = records.texts()["mount"].replace('"record"', '"book"')
    empty = json.dumps({"subjects": [], "resources": []})
    mounted.refused(413, "mounted-policies", "security", records.body(name="books", mount=books, facts=empty))
    mounted.ok("mounted-policies", "security", records.body())


def test_a_decision_is_on_record_with_what_it_rests_on(mounted):
    """The entry has who, what, the properties that counted, the row and the policy; the answer says where it is."""
    before = mounted.size
    answer = records.decide(mounted, subject="bob", action="write", record="record-2", role="admin", status="archived")
    (entry,) = mounted.entries(before)
    assert answer["decision"] is True
    assert answer["context"]["id"] == str(before)
    assert answer["context"]["reasons"][0].keys() == {"en", "uk", "row"}
    assert entry.kind == "decision.mounted"
    assert entry.by == {"org": OWNER, "system": "gate-1"}
    assert entry.body["brought"] == {"resource.status": "archived", "subject.role": "admin"}
    assert (entry.body["subject"], entry.body["resource"]) == ("user:bob", "record:record-2")
    assert (entry.body["row"], entry.body["allowed"]) == (answer["context"]["reasons"][0]["row"], True)


def test_what_does_not_count_is_not_recorded(mounted):
    """A property that mount.json does not name changes no answer, and does not reach the ledger."""
    before = mounted.size
    asked = records.request(subject="bob", action="write")
    asked["subject"]["properties"] = {"editor": True, "home_address": "secret street"}
    response = mounted.post(EVALUATION, "gate", {**asked, "context": {"ip": "192.168.1.1"}})
    assert response.json()["decision"] is False
    (entry,) = mounted.entries(before)
    assert entry.body["brought"] == {}


def test_who_may_ask(mounted):
    """The owner's systems ask; a partner's are told 403, and one without a token 401; nothing is written."""
    mounted.refused(403, EVALUATION, "trainer", records.request())
    mounted.refused(403, EVALUATION, "auditor", records.request())
    mounted.refused(401, EVALUATION, "nobody", records.request())
    mounted.refused(401, EVALUATION, None, records.request())


@pytest.mark.parametrize(
    ("part", "value", "pointer"),
    [
        ("subject", {"type": "ghost", "id": "a"}, "/subject/type"),
        ("subject", {"type": "user", "id": ""}, "/subject/id"),
        ("action", {"name": "burn"}, "/action/name"),
        ("action", {"name": ""}, "/action/name"),
        ("resource", {"type": "", "id": "a"}, "/resource/type"),
        ("resource", {"type": "record", "id": ""}, "/resource/id"),
        ("resource", {"type": "record", "id": "a", "properties": {"status": 1.5}}, "/resource/properties/status"),
    ],
)
def test_bad_input(mounted, part, value, pointer):
    """Unknown types and actions, empty ids and properties of a wrong form are 400, and leave nothing."""
    mounted.refused(400, EVALUATION, "gate", records.request() | {part: value}, pointer=pointer)


def test_both_kinds_in_one_batch(world):
    """Questions of both kinds that wait together are answered in their order, each by its own policy."""
    records.mount(world)
    sequencer = world.service.sequencer
    waiting = [
        sequencer.ask_from_thread(one)
        for one in (asked(), question(), asked(subject="mallory"), asked("trainer"), question(tier="raw"))
    ]
    outcomes = []
    for future in waiting:
        error = future.exception(30)
        outcomes.append(type(error).__name__ if error else future.result()[1].answer.decision.allowed)
    assert outcomes == [True, True, False, "Forbidden", False]


def test_a_policy_that_is_mounted_anew_decides_at_once(mounted):
    """After its entry, no decision is made by the policy before it (I4)."""
    assert records.decide(mounted)["decision"] is True
    rows = records.texts()["rows"] + 'p, *, True, deny, "Closed.", "Зачинено."\n'
    records.mount(mounted.world, rows=rows)
    answer = records.decide(mounted)
    assert answer["decision"] is False
    assert replayed(mounted).findings == ()


def test_an_error_in_a_row_denies_and_is_told(mounted):
    """A row that cannot be evaluated denies; the answer and the entry say so, and replay finds the same."""
    records.mount(mounted.world, rows="p, read, r.sub.unheard_of == 1, allow, X., Ю.")
    before = mounted.size
    answer = records.decide(mounted)
    assert answer["decision"] is False
    assert answer["context"]["errors"] == ["the policy could not be evaluated: there is no property `unheard_of`"]
    (entry,) = mounted.entries(before)
    assert list(entry.body["errors"]) == answer["context"]["errors"]
    assert replayed(mounted).findings == ()


def test_a_receipt_comes_with_the_answer(mounted):
    """`"receipt": true` brings the proof file along, as with the main policy."""
    answer = records.decide(mounted, context={"receipt": True})
    assert answer["context"]["receipt"].startswith("c2sp.org/tlog-proof@v1\n")


def test_decisions_are_derived_again(mounted):
    """From the ledger alone, every decision under every policy that was mounted comes out as it is recorded (I5)."""
    for changes in ({}, {"action": "write"}, {"action": "delete", "soft": True}, {"subject": "mallory"}):
        records.decide(mounted, **changes)
        mounted.decide()
    records.mount(mounted.world, facts=json.dumps({"subjects": [{"type": "user", "id": "mallory"}], "resources": []}))
    records.decide(mounted, subject="mallory")
    found = replayed(mounted)
    assert (found.decisions, found.findings) == (9, ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"allowed": False}, "allowed is recorded as False, derived as True"),
        ({"row": 3}, "row is recorded as 3"),
        ({"brought": {"subject.role": "admin"}, "subject": "user:x"}, "allowed is recorded as True"),
        ({"policy": "0" * 64}, "policy is recorded as"),
        ({"resource": "book:b"}, "cannot be derived"),
        ({"action": "burn"}, "cannot be derived"),
        ({"brought": {"context.ip": "x"}}, "brought is recorded as"),
        ({"state_seq": 0}, "state_seq is recorded as 0"),
    ],
)
def test_a_forged_decision_is_a_finding(world, change, told):
    """A decision that nobody made is found by replay, and what is wrong with it named."""
    state_seq = records.mount(world)
    seq, draft = world.service.sequencer.ask_from_thread(asked()).result(30)
    honest = draft.event
    fields = {name: getattr(honest, name) for name in honest.__struct_fields__}
    assert fields["state_seq"] == state_seq
    forged = world.append(MountedDecisionRecorded(**{**fields, **change}), by=BY)
    with world.service.engine.connect() as connection:
        _, found = verifying.replay(lambda: sources.DatabaseSource(connection))
    (finding,) = found.findings
    assert finding.seq == forged != seq
    assert told in finding.problem


def test_an_export_carries_what_replay_needs(mounted, tmp_path: Path):
    """An exported file verifies and replays without the database, the folder, or this service."""
    records.decide(mounted)
    note = mounted.world.checkpoint()
    file = tmp_path / "ledger.jsonl"
    with verifying.export(mounted.world.service.engine, note=note) as lines, file.open("wb") as target:
        target.writelines(lines)
    _, found = verifying.replay(lambda: sources.ExportSource(file.read_bytes().splitlines(keepends=True)))
    assert (found.decisions, found.findings) == (1, ())


def test_a_mount_of_nothing_known_stays_apart(database_url, tmp_path):
    """Without a mounted policy, a type that is not the main policy's is 400, and the main policy decides as ever."""
    with serving(database_url, tmp_path) as served:
        served.refused(400, EVALUATION, "gate", records.request(), pointer="/resource/type")
        assert served.decide()["decision"] is True


def test_the_services_say_the_same(world):
    """What the routes refuse, the verbs refuse: a type that is taken, and a type that the main policy decides on."""
    records.mount(world)
    with pytest.raises(Conflict):
        records.mount(world, name="second")
    with pytest.raises(Malformed):
        records.mount(world, mount=records.texts()["mount"].replace('"record"', '"weights"'))

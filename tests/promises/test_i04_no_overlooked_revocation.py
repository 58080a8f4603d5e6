"""I4: no allow has an index above that of a revocation, suspension or pause that it was made without."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa
from full_history import every_kind
from programs import PATIENCE, program
from promised import entries_in, one_batch, replayed, verified
from world import BY, OTHER, OWNER, PARTNER, START, World, closed_purpose, grant, question, revocation, version

from ledger.access.policy import load_policy
from ledger.bootstrap import Service, open_service
from ledger.errors import Unauthenticated
from ledger.events import CATALOGUE, Event, event_of
from ledger.events.data import DatasetVersionWithdrawn, RecordedBounds
from ledger.events.decisions import DecisionRecorded
from ledger.events.registry import CredentialRevoked
from ledger.events.restraints import IncidentMadeBlocking, PausePlaced
from ledger.events.rules import PolicyAdopted, PurposesAdopted
from ledger.events.sharing import GrantIssued, GrantRevoked
from ledger.governance.purposes import parse_nodes
from ledger.log.entry import format_time
from ledger.resources import folder
from ledger.services.decisions import Evaluator
from ledger.storage.sequencer import Sequencer
from ledger.storage.transaction import Transaction

CYCLES = 40
"""How often the grant is revoked and given again while others ask."""


# Races ----------------------------------------------------------------------------------------------------------------


class Interrupted:
    """Evaluates as the service does; after the first time, and before the lock is taken, something else happens."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.evaluate = Evaluator(owner=OWNER)
        self.meanwhile = meanwhile
        self.given: list[Sequence] = []

    def __call__(self, connection: sa.Connection, questions: Sequence, *, now: str, state_seq: int) -> Sequence:
        self.given.append(self.evaluate(connection, questions, now=now, state_seq=state_seq))
        if len(self.given) == 1:
            self.meanwhile()
        return self.given[-1]


@contextmanager
def interrupted(world: World, meanwhile: Callable[[], object]):
    """Give a sequencer of its own connection, and its evaluator."""
    evaluate = Interrupted(meanwhile)
    sequencer = Sequencer(world.service.engine, evaluate=evaluate, clock=world.clock)
    try:
        yield sequencer, evaluate
    finally:
        sequencer.close()


def withdrawal(name: str) -> DatasetVersionWithdrawn:
    return DatasetVersionWithdrawn(dataset="uav", version=name, reason="test")


def pause(scope: str, target: str) -> PausePlaced:
    return PausePlaced(
        id="pause-1", scope=scope, target=target, concerns=(), quorum=("security", "steward"), reason="test"
    )


def incident() -> IncidentMadeBlocking:
    return IncidentMadeBlocking(id="incident-1", scope="organisation", target=PARTNER, concerns=(), reason="test")


def prohibition() -> PurposesAdopted:
    nodes = parse_nodes((folder("examples") / "purposes.json").read_bytes())
    changed = [type(n)(**{f: getattr(n, f) for f in n.__struct_fields__} | {"prohibited": True}) for n in nodes]
    return PurposesAdopted(nodes=tuple(changed))


def stricter_policy(tx: Transaction) -> PolicyAdopted:
    """Attach a policy that allows nothing."""
    root = folder("policy_models") / "dataset_access"
    model, rows = (root / "model.conf").read_text("utf-8"), (root / "policy.csv").read_text("utf-8")
    rows = "\n".join(line for line in rows.splitlines() if ", allow," not in line) + "\n"
    rows += 'p, infer, metadata, activity_permitted, allow, "Metadata.", "Метадані."\n'
    return PolicyAdopted(
        name="dataset_access",
        digest=load_policy("dataset_access", model, rows).digest,
        model_sha256=tx.attach(model.encode(), "text/plain"),
        rows_sha256=tx.attach(rows.encode(), "text/csv"),
    )


CHANGES = {
    "grant revoked": (lambda _tx: revocation(), "grant_current"),
    "version withdrawn": (lambda _tx: withdrawal("redacted-1"), "resource_available"),
    "ancestor withdrawn": (lambda _tx: withdrawal("raw-1"), "lineage_permits"),
    "purpose prohibited": (lambda _tx: prohibition(), "purpose_not_prohibited"),
    "narrower version": (
        lambda _tx: version("redacted-2", "redacted", bounds=RecordedBounds(countries=("UKR",))),
        "lineage_permits",
    ),
    "everything paused": (lambda _tx: pause("everything", ""), "not_paused"),
    "partner paused": (lambda _tx: pause("organisation", PARTNER), "not_paused"),
    "ancestor paused": (lambda _tx: pause("resource", "dataset:uav@raw-1"), "not_paused"),
    "incident made blocking": (lambda _tx: incident(), "no_open_incident"),
    "stricter policy": (stricter_policy, None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_evaluation_and_lock_is_not_overlooked(world: World, change: str):
    """An allow that another writer overtakes is not given: the question is evaluated again, and denied."""
    event, clause = CHANGES[change]

    def meanwhile() -> None:
        changed.append(world.service.sequencer.submit(lambda tx: tx.append(event(tx), BY)).result(PATIENCE))

    changed: list[int] = []
    with interrupted(world, meanwhile) as (sequencer, evaluate):
        seq, draft = sequencer.ask_from_thread(question()).result(PATIENCE)
    assert [drafts[0].event.allowed for drafts in evaluate.given] == [True, False]
    assert changed[0] + 1 == seq
    assert (False, changed[0]) == (draft.event.allowed, draft.event.state_seq)
    assert clause is None or clause in draft.event.failed
    assert draft.event == event_of(entries_in(world.service.engine)[seq])
    assert replayed(world.service.engine).findings == ()


def test_a_credential_that_is_revoked_between_evaluation_and_lock_gets_no_answer(world: World):
    """A token does not work after its revocation, not even for a question that was evaluated before it."""
    revoked = CredentialRevoked(id="credential-trainer", org=PARTNER, reason="test")
    with interrupted(world, lambda: world.append(revoked)) as (sequencer, evaluate):
        asked = sequencer.ask_from_thread(question())
        assert Unauthenticated is type(asked.exception(PATIENCE))
    assert evaluate.given[0][0].event.allowed
    assert revoked == event_of(entries_in(world.service.engine)[-1])


def test_what_changes_nothing_is_not_evaluated_again(world: World):
    """A decision that another writer records meanwhile is no reason to ask twice, and the answer stands."""
    with interrupted(world, world.ask) as (sequencer, evaluate):
        seq, draft = sequencer.ask_from_thread(question()).result(PATIENCE)
    assert len(evaluate.given) == 1
    assert draft.event.allowed
    assert len(entries_in(world.service.engine)) - 1 == seq


def test_another_process_revokes_between_evaluation_and_lock(world: World):
    """The same across processes: nothing of the other's memory is needed to be told of the revocation."""
    with program("official", str(world.settings.data), world.settings.database_url) as official:
        assert official.hear() == ["ready"]

        def meanwhile() -> None:
            official.tell("grant-1")
            revoked.extend(official.hear())

        revoked: list[str] = []
        with interrupted(world, meanwhile) as (sequencer, evaluate):
            seq, draft = sequencer.ask_from_thread(question()).result(PATIENCE)
    assert [drafts[0].event.allowed for drafts in evaluate.given] == [True, False]
    assert [str(seq - 1)] == revoked
    assert draft.event.failed == ("grant_current",)


def test_a_whole_batch_is_evaluated_again(world: World):
    """Every question of a batch is held against the state under the lock, and each gets its own new answer."""
    other = GrantIssued(
        id="grant-9", request="req-9", agreement="ua-acme", org=PARTNER, resource="dataset:uav", terms=grant().terms
    )
    with interrupted(world, lambda: world.append(revocation(), other, withdrawal("raw-1"))) as (sequencer, evaluate):
        with one_batch(sequencer):
            told = [sequencer.ask_from_thread(question(country=country)) for country in ("JPN", "USA", "JPN")]
        answers = [future.result(PATIENCE)[1].event for future in told]
    assert [[draft.event.allowed for draft in g] for g in evaluate.given] == [[True, False, True], [False] * 3]
    assert [answers[0].failed, answers[2].failed] == [("lineage_permits",)] * 2


def test_a_question_does_not_see_what_is_behind_it_in_its_batch(world: World):
    """Questions stand before the commands of their batch: a revocation there comes after, and binds the next batch."""
    sequencer = world.service.sequencer
    with one_batch(sequencer):
        revoked = sequencer.submit(lambda tx: tx.append(revocation(), BY))
        asked = sequencer.ask_from_thread(question())
    (seq, draft), index = asked.result(PATIENCE), revoked.result(PATIENCE)
    assert draft.event.allowed
    assert seq < index
    assert not world.ask()[1].event.allowed


def test_a_revocation_that_is_acknowledged_binds_every_process_at_once(world: World):
    """Once an official is told that a grant is revoked, no process gives another allow: there is no cache window."""
    others = [open_service(world.settings, clock=world.clock) for _ in range(3)]
    services = [world.service, *others]
    try:
        for number in range(1, 8):
            assert all(allowed(service) for service in services)  # each remembers the facts of an allow now
            services[number % 4].sequencer.submit(lambda tx, n=number: tx.append(revocation(f"grant-{n}"), BY)).result(
                PATIENCE
            )
            assert not any(allowed(service) for service in services)
            world.append(grant(number + 1))
    finally:
        for service in others:
            service.close()


def allowed(service: Service) -> bool:
    return service.sequencer.ask_from_thread(question()).result(PATIENCE)[1].event.allowed


# Stress ---------------------------------------------------------------------------------------------------------------


def test_processes_that_ask_while_another_revokes_never_overlook_it(world: World):
    """In the ledger that many processes wrote, every decision agrees with the grants in force at its own index."""
    arguments = str(world.settings.data), world.settings.database_url, "4"
    with ExitStack() as stack:
        askers = [stack.enter_context(program("asker", *arguments)) for _ in range(3)]
        assert [asker.hear() for asker in askers] == [["ready"]] * 3
        for number in range(1, CYCLES + 1):
            world.append(revocation(f"grant-{number}"))
            world.ask()
            world.append(grant(number + 1))
            world.ask()
        told = [line for asker in askers for line in asker.finish()]
    decisions = check_decisions(world)
    assert told
    for seq, effect, named in told:
        decision = decisions[int(seq)]
        assert ("allow" if decision.allowed else "deny", decision.grant or "-") == (effect, named)
    assert len(decisions) == len(told) + 2 * CYCLES
    assert {True, False} == {decision.allowed for decision in decisions.values()}
    assert replayed(world.service.engine).findings == ()
    assert verified(world.service.engine).size == len(entries_in(world.service.engine))


def check_decisions(world: World) -> dict[int, DecisionRecorded]:
    """Go through the ledger with the grants in force at each index. Returns the decisions by index."""
    in_force: set[str] = set()
    state_seq = -1
    decisions = {}
    for entry in entries_in(world.service.engine):
        event = event_of(entry)
        if isinstance(event, GrantIssued):
            in_force.add(event.id)
        elif isinstance(event, GrantRevoked):
            in_force.remove(event.id)
        elif isinstance(event, DecisionRecorded):
            decisions[entry.seq] = event
            assert bool(in_force) == event.allowed
            assert not event.allowed or event.grant in in_force
            assert state_seq == event.state_seq
        if event.CHANGES_STATE:
            state_seq = entry.seq
    return decisions


# What moves `state_seq` -----------------------------------------------------------------------------------------------

TABLE_READ = re.compile(r"\b(?:FROM|JOIN) (\w+)\b(?!\()")  # a table, and no function
TABLE_WRITTEN = re.compile(r"^\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")


@contextmanager
def statements(world: World):
    """Collect the SQL that is sent meanwhile."""
    sent: list[str] = []

    def collect(_connection, _cursor, statement, *_rest) -> None:
        sent.append(statement)

    sa.event.listen(world.service.engine, "before_cursor_execute", collect)
    try:
        yield sent
    finally:
        sa.event.remove(world.service.engine, "before_cursor_execute", collect)


def tables_that_decisions_read(world: World) -> set[str]:
    """Evaluate anew, and name the tables that were read: facts, callers, and the policy in force."""
    asked = [
        question(),
        question("gate", org=OWNER),
        question("other", org=OTHER, resource_type="weights"),
        question(purpose="sensitive", environment_id="vault-1"),
    ]
    with world.service.engine.connect() as connection, statements(world) as sent:
        Evaluator(owner=OWNER)(connection, asked, now=format_time(START), state_seq=0)
    return {name for statement in sent for name in TABLE_READ.findall(statement)}


def tables_written_for(world: World, event: Event, by: dict[str, str]) -> set[str]:
    """Append the event, and name the projections that it changed."""
    with statements(world) as sent:
        world.append(event, by=by)
    written = {match[1] for statement in sent if (match := TABLE_WRITTEN.match(statement))}
    return written - {"entry", "head", "subtree", "stream"}


def test_every_kind_that_a_decision_depends_on_moves_state_seq(world: World):
    """Each kind that writes to a table from which facts, callers or the policy are read is marked as changing state."""
    world.append(closed_purpose())
    read = tables_that_decisions_read(world)
    assert {
        "organisation", "member", "credential", "purpose", "policy", "resource", "lineage", "agreement", "access_grant",
        "attachment", "restraint", "authorisation", "attestation",
    } == read  # fmt: skip
    written: dict[type[Event], set[str]] = {}
    for event, by in every_kind(world):
        written[type(event)] = written.get(type(event), set()) | tables_written_for(world, event, by)
    assert set(CATALOGUE.values()) == written.keys()
    overlooked = {kind.KIND for kind, tables in written.items() if tables & read and not kind.CHANGES_STATE}
    assert set() == overlooked
    unmoved = {kind.KIND for kind in written if not kind.CHANGES_STATE}
    assert {"decision.recorded", "use.reported"} <= unmoved  # what is frequent costs decisions nothing


def test_only_what_is_marked_moves_state_seq(world: World):
    """The head's `state_seq` is the index of the last entry whose kind is marked, through every kind there is."""
    for event, by in every_kind(world):
        before = state_seq(world)
        seq = world.append(event, by=by)
        assert (seq if event.CHANGES_STATE else before) == state_seq(world)


def state_seq(world: World) -> int:
    with world.service.engine.connect() as connection:
        return connection.execute(sa.text("SELECT state_seq FROM head")).scalar_one()


def test_a_command_that_fails_does_not_move_state_seq(world: World):
    """What was rolled back changed nothing, and costs no later question a second evaluation."""

    def fail(tx: Transaction) -> None:
        tx.append(revocation(), BY)
        raise ZeroDivisionError

    before = state_seq(world)
    with one_batch(world.service.sequencer):
        failed = world.service.sequencer.submit(fail)
        neighbour = world.service.sequencer.ask_from_thread(question())
    assert type(failed.exception(PATIENCE)) is ZeroDivisionError
    assert len(entries_in(world.service.engine)) - 1 == neighbour.result(PATIENCE)[0]
    assert before == state_seq(world)
    assert world.ask()[1].event.allowed

"""I5: from the ledger alone the state is rebuilt and every decision derived again; a difference is a finding."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import records
import sqlalchemy as sa
from full_history import every_kind
from programs import PATIENCE, program
from promised import (
    chained,
    entries_in,
    exported,
    over_http,
    own_engine,
    replayed,
    replayed_file,
    rows_of,
    stored,
    verified,
)
from sqlmodel import SQLModel
from world import World, grant, question

from ledger.access.mounted import parse_mounted
from ledger.bootstrap import Service, open_service
from ledger.cli.inputs import example_inputs
from ledger.cli.story import MINISTRY, Story
from ledger.errors import BadEntry
from ledger.events import CATALOGUE, Event, event_of, replayable
from ledger.events.decisions import DecisionRecorded, MountedDecisionRecorded
from ledger.events.keys import LogKeyIntroduced, LogKeyRetired
from ledger.events.registry import LedgerOpened
from ledger.events.rules import PolicyAdopted, PolicyMounted
from ledger.keys import create_keys
from ledger.log.entry import Entry
from ledger.log.note import format_vkey
from ledger.services.caller import hash_token
from ledger.services.decisions import MountedQuestion
from ledger.services.replay import Replayed
from ledger.services.setup import open_ledger
from ledger.services.verifying import export
from ledger.settings import Settings
from ledger.storage.reading import read_attachments
from ledger.storage.rebuild import Fold, rebuild
from ledger.storage.schema import upgrade_schema
from ledger.storage.tables import PROJECTIONS, GrantRow, table

ASKED = (
    {},
    {"country": "USA"},
    {"tier": "raw"},
    {"purpose": "offensive.strike"},
    {"purpose": "no.such"},
    {"resource_id": "nothing"},
    {"action": "infer"},
)
"""Changes to a question that the world's grant allows."""

MOUNTED_ASKED = ("read", "delete")
"""What is asked under the policy that is mounted: one is allowed, one is not."""

NOT_ASKED_AFTER = (
    PolicyAdopted,
    PolicyMounted,
    DecisionRecorded,
    MountedDecisionRecorded,
    LedgerOpened,
    LogKeyIntroduced,
    LogKeyRetired,
)
"""Events of `every_kind` that the service would not have written: a policy without its texts, a decision unmade. And
the keys': an introduction holds in its own history alone, and the tests below forge others."""


@pytest.fixture
def lived(world: World) -> World:
    """Give a world in which questions were asked between all that can happen."""
    records.mount(world)
    ask_all(world)
    for event, by in every_kind(world):
        if not isinstance(event, NOT_ASKED_AFTER):
            world.append(event, by=by)
            ask_all(world) if event.CHANGES_STATE else None
    return world


def mounted_question(**changes: str) -> MountedQuestion:
    asked = parse_mounted(msgspec.json.encode(records.request(**changes)))
    return MountedQuestion(hash_token("gate"), asked)


def ask_all(world: World) -> None:
    questions = [question(**changes) for changes in ASKED] + [mounted_question(action=name) for name in MOUNTED_ASKED]
    for future in [world.service.sequencer.ask_from_thread(asked) for asked in questions]:
        future.result(PATIENCE)


@pytest.fixture
def told(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """Give the service after the whole story was played through its API."""
    settings = Settings(data=tmp_path, database_url=database_url)
    with own_engine(database_url) as engine:
        upgrade_schema(engine)
        origin = "story.oblik.example/ledger"
        vkeys = [format_vkey(signer) for signer in create_keys(settings.keys, origin=origin)]
        now = datetime.now(UTC)
        opened = open_ledger(engine, origin=origin, owner=MINISTRY, administrator="admin", vkeys=vkeys, now=now)
    service = open_service(settings)
    with over_http(service) as http:
        story = Story(http, administrator="admin", token=opened.token, inputs=example_inputs(), now=now)
        story.play()
        yield service


# State ----------------------------------------------------------------------------------------------------------------


def check_rebuilt(engine: sa.Engine) -> None:
    """Check that the tables are what the entries make them, in place and in another engine's database."""
    before = rows_of(engine, PROJECTIONS)
    assert rebuild(engine) == {}
    assert before == rows_of(engine, PROJECTIONS)
    assert rebuild(engine) == {}  # and once more, from tables that are full
    assert before == rows_of(engine, PROJECTIONS)
    assert before == folded(entries_in(engine))


def folded(entries: list[Entry]) -> dict:
    """Fold entries into a fresh SQLite database, and give its tables."""
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    SQLModel.metadata.create_all(engine)
    with engine.connect() as connection, connection.begin():
        fold = Fold(connection)
        for entry in entries:
            fold.apply(entry)
        fold.finish()
    rows = rows_of(engine, PROJECTIONS)
    engine.dispose()
    return rows


def test_rebuilding_after_the_story_gives_the_same_rows(told: Service):
    """After the whole story, every table is exactly what the entries alone make it."""
    check_rebuilt(told.engine)


def test_rebuilding_after_everything_that_can_happen_gives_the_same_rows(world: World):
    """With every kind of entry in the ledger, and rows in every table, rebuilding gives the same rows."""
    for event, by in every_kind(world):
        world.append(event, by=by)
    kinds = {type(event_of(entry)) for entry in entries_in(world.service.engine)}
    assert set(CATALOGUE.values()) == kinds
    assert [name for name, rows in rows_of(world.service.engine, PROJECTIONS).items() if not rows] == []
    check_rebuilt(world.service.engine)


def test_rebuilding_mends_whatever_was_changed(lived: World):
    """Tables that someone changed, emptied or added to are again what the ledger says; decisions follow them."""
    engine = lived.service.engine
    before = rows_of(engine)
    for target in map(table, PROJECTIONS):
        with engine.connect() as connection, connection.begin():
            column = next(c for c in target.columns if c.name in {"seq", "last_seq", "ancestor"})
            wrong = "nothing" if column.name == "ancestor" else 999_999
            keys = {c.name for c in target.primary_key.columns}
            connection.execute(target.delete() if column.name in keys else target.update().values({column.name: wrong}))
        assert before[target.name] != rows_of(engine, [_row_of(target)])[target.name] or not before[target.name]
    assert before != rows_of(engine)
    rebuild(engine)
    assert before == rows_of(engine)


def _row_of(target: sa.Table) -> type[SQLModel]:
    return next(row for row in PROJECTIONS if table(row) is target)


def test_a_forged_grant_in_a_table_is_gone_after_rebuilding(world: World):
    """A row that no entry made opens nothing once tables are rebuilt, and replay names the decisions it led to."""
    world.revoke()
    with world.service.engine.connect() as connection, connection.begin():
        connection.execute(table(GrantRow).update().values(revoked_seq=None))
    seq, draft = world.ask()
    assert draft.event.allowed
    assert [seq] == [finding.seq for finding in replayed(world.service.engine).findings]
    rebuild(world.service.engine)
    with own_service(world) as service:
        assert not service.sequencer.ask_from_thread(question()).result(PATIENCE)[1].event.allowed


@contextmanager
def own_service(world: World) -> Iterator[Service]:
    """Open the ledger in a second service, which remembers nothing."""
    service = open_service(world.settings, clock=world.clock)
    try:
        yield service
    finally:
        service.close()


def test_an_entry_that_cannot_be_read_leaves_the_tables_as_they_were(world: World):
    """Rebuilding from a damaged ledger names the entry, and changes nothing."""
    engine = world.service.engine
    before = rows_of(engine, PROJECTIONS)
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER entry_no_update")
        else:
            connection.exec_driver_sql("ALTER TABLE entry DISABLE TRIGGER USER")
        connection.exec_driver_sql("UPDATE entry SET data = leaf WHERE seq = 30")
    with pytest.raises(BadEntry, match="entry 30"):
        rebuild(engine)
    assert before == rows_of(engine, PROJECTIONS)


def test_rebuilding_while_others_ask_and_write_is_seen_by_nobody(world: World):
    """Decisions of another process come out the same while the tables are emptied and filled."""
    arguments = str(world.settings.data), world.settings.database_url, "3"
    with program("asker", *arguments) as asker:
        assert asker.hear() == ["ready"]
        for number in range(2, 12):
            rebuild(world.service.engine)
            world.append(grant(number))
        told = asker.finish()
    assert told
    assert {"allow"} == {effect for _, effect, _ in told}
    assert replayed(world.service.engine).findings == ()
    check_rebuilt(world.service.engine)


# Decisions ------------------------------------------------------------------------------------------------------------


def decisions_in(engine: sa.Engine) -> list[tuple[int, DecisionRecorded | MountedDecisionRecorded]]:
    events = [(entry.seq, event_of(entry)) for entry in entries_in(engine) if replayable(entry)]
    return [(seq, event) for seq, event in events if isinstance(event, DecisionRecorded | MountedDecisionRecorded)]


def test_replaying_the_story_derives_every_decision_again(told: Service):
    """Every decision of the story, allow or deny, comes out as recorded, from entries and attachments alone."""
    decisions = decisions_in(told.engine)
    assert {True, False} == {event.allowed for _, event in decisions}
    found = replayed(told.engine)
    assert (len(entries_in(told.engine)), len(decisions)) == (found.entries, found.decisions)
    assert (found.findings, found.unknown) == ((), {})


def test_replaying_everything_that_can_happen_derives_every_decision_again(lived: World):
    """Decisions between every change there is come out as recorded."""
    decisions = decisions_in(lived.service.engine)
    assert {True, False} == {event.allowed for _, event in decisions}
    assert len({event.failed for _, event in decisions if isinstance(event, DecisionRecorded)}) >= 8
    mounted = {event.allowed for _, event in decisions if isinstance(event, MountedDecisionRecorded)}
    assert mounted == {True, False}
    found = replayed(lived.service.engine)
    assert (len(decisions), ()) == (found.decisions, found.findings)


def test_an_export_verifies_and_replays_like_the_database(lived: World):
    """A file, from either engine, is the same ledger: same root, same decisions, nothing found, signed besides."""
    with export(lived.service.engine, note=lived.checkpoint()) as lines:
        file = list(lines)
    from_file, replayed_from_file = replayed_file(file)
    from_database = verified(lived.service.engine)
    assert msgspec.structs.replace(from_database, signed=True) == from_file
    assert replayed(lived.service.engine) == replayed_from_file
    assert [data + b"\n" for data in stored(lived.service.engine)] == file[1 : 1 + from_file.size]


# Findings -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def forging(lived: World) -> Callable[[int, Entry], Replayed]:
    """Give a way to replay the ledger with one entry rewritten: chain, tree and checkpoint are made anew over it."""
    entries = entries_in(lived.service.engine)
    with lived.service.engine.connect() as connection:
        attachments = list(read_attachments(connection))

    def replay_with(seq: int, entry: Entry) -> Replayed:
        written = chained([*entries[:seq], entry, *entries[seq + 1 :]])
        found, again = replayed_file(exported(written, attachments, lived.service.signers))
        assert (len(entries), True) == (found.size, found.signed)  # to a verifier there is nothing wrong with it
        return again

    return replay_with


def first(world: World, allowed: bool) -> Entry:
    return next(
        entry
        for entry in entries_in(world.service.engine)
        if entry.kind == DecisionRecorded.KIND and entry.body["allowed"] is allowed
    )


def asked_with(**changes: str) -> Callable[[dict], dict]:
    return lambda body: {**body, "asked": {**body["asked"], **changes}}


def said(**changes: object) -> Callable[[dict], dict]:
    return lambda body: {**body, **changes}


ALLOW_FORGERIES = {
    "purpose": asked_with(purpose="offensive.strike"),
    "tier": asked_with(tier="raw"),
    "country": asked_with(country="USA"),
    "resource": asked_with(resource="dataset:other"),
    "organisation": said(org="orion-pl"),
    "deny": said(allowed=False),
    "reasons": said(failed=["grant_current"]),
    "evidence": said(rests_on=[1]),
    "policy": said(policy="00" * 32),
    "time": said(evaluated_at="2031-01-01T00:00:00.000000Z"),
    "state": said(state_seq=3),
    "grant": said(grant="grant-9"),
    "version": said(version="dataset:uav@raw-1"),
    "errors": said(errors=["none"]),
}


@pytest.mark.parametrize("forgery", ALLOW_FORGERIES)
def test_a_forged_allow_is_a_finding_that_names_it(lived: World, forging, forgery: str):
    """An allow that was rewritten in any field, with the chain made anew, is what replay names, and it alone."""
    entry = first(lived, allowed=True)
    forged = msgspec.structs.replace(entry, body=ALLOW_FORGERIES[forgery](entry.body))
    assert [entry.seq] == [finding.seq for finding in forging(entry.seq, forged).findings]


def test_a_deny_forged_into_an_allow_is_a_finding_that_says_so(lived: World, forging):
    """The finding names the entry and what was recorded against what is derived."""
    entry = first(lived, allowed=False)
    forged = msgspec.structs.replace(entry, body={**entry.body, "allowed": True, "failed": []})
    (finding,) = forging(entry.seq, forged).findings
    assert entry.seq == finding.seq
    assert "allowed is recorded as True, derived as False" in finding.problem
    assert "failed is recorded as ()" in finding.problem


def test_a_revocation_forged_away_makes_findings_of_what_followed(world: World):
    """Where a revocation was rewritten into another's, the denies that rested on it no longer come out."""
    seq = world.revoke()
    denied = world.ask()[0]
    entries = entries_in(world.service.engine)
    forged = msgspec.structs.replace(entries[seq], body={**entries[seq].body, "id": "grant-0"})
    with world.service.engine.connect() as connection:
        attachments = list(read_attachments(connection))
    written = chained([*entries[:seq], forged, *entries[seq + 1 :]])
    _, found = replayed_file(exported(written, attachments, world.service.signers))
    assert [denied] == [finding.seq for finding in found.findings]


def test_an_invented_decision_is_a_finding(world: World):
    """A decision that the service never made, appended as an entry, is named."""
    _, draft = world.ask()
    world.revoke()
    seq = world.append(draft.event)
    assert [seq] == [finding.seq for finding in replayed(world.service.engine).findings]


# Kinds that are not known ---------------------------------------------------------------------------------------------


class Landed(Event, frozen=True, kw_only=True):
    """Written by a later version of this program: not in the catalogue."""

    id: str

    def streams(self) -> tuple[str, ...]:
        return ("org:mod-ua", f"ufo:{self.id}")


Landed.KIND, Landed.VERSION, Landed.CHANGES_STATE, Landed.SEALABLE = "ufo.landed", 7, False, frozenset()


def test_an_unknown_kind_verifies_and_replays_as_nothing_with_a_warning(world: World):
    """A kind that this version does not know is part of chain and streams, changes nothing, and is told of."""
    for number in range(3):
        world.append(Landed(id=f"u-{number}"))
        world.ask()
    before = rows_of(world.service.engine, PROJECTIONS)
    assert len(stored(world.service.engine)) == verified(world.service.engine).size
    found = replayed(world.service.engine)
    assert (found.decisions, found.findings, found.unknown) == (3, (), {"ufo.landed v7": 3})
    assert rebuild(world.service.engine) == {"ufo.landed v7": 3}
    assert before == rows_of(world.service.engine, PROJECTIONS)
    assert ("ufo:u-1", 1) in [row[:2] for row in before["stream"]]


class Grounded(Landed, frozen=True, kw_only=True):
    """Another of these, on which later decisions depended for the version that wrote it."""


Grounded.KIND, Grounded.CHANGES_STATE = "ufo.grounded", True


def test_an_unknown_kind_that_changed_state_is_no_finding(world: World):
    """An older version cannot tell what an unknown kind changed: it says so, and takes nobody for a forger."""
    world.ask()
    world.append(Grounded(id="u-1"))
    world.ask()
    assert len(stored(world.service.engine)) == verified(world.service.engine).size
    found = replayed(world.service.engine)
    assert (found.decisions, found.findings, found.unknown) == (2, (), {"ufo.grounded v7": 1})


def test_a_known_kind_of_an_unknown_version_replays_as_nothing(world: World):
    """A later version of a kind is not read as an earlier one."""
    entries = entries_in(world.service.engine)
    last = entries[-1]
    later = msgspec.structs.replace(last, v=2)
    with world.service.engine.connect() as connection:
        attachments = list(read_attachments(connection))
    file = exported(chained([*entries[:-1], later]), attachments, world.service.signers)
    found, again = replayed_file(file)
    assert (len(entries), {f"{last.kind} v2": 1}) == (found.size, again.unknown)


def test_a_body_that_is_not_of_its_kind_is_named(world: World):
    """An entry of a known kind whose body is of another form is named, not passed over."""
    entries = entries_in(world.service.engine)
    broken = msgspec.structs.replace(entries[-1], body={"id": 7})
    file = exported(chained([*entries[:-1], broken]), (), world.service.signers)
    with pytest.raises(BadEntry, match=f"entry {len(entries) - 1}: the body is not one of kind `grant.issued`"):
        replayed_file(file)
    gc.collect()  # what the replay that broke off left open is closed here, and not in some other thread

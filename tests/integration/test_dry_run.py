"""A policy run over the recorded decisions: who would have gained and lost, the same on every source of a ledger."""

import pytest
from proposals import MODEL, NO_TRAINING, ROWS, WIDER
from world import OTHER, PARTNER, World

from ledger.access.policy import load_policy
from ledger.errors import BadEntry, Malformed
from ledger.services import verifying
from ledger.services.dry_run import digest_of, dry_run, format_dry_run, parse_dry_run
from ledger.services.sources import DatabaseSource, ExportSource
from ledger.storage.engine import snapshot


def policy(rows: str):
    return load_policy("dataset_access", MODEL, rows)


def run(world: World, rows: str, **bounds: int):
    with snapshot(world.service.engine) as connection:
        return dry_run(lambda: DatabaseSource(connection), policy(rows), **bounds)


@pytest.fixture
def asked(world):
    """Ask for what is allowed, from another country, after a revocation, and for someone else. Gives the indexes."""
    first = world.ask()[0]
    world.ask(country="UKR")
    world.revoke()
    world.ask()
    last = world.ask("other", org=OTHER, subject_id=f"{OTHER}/trainer-1")[0]
    return first, last


def test_the_policy_in_force_changes_nothing(world, asked):
    """A dry-run of the policy that decided finds no difference."""
    found = run(world, ROWS)
    assert (found.decisions, found.gained.count, found.lost.count, found.cases) == (4, 0, 0, ())


def test_who_gains(world, asked):
    """Without the rule on countries, the request from another country is gained, and counted by what it is."""
    first, _ = asked
    found = run(world, WIDER)
    assert (found.gained.count, found.lost.count) == (1, 0)
    assert found.gained.by_org == {PARTNER: 1}
    assert found.gained.by_resource == {"dataset:uav": 1}
    assert found.gained.by_clause == {"location_permitted": 1}
    (case,) = found.cases
    assert (case.seq, case.gains, case.clauses) == (first + 1, True, ("location_permitted",))


def test_who_loses(world, asked):
    """Where no row allows training any more, the allow is lost, as it was before the grant was revoked."""
    first, _ = asked
    found = run(world, NO_TRAINING)
    assert (found.gained.count, found.lost.count) == (0, 1)
    assert [(case.seq, case.gains, case.clauses) for case in found.cases] == [(first, False, ("no_rule_allows",))]


def test_a_range(world, asked):
    """Of a range, only its decisions are taken, on the state of then; the document names its end's size and root."""
    first, last = asked
    assert run(world, WIDER, since=first + 2).gained.count == 0
    assert run(world, WIDER, since=first + 1, until=first + 2).decisions == 1
    early = run(world, WIDER, until=first + 2)
    assert (early.decisions, early.gained.count, early.size) == (2, 1, first + 2)
    with snapshot(world.service.engine) as connection:
        verified, _ = verifying.verify(DatabaseSource(connection), watched=[first + 2])
    assert early.root == verified.roots[first + 2].hex()
    for bounds in ({"until": last + 9}, {"since": last + 9}, {"since": 5, "until": 4}):
        with pytest.raises(Malformed):
            run(world, WIDER, **bounds)


def test_a_later_run_over_the_same_range_has_the_same_digest(world, asked):
    """Whoever votes, with a longer ledger or an export of it, comes to the digest that was proposed."""
    before = format_dry_run(run(world, WIDER))
    size = parse_dry_run(before).size
    world.ask()
    assert digest_of(before) == digest_of(format_dry_run(run(world, WIDER, until=size)))
    with verifying.export(world.service.engine, note=world.checkpoint()) as lines:
        exported = list(lines)
    found = dry_run(lambda: ExportSource(iter(exported)), policy(WIDER), until=size)
    assert before == format_dry_run(found)
    assert before != format_dry_run(run(world, WIDER))


def test_a_decision_that_is_not_derived_stops_it(world, asked):
    """Over a ledger whose decisions replay does not derive, a dry-run says so, and counts nothing."""
    from ledger.events.decisions import Asked, DecisionRecorded

    asked_for = Asked(
        action="train",
        country="JPN",
        environment="enclave",
        purpose="humanitarian.demining",
        resource="dataset:uav",
        subject=f"system:{OTHER}/trainer-1",
        tier="redacted",
    )
    forged = DecisionRecorded(
        asked=asked_for,
        org=OTHER,
        allowed=True,
        failed=(),
        rests_on=(),
        policy=policy(ROWS).digest,
        evaluated_at="2026-11-21T09:30:00.000000Z",
        state_seq=0,
    )
    seq = world.append(forged)
    with pytest.raises(BadEntry, match=f"entry {seq}: "):
        run(world, WIDER)


def test_a_replay_of_a_range(world, asked):
    """A replay of a range derives the decisions in it, on the state that the whole ledger led to, and no other."""
    first, last = asked
    with snapshot(world.service.engine) as connection:
        _, found = verifying.replay(lambda: DatabaseSource(connection), since=first + 1, until=last)
    assert (found.entries, found.decisions, found.findings) == (last, 2, ())

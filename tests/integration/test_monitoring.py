"""A log followed from outside, over real HTTP: what continues is remembered, what does not becomes evidence."""

import itertools

import pytest
from forking import SIZE, grow, relay, size_of, two_histories
from strangers import answering

from ledger.errors import Misconfigured, NotFound, Unavailable, Unverified
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.evidence import check_evidence
from ledger.log.note import MAX_NOTE_BYTES, parse_note
from ledger.log.trust_policy import parse_policy
from ledger.remote.log import UrlPlace
from ledger.services.monitoring import MAX_WAIT_SECONDS, Monitor
from ledger.services.places import open_place
from ledger.services.tiles import export_tiles
from ledger.storage.anchor import Anchor
from ledger.storage.tiles import FolderTiles

SOON = 0.5


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    with two_histories(tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.fixture
def address(histories):
    return histories[0]


@pytest.fixture
def switch(histories):
    """Give the switch, with both histories of one size, and the true one shown."""
    made = histories[1]
    size = max(size_of(made.true.world), size_of(made.false.world))
    grow(made.false.world, size)
    made.show(made.true, size)
    return made


@pytest.fixture
def follow(address, switch, tmp_path):
    """Give a maker of monitors of the address, and of further places, over one memory."""
    opened = []

    def make(*more, seconds: float = 30, interval: float = 1) -> Monitor:
        places = [UrlPlace(address, timeout=seconds), *more]
        opened.extend(places)
        memory = Anchor(tmp_path / "head")
        evidence = tmp_path / "evidence"
        return Monitor(places, parse_policy(switch.policy), memory=memory, evidence=evidence, interval=interval)

    yield make
    for place in opened:
        place.close()


@pytest.fixture
def state(tmp_path):
    return tmp_path / "head"


@pytest.fixture
def evidence(tmp_path):
    return tmp_path / "evidence"


def sizes(switch) -> int:
    return size_of(switch.true.world)


def well(looks) -> None:
    assert [(look.problem, look.found) for look in looks] == [(None, None)] * len(looks)


def check_found(looks, switch, evidence, *, kind: str, kept: bytes, served: bytes) -> None:
    """Check that the last look found it, and that the file convinces someone who has the log's keys alone."""
    found = looks[-1].found
    assert found is not None, looks
    assert found.data == evidence.read_bytes()
    finding = check_evidence(evidence.read_bytes(), parse_policy(switch.policy))
    assert (finding.kind, finding.proven) == (kind, kind == "fork")
    signed = [parse_checkpoint(parse_note(note)[0]) for note in (kept, served)]
    assert [finding.kept.checkpoint, finding.served.checkpoint] == signed


# What continues -------------------------------------------------------------------------------------------------------


def test_a_log_that_grows_is_followed(follow, switch, state, evidence) -> None:
    """The memory is the very note that was served last; a new monitor goes on from it."""
    monitor = follow()
    for more in (0, 1, 0, 211, 1):
        note = switch.show(switch.true, sizes(switch) + more)
        well(monitor.round(0))
        assert state.read_bytes() == note
    note = switch.show(switch.true, sizes(switch) + 300)
    well(follow().round(0))
    assert state.read_bytes() == note
    assert not evidence.exists()


def test_a_folder_of_tiles_is_followed_too(switch, tmp_path, state) -> None:
    """A mirror as files, by the same rules."""
    export_tiles(switch.true.world.service.engine, FolderTiles(tmp_path / "tiles"), note=switch.true.world.checkpoint())
    with open_place(str(tmp_path / "tiles")) as place:
        policy = parse_policy(switch.policy)
        monitor = Monitor([place], policy, memory=Anchor(state), evidence=tmp_path / "evidence", interval=1)
        well(monitor.round(0))
    assert state.read_bytes() == (tmp_path / "tiles" / "checkpoint").read_bytes()
    with pytest.raises(Misconfigured, match="neither"):
        open_place(str(tmp_path / "nowhere"))


def test_too_few_witnesses_are_told_and_the_checkpoint_binds_all_the_same(address, switch, state, evidence) -> None:
    """It is remembered: whoever signed it is held to it."""
    policy = parse_policy(switch.policy.replace(b"quorum none\n", f"{witness_line()}quorum w\n".encode()))
    with UrlPlace(address) as place:
        (look,) = Monitor([place], policy, memory=Anchor(state), evidence=evidence, interval=1).round(0)
    assert not look.seen.trusted.quorum_met
    assert state.read_bytes() == switch.note(switch.true)


def witness_line() -> str:
    from receipts import POLAND

    from ledger.log.note import format_vkey

    return f"witness w {format_vkey(POLAND)}\n"


# What does not --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [0, 1, 300])
def test_another_history_is_found(follow, switch, state, evidence, more) -> None:
    """Of the same size or larger: a proof for anyone, and the memory stays."""
    monitor = follow()
    well(monitor.round(0))
    kept = state.read_bytes()
    served = switch.show(switch.false, sizes(switch) + more)
    check_found(monitor.round(0), switch, evidence, kind="fork", kept=kept, served=served)
    assert state.read_bytes() == kept


def test_a_new_monitor_finds_what_the_old_memory_contradicts(follow, switch, state, evidence) -> None:
    """The memory alone is enough, as after a restart."""
    well(follow().round(0))
    kept = state.read_bytes()
    served = switch.show(switch.false, sizes(switch) + 1)
    check_found(follow().round(0), switch, evidence, kind="fork", kept=kept, served=served)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_rollback_is_found_and_not_called_a_proof(follow, switch, state, evidence, restarted) -> None:
    """An earlier checkpoint of the same history, after a later one; after a restart too."""
    early = switch.show(switch.true)
    switch.show(switch.true, sizes(switch) + 5)
    monitor = follow()
    well(monitor.round(0))
    kept = state.read_bytes()
    switch.instead["/checkpoint"] = early
    monitor = follow() if restarted else monitor
    check_found(monitor.round(0), switch, evidence, kind="rollback", kept=kept, served=early)
    assert state.read_bytes() == kept


def test_a_rollback_onto_another_history_is_a_fork_where_somebody_has_the_tree(follow, switch, state, evidence) -> None:
    """The smaller checkpoint is held against the larger tree, whose tiles a mirror still has."""
    served = switch.show(switch.false)
    switch.show(switch.true, sizes(switch) + 500)
    with answering(relay(switch.true)) as mirror:
        monitor = follow(UrlPlace(mirror))
        monitor.round(0)
        kept = state.read_bytes()
        switch.show(switch.false)
        served = switch.instead["/checkpoint"] = smaller(switch)
        check_found(monitor.round(0), switch, evidence, kind="fork", kept=kept, served=served)


def smaller(switch) -> bytes:
    """Sign a checkpoint of the other history that is smaller than the true one."""
    from world import ORIGIN

    from ledger.log.checkpoint import Checkpoint, sign_checkpoint
    from ledger.log.proof import root_at
    from ledger.storage.reading import tree_reader

    with switch.false.world.service.engine.connect() as connection:
        root = root_at(SIZE - 7, tree_reader(connection))
    checkpoint = Checkpoint(origin=ORIGIN, size=SIZE - 7, root=root)
    return sign_checkpoint(checkpoint, switch.true.world.service.signers)


def test_a_rollback_onto_another_history_is_a_rollback_where_nobody_has_the_tree(
    follow, switch, state, evidence
) -> None:
    """Without the larger tree's tiles, no more than that is known."""
    monitor = follow()
    well(monitor.round(0))
    kept = state.read_bytes()
    switch.show(switch.false)
    served = switch.instead["/checkpoint"] = smaller(switch)
    check_found(monitor.round(0), switch, evidence, kind="rollback", kept=kept, served=served)


# Several places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [0, 7, 400])
def test_a_split_view_is_found(follow, switch, state, evidence, more) -> None:
    """The log shows its mirror, or a partner, another history of the same size or larger."""
    switch.show(switch.false, sizes(switch) + more)
    other = switch.note(switch.false)

    def told(path, headers):
        return (200, {}, other) if path == "/checkpoint" else relay(switch.false)(path, headers)

    kept = switch.show(switch.true)
    with answering(told) as mirror:
        looks = follow(UrlPlace(mirror)).round(0)
    assert len(looks) == 2
    check_found(looks, switch, evidence, kind="fork", kept=kept, served=other)
    assert state.read_bytes() == kept


def test_a_smaller_split_view_is_found_by_the_larger_tree(follow, switch, state, evidence) -> None:
    """The mirror need not give a single tile."""
    other = smaller(switch)
    kept = switch.show(switch.true)
    with answering(lambda path, _: (200, {}, other) if path == "/checkpoint" else (404, {}, b"")) as mirror:
        check_found(follow(UrlPlace(mirror)).round(0), switch, evidence, kind="fork", kept=kept, served=other)


def test_a_mirror_may_be_late_or_early(follow, switch, state, evidence) -> None:
    """A smaller checkpoint of the same history is no rollback of a place that never served more."""
    early = switch.show(switch.true)
    late = switch.show(switch.true, sizes(switch) + 9)
    notes = {"mirror": early}

    def told(path, headers):
        return (200, {}, notes["mirror"]) if path == "/checkpoint" else relay(switch.true)(path, headers)

    with answering(told) as mirror:
        monitor = follow(UrlPlace(mirror))
        well(monitor.round(0))
        assert state.read_bytes() == late
        notes["mirror"] = switch.show(switch.true, sizes(switch) + 9)
        switch.instead["/checkpoint"] = late
        well(monitor.round(0))
        assert state.read_bytes() == notes["mirror"]
        well(monitor.round(0))
        notes["mirror"] = early
        looks = monitor.round(0)
    assert looks[-1].found.finding.kind == "rollback"  # of the mirror itself


# Trouble --------------------------------------------------------------------------------------------------------------


def troubled(monitor, kind, state) -> None:
    """Check that a round learns nothing, and says why."""
    before = state.read_bytes() if state.exists() else None
    (look,) = monitor.round(0)
    assert isinstance(look.problem, kind), look.problem
    assert look.found is None
    assert (state.read_bytes() if state.exists() else None) == before


@pytest.mark.parametrize(
    "bad",
    [
        (b"", Unverified),
        (b"garbage" * 1000, Unverified),
        (bytes(MAX_NOTE_BYTES * 3), Unverified),
        (b"\n\n\xe2\x80\x94 a AAAAAAA=\n", Unverified),
        (None, NotFound),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_checkpoint_teaches_nothing(follow, switch, state, bad, first) -> None:
    """Neither a new monitor nor one that remembers; then it goes on."""
    monitor = follow()
    if not first:
        well(monitor.round(0))
    note = switch.instead["/checkpoint"]
    switch.instead["/checkpoint"], kind = bad
    troubled(monitor, kind, state)
    switch.instead["/checkpoint"] = note
    well(monitor.round(10))
    assert state.read_bytes() == note


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("tile", [b"", bytes(8192), bytes(8192 * 100), None])
def test_tiles_that_do_not_lead_to_the_checkpoint_teach_nothing(follow, switch, state, first, tile) -> None:
    """A signed checkpoint that nobody shows the tree of is neither believed nor called a fork."""
    monitor = follow()
    if not first:
        well(monitor.round(0))
    size = sizes(switch) + 1
    size += size % 256 == 0  # the last tile is a partial one
    note = switch.show(switch.true, size)
    for path in (f"/tile/0/{size // 256:03d}.p/{size % 256}", f"/tile/0/{size // 256:03d}"):
        switch.instead[path] = tile
    troubled(monitor, (Unverified, NotFound), state)
    switch.instead = {"/checkpoint": note}
    well(monitor.round(10))
    assert state.read_bytes() == note


def test_another_logs_checkpoint_teaches_nothing(follow, switch, state) -> None:
    """Though the policy knows that log too: the memory is of one."""
    from receipts import LOG, note_of

    from ledger.log.note import format_vkey

    monitor = follow()
    well(monitor.round(0))
    monitor._policy = parse_policy(f"log {format_vkey(LOG)}\n".encode() + switch.policy)
    switch.instead["/checkpoint"] = note_of(LOG)
    troubled(monitor, Unverified, state)


def test_a_server_that_hangs_is_left_in_time(follow, switch, state) -> None:
    """And asked again."""
    monitor = follow(seconds=SOON)
    note = switch.show(switch.true)
    well(monitor.round(0))
    switch.show(None)
    troubled(monitor, Unavailable, state)
    assert switch.show(switch.true) == note
    well(monitor.round(10))


def test_a_place_that_fails_is_asked_less_and_less(follow, switch, state) -> None:
    """Doubling, to a limit; the other place is asked at each round. One answer, and it is asked as before."""
    with answering(relay(switch.true)) as mirror:
        monitor = follow(UrlPlace(mirror), interval=10)
        switch.instead["/checkpoint"] = None
        asked = [now for now in range(0, 5000, 10) if len(monitor.round(now)) == 2]
        waits = [later - now for now, later in itertools.pairwise(asked)]
        assert waits[:6] == [20, 40, 80, 160, 320, MAX_WAIT_SECONDS]
        assert set(waits[6:]) == {MAX_WAIT_SECONDS}
        del switch.instead["/checkpoint"]
        switch.show(switch.true)
        assert [len(monitor.round(now)) for now in (10_000, 10_010, 10_020)] == [2, 2, 2]


# The memory -----------------------------------------------------------------------------------------------------------


def test_a_memory_that_is_none_is_refused(follow, state) -> None:
    """It is not started anew: that would forget."""
    for data in (b"", b"garbage"):
        state.write_bytes(data)
        with pytest.raises(Misconfigured, match="no checkpoint of this policy's log"):
            follow()


def test_evidence_is_never_overwritten(follow, switch, evidence) -> None:
    """A monitor does not start beside what an earlier one found."""
    well(follow().round(0))
    switch.show(switch.false, sizes(switch))
    assert follow().round(0)[-1].found
    data = evidence.read_bytes()
    with pytest.raises(Misconfigured, match="there already"):
        follow()
    assert evidence.read_bytes() == data


def test_evidence_that_cannot_be_written_is_told_with_the_finding(address, switch, state, tmp_path) -> None:
    """The finding is not lost with the file."""
    with UrlPlace(address) as place:
        nowhere = tmp_path / "none" / "evidence"
        monitor = Monitor([place], parse_policy(switch.policy), memory=Anchor(state), evidence=nowhere, interval=1)
        well(monitor.round(0))
        switch.show(switch.false, sizes(switch))
        found = monitor.round(0)[-1].found
    assert "cannot be written" in found.problem
    assert check_evidence(found.data, parse_policy(switch.policy)).proven


def test_two_monitors_may_share_a_memory(follow, switch, state) -> None:
    """What another has moved meanwhile is compared, not overwritten."""
    switch.show(switch.true)
    slow = follow()
    well(slow.round(0))
    before = state.read_bytes()
    between = switch.show(switch.true, sizes(switch) + 1)
    compare = slow._compare

    def meanwhile(*arguments):
        switch.show(switch.true, sizes(switch) + 1)
        well(follow().round(0))
        return compare(*arguments)

    slow._compare = meanwhile
    well(slow.round(0))
    newest = state.read_bytes()
    assert newest not in (before, between)
    slow._compare = compare
    well(slow.round(0))
    assert state.read_bytes() == newest

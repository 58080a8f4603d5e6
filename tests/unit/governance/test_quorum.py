"""Quorum: distinct people in the required roles, never who asked (I7)."""

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Conflict, Forbidden, Malformed
from ledger.governance.purposes import CLASSES
from ledger.governance.quorum import Quorum, Tally, Vote, check_vote, quorum_for_access, quorum_for_promotion, tally
from ledger.governance.tiers import TIERS

PAIR = Quorum(roles=("security", "steward"))
PEOPLE = ["ann", "bob", "cat", "dan"]
ROLES = ["ethics", "legal", "security", "steward"]


def vote(person, role, seq, *, approve=True):
    return Vote(person=person, org="mod-ua", role=role, approve=approve, seq=seq)


quorums = st.sets(st.sampled_from(ROLES), min_size=2).map(lambda roles: Quorum(roles=tuple(sorted(roles))))
barred_people = st.frozensets(st.sampled_from(PEOPLE), max_size=2)


@st.composite
def votes(draw, *, refusals=True):
    """Up to 8 votes, in any order, each with an index of its own."""
    cast = draw(st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(ROLES), st.integers(0, 5)), max_size=8))
    seqs = draw(st.permutations(range(len(cast))))
    return [
        vote(person, role, seq, approve=not refusals or chance > 0)
        for (person, role, chance), seq in zip(cast, seqs, strict=True)
    ]


@given(quorums, votes(), barred_people)
def test_approved_means_a_person_of_its_own_for_each_role(quorum, cast, barred):
    """Approved implies that distinct people, none barred, each approved in one role with the first vote that counts."""
    if tally(quorum, cast, barred=barred).outcome == "approved":
        first = {}
        for each in sorted(cast, key=lambda each: each.seq):
            if each.role in quorum.roles:
                first.setdefault(each.person, each)
        standing = [each for person, each in first.items() if person not in barred]
        assert all(each.approve for each in standing)
        assert set(quorum.roles) == {each.role for each in standing}
        assert len(quorum.roles) <= len({each.person for each in standing})


@given(quorums, votes(), votes(), barred_people)
def test_a_second_vote_changes_nothing(quorum, cast, more, barred):
    """Later votes of people who have voted leave the tally as it was."""
    voted = {each.person for each in cast if each.role in quorum.roles}
    again = [msgspec.structs.replace(each, seq=each.seq + 100) for each in more if each.person in voted]
    assert tally(quorum, cast, barred=barred) == tally(quorum, cast + again, barred=barred)


@given(quorums, votes(), votes(), barred_people)
def test_barred_people_never_count(quorum, cast, more, barred):
    """Votes of barred people, before or after others, leave the tally as it was."""
    theirs = [msgspec.structs.replace(each, seq=each.seq - 100) for each in more if each.person in barred]
    assert tally(quorum, cast, barred=barred) == tally(quorum, theirs + cast, barred=barred)


@given(quorums, votes(), st.randoms(use_true_random=False), barred_people)
def test_the_order_given_does_not_matter(quorum, cast, random, barred):
    """A tally depends on when votes were cast, not on the order in which they are passed."""
    shuffled = random.sample(cast, len(cast))
    assert tally(quorum, cast, barred=barred) == tally(quorum, shuffled, barred=barred)


@given(quorums, st.permutations(PEOPLE), st.permutations(range(4)), barred_people)
def test_the_order_among_approvals_does_not_matter(quorum, people, order, barred):
    """One approval a person gives the same outcome in whatever order they are cast."""
    pairs = list(zip(people, ROLES, strict=True))
    one = [vote(person, role, seq) for seq, (person, role) in enumerate(pairs)]
    other = [vote(*pairs[place], seq) for seq, place in enumerate(order)]
    assert tally(quorum, one, barred=barred) == tally(quorum, other, barred=barred)


@given(quorums, votes(), barred_people)
def test_any_refusal_that_counts_refuses(quorum, cast, barred):
    """A refusal of someone who may vote, and has not, refuses whatever the others said."""
    refusal = vote("eve", quorum.roles[0], 100, approve=False)
    assert tally(quorum, [*cast, refusal], barred=barred).outcome == "refused"


@given(quorums, votes(), barred_people)
def test_check_vote_takes_what_tally_counts(quorum, cast, barred):
    """Of votes put to `check_vote` one by one, exactly those that change or could have changed the tally are taken."""
    taken = []
    for each in sorted(cast, key=lambda each: each.seq):
        if tally(quorum, taken, barred=barred).outcome != "pending":
            break
        try:
            check_vote(quorum, taken, each, barred=barred)
        except (Conflict, Forbidden):
            assert tally(quorum, taken, barred=barred) == tally(quorum, [*taken, each], barred=barred)
        else:
            taken.append(each)
    assert len(taken) == len({each.person for each in taken})
    assert not barred & {each.person for each in taken}


def test_pending_says_who_is_missing():
    """Roles without an approval are listed, in the quorum's order."""
    assert tally(PAIR, [], barred=()) == Tally(outcome="pending", missing_roles=("security", "steward"))
    no = [vote("ann", "steward", 1, approve=False)]
    assert tally(PAIR, no, barred=()) == Tally(outcome="refused", missing_roles=("security", "steward"))
    one = [vote("ann", "steward", 1)]
    assert tally(PAIR, one, barred=()) == Tally(outcome="pending", missing_roles=("security",))


def test_one_person_does_not_fill_two_roles():
    """A person who votes in both roles fills the first alone; a second person completes the quorum."""
    both = [vote("ann", "steward", 1), vote("ann", "security", 2)]
    assert tally(PAIR, both, barred=()) == Tally(outcome="pending", missing_roles=("security",))
    assert tally(PAIR, [*both, vote("bob", "security", 3)], barred=()).outcome == "approved"


def test_the_first_vote_stands():
    """Nobody takes back an approval, or a refusal, by voting again."""
    approved = [vote("ann", "steward", 1), vote("ann", "steward", 2, approve=False), vote("bob", "security", 3)]
    assert tally(PAIR, approved, barred=()).outcome == "approved"
    refused = [vote("ann", "steward", 1, approve=False), vote("ann", "steward", 2), vote("bob", "security", 3)]
    assert tally(PAIR, refused, barred=()).outcome == "refused"


def test_a_role_that_is_not_asked_has_no_say():
    """A vote in a role outside the quorum neither approves nor refuses, and does not use up the person's vote."""
    cast = [vote("ann", "legal", 1, approve=False), vote("ann", "steward", 2), vote("bob", "security", 3)]
    assert tally(PAIR, cast, barred=()).outcome == "approved"


@pytest.mark.parametrize(
    ("cast", "new", "error", "why"),
    [
        ([], vote("req", "steward", 1), Forbidden, "`req` may not vote"),
        ([], vote("ann", "legal", 1), Forbidden, "role `legal` has no vote"),
        ([vote("ann", "steward", 1)], vote("ann", "security", 2), Conflict, "voted already, as `steward` in entry 1"),
        ([vote("ann", "steward", 1, approve=False)], vote("bob", "security", 2), Conflict, "the vote is over: refused"),
        (
            [vote("ann", "steward", 1), vote("bob", "security", 2)],
            vote("cat", "security", 3, approve=False),
            Conflict,
            "the vote is over: approved",
        ),
    ],
)
def test_a_vote_that_may_not_be_cast_is_told_why(cast, new, error, why):
    """Each reason against a vote is an error of its own."""
    with pytest.raises(error, match=why):
        check_vote(PAIR, cast, new, barred=frozenset({"req"}))


def test_a_vote_that_may_be_cast():
    """A person who has not voted may, also in a role that another has filled, to refuse."""
    check_vote(PAIR, [], vote("ann", "steward", 1), barred=frozenset({"req"}))
    check_vote(PAIR, [vote("ann", "steward", 1)], vote("bob", "steward", 2, approve=False), barred=frozenset({"req"}))


@pytest.mark.parametrize("roles", [(), ("steward",), ("steward", "security"), ("steward", "steward"), ("", "steward")])
def test_a_quorum_of_fewer_than_two_roles_cannot_be_made(roles):
    """No quorum lets one person act alone, also when it is read back from an entry."""
    with pytest.raises(Malformed):
        Quorum(roles=roles)
    with pytest.raises(Malformed):
        msgspec.convert({"roles": list(roles)}, Quorum)


@pytest.mark.parametrize(
    ("tier", "purpose_class", "roles"),
    [
        ("metadata", "research", ("security", "steward")),
        ("redacted", "humanitarian", ("security", "steward")),
        ("raw", "logistics", ("legal", "security", "steward")),
        ("aggregate", "defensive", ("legal", "security", "steward")),
        ("raw", "defensive", ("legal", "security", "steward")),
        ("redacted", "offensive", ("ethics", "legal", "security", "steward")),
    ],
)
def test_quorum_for_access(tier, purpose_class, roles):
    """Raw adds legal, defensive adds legal, offensive adds legal and ethics."""
    assert quorum_for_access(tier, purpose_class) == Quorum(roles=roles)


def test_every_access_takes_a_steward_and_security():
    """For every tier and class a steward and security are among those who agree, and raw never takes fewer."""
    for tier, purpose_class in product(TIERS, CLASSES):
        roles = set(quorum_for_access(tier, purpose_class).roles)
        assert {"security", "steward"} <= roles <= set(quorum_for_access("raw", purpose_class).roles)


@pytest.mark.parametrize(("tier", "purpose_class"), [("all", "research"), ("raw", "peaceful"), ("", ""), ("raw", "")])
def test_quorum_for_the_unknown_is_refused(tier, purpose_class):
    """An unknown tier or class has no quorum, rather than a small one."""
    with pytest.raises(Malformed):
        quorum_for_access(tier, purpose_class)


def test_quorum_for_promotion():
    """Promotion takes engineering, security, legal and ethics."""
    assert set(quorum_for_promotion().roles) == {"engineering", "security", "legal", "ethics"}

"""Quorum: nobody acts alone, and nobody acts for another (I7).

A quorum is a set of roles, each to be filled by one person of its own. It is fixed when a request is made and copied
into the request, so that a later table does not rewrite a pending vote.

    tally(Quorum(roles=("security", "steward")), [], barred=frozenset({"o.koval"}))
    → Tally(outcome="pending", missing_roles=("security", "steward"))

A vote counts where its person is not barred (who requested or trained may not vote), its role is one of the quorum's,
and the person has not voted before: the first vote stands. So one person fills one role only. One refusal refuses; the
quorum approves when every role has an approval. `check_vote` refuses what `tally` would not count, and says why.

People are told apart by `person` alone: one id used in two organisations is taken for one person. That the voter holds
the role, and signed the vote, is for the caller to verify.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from ledger.errors import Conflict, Forbidden, Malformed, show
from ledger.governance.forms import check_set
from ledger.governance.purposes import CLASSES
from ledger.governance.tiers import rank

FOR_TIER = {
    "metadata": ("security", "steward"),
    "aggregate": ("security", "steward"),
    "synthetic": ("security", "steward"),
    "derived": ("security", "steward"),
    "redacted": ("security", "steward"),
    "raw": ("legal", "security", "steward"),
}
"""Who has to agree to access at a tier, whatever the purpose."""

FOR_CLASS = {
    "humanitarian": (),
    "logistics": (),
    "research": (),
    "defensive": ("legal",),
    "offensive": ("ethics", "legal"),
}
"""Who has to agree besides, by the class of the purpose. A prohibited purpose never comes this far."""

FOR_PROMOTION = ("engineering", "ethics", "legal", "security")

FOR_POLICY = ("legal", "security")
"""Who has to agree to another decision policy: those who answer for what it permits, and for what it lets out."""

MAY_PAUSE = ("security", "steward", "legal", "ethics")
"""Roles in which one official pauses, alone and at once."""

MIN_ROLES = 2
"""Fewer would let someone act alone."""


class Quorum(Struct, frozen=True, forbid_unknown_fields=True):
    """The roles that have to approve, sorted, each by a person of its own. Under two raises Malformed."""

    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        check_set(self.roles, "/roles")
        if len(self.roles) < MIN_ROLES:
            raise Malformed("/roles", f"{show(self.roles)} would let one person act alone")


class Vote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's vote in one role. `seq` is the index of its entry: the order in which votes were cast."""

    person: str
    org: str
    role: str
    approve: bool
    seq: int


class Tally(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a vote stands. `missing_roles` are those without an approval that counts, sorted."""

    outcome: Literal["pending", "approved", "refused"]
    missing_roles: tuple[str, ...]


def quorum_for_access(tier: str, purpose_class: str) -> Quorum:
    """Give the roles that decide on access at `tier` for a purpose of `purpose_class`. Raises Malformed."""
    rank(tier)
    if purpose_class not in CLASSES:
        raise Malformed("/purpose_class", f"{show(purpose_class)} is not a class of purposes")
    return Quorum(roles=tuple(sorted({*FOR_TIER[tier], *FOR_CLASS[purpose_class]})))


def quorum_for_promotion() -> Quorum:
    """Give the board that moves weights a stage on."""
    return Quorum(roles=FOR_PROMOTION)


def quorum_for_policy() -> Quorum:
    """Give the roles that decide on a change of the decision policy."""
    return Quorum(roles=FOR_POLICY)


def quorum_to_lift(placed_as: str) -> Quorum:
    """Give the two roles that lift a pause: that in which it was placed, and security, or a steward beside security."""
    return Quorum(roles=tuple(sorted((placed_as, "steward" if placed_as == "security" else "security"))))


def tally(quorum: Quorum, votes: Iterable[Vote], *, barred: Collection[str]) -> Tally:
    """Count `votes`, given in any order, without those of the people in `barred`."""
    counted = tuple(_counted(quorum, votes, barred))
    approved = {vote.role for vote in counted if vote.approve}
    missing = tuple(role for role in quorum.roles if role not in approved)
    if not all(vote.approve for vote in counted):
        return Tally(outcome="refused", missing_roles=missing)
    return Tally(outcome="pending" if missing else "approved", missing_roles=missing)


def _counted(quorum: Quorum, votes: Iterable[Vote], barred: Collection[str]) -> Iterator[Vote]:
    voted = set(barred)
    for vote in sorted(votes, key=lambda vote: vote.seq):
        if vote.role in quorum.roles and vote.person not in voted:
            voted.add(vote.person)
            yield vote


def check_vote(quorum: Quorum, votes: Collection[Vote], vote: Vote, *, barred: Collection[str]) -> None:
    """Check that `vote` may be cast after `votes`.

    Raises Forbidden where the person is barred or the role has no say, and Conflict where the person has voted or the
    outcome is settled.
    """
    if vote.person in barred:
        raise Forbidden(f"{show(vote.person)} may not vote on what they asked for or made")
    if vote.role not in quorum.roles:
        raise Forbidden(f"the role {show(vote.role)} has no vote here", help=f"it takes {', '.join(quorum.roles)}")
    earlier = next((cast for cast in _counted(quorum, votes, barred) if cast.person == vote.person), None)
    if earlier is not None:
        raise Conflict(f"{show(vote.person)} has voted already, as {show(earlier.role)} in entry {earlier.seq}")
    outcome = tally(quorum, votes, barred=barred).outcome
    if outcome != "pending":
        raise Conflict(f"the vote is over: {outcome}")

"""Following a log from outside: what it said last is remembered, and whatever it says next has to continue that.

    each place ──checkpoint──▶ signed by the log? ──▶ one history with what is remembered? ──▶ remember the larger
                                                               │ no
                                                               ▼
                                               evidence, written before anything else is done; the memory stays

That a checkpoint continues another is computed here, from tiles that are themselves proven against the larger
checkpoint's root: nothing that a server says about itself is believed. Several places of one log (the log itself,
mirrors, what a partner is served) are held against one memory, so that two views that are split meet in it.

A checkpoint without the witnesses that the policy asks for is remembered too: it binds the log all the same. Whether
they are enough is told.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from ledger.errors import Misconfigured, OblikError, show
from ledger.log.evidence import Evidence, Finding, check_evidence, format_evidence
from ledger.log.place import Place
from ledger.log.proof import prove_consistency, root_at
from ledger.log.tree_check import checked_reader
from ledger.log.trust_policy import Policy, Trusted
from ledger.storage.anchor import Anchor, write_durably

MAX_WAIT_SECONDS = 600.0
"""A place that fails again and again is asked at least this often, or at each round where those are rarer."""


class Seen(Struct, frozen=True):
    """A checkpoint that a log of the policy signed."""

    note: bytes
    trusted: Trusted

    @property
    def size(self) -> int:
        """Of its tree."""
        return self.trusted.checkpoint.size

    @property
    def root(self) -> bytes:
        """Of its tree."""
        return self.trusted.checkpoint.root


class Found(Struct, frozen=True):
    """A contradiction, and its evidence."""

    finding: Finding
    data: bytes
    problem: str
    """Why the evidence could not be written; "" where it was."""


class Look(Struct, frozen=True, kw_only=True):
    """What came of asking one place."""

    place: str
    seen: Seen | None = None
    problem: OblikError | None = None
    """Why nothing was learnt, or why what was shown is not known to continue what is remembered."""
    found: Found | None = None


class Monitor:
    """Follows one log at one or several places; the first is the log's own."""

    def __init__(
        self, places: Sequence[Place], policy: Policy, *, memory: Anchor, evidence: Path, interval: float
    ) -> None:
        """Raise Misconfigured where the memory is none by this policy, or evidence lies there already."""
        self._places, self._policy, self._memory, self._evidence = places, policy, memory, evidence
        self._interval = interval
        if evidence.exists():
            raise Misconfigured(f"{show(str(evidence))} is there already", help="look at it, then move it away")
        self._last: dict[int, Seen] = {}
        self._failures = dict.fromkeys(range(len(places)), 0)
        self._next = dict.fromkeys(range(len(places)), 0.0)
        remembered = self._read_memory()
        if remembered is not None:
            self._last[0] = remembered

    def round(self, now: float) -> list[Look]:
        """Ask each place that is due; ends with the first contradiction. `now` is a clock that never goes back.

        Raises Unavailable or Misconfigured where the memory cannot be used, which nobody but its keeper can mend.
        """
        looks: list[Look] = []
        for number in range(len(self._places)):
            if now < self._next[number]:
                continue
            looks.append(self._look(number))
            if looks[-1].found:
                break
            self._delay(number, now, failed=looks[-1].problem is not None)
        return looks

    def _delay(self, number: int, now: float, *, failed: bool) -> None:
        self._failures[number] = self._failures[number] + 1 if failed else 0
        longest = max(self._interval, MAX_WAIT_SECONDS)
        wait = min(self._interval * 2 ** min(self._failures[number], 32), longest)
        self._next[number] = now + wait if failed else now

    def _look(self, number: int) -> Look:
        place, known = self._places[number], self._read_memory()
        try:
            note = place.checkpoint()
            origin = None if known is None else known.trusted.checkpoint.origin
            seen = Seen(note, self._policy.open(note, origin))
        except OblikError as error:
            return Look(place=place.name, problem=error)
        problem, evidence = None, None
        try:
            evidence = self._compare(number, known, seen)
        except OblikError as error:
            problem = error
        evidence = evidence or self._rollback(number, seen)
        if evidence is not None:
            return Look(place=place.name, seen=seen, found=self._keep(evidence))
        if problem is None:
            self._remember(number, known, seen)
        return Look(place=place.name, seen=seen, problem=problem)

    def _read_memory(self) -> Seen | None:
        note = self._memory.read()
        if note is None:
            return None
        try:
            return Seen(note, self._policy.open(note))
        except OblikError as error:
            raise Misconfigured(
                f"{show(self._memory.name)} is no checkpoint of this policy's log: {error.problem}"
            ) from None

    def _compare(self, number: int, known: Seen | None, seen: Seen) -> Evidence | None:
        """Give evidence where the log contradicts what is remembered; None where both are one history.

        Raises Unavailable, NotFound or Unverified where the places do not show which.
        """
        if known is None:
            checked_reader(seen.size, seen.root, self._places[number].tile)
            return None
        for other in (known, *self._last.values()):  # what takes no tile comes first
            if other.size == seen.size and other.root != seen.root:
                return Evidence(kind="fork", kept=other.note, served=seen.note)
        if known.size == seen.size:
            return None
        small, large = sorted((known, seen), key=lambda one: one.size)
        prefix, hashes = self._begin(number, small.size, large)
        if prefix == small.root:
            return None
        return Evidence(kind="fork", kept=known.note, served=seen.note, prefix_root=prefix, hashes=tuple(hashes))

    def _begin(self, number: int, size: int, large: Seen) -> tuple[bytes, Sequence[bytes]]:
        """Give the root at an earlier size of the larger tree, and the proof; by any place that has the tree."""
        problems: list[OblikError] = []
        for place in (self._places[number], *self._places[:number], *self._places[number + 1 :]):
            try:
                read = checked_reader(large.size, large.root, place.tile)
                return root_at(size, read), prove_consistency(size, large.size, read) if size else ()
            except OblikError as error:
                problems.append(error)
        raise problems[0]

    def _rollback(self, number: int, seen: Seen) -> Evidence | None:
        """Give evidence where a place goes back behind what it served itself."""
        last = self._last.get(number)
        if last is None or last.size <= seen.size:
            return None
        return Evidence(kind="rollback", kept=last.note, served=seen.note)

    def _remember(self, number: int, known: Seen | None, seen: Seen) -> None:
        """Move the memory forward, unless another process has moved it: then it is compared again, next time."""
        if known is None or seen.size > known.size:
            expected = None if known is None else known.note
            self._memory.move(seen.note, follows=lambda now: now == expected)
        self._last[number] = seen

    def _keep(self, evidence: Evidence) -> Found:
        data = format_evidence(evidence)
        finding = check_evidence(data, self._policy)  # what is written convinces others, or is not written
        try:
            write_durably(self._evidence, data)
        except OSError as error:
            return Found(finding, data, f"{show(str(self._evidence))} cannot be written: {error.strerror}")
        return Found(finding, data, "")

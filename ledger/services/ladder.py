"""How much an auditor knows of a ledger: a ladder, whose rungs stand on each other.

    INTACT        its bytes, its chain and its tree hold together
    SIGNED        the keys that the auditor trusts signed it, and so did each key that the ledger says is in force
    CONSISTENT    it continues the one that this auditor remembers
    TIMESTAMPED   an authority that the auditor trusts stamped it, at a time
    WITNESSED     as many witnesses as the auditor's policy asks for have cosigned it
    REPLAYED      every decision in it comes out again as recorded

A rung is held, or not, or was not asked for; and says why. What is not intact is not looked at any further.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum

import msgspec
from msgspec import Struct

from ledger.errors import BadCheckpoint, OblikError, Unverified
from ledger.log.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import format_time
from ledger.log.kept import Kept
from ledger.log.note import parse_note
from ledger.log.timestamp import Stamped, check_timestamp
from ledger.log.trust_policy import NO_QUORUM, Policy, Trusted
from ledger.services.replay import Replayed
from ledger.services.sealing import Sealing
from ledger.services.sources import Source
from ledger.services.verifying import Progress, Verified, replay, verify


class Exit(IntEnum):
    """The exit code for the lowest rung that is not held."""

    INTACT = 1
    SIGNED = 3
    CONSISTENT = 4
    TIMESTAMPED = 5
    WITNESSED = 6
    REPLAYED = 7


class Rung(Struct, frozen=True):
    """One rung: `held` is None where it was not asked for."""

    name: str
    held: bool | None
    why: str


class Ladder(Struct, frozen=True, kw_only=True):
    """What is known of a ledger."""

    source: str
    origin: str = ""
    size: int = 0
    root: str = ""
    """In hex."""
    checkpoint: str = ""
    """The signed note that was verified, as text; "" where there was none."""
    sealed: str = ""
    """What was sealed in the entries, and what of it is left."""
    rungs: tuple[Rung, ...]

    @property
    def exit_code(self) -> int:
        """0 where every rung that was asked for is held."""
        return next((int(Exit[rung.name]) for rung in self.rungs if rung.held is False), 0)


class Trust(Struct, frozen=True, kw_only=True):
    """What the auditor goes by."""

    policy: Policy
    remembered: bytes | None = None
    """The last checkpoint that this auditor verified; None for the first time."""
    authorities: Sequence[bytes] = ()
    """Certificates (PEM or DER) of time-stamp authorities."""
    replay: bool = True


def climb(
    reopen: Callable[[], Source],
    name: str,
    trust: Trust,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    kept: Kept | None = None,
    keep: Callable[[bytes], None] | None = None,
) -> Ladder:
    """Climb as far as it holds, from what was `kept`, if anything. Gives what is known.

    A checkpoint of a size below what was kept, whose root was not kept, takes a verification from the beginning. Raises
    Misconfigured or Unavailable where it cannot be told.
    """
    try:
        source = reopen()
        watched = _sizes([source.said().note, trust.remembered, *(note for note, _ in source.said().stamps)])
        if kept is not None and not _are_known(watched, kept):
            kept = None
        verified, _ = verify(source, progress=progress, workers=workers, watched=watched, kept=kept, keep=keep)
    except Unverified as error:
        return Ladder(source=name, rungs=_fallen(str(error)))
    known = _Known(source, verified, trust)
    rungs = (
        Rung("INTACT", True, f"{verified.size:,} entries: bytes, chain and tree hold together"),
        known.signed(),
        known.consistent(),
        known.timestamped(),
        known.witnessed(),
        _replayed(reopen) if trust.replay else Rung("REPLAYED", None, "not asked for"),
    )
    return Ladder(
        source=name,
        origin=verified.origin,
        size=verified.size,
        root=verified.root.hex(),
        checkpoint=(known.note or b"").decode(),
        sealed=describe_sealing(verified.sealing),
        rungs=rungs,
    )


def _are_known(sizes: set[int], kept: Kept) -> bool:
    known = {size for size, _ in kept.roots}
    return all(size >= kept.size or size in known for size in sizes)


def _sizes(notes: Sequence[bytes | None]) -> set[int]:
    """Give the sizes at which a root has to be known. What is no checkpoint is told of later."""
    found = set()
    for note in notes:
        try:
            found |= {parse_checkpoint(parse_note(note)[0]).size} if note else set()
        except Unverified:
            continue
    return found


def _fallen(problem: str) -> tuple[Rung, ...]:
    above = [Rung(rung.name, None, "not reached") for rung in Exit if rung is not Exit.INTACT]
    return Rung("INTACT", False, problem), *above


class _Known:
    """An intact ledger, and what others say of it."""

    def __init__(self, source: Source, verified: Verified, trust: Trust) -> None:
        self.said = source.said()
        self.note = self.said.note
        self._verified, self._trust = verified, trust

    def signed(self) -> Rung:
        """Tell whether trusted keys, and each key in force, signed a checkpoint of these entries."""
        return _rung("SIGNED", self._signed)

    def consistent(self) -> Rung:
        """Tell whether the entries begin with those that are remembered."""
        if self._trust.remembered is None:
            return Rung("CONSISTENT", None, "this auditor remembers no checkpoint of it yet")
        return _rung("CONSISTENT", self._consistent)

    def timestamped(self) -> Rung:
        """Tell of the newest time-stamp by a trusted authority."""
        if not self._trust.authorities:
            return Rung("TIMESTAMPED", None, "no authority was named")
        return _rung("TIMESTAMPED", self._timestamped)

    def witnessed(self) -> Rung:
        """Tell which witnesses cosigned, and whether they are enough."""
        if self._trust.policy.quorum == NO_QUORUM:
            return Rung("WITNESSED", None, "the policy asks for no witnesses")
        return _rung("WITNESSED", self._witnessed)

    def _opened(self) -> Trusted:
        if self.note is None:
            raise BadCheckpoint("no checkpoint was published")
        return self._trust.policy.open(self.note, self._verified.origin)

    def _signed(self) -> str:
        trusted = self._opened()
        checkpoint = trusted.checkpoint
        self._check_root(checkpoint)
        for vkey in self._verified.keys.in_force_at(checkpoint.size):
            open_checkpoint(self.note or b"", [parse_vkey(vkey)], origin=self._verified.origin)
        keys = ", ".join(f"{name}+{number:08x}" for name, number in trusted.log_keys)
        return f"{checkpoint.size:,} of {self._verified.size:,} entries, by {keys}"

    def _consistent(self) -> str:
        last = self._trust.policy.open(self._trust.remembered or b"", self._verified.origin).checkpoint
        if last.size > self._verified.size:
            raise BadCheckpoint(f"it was {last.size:,} entries long; now it has {self._verified.size:,}")
        self._check_root(last)
        return f"it continues the {last.size:,} entries that this auditor remembers"

    def _timestamped(self) -> str:
        stamped = [self._stamped(note, token) for note, token in self.said.stamps]
        good = [found for found in stamped if isinstance(found, tuple)]
        if not good:
            raise BadCheckpoint(f"none of {len(stamped)} time-stamps holds{_first(stamped)}")
        size, stamp = max(good, key=lambda found: found[0])
        return f"{size:,} entries existed at {format_time(stamp.time)}, says {stamp.authority}"

    def _stamped(self, note: bytes, token: bytes) -> "tuple[int, Stamped] | str":
        """Give (size, stamp), or why it does not hold."""
        try:
            text = parse_note(note)[0]
            checkpoint = parse_checkpoint(text)
            self._check_root(checkpoint)
            return checkpoint.size, check_timestamp(token, text, self._trust.authorities)
        except OblikError as error:
            return str(error)

    def _witnessed(self) -> str:
        trusted = self._opened()
        self._check_root(trusted.checkpoint)
        trusted.check_quorum()
        return f"by {', '.join(sorted(trusted.cosigned))}; the policy asks for {trusted.needed}"

    def _check_root(self, checkpoint: Checkpoint) -> None:
        root = self._verified.roots.get(checkpoint.size)
        if checkpoint.size == self._verified.size:
            root = self._verified.root
        if checkpoint.origin != self._verified.origin or root != checkpoint.root:
            raise BadCheckpoint(f"the checkpoint of {checkpoint.size:,} entries is of another history")


def _first(stamped: Sequence[object]) -> str:
    return f": {stamped[0]}" if stamped else ""


def _rung(name: str, told: Callable[[], str]) -> Rung:
    try:
        return Rung(name, True, told())
    except Unverified as error:
        return Rung(name, False, str(error))


def _replayed(reopen: Callable[[], Source]) -> Rung:
    try:
        _, replayed = replay(reopen)
    except Unverified as error:
        return Rung("REPLAYED", False, str(error))
    return Rung("REPLAYED", not replayed.findings, _told(replayed))


def _told(replayed: Replayed) -> str:
    if replayed.findings:
        first = replayed.findings[0]
        return f"{len(replayed.findings)} findings; the first is entry {first.seq}: {first.problem}"
    unknown = sum(replayed.unknown.values())
    beside = f"; {unknown:,} entries of kinds that are not known here" if unknown else ""
    return f"{replayed.decisions:,} decisions came out as recorded{beside}"


def describe_sealing(sealing: Sealing) -> str:
    """Say what became of the fields that entries sealed; "" where none did."""
    if not sealing.total:
        return ""
    return f"{sealing.kept} kept and as sealed, {sealing.withheld} withheld, {sealing.erased} erased"


def format_json(ladder: Ladder) -> str:
    """Give what is known as one JSON object."""
    return msgspec.json.encode({**msgspec.to_builtins(ladder), "exit_code": ladder.exit_code}).decode()

"""`oblik monitor`: follows a log from outside. `oblik evidence verify`: what a monitor found, verified offline.

A monitor prints what is new: a checkpoint that continues the last, a trouble once, that it is over. With `--json` it
prints one object a line for each place at each round. It ends by itself only where the log contradicts itself.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli.common import moment, printable, read_file
from ledger.errors import Unverified
from ledger.log.evidence import MAX_EVIDENCE_BYTES, Finding, check_evidence
from ledger.log.trust_policy import MAX_POLICY_BYTES, Trusted, parse_policy
from ledger.services.monitoring import Found, Look, Monitor, Seen
from ledger.services.places import open_place
from ledger.storage.anchor import Anchor

NOT_VERIFIED, MISUSE, CONTRADICTED = 1, 2, 3

PolicyFile = Annotated[Path, typer.Option(help="Trust policy: the log's keys, the witnesses', and the quorum.")]

evidence_app = typer.Typer(
    no_args_is_help=True, help="Evidence: two checkpoints of one log that contradict each other."
)


def monitor(
    source: Annotated[str, typer.Argument(metavar="URL", help="The log: its URL, or a folder of its tiles.")],
    *,
    policy: PolicyFile,
    state: Annotated[Path, typer.Option(help="File that remembers the last checkpoint. Keep it.")],
    mirror: Annotated[list[str] | None, typer.Option(help="Another place of the same log; as often as needed.")] = None,
    interval: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds from one round to the next.")] = 60,
    stale: Annotated[
        int, typer.Option(min=0, help="Say when the log has not grown for so many seconds; 0: never.")
    ] = 0,
    evidence: Annotated[
        Path | None, typer.Option(help="Where evidence goes (default: STATE with `.evidence`).")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One round, and its result as exit code.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Follow a log from outside: whatever it says next has to continue what it said before."""
    trusted = parse_policy(read_file(policy, MAX_POLICY_BYTES))
    proof = evidence or state.with_name(f"{state.name}.evidence")
    teller = (_JsonTeller if as_json else _Teller)(state, stale, proof)
    with ExitStack() as stack:
        places = [stack.enter_context(open_place(text)) for text in (source, *(mirror or ()))]
        following = Monitor(places, trusted, memory=Anchor(state), evidence=proof, interval=interval)
        with _until_interrupted():
            while True:
                looks = following.round(time.monotonic())
                teller.tell(looks, time.time())
                if any(look.found for look in looks):
                    raise typer.Exit(CONTRADICTED)
                if once:
                    raise typer.Exit(_code(looks))
                time.sleep(interval)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """Take Ctrl-C for the end of the work, which loses nothing."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit from None


def _code(looks: list[Look]) -> int:
    """Give the exit code of a round: what does not verify comes before what was not reached."""
    unmet = any(look.seen and not look.seen.trusted.quorum_met for look in looks)
    if unmet or any(isinstance(look.problem, Unverified) for look in looks):
        return NOT_VERIFIED
    return MISUSE if any(look.problem for look in looks) else 0


class _Teller:
    """Says what is new, in words."""

    def __init__(self, state: Path, stale: int, evidence: Path) -> None:
        self._state, self._stale, self._evidence = state, stale, evidence
        self._said: dict[tuple[str, str], str] = {}

    def tell(self, looks: list[Look], now: float) -> None:
        """Tell of a round. `now` is the wall clock, as files' times are."""
        for look in looks:
            if look.found:
                print("\n".join(_found_as_text(look, look.found, self._evidence)), flush=True)
                return
            self._say(look.place, "trouble", _trouble(look), "well again")
            if look.seen and not look.problem:
                self._say(look.place, "verified", _verified(look.seen))
                self._say(look.place, "witnesses", _witnesses(look.seen.trusted))
        self._say(str(self._state), "stale", self.stale(now), "the log grows again")

    def stale(self, now: float) -> str:
        """Say that the log has not grown for too long; "" where it has, or that is not asked for."""
        try:
            age = now - self._state.stat().st_mtime
        except OSError:  # nothing is remembered yet
            return ""
        return f"the log has not grown for over {self._stale} s" if 0 < self._stale < age else ""

    def _say(self, place: str, about: str, words: str, over: str = "") -> None:
        """Say it where it is new; or that it is over."""
        before = self._said.get((place, about), "")
        if words == before:
            return
        self._said[place, about] = words
        stream = sys.stderr if about in ("trouble", "stale") else sys.stdout
        print(f"{about}: {words}, {place}" if words else f"{over}: {place}", file=stream, flush=True)


class _JsonTeller(_Teller):
    """Says everything, for programs."""

    def tell(self, looks: list[Look], now: float) -> None:
        """Print one object for each place that was asked."""
        for look in looks:
            value: dict[str, Any] = {"place": look.place, "problem": str(look.problem) if look.problem else ""}
            value |= {"stale": bool(self.stale(now)), **(_head(look.seen.trusted) if look.seen else {})}
            if look.found:
                value |= {"evidence": str(self._evidence), "evidence_problem": look.found.problem}
                value |= _finding(look.found.finding)
                value |= {"data": look.found.data.decode()} if look.found.problem else {}
            print(json.dumps(value), flush=True)


def _trouble(look: Look) -> str:
    error = look.problem
    if error is None:
        return ""
    return f"does not verify: {error}" if isinstance(error, Unverified) else str(error)


def _verified(seen: Seen) -> str:
    return f"size {seen.size}, root {seen.root.hex()}, of {seen.trusted.checkpoint.origin}"


def _witnesses(trusted: Trusted) -> str:
    names = ", ".join(map(printable, trusted.cosigned)) or "none"
    return f"{names}, where it takes {printable(trusted.needed)}{'' if trusted.quorum_met else ': too few'}"


def _found_as_text(look: Look, found: Found, evidence: Path) -> list[str]:
    lines = [f"CONTRADICTION: {look.place}", *_as_text(found.finding)]
    if found.problem:
        return [*lines, f"evidence: {found.problem}; here it is:", found.data.decode()]
    return [*lines, f"evidence: {evidence}"]


@evidence_app.callback()
def _evidence() -> None:
    """Make `verify` a word of its own, though it is the only one so far."""


@evidence_app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The evidence, as `oblik monitor` wrote it.")],
    policy: PolicyFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify evidence offline. Exit code 0 only where signatures prove a contradiction."""
    trusted = parse_policy(read_file(policy, MAX_POLICY_BYTES))
    finding = check_evidence(read_file(file, MAX_EVIDENCE_BYTES), trusted)
    print(json.dumps(_finding(finding)) if as_json else "\n".join(_as_text(finding)))
    if not finding.proven:
        raise typer.Exit(NOT_VERIFIED)


def _as_text(finding: Finding) -> list[str]:
    """Tell a finding: what the log signed, and what that proves."""
    return [
        f"{finding.kind}: {finding.kept.checkpoint.origin} {_claim(finding)}",
        *(f"{name}: {_side(trusted)}" for name, trusted in (("kept", finding.kept), ("served", finding.served))),
        f"proven: {'yes' if finding.proven else 'no'}, {_reason(finding)}",
    ]


def _side(trusted: Trusted) -> str:
    witnesses = "".join(f", {printable(name)} at {moment(at)}" for name, at in trusted.cosigned.items())
    return f"size {trusted.checkpoint.size}, root {trusted.checkpoint.root.hex()}{witnesses}"


def _claim(finding: Finding) -> str:
    sizes = sorted((finding.kept.checkpoint.size, finding.served.checkpoint.size))
    if finding.kind == "rollback":
        return f"went back from {sizes[1]} entries to {sizes[0]}"
    if sizes[0] == sizes[1]:
        return f"signed two trees of {sizes[0]} entries"
    return f"signed a tree of {sizes[1]} entries that does not begin with the one of {sizes[0]} that it signed"


def _reason(finding: Finding) -> str:
    if finding.kind == "fork":
        return "by the log's own signatures, to anyone who has its keys"
    if finding.gone_back:
        names = ", ".join(map(printable, finding.gone_back))
        return f"by the witness that cosigned the larger, and the smaller at a later time: {names}"
    return "the log signed both; that the smaller was served later is the word of whoever kept them"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "found": finding.kind,
        "proven": finding.proven,
        "kept": _head(finding.kept),
        "served": _head(finding.served),
        "gone_back": [printable(name) for name in finding.gone_back],
    }


def _head(trusted: Trusted) -> dict[str, Any]:
    checkpoint = trusted.checkpoint
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "witnesses": [{"name": printable(name), "time": at} for name, at in trusted.cosigned.items()],
        "quorum_met": trusted.quorum_met,
    }

"""Asking witnesses for cosignatures, beside whatever else goes on: a thread for each, and nobody ever waits for them.

    offer(note, size) ──▶ newest note ──▶ each thread: prove from the size its witness cosigned last │ submit │ check
                                              ──▶ on_cosigned(checkpoint text, signature lines)

Only the newest note is kept: a witness that was away is asked for that one. One that is dead, slow or lying is asked
again after a pause that doubles up to `MAX_PAUSE_SECONDS`; it is logged when it begins to fail, when it fails in
another way, and when it is well again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ledger.errors import NotLastCosigned, show
from ledger.log.note import parse_note
from ledger.remote.witness import WitnessClient

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 300.0
"""Rarely enough to disturb nobody, often enough that a witness which is back is asked within five minutes."""

CLOSE_SECONDS = 5.0
MAX_PROBLEM_CHARACTERS = 500

Prove = Callable[[int, int], Sequence[bytes]]
"""Gives the consistency proof between two sizes, 0 < old < new."""

OnCosigned = Callable[[bytes, bytes], None]
"""Is given a checkpoint's text and the signature lines of one witness, verified. It is called from several threads."""


class WitnessStatus(Struct, frozen=True, kw_only=True):
    """How it stands with one witness."""

    name: str
    url: str
    size: int | None = None
    """The last size that it cosigned, or said it had; None before its first answer."""
    at: datetime | None = None
    """When it last cosigned."""
    problem: str = ""
    """Why it did not cosign what it was asked for last; "" where it did."""


class _Offer(Struct, frozen=True):
    number: int
    size: int
    note: bytes


class Ahead(Exception):  # noqa: N818 - told as a problem of the witness, never raised to a caller
    """The witness has cosigned a larger tree than the one offered."""


class Cosigning:
    """Has each of `witnesses` cosign the newest checkpoint offered. Thread-safe."""

    def __init__(
        self,
        witnesses: Sequence[WitnessClient],
        *,
        prove: Prove,
        on_cosigned: OnCosigned,
        clock: Callable[[], datetime],
        first_pause: float = FIRST_PAUSE_SECONDS,
        max_pause: float = MAX_PAUSE_SECONDS,
    ) -> None:
        self._prove, self._on_cosigned, self._clock = prove, on_cosigned, clock
        self._first_pause, self._max_pause = first_pause, max_pause
        self._changed = threading.Condition()
        self._newest: _Offer | None = None
        self._closed = False
        self._statuses = [WitnessStatus(name=witness.name, url=witness.url) for witness in witnesses]
        self._threads = [
            threading.Thread(target=self._work, args=(index, witness), name=f"witness {witness.name}", daemon=True)
            for index, witness in enumerate(witnesses)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, note: bytes, size: int) -> None:
        """Have a signed checkpoint of `size` cosigned; a smaller one than the last is dropped. Never waits."""
        with self._changed:
            newest = self._newest
            if newest is None or size >= newest.size:
                self._newest = _Offer(newest.number + 1 if newest else 1, size, note)
                self._changed.notify_all()

    def status(self) -> list[WitnessStatus]:
        """Tell how it stands with each witness, in the order given."""
        with self._changed:
            return list(self._statuses)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Stop asking. Ends within `timeout` seconds; a call that is under way then is left to itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # One witness, in its thread ---------------------------------------------------------------------------------------

    def _work(self, index: int, witness: WitnessClient) -> None:
        done, failures = 0, 0
        while (offer := self._next(done, failures)) is not None:
            failed = self._attempt(index, witness, offer)
            done, failures = (done, failures + 1) if failed else (offer.number, 0)

    def _next(self, done: int, failures: int) -> _Offer | None:
        """Wait out the pause, then for an offer that is not done. None when it is time to stop."""
        with self._changed:
            if failures:
                pause = min(self._first_pause * 2.0 ** min(failures - 1, 60), self._max_pause)
                self._changed.wait_for(lambda: self._closed, pause)
            self._changed.wait_for(lambda: self._closed or (self._newest is not None and self._newest.number > done))
            return None if self._closed else self._newest

    def _attempt(self, index: int, witness: WitnessClient, offer: _Offer) -> bool:
        """Ask once. Tells whether it has to be tried again."""
        try:
            lines = self._submit(index, witness, offer)
            self._on_cosigned(parse_note(offer.note)[0], lines)
        except Ahead as error:  # nothing to try again: a larger one will be offered, or this ledger lost its end
            self._note_problem(index, error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a witness does, it is asked again, and nobody else is hurt
            self._note_problem(index, error)
            return True
        self._note_success(index, offer.size)
        return False

    def _submit(self, index: int, witness: WitnessClient, offer: _Offer) -> bytes:
        """Prove from the size that the witness cosigned last; where it names another, from there, once."""
        known = self._statuses[index].size or 0
        try:
            return self._ask(witness, offer, known if known <= offer.size else 0)  # 0 has it name its size anew
        except NotLastCosigned as error:
            self._set(index, size=error.size)
            return self._ask(witness, offer, error.size)

    def _ask(self, witness: WitnessClient, offer: _Offer, old: int) -> bytes:
        if old > offer.size:
            raise Ahead(f"it has cosigned size {show(old)}, beyond the {show(offer.size)} offered")
        proof = self._prove(old, offer.size) if 0 < old < offer.size else []
        return witness.add_checkpoint(old, proof, offer.note)

    def _note_problem(self, index: int, error: Exception) -> None:
        """Keep why; log it where it is another kind of problem than before."""
        status, problem = self._statuses[index], _one_line(f"{type(error).__name__}: {error}")
        if status.problem.partition(":")[0] != type(error).__name__:
            log.warning("witness %s does not cosign: %s", status.name, problem)
        self._set(index, problem=problem)

    def _note_success(self, index: int, size: int) -> None:
        status = self._statuses[index]
        if status.problem:
            log.warning("witness %s cosigns again, at size %d", status.name, size)
        self._set(index, size=size, at=self._clock(), problem="")

    def _set(self, index: int, **changes: object) -> None:
        with self._changed:
            self._statuses[index] = replace(self._statuses[index], **changes)


def _one_line(text: str) -> str:
    """Give what a witness may have worded as a line that cannot pass for several."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_PROBLEM_CHARACTERS])

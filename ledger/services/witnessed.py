"""Showing checkpoints that witnesses cosigned: the newest with a quorum, or, where that takes too long, without.

    take(publication) ──▶ witnesses ──lines──▶ gathered by checkpoint ──quorum──▶ shown to everybody

A checkpoint for which no quorum came within `patience` is shown with the cosignatures that it has, so that dead
witnesses are seen to be dead, and the log is not.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from ledger.errors import OblikError
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import Verifier, add_signatures, parse_note
from ledger.log.proof import prove_consistency
from ledger.log.trust_policy import Policy
from ledger.remote.witness import DEFAULT_SECONDS, WitnessClient
from ledger.services.cosigning import Cosigning
from ledger.storage.publication import Publication, show_to_all
from ledger.storage.reading import tree_reader

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=10)
"""How long a checkpoint waits for its quorum before it is shown without."""

MAX_GATHERED = 64
"""Checkpoints whose cosignatures are still awaited: at one a second, more than any patience."""

Clock = Callable[[], datetime]


def witness_clients(policy: Policy, timeout: float = DEFAULT_SECONDS) -> list[WitnessClient]:
    """Give a client for each address in a policy; the keys at one address are one witness's. Raises Misconfigured."""
    by_url: dict[str, list[Verifier]] = {}
    for witness in policy.witnesses:
        if witness.url:
            by_url.setdefault(witness.url, []).append(witness.verifier)
    return [WitnessClient(url, verifiers, timeout) for url, verifiers in by_url.items()]


class Witnessed:
    """Has checkpoints cosigned, and shows them. Thread-safe."""

    def __init__(
        self,
        engine: sa.Engine,
        policy: Policy,
        clients: Sequence[WitnessClient],
        *,
        clock: Clock,
        shown: Callable[[bytes], None],
    ) -> None:
        self._engine, self._policy, self._clock, self._shown = engine, policy, clock, shown
        self._lock = threading.Lock()
        self._gathered: OrderedDict[bytes, bytes] = OrderedDict()
        self._since: datetime | None = None
        self.cosigning = Cosigning(clients, prove=self._prove, on_cosigned=self._cosigned, clock=clock)

    def take(self, published: Publication) -> None:
        """Have a checkpoint cosigned. Never waits for a witness."""
        with self._lock:
            self._gathered.setdefault(parse_note(published.note)[0], published.note)
            while len(self._gathered) > MAX_GATHERED:
                self._gathered.popitem(last=False)
        self.cosigning.offer(published.note, published.size)
        self._lose_patience(published)

    def close(self) -> None:
        """Stop asking."""
        self.cosigning.close()

    def _lose_patience(self, published: Publication) -> None:
        if published.public_size >= published.size:
            self._since = None
            return
        now = self._clock()
        since = self._since = min(self._since or now, now)  # a clock that is set back makes it wait no longer
        if now - since >= PATIENCE:
            with self._lock:
                note = self._gathered[parse_note(published.note)[0]]
            self._show(note, published.size)

    def _cosigned(self, text: bytes, lines: bytes) -> None:
        with self._lock:
            note = self._gathered.get(text)
            if note is None:
                return  # overtaken long ago
            note = self._gathered[text] = add_signatures(note, lines)
        if self._policy.open(note).quorum_met:
            self._show(note, parse_checkpoint(text).size)

    def _show(self, note: bytes, size: int) -> None:
        if show_to_all(self._engine, note, size):
            self._since = None
            self._shown(note)

    def _prove(self, old: int, new: int) -> Sequence[bytes]:
        with self._engine.connect() as connection:
            return prove_consistency(old, new, tree_reader(connection))


def ask_what_they_remember(clients: Sequence[WitnessClient], origin: str) -> list[tuple[bytes | None, str]]:
    """Ask each witness, at the same time, for the last checkpoint that it cosigned; one that does not answer has none.

    A service that starts has to be able to start without them.
    """
    found: list[tuple[bytes | None, str]] = []

    def ask(client: WitnessClient) -> None:
        try:
            found.append((client.last(origin), f"witness {client.name}"))
        except OblikError as error:
            log.warning("what witness %s remembers is not known: %s", client.name, error)

    threads = [threading.Thread(target=ask, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

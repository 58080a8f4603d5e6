"""A log that shows different people different histories: two worlds, one pair of keys, and a server between them."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from served import TIMEOUT_SECONDS, Served, serving
from strangers import Answer, Told, answering
from world import ORIGIN, OWNER, World

from ledger.events.registry import MemberAppointed
from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.note import format_vkey
from ledger.storage.reading import read_head

SIZE = 300
"""Of the true history, at first: a full tile and a partial one."""


def grow(world: World, to: int) -> None:
    """Append to a world until it has so many entries."""
    more = to - size_of(world)
    if more > 0:
        world.append(*[MemberAppointed(org=OWNER, person="p", roles=("auditor",))] * more)


def size_of(world: World) -> int:
    """Count what is committed."""
    with world.service.engine.connect() as connection:
        return read_head(connection).size


class Switch:
    """What a server shows: the files of a served world, but for the paths that are given."""

    def __init__(self, true: Served, false: Served) -> None:
        self.true, self.false = true, false
        self.shown: Served | None = true
        """None answers nothing at all."""
        self.instead: dict[str, bytes | None] = {}
        """By path: these bytes; None is 404."""
        self._asked, self._rounds = threading.Condition(), 0
        self._signed: dict[bytes, bytes] = {}

    def note(self, served: Served) -> bytes:
        """Sign the present tree of either world by the true one's keys."""
        with served.world.service.engine.connect() as connection:
            head = read_head(connection)
        if head.root not in self._signed:
            checkpoint = Checkpoint(origin=ORIGIN, size=head.size, root=head.root)
            self._signed[head.root] = sign_checkpoint(checkpoint, self.true.world.service.signers)
        return self._signed[head.root]

    def show(self, served: Served | None, size: int = 0) -> bytes:
        """Show a world from now on, grown to `size` first. Gives its checkpoint, signed by the true keys."""
        self.instead, self.shown = {}, served
        if served is None:
            return b""
        if size:
            grow(served.world, size)
        served.world.checkpoint()  # it publishes its tiles
        self.instead["/checkpoint"] = self.note(served)
        return self.instead["/checkpoint"]

    def wait_for_rounds(self, count: int) -> None:
        """Wait until so many more checkpoints have been asked for."""
        with self._asked:
            wanted = self._rounds + count
            assert self._asked.wait_for(lambda: self._rounds >= wanted, TIMEOUT_SECONDS)

    def __call__(self, path: str, headers: dict[str, str]) -> Answer | None:
        with self._asked:
            self._rounds += path == "/checkpoint"
            self._asked.notify_all()
        if path in self.instead:
            found = self.instead[path]
            return (404, {}, b"") if found is None else (200, {}, found)
        if self.shown is None:
            return None
        return relay(self.shown)(path, headers)

    @property
    def policy(self) -> bytes:
        """A policy that knows the true keys, and asks for no witness."""
        return (
            "".join(f"log {format_vkey(key)}\n" for key in self.true.world.service.signers).encode() + b"quorum none\n"
        )


def relay(served: Served) -> Told:
    """Answer as a served world does."""

    def told(path: str, _headers: dict[str, str]) -> Answer:
        answer = httpx.get(f"{served.http.base_url}".rstrip("/") + path, timeout=TIMEOUT_SECONDS)
        return answer.status_code, {}, answer.content

    return told


@contextmanager
def two_histories(folder: Path) -> Iterator[tuple[str, Switch]]:
    """Serve two worlds, of `SIZE` entries each, behind one address. Gives the address, and what switches them."""
    with ExitStack() as stack:
        worlds = []
        for name in ("true", "false"):
            (folder / name).mkdir()
            url = f"sqlite:///{folder / name / 'ledger.db'}"
            worlds.append(stack.enter_context(serving(url, folder / name)))
            grow(worlds[-1].world, SIZE)
        switch = Switch(*worlds)
        switch.show(switch.true)
        yield stack.enter_context(answering(switch)), switch

"""How long the servers wait for a request: uvicorn's protocols, with a limit that uvicorn has not.

    connection opened, or answer given ──▶ head ──▶ body ──▶ the application works, however long
    └───────────── at most `seconds`, or it is closed ─────┘

uvicorn itself closes a connection that is idle after an answer, and forgets it at the first byte: whoever opens one and
sends nothing, or a byte now and then, keeps it for ever.
"""

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SERVICE_SECONDS = 60
"""For the documents of a version, 20 MiB, over 3 Mbit/s."""

WITNESS_SECONDS = 20
"""Twice what a body may take: logs send half a megabyte at the most."""

if TYPE_CHECKING:
    Base = H11Protocol
else:
    Base = object


class _Patience(Base):
    """Closes a connection whose next request has not arrived whole in time."""

    seconds: float
    _since = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        self._wait()  # before a pipelined request is begun
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Wait from now on. A timer that runs is left to run: setting one for each answer costs more than it finds."""
        self._since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._look)

    def _look(self) -> None:
        left = self._since + self.seconds - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._look)
            return
        self._timer = None
        arrived = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        if not arrived:
            self.transport.close()


class ServiceProtocol(_Patience, HttpToolsProtocol):  # type: ignore[misc]
    """What the service speaks: the quicker one."""

    seconds = SERVICE_SECONDS


class WitnessProtocol(_Patience, H11Protocol):
    """What a witness speaks: h11 bounds the headers of a request, httptools does not."""

    seconds = WITNESS_SECONDS

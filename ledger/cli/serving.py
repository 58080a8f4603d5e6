"""Serving until told to end, and ending so that nobody notices: first not ready, then no new connections, then done.

    SIGTERM ──▶ /readyz says 503 ──drain_seconds──▶ no new connections ──▶ what was asked is answered ──▶ end

A second signal skips the wait. Without a wait this is what uvicorn does.
"""

import time
from types import FrameType

import uvicorn

from ledger.bootstrap import Service
from ledger.cli.patience import ServiceProtocol

GRACE_SECONDS = 30
"""How long requests under way may take once no new ones are accepted; who has no answer by then is cut off."""


class DrainingServer(uvicorn.Server):
    """A server that says that it is not ready before it stops to accept."""

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._ends: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; at once where it is told again, or there is nothing to wait for."""
        service: Service | None = getattr(getattr(self.config.loaded_app, "state", None), "service", None)
        if service is None or self._ends is not None or not self._drain_seconds:
            super().handle_exit(sig, frame)
            return
        service.draining.set()
        self._ends = time.monotonic() + self._drain_seconds
        self._captured_signals.append(sig)  # raised again at the end, as uvicorn does

    async def on_tick(self, counter: int) -> bool:
        """Tell whether it is time to end; asked ten times a second."""
        waited = self._ends is not None and time.monotonic() >= self._ends
        return await super().on_tick(counter) or waited


def serve(host: str, port: int, *, drain_seconds: float) -> bool:
    """Serve the application that the environment's settings describe. False where it did not start."""
    config = uvicorn.Config(
        "ledger.asgi:create_app",
        factory=True,
        host=host,
        port=port,
        http=ServiceProtocol,
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = DrainingServer(config, drain_seconds=drain_seconds)
    try:
        server.run()
    except SystemExit as error:  # uvicorn has said why
        if error.code:
            return False
    return server.started

"""For whoever operates the service: is it alive, is it ready, what does it measure.

    GET /livez     the process answers, and its event loop turns
    GET /readyz    a transaction under the head's lock succeeds, and the service is not about to end
    GET /metrics   figures in Prometheus's text format

Anyone may ask the first two; the third is for the owner's readers.
"""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ledger.api.acting import Act
from ledger.api.management import PROBLEMS
from ledger.api.strict import StrictRoute
from ledger.bootstrap import Service
from ledger.errors import OblikError, Unavailable
from ledger.services.metrics import MEDIA_TYPE
from ledger.services.reading import check_reads_all
from ledger.storage.transaction import Transaction

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["operation"])

READY_SECONDS = 2.0
"""How long the ledger may take to let a transaction through before the service counts as not ready."""

UP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": {"status": "ok"}}}}}
TEXT = 'oblik_decisions_total{outcome="allow"} 12.0\n'


@router.get("/livez", responses=UP)
@router.get("/healthz", responses=UP)
async def livez() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


class Readiness:
    """Tries whether decisions can be written, by one transaction at a time however many ask: anyone may."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._trial: asyncio.Future[None] | None = None

    async def check(self) -> None:
        """Raise Unavailable unless the service can write. Whoever asks meanwhile waits for the same transaction."""
        if self._service.draining.is_set():
            raise Unavailable("the service is shutting down")
        try:
            await asyncio.wait_for(asyncio.shield(self._under_way()), READY_SECONDS)
        except TimeoutError:
            raise Unavailable(f"the ledger let no transaction through within {READY_SECONDS:g} s") from None
        except OblikError as error:
            raise Unavailable(f"the ledger cannot be written: {error.problem}") from None

    def _under_way(self) -> "asyncio.Future[None]":
        if self._trial is None or self._trial.done():
            self._trial = asyncio.ensure_future(self._service.sequencer.run(_nothing))
            self._trial.add_done_callback(lambda trial: trial.cancelled() or trial.exception())  # someone has heard it
        return self._trial


def _nothing(_tx: Transaction) -> None:
    """Write nothing, under the lock."""


@router.get("/readyz", responses=UP)
async def readyz(request: Request) -> dict[str, str]:
    """Tell that decisions can be written: one transaction goes all the way, and writes nothing."""
    readiness: Readiness = request.app.state.readiness
    await readiness.check()
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"example": TEXT}}}})
def metrics(act: Act) -> Response:
    """Give the figures of this process, to a reader of the owner."""

    def read(connection: Any, caller: Any) -> bytes:
        check_reads_all(caller, act.owner)
        return act.service.metrics.exposition(connection)

    return Response(act.reading(read), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})

"""For whoever operates the service: is it alive, is it ready, what does it measure.

GET /livez     the process answers, and its event loop turns
GET /readyz    a transaction under the head's lock succeeds, and the service is not about to end
GET /metrics   figures in Prometheus's text format, for the owner's readers
"""

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ledger.api.acting import Act, ServiceOf
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


@router.get("/readyz", responses=UP)
async def readyz(service: ServiceOf) -> dict[str, str]:
    """Tell that decisions can be written: one transaction goes all the way, and writes nothing."""
    await check_ready(service)
    return {"status": "ok"}


async def check_ready(service: Service) -> None:
    """Raise Unavailable unless the service can write. Whoever asks meanwhile waits for the same transaction."""
    if service.draining.is_set():
        raise Unavailable("the service is shutting down")
    try:
        await asyncio.wait_for(service.sequencer.run(_nothing), READY_SECONDS)
    except TimeoutError:
        raise Unavailable(f"the ledger let no transaction through within {READY_SECONDS:g} s") from None
    except OblikError as error:
        raise Unavailable(f"the ledger cannot be written: {error.problem}") from None


def _nothing(_tx: Transaction) -> None:
    """Write nothing, under the lock."""


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"example": TEXT}}}})
def metrics(act: Act) -> Response:
    """Give the figures of this process, to a reader of the owner."""

    def read(connection: Any, caller: Any) -> bytes:
        check_reads_all(caller, act.owner)
        return act.service.metrics.exposition(connection)

    return Response(act.reading(read), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})

"""A witness over HTTP (C2SP tlog-witness v1.0.0), open to whoever is let connect: a log's signature is what counts.

POST /add-checkpoint                        200 signature lines; 409 the last size; else a problem document
GET  /<hex SHA-256 of origin>/checkpoint    the last note cosigned
GET  /healthz                               the process answers
"""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, Path, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ledger.api.problems import install, problem, problem_of
from ledger.api.strict import read_body
from ledger.errors import Malformed, NotLastCosigned, TooLarge
from ledger.log.witnessing import MAX_ADD_CHECKPOINT_BYTES
from ledger.services import witness as service

BODY_SECONDS = 10
"""How long a request may take to arrive: half a megabyte on the slowest line there is."""

SIZE_TYPE = "text/x.tlog.size"

Seconds = Callable[[], int]
"""Gives the POSIX seconds."""


def wall_seconds() -> int:
    """Read the time, in POSIX seconds."""
    return int(time.time())


def create_app(witness: service.Witness, *, clock: Seconds = wall_seconds) -> FastAPI:
    """Make the application over a witness."""
    app = FastAPI(title="Oblik witness", openapi_url=None)
    install(app)
    app.add_exception_handler(NotLastCosigned, _last_size)
    app.add_exception_handler(TooLarge, _cut_off)
    app.add_exception_handler(TimeoutError, _cut_off)

    @app.post("/add-checkpoint", response_class=PlainTextResponse)
    async def add_checkpoint(request: Request) -> Response:
        data = await _read(request)
        lines = await run_in_threadpool(service.add_checkpoint, witness, data, now=clock())
        return PlainTextResponse(lines)

    @app.get("/{origin}/checkpoint", response_class=PlainTextResponse)
    def checkpoint(origin: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        return PlainTextResponse(service.last_checkpoint(witness, origin), headers={"Cache-Control": "no-store"})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


async def _read(request: Request) -> bytes:
    """Read the body. Raises TooLarge or TimeoutError as soon as it is over its limit."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_body(request, limit=MAX_ADD_CHECKPOINT_BYTES)
    except ClientDisconnect:
        raise Malformed("", "the request breaks off") from None


async def _last_size(_request: Request, error: Exception) -> Response:
    size = error.size if isinstance(error, NotLastCosigned) else 0
    return Response(f"{size}\n", 409, {"Content-Type": SIZE_TYPE})  # as a media type, it would be given a charset


async def _cut_off(_request: Request, error: Exception) -> Response:
    """Answer, and hang up on, a request that was not read to its end."""
    late = problem(408, "Too slow", f"the request took over {BODY_SECONDS} seconds to arrive")
    answer = late if isinstance(error, TimeoutError) else problem_of(error)
    answer.headers["Connection"] = "close"
    return answer

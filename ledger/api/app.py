"""The API: routes over one service, errors in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import Receive, Scope, Send

from ledger.api import (
    authzen,
    explanations,
    management,
    metadata,
    oauth,
    operation,
    policies,
    problems,
    reading,
    requests,
    sealing,
    search,
    streams,
    tiles,
)
from ledger.api.openapi import EVALUATION, EVALUATIONS, complete
from ledger.api.rate import RateLimit
from ledger.api.request_ids import echoing
from ledger.bootstrap import Service
from ledger.services.search import Searcher
from ledger.settings import VERSION


class Application(FastAPI):
    """FastAPI, with the decision point before it: its middlewares cost as much as a decision does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand evaluations to the decision point, and everything else on."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif scope["path"] in authzen.PATHS:
            await self.state.decision_point(scope, receive, send)
        else:
            await super().__call__(scope, receive, echoing(scope, send))


def create_app(service: Service) -> FastAPI:
    """Make the API over a service, which ends with it."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    # No interactive documentation page: it would load scripts from elsewhere. `/openapi.json` is served.
    app = Application(title="Oblik", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    problems.install(app)
    app.state.readiness = operation.Readiness(service)
    app.state.rate = RateLimit(service.requests_per_second)
    app.state.decision_point = authzen.DecisionPoint(service, app.state.rate)
    app.state.searcher = Searcher(owner=service.owner)
    app.include_router(search.router)
    app.include_router(metadata.router)
    app.include_router(requests.router)
    app.include_router(management.router)
    app.include_router(policies.router)
    app.include_router(explanations.router)
    app.include_router(reading.router)
    app.include_router(tiles.router)
    app.include_router(sealing.router)
    app.include_router(streams.router)
    app.include_router(operation.router)
    app.include_router(oauth.router)
    app.include_router(oauth.published)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Have the decision point described in the OpenAPI document too, and everything with examples."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes, summary=app.summary)
            schema["paths"] |= {authzen.PATH: EVALUATION, authzen.BATCH_PATH: EVALUATIONS}
            complete(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

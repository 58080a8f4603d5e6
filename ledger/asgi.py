"""The whole application: the API and the pages over one service. `uvicorn --factory ledger.asgi:create_app`.

A witness is an application of its own: `ledger.asgi:create_witness`.
"""

import gc
import os

from fastapi import FastAPI

from ledger.api.app import create_app as create_api
from ledger.api.witness import create_app as create_witness_api
from ledger.bootstrap import open_service, open_witness
from ledger.services import traces
from ledger.settings import settings_from, witness_settings_from
from ledger.web import pages


def create_app() -> FastAPI | traces.Traced:
    """Make the application over the ledger that the environment's settings describe."""
    settings = settings_from(os.environ)
    if settings.traces:
        traces.start(service="oblik")
    service = open_service(settings)
    app = create_api(service)
    pages.install(app, service)
    gc.collect()
    gc.freeze()  # what was made until here lives as long as the process: no collection has to look through it again
    return traces.Traced(app) if settings.traces else app


def create_witness() -> FastAPI:
    """Make the application over the witness that the environment's settings describe."""
    return create_witness_api(open_witness(witness_settings_from(os.environ)))

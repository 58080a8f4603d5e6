"""Pages that anyone who is let connect may see: where the ledger stands, and how to verify it. Nothing of its content.

Rendered here, without scripts; the content security policy has no exceptions.
"""

import base64

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ledger.bootstrap import Service
from ledger.resources import folder
from ledger.services.keys import read_keys
from ledger.storage.reading import read_head

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def install(app: FastAPI, service: Service) -> None:
    """Add the pages to an application."""
    templates = Environment(
        loader=FileSystemLoader(folder("ui") / "templates"), autoescape=True, undefined=StrictUndefined
    )
    app.mount("/static", StaticFiles(directory=folder("ui") / "static"), name="static")

    def front(_request: Request) -> Response:
        with service.engine.connect() as connection:
            head = read_head(connection)
            vkeys = read_keys(connection, size=head.size)
        html = templates.get_template("front.html").render(
            origin=service.origin,
            owner=service.owner,
            size=head.size,
            root=base64.b64encode(head.root).decode(),
            at=head.at,
            vkeys=vkeys,
        )
        return HTMLResponse(html, headers=SECURITY_HEADERS)

    app.get("/", include_in_schema=False)(front)

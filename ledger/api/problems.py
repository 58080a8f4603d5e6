"""Errors as problem details (RFC 9457), in one place: what was wrong, where, and what to do about it."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ledger import errors

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: tuple[tuple[type[errors.OblikError], int, str], ...] = (
    (errors.TooLarge, 413, "Over a limit"),
    (errors.TooOften, 429, "Too many requests"),
    (errors.Malformed, 400, "Malformed input"),
    (errors.Unauthenticated, 401, "Not authenticated"),
    (errors.Forbidden, 403, "Not permitted"),
    (errors.NotFound, 404, "Not found"),
    (errors.Gone, 410, "Gone"),
    (errors.Conflict, 409, "Conflicts with the present state"),
    (errors.Unverified, 422, "Does not verify"),
    (errors.Unavailable, 503, "Unavailable"),
)
"""Which status each branch of the tree of errors gets; the first that fits."""

RETRY_AFTER_SECONDS = 1


def problem(
    status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Give a problem details answer."""
    headers = dict(headers or {})
    if status == 401:  # noqa: PLR2004 - RFC 9110 §11.6.1
        headers["WWW-Authenticate"] = 'Bearer realm="oblik"'
    if status == 503:  # noqa: PLR2004
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    kind = title.lower().replace(" ", "-")
    body = {"type": f"urn:oblik:problem:{kind}", "title": title, "status": status, "detail": detail}
    body |= {name: value for name, value in members.items() if value}
    # In ASCII: what is repeated of the caller's may be half of a surrogate pair, which UTF-8 has no bytes for.
    return Response(json.dumps(body), status, headers, media_type=MEDIA_TYPE)


def status_of(error: errors.OblikError) -> int:
    """Give the status for an error, where it is told as a part of an answer."""
    return next((status for branch, status, _ in STATUS if isinstance(error, branch)), 500)


def problem_of(error: Exception) -> Response:
    """Give the answer for an error; one that is not ours is logged, and told as nothing but a fault of the service."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, errors.TooOften) else None
    for branch, status, title in STATUS:
        if isinstance(error, branch):
            pointer = error.pointer if isinstance(error, errors.Malformed) else ""
            detail = error.problem.removeprefix(f"{pointer}: ") if pointer else error.problem
            return problem(status, title, detail, headers=headers, help=error.help, pointer=pointer)
    log.error("a fault of the service", exc_info=error)
    return problem(500, "Fault of the service", "the request was not carried out; the operator's log says why")


async def _ours(_request: Request, error: Exception) -> Response:
    return problem_of(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Name every field that is not of its form, the first in `pointer`."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    fields = [{"pointer": _pointer(item["loc"]), "detail": str(item["msg"])} for item in found]
    first = fields[0] if fields else {"pointer": "", "detail": "the request is malformed"}
    return problem(400, "Malformed input", first["detail"], pointer=first["pointer"], errors=fields)


def _pointer(location: tuple[str | int, ...]) -> str:
    """Give a JSON pointer (RFC 6901) to the field; the first step says only where it was: body, query or path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location[1:])


async def _http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return problem_of(error)
    titles = {404: "Not found", 405: "Method not allowed"}
    title = titles.get(error.status_code, "Not carried out")
    return problem(error.status_code, title, error.detail, headers=error.headers)


def install(app: FastAPI) -> None:
    """Have every error of the application answered here."""
    app.add_exception_handler(errors.OblikError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _ours)

"""Reading bodies strictly: a capped size, one media type, valid UTF-8, no key twice, no NaN.

Two programs that read one body differently are how a check is bypassed, so what is ambiguous is refused.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ledger.access.shape import TOO_DEEP_HELP, check_depth, once
from ledger.errors import Malformed, TooLarge, show

MAX_BODY_BYTES = 20 * 1024 * 1024
"""A version's documents: a card, a manifest and a list of files of a large dataset."""

MAX_LENGTH_DIGITS = 18


async def read_body(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read the body of a request up to `limit` bytes. Raises TooLarge as soon as there are more."""
    check_announced(request.headers.get("content-length", ""), limit=limit)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge("the body", limit=limit)
        parts.append(part)
    return b"".join(parts)


def check_announced(content_length: str, *, limit: int) -> None:
    """Raise TooLarge where a body announces itself as over the limit."""
    if content_length.isdecimal() and (len(content_length) > MAX_LENGTH_DIGITS or int(content_length) > limit):
        raise TooLarge("the body", limit=limit)


def check_json(content_type: str) -> None:
    """Raise Malformed unless the media type is JSON."""
    if content_type.split(";", maxsplit=1)[0].strip().lower() != "application/json":
        raise Malformed("", f"the content type is {show(content_type)}", help="send `application/json`")


def parse_json(body: bytes) -> Any:
    """Parse JSON. Raises Malformed."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Malformed("", f"the body is not UTF-8 at byte {error.start}") from None
    except ValueError as error:  # not JSON, or a number of more digits than Python reads
        raise Malformed("", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise Malformed("", "the body is nested too deeply", help=TOO_DEEP_HELP) from None
    check_depth(value)
    return value


def _no_constant(name: str) -> None:
    raise Malformed("", f"{show(name)} is not JSON")


class StrictRequest(Request):
    """A request whose JSON is read as above."""

    async def body(self) -> bytes:
        """Read the body once, capped."""
        if not hasattr(self, "_body"):
            self._body = await read_body(self)
        return self._body

    async def json(self) -> Any:
        """Parse the body strictly, once."""
        if not hasattr(self, "_json"):
            check_json(self.headers.get("content-type", ""))
            self._json = parse_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its body as a `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            read = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await read.json()  # before FastAPI does, which answers any error of its reading with one sentence
            return await handle(read)

        return strict

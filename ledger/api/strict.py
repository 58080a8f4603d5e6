"""Reading bodies strictly: a capped size, one media type, valid UTF-8, no key twice, no NaN.

Two programs that read one body differently are how a check is bypassed, so what is ambiguous is refused.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ledger.errors import Malformed, TooLarge, show

MAX_BODY_BYTES = 20 * 1024 * 1024
"""A version's documents: a card, a manifest and a list of files of a large dataset."""

MAX_DEPTH_HELP = "nest less deeply"


async def read_body(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read the body of a request up to `limit` bytes. Raises TooLarge as soon as there are more."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLarge("the body", limit=limit)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge("the body", limit=limit)
        parts.append(part)
    return b"".join(parts)


def check_json(content_type: str) -> None:
    """Raise Malformed unless the media type is JSON."""
    if content_type.split(";", maxsplit=1)[0].strip().lower() != "application/json":
        raise Malformed("", f"the content type is {show(content_type)}", help="send `application/json`")


def parse_json(body: bytes) -> Any:
    """Parse JSON. Raises Malformed."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Malformed("", f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Malformed("", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise Malformed("", "the body is nested too deeply", help=MAX_DEPTH_HELP) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen = dict(pairs)
    if len(seen) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"/{twice}", "stands twice in one object")
    return seen


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
        """Parse the body strictly."""
        check_json(self.headers.get("content-type", ""))
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A route that reads its body as a `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict

"""An `X-Request-ID` that a caller sends comes back on the answer, whatever the answer is (FORMATS §7)."""

from starlette.types import Message, Scope, Send

REQUEST_ID = b"x-request-id"


def echoed(headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Give the header to add to an answer; none where none was sent."""
    sent = headers.get(REQUEST_ID)
    return [] if sent is None else [(REQUEST_ID, sent)]


def echoing(scope: Scope, send: Send) -> Send:
    """Give a `send` that adds the header; `send` itself where there is none to add."""
    added = echoed(dict(scope["headers"]))
    if not added:
        return send

    async def with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return with_id

"""Fetching a stream file from a service, line by line, in bounded memory and time."""

import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx

from ledger.errors import Malformed, Unavailable, show
from ledger.log.stream_file import MAX_LINE_BYTES

READ_SECONDS = 60
"""Without a byte from the service."""

FETCH_SECONDS = 3_600
"""For a whole file, however the bytes trickle."""

MAX_PROBLEM_BYTES = 4_096
"""Of a refusal, to be told."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def fetch_stream(url: str, stream: str, *, token: str) -> Iterator[bytes]:
    """Give the lines of a service's stream file. The token is sent over https, or to this machine, and nowhere else.

    Raises Malformed on another URL, and Unavailable where the service does not answer, refuses, or takes too long.
    """
    given = _parse(url)
    address = f"{str(given).rstrip('/')}/ledger/v1/streams/{quote(stream, safe='')}"
    headers, deadline = {"Authorization": f"Bearer {token}"}, time.monotonic() + FETCH_SECONDS
    try:
        with (
            httpx.Client(timeout=READ_SECONDS, follow_redirects=False) as http,
            http.stream("GET", address, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise Unavailable(f"{given.host} answered {answer.status_code}: {_told(answer)}")
            yield from _lines(answer, deadline)
    except httpx.HTTPError as error:
        raise Unavailable(f"{show(url)} cannot be read: {error}") from None


def _parse(url: str) -> httpx.URL:
    try:
        given = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Malformed("--url", f"{show(url)} is not a URL: {error}") from None
    if given.scheme != "https" and not (given.scheme == "http" and given.host in LOOPBACK):
        raise Malformed("--url", f"{show(url)} is not over https", help="a token is not sent in the clear")
    return given


def _told(answer: httpx.Response) -> str:
    told = b""
    for part in answer.iter_bytes(MAX_PROBLEM_BYTES):
        told += part
        if len(told) >= MAX_PROBLEM_BYTES:
            break
    return told[:MAX_PROBLEM_BYTES].decode(errors="replace")


def _lines(answer: httpx.Response, deadline: float) -> Iterator[bytes]:
    """Part the answer into lines, each with its newline; one that is too long is given as far as it came."""
    rest = b""
    for part in answer.iter_bytes():
        if time.monotonic() > deadline:
            raise Unavailable(f"the file took longer than {FETCH_SECONDS:,} seconds")
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest:
        yield rest

"""Reads another's log over HTTP (C2SP tlog-tiles): a service, or any server of the files that it wrote.

What a server can do to us is bounded: the bytes that it sends, the bytes that they unpack to, and the time that one
answer takes in all. Redirects are not followed, and a token is sent to no other address.
"""

import asyncio
import zlib

import httpx

from ledger.errors import Misconfigured, NotFound, Unavailable, Unverified, show
from ledger.log.place import Place

DEFAULT_SECONDS = 30.0
"""For one answer in all: a full bundle has 16 MiB at the most."""

PACKING_BYTES = 65_536
"""How much longer gzip may make what it cannot shrink: far more than it does."""

MAX_PORT = 65_535

_ABSENT = (httpx.codes.NOT_FOUND, httpx.codes.GONE)
_CLOSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
_GZIP = zlib.MAX_WBITS | 16


class UrlPlace(Place):
    """A log below a URL. Keeps its connections until it is closed."""

    def __init__(self, url: str, token: str = "", timeout: float = DEFAULT_SECONDS) -> None:
        _check_address(url)
        self.name = url
        self._base, self._seconds = url.rstrip("/"), timeout
        self._headers = {"Accept-Encoding": "gzip", "Cache-Control": "no-cache"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._runner = asyncio.Runner()
        self._client: httpx.AsyncClient | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._runner.run(self._client.aclose())
        self._runner.close()

    def read(self, path: str, limit: int) -> bytes:
        """Give a file of at most `limit` bytes, both as sent and unpacked, within the time in all."""
        url = f"{self._base}/{path}"
        try:
            return self._runner.run(self._get(url, limit))
        except TimeoutError:
            raise Unavailable(f"{show(url)} did not answer within {self._seconds:g} s") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"{show(url)} does not answer: {error or type(error).__name__}") from None

    async def _get(self, url: str, limit: int) -> bytes:
        """Read an answer: the limit on time is on all of it, however slowly bytes trickle in."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._seconds, follow_redirects=False)
        async with (
            asyncio.timeout(self._seconds),
            self._client.stream("GET", url, headers=self._headers) as response,
        ):
            _check_status(response, url)
            packed = await _read_raw(response, limit + PACKING_BYTES)
        data = _unpack(packed, response.headers.get("Content-Encoding", ""), limit)
        if data is None:
            raise Unverified(f"{show(url)} does not unpack to what the log may say: {limit:,} bytes at the most")
        return data


def _check_address(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > MAX_PORT:
        raise Misconfigured(f"{show(url)} is no address of a log", help="http:// or https://")
    if parsed.query or parsed.fragment:
        raise Misconfigured(f"{show(url)} goes on behind the path", help="the log's files lie below it")


def _check_status(response: httpx.Response, url: str) -> None:
    if response.status_code in _ABSENT:
        raise NotFound("file", url)
    if response.status_code in _CLOSED:
        raise Unavailable(f"{show(url)} is not for everybody", help="entries take a token with the scope `read`")
    if response.status_code != httpx.codes.OK:
        raise Unavailable(f"{show(url)} answered with status {response.status_code}")


async def _read_raw(response: httpx.Response, limit: int) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_raw():  # as sent: unpacking has a limit of its own
        data += chunk
        if len(data) > limit:
            raise Unverified(f"{show(str(response.url))} is over the limit of {limit:,} bytes")
    return bytes(data)


def _unpack(data: bytes, encoding: str, limit: int) -> bytes | None:
    """Unpack one whole gzip stream, to `limit` bytes and no more; None where it is none, or longer."""
    if encoding.strip().lower() != "gzip":
        return data if encoding in ("", "identity") and len(data) <= limit else None
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(data, limit + 1)
    except zlib.error:
        return None
    whole = unpacker.eof and not unpacker.unused_data and len(unpacked) <= limit
    return unpacked if whole else None

"""Asks time-stamp authorities (RFC 3161 §3.4, over HTTP). What an answer proves, `ledger.log.timestamp` checks."""

import asyncio
import hashlib

import httpx
from rfc3161_client import HashAlgorithm, TimeStampRequest, TimestampRequestBuilder

from ledger.errors import BadTimestamp, Misconfigured, Unavailable, show
from ledger.log.timestamp import MAX_TIMESTAMP_BYTES, parse_timestamp

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"

MAX_PORT = 65_535

_HEADERS = {"Content-Type": QUERY_TYPE, "Accept": REPLY_TYPE, "Accept-Encoding": "identity"}


def request_timestamp(url: str, text: bytes, timeout: float) -> bytes:
    """Have the text of a checkpoint stamped, within `timeout` seconds in all. Gives the answer, to be kept as it is.

    That it was granted, and is to this very question, is checked; who signed it is not: see `check_timestamp`. Raises
    Unavailable where the authority does not answer in time, BadTimestamp on what is no time-stamp of the text, and
    Misconfigured on an address that is none.
    """
    _check_address(url)
    query = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        answer = asyncio.run(_post(url, query.as_bytes(), timeout))
    except TimeoutError:
        raise Unavailable(f"the time-stamp authority {show(url)} did not answer within {timeout:g} s") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"the time-stamp authority {show(url)} does not answer: {error}") from None
    _check_answer(answer, query, text)
    return answer


def _check_address(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > MAX_PORT:
        raise Misconfigured(f"{show(url)} is no address of a time-stamp authority", help="http:// or https://")


async def _post(url: str, query: bytes, seconds: float) -> bytes:
    """Send a query and read the answer: the limit on time is on all of it, however slowly bytes trickle in."""
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds) as client,
        client.stream("POST", url, content=query, headers=_HEADERS) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise Unavailable(f"the time-stamp authority {show(url)} answered with status {response.status_code}")
        if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != REPLY_TYPE:
            raise BadTimestamp(f"the authority's answer is not of the type {REPLY_TYPE}")
        return await _read(response)


async def _read(response: httpx.Response) -> bytes:
    data = b""
    async for chunk in response.aiter_raw():  # as sent: nothing is unpacked
        data += chunk
        if len(data) > MAX_TIMESTAMP_BYTES:
            raise BadTimestamp(f"the authority's answer is over the limit of {MAX_TIMESTAMP_BYTES:,} bytes")
    return data


def _check_answer(answer: bytes, query: TimeStampRequest, text: bytes) -> None:
    """Raise BadTimestamp unless the answer is to this query (RFC 3161 §2.2)."""
    found = parse_timestamp(answer)
    try:
        nonce, imprint = found.tst_info.nonce, found.tst_info.message_imprint
        same_text = (imprint.hash_algorithm, imprint.message) == (
            query.message_imprint.hash_algorithm,
            hashlib.sha256(text).digest(),
        )
    except ValueError as error:
        raise BadTimestamp(f"the authority's answer does not read: {error}") from None
    if nonce is None or nonce != query.nonce:
        raise BadTimestamp("the authority's answer has another nonce: it is to another question, or an old one")
    if not same_text:
        raise BadTimestamp("the authority stamped something else")

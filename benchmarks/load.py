"""A load generator: keep-alive connections, each with one request under way, from one process, on loopback."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop

WARM_UP_SECONDS = 1.0


@dataclass
class Load:
    """What one round saw."""

    answered: int = 0
    allowed: int = 0
    receipts: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        return statistics.quantiles(self.latencies, n=1000)[int(share * 1000) - 1]


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Sequence[bytes], start: int, load: Load, until: float, allows: bytes) -> None:
        self.requests, self.next, self.load, self.until, self.allows = requests, start, load, until, allows
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer, self.sent = b"", 0.0
        self.counts_from = until

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.requests[self.next % len(self.requests)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        start = self.buffer[:head].lower().find(b"content-length: ") + 16
        length = int(self.buffer[start : self.buffer.find(b"\r", start)])
        if len(self.buffer) < head + 4 + length:
            return
        self._count(self.buffer)
        self.buffer = b""
        if time.perf_counter() < self.until:
            self._send()
        else:
            self.transport.close()

    def _count(self, answer: bytes) -> None:
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the service answered {answer[:300]!r}")
        now = time.perf_counter()
        if self.counts_from <= now < self.until:
            self.load.answered += 1
            self.load.allowed += answer.count(self.allows)
            self.load.receipts += b'"receipt":"' in answer
            self.load.latencies.append(now - self.sent)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc) if exc else self.done.set_result(None)


async def _run(port: int, requests: Sequence[bytes], connections: int, seconds: float, allows: bytes) -> Load:
    loop, load = asyncio.get_running_loop(), Load(seconds=seconds)
    begin = time.perf_counter() + WARM_UP_SECONDS
    made = []
    for number in range(connections):
        start = number * len(requests) // connections
        protocol = _Connection(requests, start, load, begin + seconds, allows)
        protocol.counts_from = begin
        await loop.create_connection(lambda protocol=protocol: protocol, "127.0.0.1", port)
        made.append(protocol.done)
    await asyncio.gather(*made)
    return load


def generate(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, allows: bytes = b'"decision":true'
) -> Load:
    """Send requests over so many connections for so long, and count the answers; `allows` is what says one."""
    return uvloop.run(_run(port, requests, connections, seconds, allows))


def request_bytes(path: str, body: bytes, token: str) -> bytes:
    """Give an HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    return head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

"""The client of a witness (C2SP tlog-witness v1.0.0). What a witness answers is believed as far as its keys signed it.

An answer is bounded in size, and a call in time: of the whole call, so that a witness that sends a byte a second ends
with it too. Redirects are not followed, compressed answers not unpacked, and what the environment says of proxies and
passwords is not looked at. A witness is reached by https; by http on this machine alone.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from hashlib import sha256

import httpx
from msgspec import Struct

from ledger.errors import BadCheckpoint, Misconfigured, NoAnswer, NotLastCosigned, show
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import MAX_NOTE_BYTES, Verifier, open_note, parse_note, select_signatures
from ledger.log.witnessing import format_add_checkpoint

SIZE_TYPE = "text/x.tlog.size"
MAX_LINES_BYTES = 64 * 1024
"""Of an answer: a dozen ML-DSA cosignatures, where a witness has one or two keys."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
DEFAULT_SECONDS = 10.0
"""How long a witness may take: it verifies two signatures and writes one row."""

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    media_type: str
    body: bytes


class WitnessClient:
    """Asks one witness, whose keys are `verifiers`. Every call is on its own, so that threads may share it."""

    def __init__(self, url: str, verifiers: Sequence[Verifier], timeout: float = DEFAULT_SECONDS) -> None:
        self.url = _check_url(url)
        self.verifiers = tuple(verifiers)
        self._seconds = timeout
        self._tls = ssl.create_default_context()

    @property
    def name(self) -> str:
        """The witness's name, as its first key has it."""
        return self.verifiers[0].name

    def add_checkpoint(self, old: int, proof: Sequence[bytes], note: bytes) -> bytes:
        """Ask for cosignatures of a checkpoint. Gives the signature lines of this witness's keys, each verified.

        Raises NotLastCosigned where the witness cosigned another size than `old` last, BadNote where its lines are
        malformed, none is by its keys or one does not verify, and NoAnswer for everything else that it does.
        """
        answer = self._ask("POST", "/add-checkpoint", format_add_checkpoint(old, proof, note), limit=MAX_LINES_BYTES)
        if answer.status == httpx.codes.CONFLICT:
            raise NotLastCosigned(self._size(answer))
        self._check_ok(answer)
        return select_signatures(parse_note(note)[0] + b"\n" + answer.body, self.verifiers)

    def last(self, origin: str) -> bytes | None:
        """Give the last note that the witness cosigned of the log `origin`; None where there is none.

        Raises BadNote or BadCheckpoint where it is not of this log or this witness did not cosign it, and NoAnswer.
        """
        path = f"/{sha256(origin.encode()).hexdigest()}/checkpoint"
        answer = self._ask("GET", path, None, limit=MAX_NOTE_BYTES)
        if answer.status == httpx.codes.NOT_FOUND:
            return None
        self._check_ok(answer)
        found = parse_checkpoint(open_note(answer.body, self.verifiers).text).origin
        if found != origin:
            raise BadCheckpoint(f"the checkpoint is of {show(found)}, not of {show(origin)}")
        return answer.body

    def _size(self, answer: Answer) -> int:
        match = _SIZE.fullmatch(answer.body)
        if match is None or answer.media_type != SIZE_TYPE:
            raise NoAnswer(f"witness {show(self.url)} answered 409 without the size that it cosigned last")
        return int(match[1])

    def _check_ok(self, answer: Answer) -> None:
        if answer.status != httpx.codes.OK:
            said = show(ascii(answer.body.decode(errors="replace")))
            raise NoAnswer(f"witness {show(self.url)} answered {answer.status}: {said}")

    def _ask(self, method: str, path: str, body: bytes | None, *, limit: int) -> Answer:
        try:
            return asyncio.run(self._send(method, path, body, limit=limit))
        except TimeoutError:
            raise NoAnswer(f"witness {show(self.url)} did not answer in {self._seconds} seconds") from None
        except (httpx.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise NoAnswer(f"witness {show(self.url)} is not reached: {said}") from None

    async def _send(self, method: str, path: str, body: bytes | None, *, limit: int) -> Answer:
        async with (
            asyncio.timeout(self._seconds),  # of the whole call; httpx's own would be of each read
            httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=None) as http,  # noqa: S113 - see above
            http.stream(method, self.url + path, content=body, headers={"Accept-Encoding": "identity"}) as response,
        ):
            media_type = response.headers.get("content-type", "")
            return Answer(response.status_code, media_type, await self._read(response, limit))

    async def _read(self, response: httpx.Response, limit: int) -> bytes:
        """Read a body as it was sent, up to `limit` bytes."""
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > limit:
                raise NoAnswer(f"the answer of witness {show(self.url)} is over the limit of {limit:,} bytes")
            parts.append(part)
        return b"".join(parts)


def _check_url(url: str) -> str:
    """Give the prefix of a witness's addresses. Raises Misconfigured."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Misconfigured(f"the address of a witness {show(url)} cannot be read: {error}") from None
    if parsed.scheme != "https" and not (parsed.scheme == "http" and parsed.host in LOOPBACK):
        raise Misconfigured(f"witness {show(url)} is not reached by https", help="http is for this machine alone")
    if not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise Misconfigured(f"the address of a witness {show(url)} is not a host and a path")
    return url.rstrip("/")

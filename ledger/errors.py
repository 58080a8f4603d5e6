"""Every exception that Oblik raises on purpose.

    OblikError
    ├── Rejected                 the caller's doing; the caller can mend it
    │   ├── Malformed            input is not of the form asked for; names the field by JSON pointer
    │   ├── TooLarge             input is over a named limit
    │   ├── TooOften             more requests than a caller may make in a second; says when to come back
    │   ├── Unauthenticated      no credential, or one that is unknown, expired or revoked
    │   │   └── BadToken         a signed token is not what it claims; says which rule it breaks
    │   ├── Forbidden            a known caller may not do this
    │   │   └── NotScoped        its token was issued for something else
    │   ├── NotFound             the thing named does not exist, or is not the caller's to see
    │   ├── Gone                 the thing was there, and was erased for good
    │   └── Conflict             the thing's present state does not permit this
    │       └── NotLastCosigned  a witness cosigned another size last, which it names
    ├── Unverified               bytes from outside do not prove what they claim
    │   ├── BadEntry             a ledger entry is not canonical, or breaks the chain; names its index
    │   ├── BadProof             a Merkle proof does not lead to the root
    │   ├── BadNote              a signed note is malformed, or no known key signed it
    │   ├── BadCheckpoint        a checkpoint is malformed, or commits to another history
    │   ├── BadTimestamp         a time-stamp is malformed, of something else, or by nobody who is trusted
    │   └── BadManifest          a signed manifest is malformed, or does not match its files
    ├── Unavailable              the ledger cannot be written or read now: nothing was allowed, try again
    │   └── NoAnswer             another server was not reached in time, or gave an answer that is none
    └── Misconfigured            the operator's doing: a missing, older or newer database, a wrong key

An exception takes the offending value and writes its own message: lower case, input in backticks. `help` says what to
do about it, apart from what was wrong.
"""

SHOWN_VALUE_CHARACTERS = 80
"""How much of an offending value a message repeats: enough to recognise it, too little to flood a log."""


def show(value: object) -> str:
    """Give `value` in backticks, cut to `SHOWN_VALUE_CHARACTERS`."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) > SHOWN_VALUE_CHARACTERS:
        text = text[:SHOWN_VALUE_CHARACTERS] + "…"
    return f"`{text}`"


class OblikError(Exception):
    """The root: `problem` says what was wrong, `help` what to do about it ("" where there is nothing to add)."""

    def __init__(self, problem: str, *, help: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.help = help

    def __str__(self) -> str:
        """One line for a terminal or a log."""
        return f"{self.problem} ({self.help})" if self.help else self.problem


class Rejected(OblikError):  # noqa: N818 - the branches are named after what happened
    """The caller's doing; the caller can mend it."""


class Malformed(Rejected):
    """Input is not of the form asked for. `pointer` is a JSON pointer (RFC 6901) to the field, "" for the whole."""

    def __init__(self, pointer: str, problem: str, *, help: str = "") -> None:
        super().__init__(f"{pointer}: {problem}" if pointer else problem, help=help)
        self.pointer = pointer


class TooLarge(Rejected):
    """Input is over a named limit."""

    def __init__(self, what: str, *, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"{what} is over the limit of {limit:,} {unit}")
        self.limit = limit


class TooOften(Rejected):
    """A caller made more requests than it may in a second. `retry_after` is in seconds."""

    def __init__(self, per_second: float, *, retry_after: int) -> None:
        super().__init__(f"over the limit of {per_second:,.0f} requests a second", help="ask less often")
        self.retry_after = retry_after


class Unauthenticated(Rejected):
    """No credential, or one that is unknown, expired or revoked. Which of these it was is not told."""


class BadToken(Unauthenticated):
    """A signed token is not what it claims. `reason` is one word for the record, `client` who it is known to be of."""

    def __init__(self, reason: str, problem: str, *, client: str = "", help: str = "") -> None:
        super().__init__(f"the token is not accepted: {problem}", help=help)
        self.reason = reason
        self.client = client


class Forbidden(Rejected):
    """A known caller may not do this."""


class NotScoped(Forbidden):
    """The caller's token was issued for something else."""


class NotFound(Rejected):
    """The thing named does not exist, or is not the caller's to see."""

    def __init__(self, what: str, name: object) -> None:
        super().__init__(f"no {what} {show(name)}")


class Gone(Rejected):
    """The thing was there, and was erased for good."""


class Conflict(Rejected):
    """The thing's present state does not permit this."""


class NotLastCosigned(Conflict):
    """A witness cosigned another size last: `size`, 0 where it has cosigned nothing of the log."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the last size cosigned is {show(size)}", help="prove consistency from there")
        self.size = size


class Unverified(OblikError):  # noqa: N818
    """Bytes from outside do not prove what they claim."""


class BadEntry(Unverified):
    """A ledger entry is not canonical, or breaks the chain. `seq` is the index at which it stands."""

    def __init__(self, seq: int, problem: str) -> None:
        super().__init__(f"entry {seq}: {problem}")
        self.seq = seq


class BadProof(Unverified):
    """A Merkle proof does not lead to the root."""


class BadNote(Unverified):
    """A signed note is malformed, or no known key signed it."""


class BadCheckpoint(Unverified):
    """A checkpoint is malformed, or commits to another history."""


class BadTimestamp(Unverified):
    """A time-stamp is malformed, of something else, or by nobody who is trusted."""


class BadManifest(Unverified):
    """A signed manifest is malformed, or does not match its files."""


class Unavailable(OblikError):  # noqa: N818
    """The ledger cannot be written or read now: nothing was allowed, try again."""


class NoAnswer(Unavailable):
    """Another server was not reached in time, or gave an answer that is none."""


class Misconfigured(OblikError):  # noqa: N818
    """The operator's doing: a missing, older or newer database, a wrong key."""

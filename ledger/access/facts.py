"""What the ledger's state says about one request, as values: what `decide` may look at besides the request itself.

Every fact carries `seq`, the ledger index of the entry it rests on, so that each reason can name its evidence. Times
are RFC 3339 in UTC with microseconds (`2026-11-21T09:30:00.123456Z`): their order as text is their order in time.
Countries are ISO 3166-1 alpha-3 codes.
"""

from typing import Literal

from msgspec import Struct


class Party(Struct, frozen=True, kw_only=True, gc=False):
    """The organisation on whose behalf the subject acts."""

    id: str
    country: str
    communities: frozenset[str]
    """Groups of states it belongs to by name of a label's value, for example `NATO`."""
    trust_tier: int
    status: Literal["proposed", "enrolled", "suspended"]
    seq: int


class Purpose(Struct, frozen=True, kw_only=True, gc=False):
    """A node of the adopted purpose tree."""

    path: tuple[str, ...]
    """From the root of the tree down to the purpose itself."""
    prohibited_at: str | None
    """The node on the path that is prohibited, if one is."""
    authorisation_at: str | None = None
    """The node on the path, the nearest, that is open only under a special authorisation, if one is."""
    seq: int


class Resource(Struct, frozen=True, kw_only=True, gc=False):
    """A dataset version or weights: the one asked for, or one of its ancestors, with its own bounds."""

    ref: str
    """`dataset:<id>@<version>` or `weights:<id>`."""
    originator: str
    """The organisation that owns it; what is not permitted to anyone is permitted to it alone."""
    tier: str
    releasable_to: frozenset[str]
    """Countries and communities its label releases it to. Empty: the originator alone."""
    purposes: frozenset[str]
    """Nodes of the purpose tree it is open for, each with what lies below it. Empty: the originator alone."""
    countries: frozenset[str]
    """Where it may be processed. Empty: by the originator alone, and in its own country."""
    until: str
    """When it closes; "" for no end."""
    withdrawn: bool
    seq: int
    manifest_root: str = ""
    """SHA-256 over its files' digests: not read by any clause, told with an allow."""


class Agreement(Struct, frozen=True, kw_only=True, gc=False):
    """The agreement that a grant rests on."""

    id: str
    status: Literal["proposed", "in_force", "suspended", "ended"]
    purposes: frozenset[str]
    activities: frozenset[str]
    tier: str
    environments: frozenset[str]
    countries: frozenset[str]
    starts: str
    ends: str
    seq: int
    report_within_hours: int = 24
    """How soon after a use its report is due, by the agreement's duty `report_use`."""


class Grant(Struct, frozen=True, kw_only=True, gc=False):
    """A grant to the party on the resource, with the agreement it rests on."""

    id: str
    purpose: str
    activities: frozenset[str]
    tier: str
    environments: frozenset[str]
    countries: frozenset[str]
    starts: str
    ends: str
    revoked_seq: int | None
    """The entry that revoked it, if one did."""
    seq: int
    agreement: Agreement
    attestation: bool = False
    """Whether the environment has to be named, and attested."""
    max_runs: int | None = None
    """How many training runs may be started; None for any number."""
    runs: int = 0
    """How many were started."""
    runs_open: int = 0
    """How many of these have not ended."""
    runs_seq: int | None = None
    """The entry that started or ended the last of them."""


class Authorisation(Struct, frozen=True, kw_only=True, gc=False):
    """What opens a purpose to the party that is open only under a special authorisation."""

    purpose: str
    starts: str
    ends: str
    seq: int


class Attestation(Struct, frozen=True, kw_only=True, gc=False):
    """What the party's environment that the request names was attested to be."""

    kind: str
    country: str
    starts: str
    ends: str
    withdrawn: bool
    seq: int


class Restraint(Struct, frozen=True, kw_only=True, gc=False):
    """A pause, or an incident that blocks: what uses it stops."""

    scope: str
    """`everything`, `organisation`, `resource`, `agreement`, `grant`, `purpose` or `environment`."""
    target: str
    seq: int


class Facts(Struct, frozen=True, kw_only=True, gc=False):
    """All that a decision rests on, read from one state of the ledger.

    What does not exist is None or empty, and no clause that needs it holds.
    """

    party: Party | None
    purpose: Purpose | None
    resource: Resource | None
    ancestors: tuple[Resource, ...]
    """Everything that the resource is derived from, directly or not; each must permit the request too."""
    grants: tuple[Grant, ...]
    pauses: tuple[Restraint, ...] = ()
    """Every pause that stands, whomever it concerns."""
    incidents: tuple[Restraint, ...] = ()
    """Every open incident that blocks."""
    authorisations: tuple[Authorisation, ...] = ()
    """Of the party, where the purpose needs one; those that were withdrawn are left out."""
    attestation: Attestation | None = None
    """Of the environment that the request names, if it names one."""

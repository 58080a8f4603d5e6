"""Every answer to "may I?", and every use made of one. Neither changes what later decisions depend on."""

from msgspec import Struct

from ledger.events.catalogue import Event, event


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The request as it was decided on (AuthZEN subject, action, resource, and the context that clauses read)."""

    action: str
    country: str
    environment: str
    purpose: str
    resource: str
    subject: str
    tier: str
    environment_id: str = ""
    """The environment by name, where the request named it."""
    storage_country: str = ""
    """Where it is stored, if the request said so; else where it is processed."""


@event("decision.recorded", changes_state=False)
class DecisionRecorded(Event, frozen=True, kw_only=True, gc=False):
    """An answer. All that replay needs to derive it again, and its reasons, is here or earlier in the ledger."""

    asked: Asked
    org: str
    """On whose behalf the subject asked."""
    allowed: bool
    failed: tuple[str, ...]
    """Names of the clauses that did not hold, in the policy's order."""
    rests_on: tuple[int, ...]
    """Ledger indexes of the entries that the clauses rest on, ascending."""
    policy: str
    evaluated_at: str
    state_seq: int
    """Index of the last entry that changed anything decisions depend on, when this was evaluated."""
    grant: str | None = None
    version: str | None = None
    """The dataset version that the tier led to."""
    errors: tuple[str, ...] = ()

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", self.asked.resource)


Property = str | bool | int | tuple[str, ...]


@event("decision.mounted", changes_state=False)
class MountedDecisionRecorded(Event, frozen=True, kw_only=True):
    """An answer under a mounted policy. All that replay needs to derive it again is here or earlier in the ledger."""

    mount: str
    """Name of the policy."""
    policy: str
    """Its digest."""
    subject: str
    action: str
    resource: str
    brought: dict[str, Property]
    """Properties that the request brought along and that counted, as `subject.role`."""
    allowed: bool
    evaluated_at: str
    state_seq: int
    """Index of the last entry that changed anything decisions depend on, when this was evaluated."""
    row: int | None = None
    """Line of the row that decided; None where none applies."""
    errors: tuple[str, ...] = ()


class Quantity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much was read."""

    files: int = 0
    bytes: int = 0
    records: int = 0


@event("use.reported", changes_state=False)
class UseReported(Event, frozen=True, kw_only=True):
    """A gateway reported the access that was made under an allow."""

    decision: int
    """Ledger index of the allow."""
    org: str
    resource: str
    version: str
    manifest_root: str
    """Of what was read."""
    quantity: Quantity
    started: str
    ended: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", self.resource)


@event("use.anomalous", changes_state=False)
class UseAnomalous(Event, frozen=True, kw_only=True):
    """A reported use that no allow covers. The reporter was refused; the report is kept, with what was wrong."""

    problem: str
    decision: int
    """The index that the report named; it need not exist."""
    org: str
    """Who reported."""
    resource: str
    version: str
    quantity: Quantity
    started: str
    ended: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)

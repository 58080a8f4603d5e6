"""Agreements, requests for access, and the grants that come of them."""

from typing import Literal

from msgspec import Struct

from ledger.events.catalogue import Event, event
from ledger.governance.terms import Terms


class GrantTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Terms of a request or a grant, which is bound to one purpose, with what lies below it."""

    purpose: str
    activities: tuple[str, ...]
    tier: str
    environments: tuple[str, ...]
    countries: tuple[str, ...]
    starts: str
    ends: str
    attestation: bool = False
    """Whether the environment has to be named, and attested."""
    max_runs: int | None = None
    """How many training runs may be started under it; None for any number."""


@event("agreement.proposed")
class AgreementProposed(Event, frozen=True, kw_only=True):
    """A steward proposed terms to a partner, from a template that is fixed by its digest."""

    id: str
    template: str
    version: str
    template_sha256: str
    provider: str
    consumer: str
    terms: Terms
    """With every obligation, the template's and those added."""

    def streams(self) -> tuple[str, ...]:
        return (f"agreement:{self.id}", f"org:{self.consumer}", f"org:{self.provider}")


@event("agreement.signed")
class AgreementSigned(Event, frozen=True, kw_only=True):
    """One party signed. `in_force` says that it was the last, and that the agreement holds from here on."""

    id: str
    org: str
    in_force: bool

    def streams(self) -> tuple[str, ...]:
        return (f"agreement:{self.id}", f"org:{self.org}")


@event("access.requested", changes_state=False, sealable=("justification",))
class AccessRequested(Event, frozen=True, kw_only=True):
    """A partner asked for access. The quorum that will decide is fixed here, so that later rules do not rewrite it."""

    id: str
    org: str
    agreement: str
    resource: str
    """`dataset:<id>` or `weights:<id>`."""
    terms: GrantTerms
    quorum: tuple[str, ...]
    requested_by: str

    def streams(self) -> tuple[str, ...]:
        return (self.resource, f"org:{self.org}")


@event("access.voted", changes_state=False)
class AccessVoted(Event, frozen=True, kw_only=True):
    """One official voted on a request, in one role."""

    request: str
    org: str
    resource: str
    role: str
    vote: Literal["approve", "refuse"]
    note: str = ""

    def streams(self) -> tuple[str, ...]:
        return (self.resource, f"org:{self.org}")


@event("access.refused", changes_state=False)
class AccessRefused(Event, frozen=True, kw_only=True):
    """A vote refused the request; it is closed."""

    request: str
    org: str
    resource: str

    def streams(self) -> tuple[str, ...]:
        return (self.resource, f"org:{self.org}")


@event("grant.issued")
class GrantIssued(Event, frozen=True, kw_only=True):
    """The quorum was complete: the organisation may use the resource within these terms and its agreement's."""

    id: str
    request: str
    agreement: str
    org: str
    resource: str
    terms: GrantTerms

    def streams(self) -> tuple[str, ...]:
        return (self.resource, f"org:{self.org}")


@event("grant.revoked")
class GrantRevoked(Event, frozen=True, kw_only=True):
    """An approver ended the grant, alone and at once."""

    id: str
    org: str
    resource: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (self.resource, f"org:{self.org}")

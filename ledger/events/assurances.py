"""Assurances: what others vouch for, from when until when: a purpose's authorisation, an environment's attestation."""

from typing import Literal

from ledger.events.catalogue import Event, event


@event("authorisation.recorded")
class AuthorisationRecorded(Event, frozen=True, kw_only=True):
    """A political or legal authority opened a purpose, and what lies below it, to an organisation for a time."""

    id: str
    purpose: str
    org: str
    basis: Literal["political", "legal"]
    document_sha256: str
    """Of the document by which it was given, which is kept elsewhere."""
    starts: str
    ends: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)


@event("authorisation.withdrawn")
class AuthorisationWithdrawn(Event, frozen=True, kw_only=True):
    """It holds no longer."""

    id: str
    org: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)


@event("environment.attested")
class EnvironmentAttested(Event, frozen=True, kw_only=True):
    """Security verified an environment's evidence of what it is; an attestation replaces the one before."""

    org: str
    environment: str
    """As a request names it in `context.environment.id`."""
    kind: str
    country: str
    evidence_sha256: str
    """Of the evidence that was verified, which is kept elsewhere."""
    starts: str
    ends: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)


@event("environment.attestation_withdrawn")
class AttestationWithdrawn(Event, frozen=True, kw_only=True):
    """The environment is no longer taken for what it was attested to be."""

    org: str
    environment: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)

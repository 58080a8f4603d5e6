"""Organisations, the people and systems that act for them, and what they authenticate with."""

from typing import Literal

from ledger.events.catalogue import Event, event


@event("ledger.opened")
class LedgerOpened(Event, frozen=True, kw_only=True):
    """The first entry of every ledger: whose it is, under which origin, and which keys sign its checkpoints."""

    origin: str
    owner: str
    """Id of the organisation whose ledger this is."""
    vkeys: tuple[str, ...]
    """Verifier keys (C2SP signed-note) of the log."""

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.owner}",)


@event("organisation.proposed")
class OrganisationProposed(Event, frozen=True, kw_only=True):
    """An administrator put an organisation forward; it may do nothing until security confirms it."""

    id: str
    name: str
    country: str
    communities: tuple[str, ...]
    """Groups of states that labels may release to, of which it is a part, for example `NATO`."""
    trust_tier: int
    """0 (unknown) to 4 (treaty ally)."""

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.id}",)


@event("organisation.enrolled")
class OrganisationEnrolled(Event, frozen=True, kw_only=True):
    """A second person, from security, confirmed the organisation."""

    id: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.id}",)


@event("member.appointed")
class MemberAppointed(Event, frozen=True, kw_only=True):
    """A person was given roles in an organisation; an appointment replaces the one before."""

    org: str
    person: str
    roles: tuple[str, ...]

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)


@event("credential.issued")
class CredentialIssued(Event, frozen=True, kw_only=True):
    """A person or a system was given an API token; only the SHA-256 of its 256 random bits is kept anywhere."""

    id: str
    org: str
    holder: str
    holder_type: Literal["person", "system"]
    scopes: tuple[str, ...]
    token_sha256: str
    expires: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)


@event("credential.revoked")
class CredentialRevoked(Event, frozen=True, kw_only=True):
    """A token stopped being one."""

    id: str
    org: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)

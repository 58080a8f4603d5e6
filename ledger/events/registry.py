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


@event("credential.key_registered")
class CredentialKeyRegistered(Event, frozen=True, kw_only=True):
    """A system's public key was registered: with what it signs, it gets access tokens of minutes (RFC 7523)."""

    id: str
    """Also the OAuth client id."""
    org: str
    holder: str
    scopes: tuple[str, ...]
    jwk: dict[str, str]
    """The public key (RFC 7517), with nothing but the key: Ed25519 or P-256."""
    jwk_thumbprint: str
    """Its SHA-256 (RFC 7638) in base64url."""
    expires: str
    certificate_bound: bool = False
    """Whether its access tokens work with the TLS certificate alone with which they were asked for (RFC 8705)."""

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)


@event("authentication.failed", changes_state=False)
class AuthenticationFailed(Event, frozen=True, kw_only=True):
    """A signed token, or what was to be exchanged for one, was refused. Not each is recorded: see `unrecorded`."""

    reason: str
    """One word for the rule that it broke."""
    client: str = ""
    """Whose it was, or, where the signature is what is wrong, claimed to be; "" where no such client is known."""
    org: str = ""
    unrecorded: int = 0
    """How many more this process refused since its last such entry."""

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",) if self.org else ()


@event("credential.revoked")
class CredentialRevoked(Event, frozen=True, kw_only=True):
    """A token, or a registered key, stopped being one."""

    id: str
    org: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}",)

"""Who is calling, and what a caller may do. Whatever authenticates yields a `Caller`.

An API token is `oblik_` and 256 random bits. The ledger and the tables hold its SHA-256 only. It is looked up in the
same transaction that does what it asks for, so that none works after its revocation. An access token (`Access`) is
verified before; the client that it names is looked up in just the same way, under `client:<id>`.
"""

import hashlib
import secrets
from collections.abc import Iterable

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from ledger.errors import Forbidden, NotScoped, Unauthenticated
from ledger.storage.columns import load
from ledger.storage.tables import CLIENT_PREFIX, CredentialRow, MemberRow, OrganisationRow, table

CREDENTIAL, MEMBER, ORGANISATION = table(CredentialRow), table(MemberRow), table(OrganisationRow)

TOKEN_PREFIX = "oblik_"  # noqa: S105 - what every token starts with, so that a leaked one is recognised
TOKEN_BYTES = 32

SCOPES = ("evaluate", "report", "train", "govern", "read")
"""evaluate: ask for decisions; report: uses; train: runs and weights; govern: what people do; read: entries."""

ROLES = (
    "administrator",
    "security",
    "steward",
    "legal",
    "engineering",
    "ethics",
    "auditor",
    "signatory",
    "applicant",
)
"""What a person may be in an organisation. `signatory` and `applicant` are roles in a partner."""


class Access(Struct, frozen=True, gc=False):
    """What a verified access token says: it gives no more than its client has, for a shorter time."""

    client: str
    scopes: frozenset[str]
    expires: str
    certificate: str = ""
    """SHA-256, in base64url, of the TLS certificate without which it does not work (RFC 8705); "" for none."""

    @property
    def known_by(self) -> str:
        """What its client is looked up by, where an API token is by its hash."""
        return CLIENT_PREFIX + self.client


class Caller(Struct, frozen=True, kw_only=True):
    """An authenticated caller."""

    credential: str
    org: str
    holder: str
    holder_type: str
    scopes: frozenset[str]
    expires: str
    roles: frozenset[str]
    enrolled: bool
    """Whether its organisation is enrolled: one that is only proposed, or suspended, changes nothing."""

    @property
    def by(self) -> dict[str, str]:
        """Who acts, as an entry names it."""
        return {"org": self.org, self.holder_type: self.holder}

    @property
    def name(self) -> str:
        """`<org>/<holder>`."""
        return f"{self.org}/{self.holder}"


def new_token() -> tuple[str, str]:
    """Make a token. Returns it, to be shown once, and its SHA-256 in hex, to be kept."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """Give the hash by which a token is known. The bits are random, so a plain hash suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_callers(connection: sa.Connection, hashes: Iterable[str]) -> dict[str, Caller]:
    """Read the callers behind token hashes, or clients (`Access.known_by`); unknown and revoked ones are left out.

    Expiry is the caller's to check.
    """
    query = (
        sa.select(CREDENTIAL, MEMBER.c.roles, ORGANISATION.c.status)
        .outerjoin(
            MEMBER,
            sa.and_(
                MEMBER.c.org == CREDENTIAL.c.org,
                MEMBER.c.person == CREDENTIAL.c.holder,
                CREDENTIAL.c.holder_type == "person",
            ),
        )
        .outerjoin(ORGANISATION, ORGANISATION.c.id == CREDENTIAL.c.org)
        .where(CREDENTIAL.c.known_by.in_(sorted(hashes)), CREDENTIAL.c.revoked_seq.is_(None))
    )
    return {row.known_by: _caller(row) for row in connection.execute(query)}


def _caller(row: sa.Row[tuple[object, ...]]) -> Caller:
    return Caller(
        credential=row.id,
        org=row.org,
        holder=row.holder,
        holder_type=row.holder_type,
        scopes=load(row.scopes, frozenset[str]),
        expires=row.expires,
        roles=load(row.roles or "[]", frozenset[str]),
        enrolled=row.status == "enrolled",
    )


def check_caller(caller: Caller | None, *, now: str, access: Access | None = None) -> Caller:
    """Raise Unauthenticated unless there is a caller whose token has not expired, nor its access token."""
    if caller is None or caller.expires <= now or (access is not None and access.expires <= now):
        raise Unauthenticated("the token is unknown, expired or revoked", help="ask your administrator for a new one")
    return caller if access is None else replace(caller, scopes=caller.scopes & access.scopes)


def authenticate(connection: sa.Connection, token_hash: str, *, now: str, access: Access | None = None) -> Caller:
    """Find the caller behind a token's hash, or behind an access token. Raises Unauthenticated."""
    return check_caller(read_callers(connection, [token_hash]).get(token_hash), now=now, access=access)


def require_scope(caller: Caller, scope: str) -> None:
    """Raise NotScoped unless the token was issued for this."""
    if scope not in caller.scopes:
        raise NotScoped(f"the token of `{caller.name}` is not scoped for `{scope}`")


def require_role(caller: Caller, *roles: str, org: str) -> str:
    """Raise Forbidden unless the caller is a person of `org` in one of the roles. Returns the first that fits."""
    require_scope(caller, "govern")
    if caller.holder_type == "person" and caller.org == org:
        for role in roles:
            if role in caller.roles:
                return role
    wanted = " or ".join(roles)
    raise Forbidden(f"this takes a person of `{org}` in the role {wanted}; `{caller.name}` is none")


def require_enrolled(caller: Caller) -> None:
    """Raise Forbidden unless the caller's organisation is enrolled."""
    if not caller.enrolled:
        raise Forbidden(f"organisation `{caller.org}` is not enrolled, or is suspended")

"""Who is calling, and what a caller may do. API tokens today; whatever authenticates later also yields a `Caller`.

A token is `oblik_` and 256 random bits. The ledger and the tables hold its SHA-256 only. A token is looked up in the
same transaction that does what it asks for, so that none works after its revocation.
"""

import hashlib
import secrets
from collections.abc import Iterable

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Forbidden, Unauthenticated
from ledger.storage.columns import load
from ledger.storage.tables import CredentialRow, MemberRow, OrganisationRow, table

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
    """Read the callers behind token hashes; unknown and revoked ones are left out. Expiry is the caller's to check."""
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
        .where(CREDENTIAL.c.token_sha256.in_(sorted(hashes)), CREDENTIAL.c.revoked_seq.is_(None))
    )
    return {row.token_sha256: _caller(row) for row in connection.execute(query)}


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


def check_caller(caller: Caller | None, *, now: str) -> Caller:
    """Raise Unauthenticated unless there is a caller whose token has not expired."""
    if caller is None or caller.expires <= now:
        raise Unauthenticated("the token is unknown, expired or revoked", help="ask your administrator for a new one")
    return caller


def authenticate(connection: sa.Connection, token_hash: str, *, now: str) -> Caller:
    """Find the caller behind a token's hash. Raises Unauthenticated."""
    return check_caller(read_callers(connection, [token_hash]).get(token_hash), now=now)


def require_scope(caller: Caller, scope: str) -> None:
    """Raise Forbidden unless the token was issued for this."""
    if scope not in caller.scopes:
        raise Forbidden(f"the token of `{caller.name}` is not scoped for `{scope}`")


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

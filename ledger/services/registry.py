"""Organisations, members and credentials: who exists, who acts for whom, and with what."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, Forbidden, Malformed, NotFound, show
from ledger.events import registry
from ledger.keys.jwt import PublicKey, parse_jwk, parse_public_pem
from ledger.services.caller import ROLES, SCOPES, Caller, new_token, require_enrolled, require_role
from ledger.storage.tables import CredentialRow, MemberRow, OrganisationRow, table
from ledger.storage.transaction import Transaction

CREDENTIAL, MEMBER, ORGANISATION = table(CredentialRow), table(MemberRow), table(OrganisationRow)


class Registered(Struct, frozen=True):
    """A registered key, by which its system is a client of `/oauth2/token`."""

    seq: int
    id: str
    kid: str
    expires: str


class Issued(Struct, frozen=True):
    """A new credential. The token is shown here and never again."""

    seq: int
    id: str
    token: str
    expires: str


def propose_organisation(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    name: str,
    country: str,
    communities: Sequence[str],
    trust_tier: int,
) -> int:
    """Put an organisation forward. The owner's own is enrolled at once: nobody else is there yet."""
    require_role(caller, "administrator", org=owner)
    if find_organisation(tx, id) is not None:
        raise Conflict(f"organisation {show(id)} exists already")
    proposal = registry.OrganisationProposed(
        id=id, name=name, country=country, communities=tuple(sorted(set(communities))), trust_tier=trust_tier
    )
    seq = tx.append(proposal, caller.by)
    return tx.append(registry.OrganisationEnrolled(id=id), caller.by) if id == owner else seq


def enrol_organisation(tx: Transaction, caller: Caller, owner: str, *, id: str) -> int:
    """Confirm a proposed organisation: a second person, from security (DESIGN §6)."""
    require_role(caller, "security", org=owner)
    found = get_organisation(tx, id)
    if found.status != "proposed":
        raise Conflict(f"organisation {show(id)} is {found.status}, not proposed")
    if found.proposed_by == caller.holder:
        raise Forbidden(
            "the one who proposed an organisation may not confirm it", help="ask another person in security"
        )
    return tx.append(registry.OrganisationEnrolled(id=id), caller.by)


def appoint_member(tx: Transaction, caller: Caller, owner: str, *, org: str, person: str, roles: Sequence[str]) -> int:
    """Give a person roles in an organisation, in place of those that they had."""
    require_role(caller, "administrator", org=owner)
    get_organisation(tx, org)
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise Malformed("/roles", f"{show(unknown[0])} is no role", help=f"one of {', '.join(ROLES)}")
    return tx.append(registry.MemberAppointed(org=org, person=person, roles=tuple(sorted(set(roles)))), caller.by)


def issue_credential(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    org: str,
    holder: str,
    holder_type: str,
    scopes: Sequence[str],
    expires: str,
) -> Issued:
    """Give a person or a system of an organisation an API token. A person has to be a member first."""
    require_role(caller, "administrator", org=owner)
    get_organisation(tx, org)
    _check_credential(tx, id=id, org=org, holder=holder, holder_type=holder_type, scopes=scopes, expires=expires)
    token, digest = new_token()
    issued = registry.CredentialIssued(
        id=id,
        org=org,
        holder=holder,
        holder_type="person" if holder_type == "person" else "system",
        scopes=tuple(sorted(set(scopes))),
        token_sha256=digest,
        expires=expires,
    )
    return Issued(tx.append(issued, caller.by), id, token, expires)


def register_key(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    id: str,
    org: str,
    holder: str,
    scopes: Sequence[str],
    expires: str,
    public_key: Mapping[str, str] | str,
    certificate_bound: bool,
) -> Registered:
    """Register a system's public key, a JWK or PEM: the owner's administrator does, or the system's organisation's own.

    A key is registered once and for all: one that was revoked is not to come back under another name.
    """
    require_role(caller, "administrator", org=_registrar(caller, org, owner))
    require_enrolled(caller)
    get_organisation(tx, org)
    _check_credential(tx, id=id, org=org, holder=holder, holder_type="system", scopes=scopes, expires=expires)
    key = _public_key(public_key)
    if tx.row(sa.select(CREDENTIAL.c.id).where(CREDENTIAL.c.jwk_thumbprint == key.kid)) is not None:
        raise Conflict("this key is registered already, or was", help="make a new pair of keys")
    registered = registry.CredentialKeyRegistered(
        id=id,
        org=org,
        holder=holder,
        scopes=tuple(sorted(set(scopes))),
        jwk=key.jwk,
        jwk_thumbprint=key.kid,
        expires=expires,
        certificate_bound=certificate_bound,
    )
    return Registered(tx.append(registered, caller.by), id, key.kid, expires)


def _registrar(caller: Caller, org: str, owner: str) -> str:
    """Name the organisation in which one has to have a role, to do something about a credential of `org`."""
    return org if caller.org == org else owner


def _public_key(given: Mapping[str, str] | str) -> PublicKey:
    try:
        return parse_public_pem(given) if isinstance(given, str) else parse_jwk(given)
    except Malformed as error:
        raise Malformed("/public_key", error.problem, help=error.help) from None


def _check_credential(  # noqa: PLR0917
    tx: Transaction,
    id: str,
    org: str,
    holder: str,
    holder_type: str,
    scopes: Sequence[str],
    expires: str,
) -> None:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise Malformed("/scopes", f"{show(unknown[0])} is no scope", help=f"one of {', '.join(SCOPES)}")
    if holder_type == "system" and "govern" in scopes:
        raise Malformed("/scopes", "a system does not govern", help="`govern` is for people")
    if expires <= tx.now:
        raise Malformed("/expires", f"{show(expires)} is past")
    if tx.row(sa.select(CREDENTIAL.c.id).where(CREDENTIAL.c.id == id)) is not None:
        raise Conflict(f"credential {show(id)} exists already")
    if holder_type == "person":
        member = sa.select(MEMBER.c.person).where(MEMBER.c.org == org, MEMBER.c.person == holder)
        if tx.row(member) is None:
            raise NotFound(f"member of `{org}` called", holder)


def revoke_credential(tx: Transaction, caller: Caller, owner: str, *, id: str, reason: str) -> int:
    """End a token or a key: for an administrator or security, of the owner or of its organisation; or its holder."""
    found = tx.row(CREDENTIAL.select().where(CREDENTIAL.c.id == id))
    if found is None:
        raise NotFound("credential", id)
    if id != caller.credential:
        require_role(caller, "administrator", "security", org=_registrar(caller, found.org, owner))
    if found.revoked_seq is not None:
        raise Conflict(f"credential {show(id)} was revoked by entry {found.revoked_seq}")
    return tx.append(registry.CredentialRevoked(id=id, org=found.org, reason=reason), caller.by)


def find_organisation(tx: Transaction, id: str) -> "sa.Row[tuple[object, ...]] | None":
    """Read an organisation, None where there is none."""
    return tx.row(ORGANISATION.select().where(ORGANISATION.c.id == id))


def get_organisation(tx: Transaction, id: str) -> "sa.Row[tuple[object, ...]]":
    """Read an organisation. Raises NotFound."""
    found = find_organisation(tx, id)
    if found is None:
        raise NotFound("organisation", id)
    return found

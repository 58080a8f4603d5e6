"""Access tokens: who asked for one, and who shows one (OAuth 2 client credentials, RFC 6749 §4.4).

A system proves who it is with an assertion that it signs with its registered key (`private_key_jwt`: RFC 7521, RFC
7523), and gets a token of minutes in the form of RFC 9068, which this service signs:

    assertion   {"iss": "<client>", "sub": "<client>", "aud": "<url>/oauth2/token", "iat": …, "exp": …, "jti": …}
    token       {"iss": "<url>", "aud": "<url>", "sub": "<client>", "client_id": "<client>", "scope": "evaluate",
                 "iat": …, "exp": …, "jti": …, "cnf": {"x5t#S256": …}}

A client is a credential (`credential.key_registered`), and its id the client id. An assertion is taken once: that is
decided by the database, in the transaction that looks the client up again. A token says no more than which client it
is of: what a client may do is read from the ledger's state whenever its token is used, so that revoking the client ends
all its tokens at once (decision 0006).
"""

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import BadToken, Malformed, OblikError, Unavailable, show
from ledger.events.registry import AuthenticationFailed
from ledger.keys.jwt import PublicKey, Token, check_claims, check_token, format_jwk, parse_jwk, read_token, sign_token
from ledger.keys.tokens import TokenKeys
from ledger.log.entry import format_time
from ledger.services.caller import SCOPES, Access
from ledger.services.failures import FailureRecord
from ledger.storage.columns import load
from ledger.storage.tables import CredentialRow, UsedAssertionRow, table
from ledger.storage.transaction import Transaction

log = logging.getLogger(__name__)

CREDENTIAL, USED = table(CredentialRow), table(UsedAssertionRow)

Submit = Callable[[Callable[[Transaction], Any]], "Future[Any]"]

TOKEN_PATH, JWKS_PATH, METADATA_PATH = "/oauth2/token", "/oauth2/jwks", "/.well-known/oauth-authorization-server"

GRANT_TYPE = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068 §2.1
ASSERTION_TYPES = (None, "jwt", "client-authentication+jwt")
"""What a client assertion may call itself: RFC 7523 asks for nothing. An access token is none."""

TOKEN_SECONDS = 600
"""Lifetime of an access token: a leaked one is of use for minutes; asking again costs one request."""

ASSERTION_SECONDS = 300
"""The most that an assertion may live, and has to be remembered for."""

MAX_LIVE_ASSERTIONS = 500
"""Of one client, remembered at a time: more than one a second."""

MAX_REMEMBERED = 10_000
"""Verified access tokens that are not verified again, at about 1 kB each: checking a signature costs as much as a
decision."""

CERTIFICATE_HELP = "connect with the TLS certificate with which you asked for the token"


class TokenRequest(Struct, frozen=True, kw_only=True):
    """What `/oauth2/token` is asked."""

    grant_type: str
    assertion_type: str
    assertion: str
    client: str = ""
    scope: str | None = None
    certificate: str = ""
    """SHA-256, in base64url, of the client's TLS certificate; "" where there is none."""


class Proved(Struct, frozen=True):
    """A request whose assertion was checked, but not yet used up."""

    client: str
    jti: str
    ends: int
    asked: TokenRequest


class Granted(Struct, frozen=True):
    """An access token."""

    token: str
    seconds: int
    scope: str


class Tokens:
    """Issues access tokens and recognises them. Thread-safe."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        url: str,
        owner: str,
        keys: TokenKeys,
        submit: Submit,
        clock: Callable[[], datetime],
    ) -> None:
        self.url = url
        self._engine, self._owner, self._keys, self._submit, self._clock = engine, owner, keys, submit, clock
        self._failures = FailureRecord()
        self._verified: dict[bytes, tuple[str, Access]] = {}
        self._remembering = threading.Lock()

    # What is published ------------------------------------------------------------------------------------------------

    def jwks(self) -> dict[str, Any]:
        """Give the keys that access tokens are checked with (RFC 7517 §5)."""
        return {"keys": [format_jwk(key) for key in self._keys.published(self._clock()).values()]}

    def metadata(self) -> dict[str, Any]:
        """Give the authorization server's metadata (RFC 8414 §2)."""
        return {
            "issuer": self.url,
            "token_endpoint": self.url + TOKEN_PATH,
            "jwks_uri": self.url + JWKS_PATH,
            "scopes_supported": [scope for scope in SCOPES if scope != "govern"],
            "response_types_supported": [],
            "grant_types_supported": [GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
            "tls_client_certificate_bound_access_tokens": True,
        }

    # Issuing ----------------------------------------------------------------------------------------------------------

    def prove(self, asked: TokenRequest) -> Proved:
        """Check who asks. Raises Malformed where it is no request, BadToken where the assertion proves nothing."""
        _check_form(asked)
        try:
            return self._prove(asked)
        except BadToken as error:
            self.record(error)
            raise

    def _prove(self, asked: TokenRequest) -> Proved:
        token = read_token(asked.assertion)
        client, now = token.claim("sub"), self._clock()
        key = self._key_of(client)
        try:
            check_token(token, key, types=ASSERTION_TYPES)
            check_claims(token, issuer=client, audiences=self._audiences, now=now, seconds=ASSERTION_SECONDS)
            _check_client(client, asked.client)
        except BadToken as error:
            raise _of(client, error) from None
        return Proved(client, token.claim("jti"), token.claims["exp"], asked)

    @property
    def _audiences(self) -> tuple[str, str]:
        return self.url + TOKEN_PATH, self.url

    def _key_of(self, client: str) -> PublicKey:
        with self._engine.connect() as connection:
            row = _find_client(connection, client)
        if row is None or row.revoked_seq is not None:
            reason = "client" if row is None else "revoked"
            known = "" if row is None else client
            raise BadToken(reason, "no key in force is registered for who it says it is of", client=known)
        return parse_jwk(load(row.jwk, dict[str, str]))

    def grant(self, tx: Transaction, proved: Proved) -> Granted | OblikError:
        """Use the assertion up, and give a token. An error is given, not raised: what was used up stays used."""
        try:
            row = _use_up(tx, proved, int(self._clock().timestamp()))
            return self._sign(row, proved, _granted_scopes(proved.asked.scope, load(row.scopes, frozenset[str])))
        except BadToken as error:
            self.record(error)
            return error
        except OblikError as error:
            return error

    def _sign(self, row: sa.Row[Any], proved: Proved, scopes: frozenset[str]) -> Granted:
        now = self._clock()
        ends = min(now + timedelta(seconds=TOKEN_SECONDS), datetime.fromisoformat(row.expires))
        issued, scope, key = int(now.timestamp()), " ".join(sorted(scopes)), self._keys.signing(now)
        claims = {
            "iss": self.url,
            "aud": self.url,
            "sub": row.id,
            "client_id": row.id,
            "scope": scope,
            "iat": issued,
            "exp": int(ends.timestamp()),
            "jti": secrets.token_urlsafe(16),
        }
        if proved.asked.certificate:
            claims["cnf"] = {"x5t#S256": proved.asked.certificate}
        token = sign_token(claims, key.private, typ=ACCESS_TOKEN_TYPE, kid=key.public.kid)
        return Granted(token, int(ends.timestamp()) - issued, scope)

    # Recognising ------------------------------------------------------------------------------------------------------

    def recognise(self, text: str, *, certificate: str) -> Access:
        """Verify an access token, shown over a connection with this certificate. Raises BadToken."""
        try:
            access = self._verify(text)
            _check_certificate(access, certificate)
        except BadToken as error:
            self.record(error)
            raise
        return access

    def _verify(self, text: str) -> Access:
        """Verify a token, once: its end is held to the clock by whoever looks its client up (`check_caller`)."""
        now = self._clock()
        keys, digest = self._keys.published(now), hashlib.sha256(text.encode()).digest()
        kid, access = self._verified.get(digest, ("", None))
        if access is not None and kid in keys and access.expires > format_time(now):
            return access
        token = read_token(text)
        kid = str(token.header.get("kid"))
        access = self._checked(token, keys.get(kid), now)
        self._remember(digest, kid, access, format_time(now))
        return access

    def _checked(self, token: Token, key: PublicKey | None, now: datetime) -> Access:
        if key is None:
            raise BadToken("key", f"no key here is called {show(token.header.get('kid'))}", help="ask for a new token")
        check_token(token, key, types=(ACCESS_TOKEN_TYPE, f"application/{ACCESS_TOKEN_TYPE}"))
        client = token.claim("client_id")
        try:
            check_claims(token, issuer=self.url, audiences=(self.url,), now=now, seconds=TOKEN_SECONDS)
        except BadToken as error:
            raise _of(client, error) from None
        return _access(token, client)

    def _remember(self, digest: bytes, kid: str, access: Access, now: str) -> None:
        with self._remembering:
            if len(self._verified) >= MAX_REMEMBERED:
                alive = {key: value for key, value in self._verified.items() if value[1].expires > now}
                self._verified = alive if len(alive) < MAX_REMEMBERED else {}
            self._verified[digest] = kid, access

    # Recording --------------------------------------------------------------------------------------------------------

    def record(self, error: BadToken) -> None:
        """Put a failure on record, where there is not enough of it there already; nobody waits for that."""
        missed = self._failures.take(error.client, now=self._clock())
        if missed is None:
            return

        def command(tx: Transaction) -> int:
            row = _find_client(tx.connection, error.client)
            org = "" if row is None else row.org
            failed = AuthenticationFailed(reason=error.reason, client=error.client, org=org, unrecorded=missed)
            return tx.append(failed, {"org": self._owner, "system": "service"})

        try:
            self._submit(command)
        except OblikError as full:
            log.warning("a failed authentication (%s) is not on record: %s", error.reason, full)


def _of(client: str, error: BadToken) -> BadToken:
    """Say whose the token is: known only once somebody has looked."""
    error.client = client
    return error


def _find_client(connection: sa.Connection, client: str) -> sa.Row[Any] | None:
    query = CREDENTIAL.select().where(CREDENTIAL.c.id == client, CREDENTIAL.c.jwk.is_not(None))
    return connection.execute(query).one_or_none()


def _check_form(asked: TokenRequest) -> None:
    if asked.grant_type != GRANT_TYPE:
        raise Malformed("/grant_type", f"{show(asked.grant_type)} is not `{GRANT_TYPE}`")
    if asked.assertion_type != ASSERTION_TYPE:
        raise Malformed("/client_assertion_type", f"{show(asked.assertion_type)} is not `{ASSERTION_TYPE}`")
    if not asked.assertion:
        raise Malformed("/client_assertion", "it is missing")


def _check_client(client: str, named: str) -> None:
    if named not in {"", client}:
        raise BadToken("client", f"it is of {show(client)}, and `client_id` is {show(named)}")


def _check_certificate(access: Access, certificate: str) -> None:
    """Raise BadToken where the token is bound to a TLS certificate, and this is not it (RFC 8705 §3)."""
    if access.certificate not in {"", certificate}:
        problem = "it is bound to another TLS certificate than this connection's"
        raise BadToken("certificate", problem, client=access.client, help=CERTIFICATE_HELP)


def _use_up(tx: Transaction, proved: Proved, now: int) -> sa.Row[Any]:
    """Look the client up again and remember the assertion until it ends. Raises BadToken or Unavailable.

    The head is locked meanwhile, so that no other process does the same between the look and the insertion.
    """
    row = _find_client(tx.connection, proved.client)
    if row is None or row.revoked_seq is not None or row.expires <= tx.now:
        raise BadToken("revoked", "its client is revoked or has expired", client=proved.client)
    tx.connection.execute(USED.delete().where(USED.c.ends <= now))
    mine = sa.select(USED.c.jti).where(USED.c.client == proved.client)
    if tx.row(mine.where(USED.c.jti == proved.jti)) is not None:
        raise BadToken("replayed", "it was used before", client=proved.client, help="sign a new one for each request")
    if len(tx.rows(mine.limit(MAX_LIVE_ASSERTIONS))) >= MAX_LIVE_ASSERTIONS:
        raise Unavailable("too many assertions of this client are alive", help="use an access token until it ends")
    tx.connection.execute(USED.insert(), {"client": proved.client, "jti": proved.jti, "ends": proved.ends})
    if row.certificate_bound and not proved.asked.certificate:
        raise BadToken("certificate", "its client has to connect with a TLS certificate", client=proved.client)
    return row


def _granted_scopes(asked: str | None, own: frozenset[str]) -> frozenset[str]:
    """Give the scopes that are asked for, all that the client has where none are. Raises Malformed."""
    if asked is None:
        return own
    wanted = frozenset(asked.split(" "))
    missing = sorted(wanted - own)
    if missing:
        raise Malformed("/scope", f"{show(missing[0])} is no scope of this client")
    return wanted


def _access(token: Token, client: str) -> Access:
    confirmation = token.claims.get("cnf", {"x5t#S256": ""})
    if not isinstance(confirmation, dict) or not isinstance(confirmation.get("x5t#S256"), str):
        raise BadToken("claims", "it is bound to something that is not known here", client=client)
    return Access(
        client=client,
        scopes=frozenset(token.claim("scope").split()),
        expires=format_time(datetime.fromtimestamp(token.claims["exp"], UTC)),
        certificate=confirmation["x5t#S256"],
    )

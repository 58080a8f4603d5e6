"""What a route is given: a way to run one verb as the caller, inside one batch of the sequencer."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ledger.bootstrap import Service
from ledger.errors import Unauthenticated
from ledger.log.entry import format_time
from ledger.services.caller import Caller, authenticate, hash_token
from ledger.storage.transaction import Transaction

T = TypeVar("T")

bearer = HTTPBearer(auto_error=False, description="An API token: `Authorization: Bearer oblik_…`")

NO_TOKEN = "no API token was given"  # noqa: S105 - a sentence
NO_TOKEN_HELP = "send `Authorization: Bearer oblik_…`"  # noqa: S105 - likewise


def service_of(request: Request) -> Service:
    """Give the service that answers."""
    found: Service = request.app.state.service
    return found


def token_hash_of(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
    """Give the hash of the caller's token. Raises Unauthenticated where there is none."""
    if credentials is None or not credentials.credentials:
        raise Unauthenticated(NO_TOKEN, help=NO_TOKEN_HELP)
    return hash_token(credentials.credentials)


ServiceOf = Annotated[Service, Depends(service_of)]
TokenHash = Annotated[str, Depends(token_hash_of)]
Verb = Callable[[Transaction, Caller], T]


class Acting:
    """Runs verbs as one caller."""

    def __init__(self, service: ServiceOf, token_hash: TokenHash) -> None:
        self.owner = service.owner
        self.service = service
        self._token_hash = token_hash

    def __call__(self, verb: Verb[Any]) -> Awaitable[Any]:
        """Authenticate and run the verb in one transaction; give its result once that is committed."""

        def command(tx: Transaction) -> Any:
            return verb(tx, authenticate(tx.connection, self._token_hash, now=tx.now))

        return self.service.sequencer.run(command)

    def reading(self, read: Callable[[Any, Caller], T]) -> T:
        """Authenticate and read, on a connection of its own."""
        with self.service.engine.connect() as connection:
            now = format_time(self.service.clock())
            return read(connection, authenticate(connection, self._token_hash, now=now))


Act = Annotated[Acting, Depends(Acting)]

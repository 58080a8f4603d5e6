"""What a route is given: a way to run one verb as the caller, inside one batch of the sequencer."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ledger.api.bearer import Shown, show_token
from ledger.api.rate import RateLimit
from ledger.bootstrap import Service
from ledger.errors import Unauthenticated
from ledger.log.entry import format_time
from ledger.services.caller import Caller, authenticate
from ledger.storage.transaction import Transaction

T = TypeVar("T")

bearer = HTTPBearer(auto_error=False, description="An API token, or an access token: `Authorization: Bearer …`")

NO_TOKEN = "no API token was given"  # noqa: S105 - a sentence
NO_TOKEN_HELP = "send `Authorization: Bearer oblik_…`"  # noqa: S105 - likewise


def service_of(request: Request) -> Service:
    """Give the service that answers."""
    found: Service = request.app.state.service
    return found


ServiceOf = Annotated[Service, Depends(service_of)]


async def shown_by(
    request: Request, service: ServiceOf, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Shown:
    """Give what the request shows of its caller.

    Raises Unauthenticated where that is nothing, or not believed, and TooOften over the caller's rate.
    """
    if credentials is None or not credentials.credentials:
        raise Unauthenticated(NO_TOKEN, help=NO_TOKEN_HELP)
    shown = show_token(service, credentials.credentials, request.scope["headers"])
    rate: RateLimit = request.app.state.rate
    rate.count(shown.token_hash)
    return shown


ShownBy = Annotated[Shown, Depends(shown_by)]
Verb = Callable[[Transaction, Caller], T]


class Acting:
    """Runs verbs as one caller."""

    def __init__(self, service: ServiceOf, shown: ShownBy) -> None:
        self.owner = service.owner
        self.service = service
        self._shown = shown

    def __call__(self, verb: Verb[Any]) -> Awaitable[Any]:
        """Authenticate and run the verb in one transaction; give its result once that is committed."""

        def command(tx: Transaction) -> Any:
            return verb(tx, self._authenticate(tx.connection, tx.now))

        return self.service.sequencer.run(command)

    def reading(self, read: Callable[[Any, Caller], T]) -> T:
        """Authenticate and read, on a connection of its own."""
        with self.service.engine.connect() as connection:
            now = format_time(self.service.clock())
            return read(connection, self._authenticate(connection, now))

    def _authenticate(self, connection: sa.Connection, now: str) -> Caller:
        return authenticate(connection, self._shown.token_hash, now=now, access=self._shown.access)


Act = Annotated[Acting, Depends(Acting)]

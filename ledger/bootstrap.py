"""The composition root: the one place where settings, engine, keys, evaluator and sequencer are joined."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from ledger.keys import load_keys
from ledger.log.note import Signer, format_vkey
from ledger.services.decisions import Evaluator
from ledger.services.setup import check_keys, read_opening
from ledger.settings import Settings
from ledger.storage.engine import open_engine
from ledger.storage.schema import check_schema
from ledger.storage.sequencer import Sequencer

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """Read the time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: what the API and the pages are given."""

    engine: sa.Engine
    sequencer: Sequencer
    signers: tuple[Signer, ...]
    origin: str
    owner: str
    clock: Clock

    def close(self) -> None:
        """Finish what waits, and let go of the database."""
        self.sequencer.close()
        self.engine.dispose()


def open_service(settings: Settings, *, clock: Clock = wall_clock) -> Service:
    """Open a ledger for service. Raises Misconfigured where database, schema or keys are not right."""
    engine = open_engine(settings.database_url)
    check_schema(engine)
    with engine.connect() as connection:
        opening = read_opening(connection)
    signers = load_keys(settings.keys, origin=opening.origin)
    check_keys(opening, [format_vkey(signer) for signer in signers])
    evaluate = Evaluator(owner=opening.owner)
    return Service(
        engine=engine,
        sequencer=Sequencer(engine, evaluate=evaluate, clock=clock),
        signers=signers,
        origin=opening.origin,
        owner=opening.owner,
        clock=clock,
    )

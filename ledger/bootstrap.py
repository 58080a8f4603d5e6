"""The composition root: the one place where settings, engine, keys, evaluator and sequencer are joined."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from ledger.errors import Malformed, Misconfigured, OblikError, Rejected
from ledger.keys import load_keys
from ledger.keys.tokens import TokenKeys, ensure_token_key
from ledger.keys.witness import load_witness_keys
from ledger.log.cosignature import parse_vkey
from ledger.log.introduction import Introducer
from ledger.log.note import Signer
from ledger.log.trust_policy import Policy, parse_policy
from ledger.log.witnessing import parse_logs
from ledger.remote.witness import WitnessClient
from ledger.services.decisions import Evaluator
from ledger.services.distributing import Distribution
from ledger.services.keys import read_all_keys, read_keys
from ledger.services.metrics import Metrics
from ledger.services.publishing import Publisher, check_published, publish
from ledger.services.setup import read_opening
from ledger.services.stamping import Stamping
from ledger.services.streams import PeriodicSeal
from ledger.services.tiles import CHECKPOINT
from ledger.services.tokens import Tokens
from ledger.services.traces import BatchTraces
from ledger.services.witness import Witness
from ledger.services.witnessed import Witnessed, ask_what_they_remember, witness_clients
from ledger.settings import VERSION, Settings, WitnessSettings
from ledger.storage.anchor import Anchor
from ledger.storage.batch import Observer
from ledger.storage.engine import open_engine
from ledger.storage.leader import Leadership, leadership
from ledger.storage.publication import Publication
from ledger.storage.schema import check_schema
from ledger.storage.sequencer import Sequencer
from ledger.storage.tiles import TileStore, open_tiles
from ledger.storage.witnessed import open_witnessed

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """Read the time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: what the API and the pages are given."""

    engine: sa.Engine
    sequencer: Sequencer
    publisher: Publisher
    distribution: Distribution
    seal: PeriodicSeal
    leadership: Leadership
    signers: tuple[Signer, ...]
    origin: str
    owner: str
    clock: Clock
    metrics: Metrics
    url: str
    requests_per_second: int
    draining: threading.Event = field(default_factory=threading.Event)
    """Set once the process is to end: it still answers, and is not ready for more."""
    tokens: Tokens | None = None
    """None where no URL is set, under which access tokens could be issued."""
    client_cert_header: str = ""

    def close(self) -> None:
        """Finish what waits, and let go of the database."""
        self.sequencer.close()
        self.publisher.close()
        self.seal.close()
        self.distribution.close()
        self.leadership.release()
        self.engine.dispose()


def open_service(settings: Settings, *, clock: Clock = wall_clock) -> Service:
    """Open a ledger for service. Raises Misconfigured where database, schema or keys are not right."""
    engine = open_engine(settings.database_url)
    try:
        return _open_service(engine, settings, clock)
    except OblikError:
        engine.dispose()
        raise


def _open_service(engine: sa.Engine, settings: Settings, clock: Clock) -> Service:
    check_schema(engine)
    with engine.connect() as connection:
        opening = read_opening(connection)
        signers, vkeys = load_signers(settings, connection), read_all_keys(connection)
    anchor, tiles = Anchor(settings.anchor), open_tiles(settings.tiles) if settings.tiles else None
    policy = _read_policy(settings.witnesses, opening.origin)
    clients = witness_clients(policy) if policy is not None else []
    verifiers = [parse_vkey(vkey) for vkey in vkeys]
    for note, where in _remembered(anchor, tiles, clients, opening.origin):
        check_published(engine, note, verifiers=verifiers, origin=opening.origin, where=where)
    leads = leadership(engine, settings.data)
    distribution = Distribution(engine, tiles, _stamping(engine, settings, clock))
    if policy is not None:
        distribution.witnessed = Witnessed(engine, policy, clients, clock=clock, shown=distribution.shown)
    metrics = Metrics(version=VERSION)
    observers: list[Observer] = [metrics, *([BatchTraces()] if settings.traces else [])]
    sequencer = Sequencer(engine, evaluate=Evaluator(owner=opening.owner), clock=clock, observers=observers)
    every = timedelta(seconds=settings.seal_seconds)
    seal = PeriodicSeal(engine, sequencer.submit, owner=opening.owner, interval=every, clock=clock)
    return Service(
        engine=engine,
        sequencer=sequencer,
        publisher=Publisher(
            partial(publish, engine, origin=opening.origin, signers=signers, anchor=anchor, show=policy is None),
            interval=settings.publish_seconds,
            leads=leads.held,
            notify=partial(_tell, distribution, seal),
        ),
        distribution=distribution,
        seal=seal,
        leadership=leads,
        signers=signers,
        origin=opening.origin,
        owner=opening.owner,
        clock=clock,
        metrics=metrics,
        tokens=_tokens(engine, settings, opening.owner, sequencer, clock),
        client_cert_header=settings.client_cert_header,
        url=settings.url or settings.address,
        requests_per_second=settings.requests_per_second,
    )


def _tokens(engine: sa.Engine, settings: Settings, owner: str, sequencer: Sequencer, clock: Clock) -> Tokens | None:
    if not settings.url:
        return None
    passphrase_file = settings.key_passphrase_file
    ensure_token_key(settings.keys, now=clock(), passphrase_file=passphrase_file)
    keys = TokenKeys(settings.keys, passphrase_file=passphrase_file)
    keys.signing(clock())  # what is wrong with a key is told at start
    return Tokens(engine, url=settings.url, owner=owner, keys=keys, submit=sequencer.submit, clock=clock)


def _tell(distribution: Distribution, seal: PeriodicSeal, published: Publication) -> None:
    """Do what the process that leads does after each look at the head."""
    distribution.take(published)
    seal.tick()


def _read_policy(path: Path | None, origin: str) -> Policy | None:
    if path is None:
        return None
    try:
        policy = parse_policy(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"the witnesses' policy `{path}` cannot be read: {error.strerror}") from None
    except Rejected as error:
        raise Misconfigured(f"`{path}`: {error.problem}", help=error.help) from None
    if origin not in {log.verifier.name for log in policy.logs}:
        raise Misconfigured(f"`{path}` has no key of this log, `{origin}`", help="add its `log <vkey>` lines")
    return policy


def _stamping(engine: sa.Engine, settings: Settings, clock: Clock) -> Stamping | None:
    if not settings.timestamp_urls:
        return None
    interval = timedelta(seconds=settings.timestamp_seconds)
    return Stamping(engine, settings.timestamp_urls, interval=interval, clock=clock)


def _remembered(
    anchor: Anchor, tiles: TileStore | None, witnesses: Sequence[WitnessClient], origin: str
) -> list[tuple[bytes | None, str]]:
    """Ask everyone who may remember a checkpoint: a database that was set back has less than that."""
    stored = [(tiles.read(CHECKPOINT), tiles.name)] if tiles is not None else []
    return [(anchor.read(), anchor.name), *stored, *ask_what_they_remember(witnesses, origin)]


def open_witness(settings: WitnessSettings) -> Witness:
    """Open a witness for service. Raises Misconfigured where keys, memory or the file of logs are not right."""
    try:
        logs = parse_logs(settings.logs.read_bytes())
    except OSError as error:
        raise Misconfigured(f"the file of logs `{settings.logs}` cannot be read: {error.strerror}") from None
    except Malformed as error:
        raise Misconfigured(f"`{settings.logs}`: {error.problem}", help=error.help) from None
    engine = open_witnessed(settings.database)
    keys = load_witness_keys(settings.data, passphrase_file=settings.passphrase_file)
    return Witness(engine=engine, keys=keys, logs=logs)


def load_signers(settings: Settings, connection: sa.Connection) -> tuple[Introducer, ...]:
    """Load the keys that are in force in the ledger. Raises Misconfigured where one is missing."""
    return load_keys(
        settings.keys,
        origin=read_opening(connection).origin,
        vkeys=read_keys(connection),
        passphrase_file=settings.key_passphrase_file,
        token=settings.token,
    )

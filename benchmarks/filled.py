"""Ledgers to measure on: many partners, datasets and grants, written through the sequencer."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ledger.access.policy import load_policy
from ledger.access.request import Request
from ledger.bootstrap import Service, open_service
from ledger.events import Event
from ledger.events.data import DatasetRegistered, DatasetVersionRegistered, RecordedBounds
from ledger.events.registry import CredentialIssued, OrganisationEnrolled, OrganisationProposed
from ledger.events.rules import PolicyAdopted, PurposesAdopted
from ledger.events.sharing import AgreementProposed, AgreementSigned, GrantIssued, GrantTerms
from ledger.governance.label_forms import Category, Label
from ledger.governance.purposes import parse_nodes
from ledger.governance.terms import Terms
from ledger.keys import create_keys
from ledger.log.note import format_vkey
from ledger.resources import folder
from ledger.services.caller import hash_token
from ledger.services.setup import open_ledger
from ledger.settings import Settings
from ledger.storage.engine import open_engine
from ledger.storage.schema import upgrade_schema
from ledger.storage.transaction import Transaction

OWNER, TOKEN = "mod-ua", "oblik_benchmark"
BY = {"org": OWNER, "system": "benchmark"}
FIRST_DAY, LAST_DAY = "2020-01-01T00:00:00.000000Z", "2090-01-01T00:00:00.000000Z"
EVENTS_IN_A_COMMAND = 2_000
COUNTRIES = ("JPN", "POL", "CZE", "EST", "FIN", "NOR", "DNK", "CAN")


def open_filled(data: Path, *, partners: int, datasets: int, grants: int, url: str | None = None) -> Service:
    """Make a ledger with so many grants, spread evenly over partners and datasets, and open it."""
    settings = Settings(data=data, database_url=url or f"sqlite:///{data / 'ledger.db'}")
    engine = open_engine(settings.database_url)
    upgrade_schema(engine)
    vkeys = [format_vkey(signer) for signer in create_keys(settings.keys, origin="bench.example/log")]
    open_ledger(
        engine, origin="bench.example/log", owner=OWNER, administrator="admin", vkeys=vkeys, now=datetime.now(UTC)
    )
    engine.dispose()
    service = open_service(settings)
    service.sequencer.submit(_adopt_policy).result(60)
    append_all(service, _world(partners, datasets, grants))
    return service


def append_all(service: Service, events: Iterable[Event]) -> None:
    """Append events in large commands."""
    rest = iter(events)
    while chunk := list(islice(rest, EVENTS_IN_A_COMMAND)):

        def command(tx: Transaction, chunk: list[Event] = chunk) -> None:
            for event in chunk:
                tx.append(event, BY)

        service.sequencer.submit(command).result(600)


def _world(partners: int, datasets: int, grants: int) -> Iterator[Event]:
    yield OrganisationProposed(id=OWNER, name="owner", country="UKR", communities=(), trust_tier=4)
    yield OrganisationEnrolled(id=OWNER)
    yield CredentialIssued(
        id="gate",
        org=OWNER,
        holder="gate-1",
        holder_type="system",
        scopes=("evaluate", "report"),
        token_sha256=hash_token(TOKEN),
        expires=LAST_DAY,
    )
    yield PurposesAdopted(nodes=parse_nodes((folder("examples") / "purposes.json").read_bytes()))
    values = tuple(sorted({*COUNTRIES, "UKR"}))
    label = Label(
        policy="EXAMPLE",
        classification="RESTRICTED",
        categories=(Category(tag="Releasable To", type="PERMISSIVE", values=values),),
    )
    for number in range(datasets):
        yield DatasetRegistered(id=f"data-{number}", owner=OWNER, title=f"dataset {number}")
        for tier, parents in (("raw", ()), ("redacted", ("raw",))):
            yield DatasetVersionRegistered(
                dataset=f"data-{number}",
                version=tier,
                tier=tier,
                label=label,
                bounds=RecordedBounds(purposes=("humanitarian",), countries=values),
                card_sha256="11" * 32,
                manifest_sha256="22" * 32,
                manifest_key_sha256="33" * 32,
                manifest_root="00" * 32,
                files=3,
                derived_from=parents,
            )
    for number in range(partners):
        yield from _partner(number)
    for number in range(grants):
        yield _grant(number, number % partners, (number // partners) % datasets)


def _partner(number: int) -> Iterator[Event]:
    org, country = f"partner-{number}", COUNTRIES[number % len(COUNTRIES)]
    yield OrganisationProposed(id=org, name=org, country=country, communities=(), trust_tier=3)
    yield OrganisationEnrolled(id=org)
    terms = Terms(
        purposes=("humanitarian",),
        activities=("train",),
        tier="redacted",
        environments=("enclave",),
        countries=COUNTRIES,
        starts=FIRST_DAY,
        ends=LAST_DAY,
    )
    yield AgreementProposed(
        id=f"agreement-{number}",
        template="data_use",
        version="1",
        template_sha256="44" * 32,
        provider=OWNER,
        consumer=org,
        terms=terms,
    )
    yield AgreementSigned(id=f"agreement-{number}", org=OWNER, in_force=False)
    yield AgreementSigned(id=f"agreement-{number}", org=org, in_force=True)


def _grant(number: int, partner: int, dataset: int) -> GrantIssued:
    return GrantIssued(
        id=f"grant-{number}",
        request=f"req-{number}",
        agreement=f"agreement-{partner}",
        org=f"partner-{partner}",
        resource=f"dataset:data-{dataset}",
        terms=GrantTerms(
            purpose="humanitarian.demining",
            activities=("train",),
            tier="redacted",
            environments=("enclave",),
            countries=(COUNTRIES[partner % len(COUNTRIES)],),
            starts=FIRST_DAY,
            ends=LAST_DAY,
        ),
    )


def _adopt_policy(tx: Transaction) -> None:
    root = folder("policy_models") / "dataset_access"
    model, rows = (root / "model.conf").read_text("utf-8"), (root / "policy.csv").read_text("utf-8")
    tx.append(
        PolicyAdopted(
            name="dataset_access",
            digest=load_policy("dataset_access", model, rows).digest,
            model_sha256=tx.attach(model.encode(), "text/plain"),
            rows_sha256=tx.attach(rows.encode(), "text/csv"),
        ),
        BY,
    )


def random_requests(count: int, *, partners: int, datasets: int) -> Iterator[Request]:
    """Give requests spread uniformly over partners and datasets, two thirds of them allowed where all are granted."""
    dice = random.Random(2026)
    for number in range(count):
        partner = dice.randrange(partners)
        yield Request(
            subject_type="system",
            subject_id=f"partner-{partner}/trainer",
            org=f"partner-{partner}",
            action="train",
            resource_type="dataset",
            resource_id=f"data-{dice.randrange(datasets)}",
            purpose="humanitarian.demining" if number % 3 else "offensive.strike",
            tier="redacted",
            environment="enclave",
            country=COUNTRIES[partner % len(COUNTRIES)],
        )

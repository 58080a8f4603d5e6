"""A small world to test in: a ministry, two partners, a dataset with a raw and a redacted version, one grant.

It is written by appending events through the sequencer, past the services' checks, which have tests of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger.access.policy import load_policy
from ledger.access.request import Request
from ledger.bootstrap import Service, open_service
from ledger.events import Event
from ledger.events.data import DatasetRegistered, DatasetVersionRegistered, RecordedBounds
from ledger.events.registry import CredentialIssued, MemberAppointed, OrganisationEnrolled, OrganisationProposed
from ledger.events.rules import PolicyAdopted, PurposesAdopted
from ledger.events.sharing import (
    AccessRequested,
    AgreementProposed,
    AgreementSigned,
    GrantIssued,
    GrantRevoked,
    GrantTerms,
)
from ledger.governance.label_forms import Category, Label
from ledger.governance.purposes import Node, parse_nodes
from ledger.governance.terms import Terms
from ledger.keys import create_keys
from ledger.log.note import format_vkey
from ledger.resources import folder
from ledger.services.caller import hash_token
from ledger.services.decisions import Question
from ledger.services.setup import open_ledger
from ledger.settings import Settings
from ledger.storage.engine import open_engine
from ledger.storage.schema import upgrade_schema
from ledger.storage.transaction import Transaction

ORIGIN = "test.oblik.example/ledger"
OWNER, PARTNER, OTHER = "mod-ua", "acme-jp", "orion-pl"
START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
FIRST_DAY, LAST_DAY = "2026-01-01T00:00:00.000000Z", "2027-12-31T00:00:00.000000Z"
BY = {"org": OWNER, "system": "test"}

TOKENS = {
    "admin": (OWNER, "v.melnyk", "person", ("govern", "read")),
    "steward": (OWNER, "o.koval", "person", ("govern", "read")),
    "security": (OWNER, "i.bondar", "person", ("govern", "read")),
    "legal": (OWNER, "l.shevchuk", "person", ("govern", "read")),
    "engineering": (OWNER, "e.moroz", "person", ("govern", "read")),
    "ethics": (OWNER, "d.lysenko", "person", ("govern", "read")),
    "auditor": (OWNER, "a.tkach", "person", ("read",)),
    "gate": (OWNER, "gate-1", "system", ("evaluate", "report")),
    "sato": (PARTNER, "k.sato", "person", ("govern",)),
    "trainer": (PARTNER, "trainer-1", "system", ("evaluate", "train", "report")),
    "other": (OTHER, "trainer-1", "system", ("evaluate", "train", "report")),
}
"""Tokens are their own names here: org, holder, kind and scopes of each."""

ROLES = {
    (OWNER, "v.melnyk"): ("administrator",),
    (OWNER, "o.koval"): ("steward",),
    (OWNER, "i.bondar"): ("security",),
    (OWNER, "l.shevchuk"): ("legal",),
    (OWNER, "e.moroz"): ("engineering",),
    (OWNER, "d.lysenko"): ("ethics",),
    (OWNER, "a.tkach"): ("auditor",),
    (PARTNER, "k.sato"): ("applicant", "signatory"),
}

TERMS = Terms(
    purposes=("humanitarian",),
    activities=("evaluate", "train"),
    tier="redacted",
    environments=("enclave",),
    countries=("JPN", "UKR"),
    starts=FIRST_DAY,
    ends=LAST_DAY,
)
GRANT_TERMS = GrantTerms(
    purpose="humanitarian.demining",
    activities=("train",),
    tier="redacted",
    environments=("enclave",),
    countries=("JPN",),
    starts=FIRST_DAY,
    ends=LAST_DAY,
)
LABEL = Label(
    policy="EXAMPLE",
    classification="RESTRICTED",
    categories=(Category(tag="Releasable To", type="PERMISSIVE", values=("JPN", "UKR")),),
)
BOUNDS = RecordedBounds(purposes=("humanitarian",), countries=("JPN", "UKR"))


@dataclass
class World:
    """A ledger in service, its clock, and its settings."""

    service: Service
    settings: Settings
    clock: "Clock"
    administrator: str
    attached: dict[str, str] = field(default_factory=dict)

    def append(self, *events: Event, by: dict[str, str] | None = None) -> int:
        """Append events in one batch. Returns the index of the last."""

        def command(tx: Transaction) -> int:
            return [tx.append(event, by or BY) for event in events][-1]

        return self.service.sequencer.submit(command).result(30)

    def ask(self, token: str = "trainer", **changes: str):
        """Ask for a decision. Returns (index, draft)."""
        return self.service.sequencer.ask_from_thread(question(token, **changes)).result(30)

    def checkpoint(self) -> bytes:
        """Give the checkpoint over all that is committed, as the log signs it."""
        return self.service.publisher.fresh().result(30).note

    def revoke(self, grant: str = "grant-1") -> int:
        return self.append(revocation(grant))


@dataclass
class Clock:
    """A clock that goes only when it is told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


def question(token: str = "trainer", **changes: str) -> Question:
    """Make a question that the world's grant allows, but for `changes`."""
    asked = {
        "subject_type": "system",
        "subject_id": f"{PARTNER}/trainer-1",
        "org": PARTNER,
        "action": "train",
        "resource_type": "dataset",
        "resource_id": "uav",
        "purpose": "humanitarian.demining",
        "tier": "redacted",
        "environment": "enclave",
        "country": "JPN",
    }
    return Question(hash_token(token), Request(**{**asked, **changes}))


def grant(number: int = 1, **changes) -> GrantIssued:
    """Make a grant to the partner."""
    values = {"request": f"req-{number}", "agreement": "ua-acme", "org": PARTNER, "resource": "dataset:uav"}
    return GrantIssued(id=f"grant-{number}", **{"terms": GRANT_TERMS, **values, **changes})


def revocation(grant: str = "grant-1") -> GrantRevoked:
    return GrantRevoked(id=grant, org=PARTNER, resource="dataset:uav", reason="test")


def version(name: str, tier: str, *, derived_from: tuple[str, ...] = (), **changes) -> DatasetVersionRegistered:
    values = {"label": LABEL, "bounds": BOUNDS, "dataset": "uav", "manifest_root": "00" * 32}
    return DatasetVersionRegistered(
        version=name,
        tier=tier,
        card_sha256="11" * 32,
        manifest_sha256="22" * 32,
        manifest_key_sha256="33" * 32,
        files=3,
        derived_from=derived_from,
        **{**values, **changes},
    )


def history() -> Iterable[Event]:
    """Everything up to the partner's grant."""
    for org, country in ((OWNER, "UKR"), (PARTNER, "JPN"), (OTHER, "POL")):
        yield OrganisationProposed(id=org, name=org, country=country, communities=(), trust_tier=3)
        yield OrganisationEnrolled(id=org)
    for (org, person), roles in ROLES.items():
        yield MemberAppointed(org=org, person=person, roles=roles)
    for token, (org, holder, kind, scopes) in TOKENS.items():
        yield CredentialIssued(
            id=f"credential-{token}",
            org=org,
            holder=holder,
            holder_type=kind,
            scopes=scopes,
            token_sha256=hash_token(token),
            expires=LAST_DAY,
        )
    nodes = parse_nodes((folder("examples") / "purposes.json").read_bytes())
    yield PurposesAdopted(nodes=nodes)
    yield DatasetRegistered(id="uav", owner=OWNER, title="UAV imagery")
    yield version("raw-1", "raw")
    yield version("redacted-1", "redacted", derived_from=("raw-1",))
    yield AgreementProposed(
        id="ua-acme",
        template="data_use",
        version="1",
        template_sha256="44" * 32,
        provider=OWNER,
        consumer=PARTNER,
        terms=TERMS,
    )
    yield AgreementSigned(id="ua-acme", org=OWNER, in_force=False)
    yield AgreementSigned(id="ua-acme", org=PARTNER, in_force=True)
    yield AccessRequested(
        id="req-1",
        org=PARTNER,
        agreement="ua-acme",
        resource="dataset:uav",
        terms=GRANT_TERMS,
        quorum=("security", "steward"),
        requested_by=f"{PARTNER}/k.sato",
    )
    yield grant()


def closed_purpose() -> PurposesAdopted:
    """Adopt one more purpose, which needs a special authorisation."""
    nodes = parse_nodes((folder("examples") / "purposes.json").read_bytes())
    closed = Node(id="sensitive", cls="research", special_authorisation=True, en="Sensitive", uk="Чутливе")
    return PurposesAdopted(nodes=(*nodes, closed))


def adopt_policy(tx: Transaction) -> int:
    """Adopt the shipped policy."""
    root = folder("policy_models") / "dataset_access"
    model, rows = (root / "model.conf").read_text("utf-8"), (root / "policy.csv").read_text("utf-8")
    digests = tx.attach(model.encode(), "text/plain"), tx.attach(rows.encode(), "text/csv")
    policy = load_policy("dataset_access", model, rows)
    adopted = PolicyAdopted(
        name="dataset_access", digest=policy.digest, model_sha256=digests[0], rows_sha256=digests[1]
    )
    return tx.append(adopted, BY)


def open_world(
    database_url: str, folder_: Path, *, clock: Clock | None = None, policy: bool = True, **more: str
) -> World:
    """Open a ledger in an empty database and fill it; without a `policy`, nothing can be asked. `more` are settings."""
    settings = Settings(data=folder_, database_url=database_url, **more)
    engine = open_engine(database_url)
    upgrade_schema(engine)
    signers = create_keys(settings.keys, origin=ORIGIN)
    ticking = clock or Clock()
    opened = open_ledger(
        engine,
        origin=ORIGIN,
        owner=OWNER,
        administrator="first",
        vkeys=[format_vkey(signer) for signer in signers],
        now=ticking(),
    )
    engine.dispose()
    made = World(open_service(settings, clock=ticking), settings, ticking, opened.token)
    if policy:
        made.service.sequencer.submit(adopt_policy).result(30)
    made.append(*history())
    return made

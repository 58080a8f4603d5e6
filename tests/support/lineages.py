"""Lineages to try I6 on: datasets whose versions are made of each other, runs over them, weights, and grants to all.

Everything goes through the services' functions. Grants are as wide as can be, and the same for everything and everyone:
whatever is denied is denied by the thing asked for, or by what it was made of.
"""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime

from hypothesis import strategies as st
from msgspec import Struct
from programs import PATIENCE
from promised import one_batch
from world import FIRST_DAY, LAST_DAY, OTHER, OWNER, PARTNER, World, question

from ledger.cli.inputs import example_inputs
from ledger.cli.story import signed_manifest
from ledger.errors import Conflict
from ledger.events import Event
from ledger.events.data import DatasetRegistered, DatasetVersionWithdrawn, RecordedBounds
from ledger.events.sharing import AgreementProposed, AgreementSigned, GrantIssued, GrantTerms
from ledger.governance.label_forms import Category, Label, format_label
from ledger.governance.terms import Terms
from ledger.governance.tiers import TIERS
from ledger.services.caller import authenticate, hash_token
from ledger.services.data import Documents, register_version
from ledger.services.rules import adopt_security_policy
from ledger.services.runs import finish_run, register_weights, start_run
from ledger.storage.transaction import Transaction

ORGS = (OWNER, PARTNER, OTHER)
ROOTS = ("humanitarian", "defensive", "research")
PURPOSES = ("humanitarian", "humanitarian.demining", "defensive.air_defence", "research.perception.benchmarks")
BOUNDED_PURPOSES = ("humanitarian", "humanitarian.demining", "defensive", "defensive.air_defence", "research")
COUNTRIES = ("JPN", "POL", "UKR")
RELEASED = ("JPN", "NATO", "POL", "UKR")
CLASSES = ("UNCLASSIFIED", "RESTRICTED", "CONFIDENTIAL")
CLOSINGS = ("", "2026-12-01T00:00:00.000000Z", "2027-03-01T00:00:00.000000Z")
TIMES = tuple(datetime(year, month, 21, 9, 30, tzinfo=UTC) for year, month in ((2026, 11), (2027, 1), (2027, 6)))
"""Before, between and after the closings."""

FILES = {"a.bin": "ab" * 32}
MANIFEST, PUBLIC_KEY = (text.encode() for text in signed_manifest(FILES, "lineage"))

_numbers = itertools.count()


class Declared(Struct, frozen=True, kw_only=True):
    """What someone declares of a version."""

    released: frozenset[str]
    classification: str
    purposes: frozenset[str]
    countries: frozenset[str]
    until: str

    @property
    def label(self) -> Label:
        values = tuple(sorted(self.released))
        category = Category(tag="Releasable To", type="PERMISSIVE", values=values)
        return Label(policy="EXAMPLE", classification=self.classification, categories=(category,) if values else ())

    @property
    def bounds(self) -> RecordedBounds:
        return RecordedBounds(
            purposes=tuple(sorted(self.purposes)), countries=tuple(sorted(self.countries)), until=self.until
        )


def some(values: Iterable[str]) -> st.SearchStrategy[frozenset[str]]:
    """Choose a set, mostly of several."""
    chosen = tuple(values)
    return st.frozensets(st.sampled_from(chosen)) | st.just(frozenset(chosen))


declared = st.builds(
    Declared,
    released=some(RELEASED),
    classification=st.sampled_from(CLASSES),
    purposes=some(BOUNDED_PURPOSES),
    countries=some(COUNTRIES),
    until=st.sampled_from(CLOSINGS),
)


def prepare(world: World) -> None:
    """Adopt the examples' security policy, and conclude the widest agreement with everyone."""
    world.service.sequencer.submit(
        lambda tx: adopt_security_policy(tx, _caller(tx, "security"), OWNER, spif=example_inputs().spif)
    ).result(PATIENCE)
    terms = Terms(
        purposes=ROOTS,
        activities=("infer", "train"),
        tier=TIERS[-1],
        environments=("enclave",),
        countries=COUNTRIES,
        starts=FIRST_DAY,
        ends=LAST_DAY,
    )
    for org in ORGS:
        proposed = AgreementProposed(
            id=f"wide-{org}",
            template="data_use",
            version="1",
            template_sha256="44" * 32,
            provider=OWNER,
            consumer=org,
            terms=terms,
        )
        world.append(proposed, AgreementSigned(id=f"wide-{org}", org=org, in_force=True))


def _caller(tx: Transaction, token: str):
    return authenticate(tx.connection, hash_token(token), now=tx.now)


class Lineage:
    """Resources made of each other: what each is asked for by, and what it was made of, told apart from the tables."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.parents: dict[str, frozenset[str]] = {}
        self.asked_as: dict[str, tuple[str, str, str]] = {}
        """(type, id, tier) by ref."""
        self._granted: set[str] = set()

    def dataset(self) -> str:
        """Register a dataset. Returns its id."""
        name = f"lineage-{next(_numbers)}"
        self.world.append(DatasetRegistered(id=name, owner=OWNER, title="a set"))
        self._grant(f"dataset:{name}")
        return name

    def version(self, dataset: str, tier: str, said: Declared, parents: Iterable[str], *, label: bool) -> str:
        """Register a version through the service, with its own label or one that follows. Returns its ref."""
        names = [ref.rpartition("@")[2] for ref in parents]
        documents = Documents(
            card=example_inputs().card,
            manifest=MANIFEST,
            public_key=PUBLIC_KEY,
            files=FILES,
            label=format_label(said.label) if label else None,
            security_policy="EXAMPLE",
        )
        self.world.service.sequencer.submit(
            lambda tx: register_version(
                tx,
                _caller(tx, "steward"),
                OWNER,
                dataset=dataset,
                version=tier,
                tier=tier,
                documents=documents,
                bounds=said.bounds,
                derived_from=names,
            )
        ).result(PATIENCE)
        return self.add(f"dataset:{dataset}@{tier}", ("dataset", dataset, tier), parents)

    def train(self, inputs: Iterable[str], token: str = "trainer", org: str = PARTNER) -> str | None:
        """Train on these, and register what comes of it. Returns its ref; None where that is denied or has no label."""
        decisions = []
        for ref in inputs:
            outcomes = [self._ask(ref, org, purpose, country, token) for purpose in PURPOSES for country in COUNTRIES]
            allows = [seq for seq, draft in (o.result(PATIENCE) for o in outcomes) if draft.event.allowed]
            if not allows:
                return None
            decisions.append(allows[0])
        name = f"lineage-{next(_numbers)}"

        def run(tx: Transaction) -> None:
            caller = _caller(tx, token)
            start_run(tx, caller, id=name, decisions=decisions)
            finish_run(tx, caller, id=name, outcome="complete", metrics={})
            register_weights(tx, caller, id=name, run=name, manifest=MANIFEST, public_key=PUBLIC_KEY, files=FILES)

        try:
            self.world.service.sequencer.submit(run).result(PATIENCE)
        except Conflict:
            return None
        self._grant(f"weights:{name}")
        return self.add(f"weights:{name}", ("weights", name, "derived"), inputs)

    def add(self, ref: str, asked_as: tuple[str, str, str], parents: Iterable[str]) -> str:
        self.parents[ref], self.asked_as[ref] = frozenset(parents), asked_as
        return ref

    def withdraw(self, ref: str) -> None:
        """Withdraw a version of a dataset."""
        _, dataset, version = self.asked_as[ref]
        self.world.append(DatasetVersionWithdrawn(dataset=dataset, version=version, reason="test"))

    def ancestors(self, ref: str) -> frozenset[str]:
        """Give all that a resource was made of, directly or not."""
        found = set(self.parents[ref])
        for parent in self.parents[ref]:
            found |= self.ancestors(parent)
        return frozenset(found)

    def uses(self) -> dict[str, set[tuple[str, str, str, int]]]:
        """Ask for everything, for everyone. Returns by ref each (org, purpose, country, time) that is allowed."""
        allowed: dict[str, set[tuple[str, str, str, int]]] = {ref: set() for ref in self.parents}
        for time, moment in enumerate(TIMES):
            self.world.clock.now = moment
            with one_batch(self.world.service.sequencer):
                asked = {
                    (ref, org, purpose, country): self._ask(ref, org, purpose, country, "gate")
                    for ref in self.parents
                    for org in ORGS
                    for purpose in PURPOSES
                    for country in COUNTRIES
                }
            for (ref, *use), future in asked.items():
                if future.result(PATIENCE)[1].event.allowed:
                    allowed[ref].add((*use, time))
        self.world.clock.now = TIMES[0]
        return allowed

    def _ask(self, ref: str, org: str, purpose: str, country: str, token: str):
        type_, id_, tier = self.asked_as[ref]
        return self.world.service.sequencer.ask_from_thread(
            question(
                token,
                subject_id=f"{org}/x",
                org=org,
                resource_type=type_,
                resource_id=id_,
                tier=tier,
                purpose=purpose,
                country=country,
            )
        )

    def _grant(self, resource: str) -> None:
        if resource not in self._granted:
            self._granted.add(resource)
            self.world.append(*grants(resource))


def grants(resource: str) -> list[Event]:
    """Grant everything on a resource to everyone."""
    made: list[Event] = []
    for org, purpose in itertools.product(ORGS, ROOTS):
        terms = GrantTerms(
            purpose=purpose,
            activities=("infer", "train"),
            tier=TIERS[-1],
            environments=("enclave",),
            countries=COUNTRIES,
            starts=FIRST_DAY,
            ends=LAST_DAY,
        )
        made.append(
            GrantIssued(
                id=f"grant-{resource}-{org}-{purpose}",
                request="req-1",
                agreement=f"wide-{org}",
                org=org,
                resource=resource,
                terms=terms,
            )
        )
    return made

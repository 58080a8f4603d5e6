"""One event of every kind, in an order in which they can happen, for a world as `open_world` makes it."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import (
    BOUNDS,
    BY,
    FIRST_DAY,
    GRANT_TERMS,
    LABEL,
    LAST_DAY,
    OWNER,
    PARTNER,
    START,
    TERMS,
    World,
    grant,
    version,
)

from ledger.events import Event
from ledger.events.assurances import (
    AttestationWithdrawn,
    AuthorisationRecorded,
    AuthorisationWithdrawn,
    EnvironmentAttested,
)
from ledger.events.data import (
    DatasetRegistered,
    DatasetVersionWithdrawn,
    RunFinished,
    RunStarted,
    RunStartedV1,
    WeightsRegistered,
)
from ledger.events.decisions import (
    Asked,
    DecisionRecorded,
    MountedDecisionRecorded,
    Quantity,
    UseAnomalous,
    UseReported,
)
from ledger.events.keys import LogKeyIntroduced, LogKeyRetired
from ledger.events.promotion import PromotionProposed, PromotionRefused, PromotionVoted, WeightsPromoted
from ledger.events.registry import (
    AuthenticationFailed,
    CredentialIssued,
    CredentialKeyRegistered,
    CredentialRevoked,
    LedgerOpened,
    MemberAppointed,
    OrganisationEnrolled,
    OrganisationProposed,
)
from ledger.events.restraints import (
    IncidentClosed,
    IncidentMadeBlocking,
    IncidentReported,
    PauseLifted,
    PauseLiftVoted,
    PausePlaced,
)
from ledger.events.rules import (
    PolicyAdopted,
    PolicyMounted,
    PolicyProposed,
    PolicyRefused,
    PolicyVoted,
    PurposesAdopted,
    SecurityPolicyAdopted,
)
from ledger.events.sealing import FieldDisclosed, FieldErased
from ledger.events.sharing import (
    AccessRefused,
    AccessRequested,
    AccessVoted,
    AgreementProposed,
    AgreementSigned,
    GrantRevoked,
)
from ledger.events.streams import StreamsSealed
from ledger.governance.promotion import Evidence, Threshold
from ledger.governance.purposes import Node
from ledger.log.entry import format_time
from ledger.log.introduction import sign_introduction
from ledger.log.note import Ed25519Signer, format_vkey
from ledger.log.streams import seal_streams
from ledger.services.caller import hash_token
from ledger.storage.reading import read_head
from ledger.storage.streams import read_all_streams

NOW = format_time(START)
PERSON = {"org": OWNER, "person": "o.koval"}
NEW = "new-ee"


def every_kind(world: World) -> Iterator[tuple[Event, dict[str, str]]]:
    """Give events with who they are by; each is to be appended before the next is asked for."""
    for event in (
        *_registry(world),
        *_rules(),
        *_data(),
        *_sharing(),
        *_restraints(),
        *_assurances(),
        *_sealing(),
        *_promotion(),
    ):
        yield event, PERSON if "vote" in event.KIND else BY
    yield _decision(), BY
    yield _mounted_decision(), BY
    yield from ((event, BY) for event in _uses())
    yield from ((event, BY) for event in _keys(world))
    yield _seal(world), BY


def _registry(world: World) -> Iterator[Event]:
    yield LedgerOpened(origin=world.service.origin, owner=OWNER, vkeys=())
    yield OrganisationProposed(id=NEW, name="New", country="EST", communities=("NATO",), trust_tier=1)
    yield OrganisationEnrolled(id=NEW)
    yield MemberAppointed(org=NEW, person="t.saar", roles=("applicant",))
    yield CredentialIssued(
        id="credential-new",
        org=NEW,
        holder="trainer-9",
        holder_type="system",
        scopes=("evaluate",),
        token_sha256=hash_token("new"),
        expires=LAST_DAY,
    )
    yield CredentialKeyRegistered(
        id="key-new",
        org=NEW,
        holder="trainer-9",
        scopes=("evaluate",),
        jwk={"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        jwk_thumbprint="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        expires=LAST_DAY,
    )
    yield AuthenticationFailed(reason="signature", client="key-new", org=NEW)
    yield CredentialRevoked(id="credential-new", org=NEW, reason="test")


def _rules() -> Iterator[Event]:
    yield PurposesAdopted(nodes=(Node(id="humanitarian", cls="humanitarian", en="Work", uk="Робота"),))
    yield SecurityPolicyAdopted(name="EXAMPLE", spif_sha256="55" * 32)
    yield PolicyMounted(
        name="records",
        digest="66" * 32,
        resource_types=("record",),
        model_sha256="77" * 32,
        rows_sha256="88" * 32,
        mount_sha256="99" * 32,
        facts_sha256="aa" * 32,
    )
    texts = {"name": "dataset_access", "model_sha256": "77" * 32, "rows_sha256": "88" * 32}
    for name, digest in (("policy-8", "65" * 32), ("policy-9", "66" * 32)):
        yield PolicyProposed(
            id=name,
            digest=digest,
            dry_run_sha256="99" * 32,
            replaces="64" * 32,
            quorum=("legal", "security"),
            proposed_by=f"{OWNER}/o.koval",
            **texts,
        )
    yield PolicyVoted(proposal="policy-8", role="legal", vote="refuse")
    yield PolicyRefused(proposal="policy-8")
    yield PolicyVoted(proposal="policy-9", role="legal", vote="approve")
    yield PolicyAdopted(digest="66" * 32, **texts)


def _data() -> Iterator[Event]:
    yield DatasetRegistered(id="new", owner=OWNER, title="New")
    yield version("raw-2", "raw")
    yield version("redacted-2", "redacted", derived_from=("raw-2",))
    yield DatasetVersionWithdrawn(dataset="uav", version="raw-2", reason="test")
    yield RunStarted(id="run-9", org=PARTNER, decisions=(1,), inputs=("dataset:uav@redacted-1",), grants=("grant-1",))
    yield RunStartedV1(id="run-8", org=PARTNER, decisions=(1,), inputs=("dataset:uav@redacted-1",))
    yield RunFinished(id="run-9", org=PARTNER, outcome="complete", metrics={"loss": "0.1"})
    yield WeightsRegistered(
        id="weights-9",
        org=PARTNER,
        run="run-9",
        trainer=f"{PARTNER}/trainer-1",
        label=LABEL,
        bounds=BOUNDS,
        manifest_sha256="22" * 32,
        manifest_key_sha256="33" * 32,
        manifest_root="44" * 32,
        files=1,
    )


def _sharing() -> Iterator[Event]:
    yield AgreementProposed(
        id="ua-new",
        template="data_use",
        version="1",
        template_sha256="44" * 32,
        provider=OWNER,
        consumer=NEW,
        terms=TERMS,
    )
    yield AgreementSigned(id="ua-new", org=OWNER, in_force=False)
    yield AgreementSigned(id="ua-new", org=NEW, in_force=True)
    for name in ("req-8", "req-9"):
        yield AccessRequested(
            id=name,
            org=PARTNER,
            agreement="ua-acme",
            resource="dataset:uav",
            terms=GRANT_TERMS,
            quorum=("steward",),
            requested_by=f"{PARTNER}/k.sato",
        )
    yield AccessVoted(request="req-8", org=PARTNER, resource="dataset:uav", role="steward", vote="refuse")
    yield AccessRefused(request="req-8", org=PARTNER, resource="dataset:uav")
    yield AccessVoted(request="req-9", org=PARTNER, resource="dataset:uav", role="steward", vote="approve")
    yield grant(9)
    yield GrantRevoked(id="grant-9", org=PARTNER, resource="dataset:uav", reason="test")


def _restraints() -> Iterator[Event]:
    stopped = {"concerns": (f"org:{PARTNER}",)}
    about = {"scope": "organisation", "target": PARTNER, **stopped}
    yield PausePlaced(id="pause-9", quorum=("security", "steward"), reason="test", **about)
    yield PauseLiftVoted(pause="pause-9", role="steward", **stopped)
    yield PauseLifted(id="pause-9", **stopped)
    yield IncidentReported(id="incident-9", reported_by=f"{OWNER}/i.bondar", **about)
    yield IncidentMadeBlocking(id="incident-9", reason="test", **about)
    yield IncidentClosed(id="incident-9", reason="test", **stopped)


def _assurances() -> Iterator[Event]:
    valid = {"starts": FIRST_DAY, "ends": LAST_DAY}
    yield AuthorisationRecorded(
        id="authorisation-9", purpose="humanitarian", org=PARTNER, basis="legal", document_sha256="55" * 32, **valid
    )
    yield AuthorisationWithdrawn(id="authorisation-9", org=PARTNER, reason="test")
    place = {"org": PARTNER, "environment": "vault-9"}
    yield EnvironmentAttested(kind="enclave", country="JPN", evidence_sha256="66" * 32, **place, **valid)
    yield AttestationWithdrawn(reason="test", **place)


def _sealing() -> Iterator[Event]:
    sealed = {"entry": 30, "field": "justification", "concerns": ("dataset:uav", f"org:{PARTNER}"), "reason": "test"}
    yield FieldDisclosed(org=OWNER, reader="i.bondar", reader_type="person", **sealed)
    yield FieldErased(**sealed)


def _promotion() -> Iterator[Event]:
    yield PromotionProposed(
        id="promo-9",
        weights="weights-9",
        org=PARTNER,
        stage="validated",
        evidence=(Evidence(metric="recall", value="0.9", dataset="dataset:uav@redacted-1"),),
        thresholds=(Threshold(metric="recall", at_least="0.8"),),
        quorum=("engineering",),
        proposed_by=f"{PARTNER}/trainer-1",
    )
    yield PromotionVoted(promotion="promo-9", weights="weights-9", role="engineering", vote="approve")
    yield PromotionRefused(promotion="promo-9", weights="weights-9", org=PARTNER, problem="test", final=False)
    yield WeightsPromoted(id="weights-9", org=PARTNER, promotion="promo-9", stage="validated")


def _decision() -> Event:
    asked = Asked(
        action="train",
        country="JPN",
        environment="enclave",
        purpose="humanitarian",
        resource="dataset:uav",
        subject=f"system:{PARTNER}/trainer-1",
        tier="redacted",
    )
    return DecisionRecorded(
        asked=asked,
        org=PARTNER,
        allowed=False,
        failed=("grant_current",),
        rests_on=(),
        policy="66" * 32,
        evaluated_at=NOW,
        state_seq=0,
    )


def _mounted_decision() -> Event:
    return MountedDecisionRecorded(
        mount="records",
        policy="66" * 32,
        subject="user:alice",
        action="read",
        resource="record:record-1",
        brought={},
        allowed=False,
        evaluated_at=NOW,
        state_seq=0,
    )


def _seal(world: World) -> Event:
    with world.service.engine.connect() as connection:
        count, root = seal_streams(read_all_streams(connection))
        return StreamsSealed(size=read_head(connection).size, count=count, root=root.hex())


def _uses() -> Iterator[Event]:
    quantity = Quantity(files=1)
    yield UseReported(
        decision=1,
        org=PARTNER,
        resource="dataset:uav",
        version="dataset:uav@redacted-1",
        manifest_root="00" * 32,
        quantity=quantity,
        started=FIRST_DAY,
        ended=NOW,
    )
    yield UseAnomalous(
        problem="test",
        decision=1,
        org=PARTNER,
        resource="dataset:uav",
        version="",
        quantity=quantity,
        started=FIRST_DAY,
        ended=NOW,
    )


def _keys(world: World) -> Iterator[Event]:
    """Introduce a key by one of the ledger's own, and retire it, since nobody has it."""
    old = world.service.signers[0]
    vkey = format_vkey(Ed25519Signer(world.service.origin, Ed25519PrivateKey.generate()))
    with world.service.engine.connect() as connection:
        prev = read_head(connection).leaf.hex()
    yield LogKeyIntroduced(vkey=vkey, proof=sign_introduction(old, vkey=vkey, prev=prev))
    yield LogKeyRetired(vkey=vkey, reason="test")

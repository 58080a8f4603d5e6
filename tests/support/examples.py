"""One realistic instance of every kind of event, with who wrote it and, where the kind seals something, what.

A kind without an example here fails `tests/unit/events/test_catalogue.py`.
"""

from collections.abc import Mapping

from msgspec import Struct

from ledger.events import (
    Event,
    assurances,
    data,
    decisions,
    keys,
    promotion,
    registry,
    restraints,
    rules,
    sealing,
    sharing,
    streams,
)
from ledger.governance.label_forms import Category, Label
from ledger.governance.promotion import Evidence, Threshold
from ledger.governance.purposes import Node
from ledger.governance.terms import Duty, Terms

ADMINISTRATOR = {"org": "mod-ua", "person": "v.melnyk"}
STEWARD = {"org": "mod-ua", "person": "o.koval"}
SECURITY = {"org": "mod-ua", "person": "i.bondar"}
APPLICANT = {"org": "acme-jp", "person": "k.sato"}
TRAINER = {"org": "acme-jp", "system": "trainer-1"}
GATEWAY = {"org": "acme-jp", "system": "gateway-1"}

SHA256 = {
    name: digit * 64
    for name, digit in (("card", "1"), ("label", "2"), ("manifest", "3"), ("key", "4"), ("root", "5"), ("text", "6"))
}

LABEL = Label(
    policy="EXAMPLE",
    classification="RESTRICTED",
    categories=(Category(tag="Releasable To", type="PERMISSIVE", values=("JPN", "POL", "UKR")),),
    privacy_marks=("ДСК",),
)
BOUNDS = data.RecordedBounds(
    purposes=("humanitarian", "research"), countries=("JPN", "UKR"), until="2028-01-01T00:00:00.000000Z"
)
TERMS = Terms(
    purposes=("humanitarian",),
    activities=("evaluate", "train"),
    tier="redacted",
    environments=("enclave", "federated"),
    countries=("JPN", "UKR"),
    starts="2026-11-21T00:00:00.000000Z",
    ends="2027-11-21T00:00:00.000000Z",
    obligations=(Duty(type="cite"), Duty(type="report_use", within_hours=72)),
)
GRANT_TERMS = sharing.GrantTerms(
    purpose="humanitarian.demining",
    activities=("train",),
    tier="redacted",
    environments=("enclave",),
    countries=("JPN",),
    starts="2026-11-21T00:00:00.000000Z",
    ends="2027-05-21T00:00:00.000000Z",
)
QUANTITY = decisions.Quantity(files=3, bytes=1_048_576, records=1_200)
USED = {
    "decision": 42,
    "org": "acme-jp",
    "resource": "dataset:uav-thermal",
    "version": "dataset:uav-thermal@redacted-1",
    "quantity": QUANTITY,
    "started": "2026-11-21T10:00:00.000000Z",
    "ended": "2026-11-21T10:05:00.000000Z",
}


class Example(Struct, frozen=True):
    """An event, who wrote its entry, and the values that are sealed in it."""

    event: Event
    by: Mapping[str, str]
    sensitive: Mapping[str, str] = {}


EXAMPLES = (
    Example(
        registry.LedgerOpened(
            origin="ledger.mod.example/oblik", owner="mod-ua", vkeys=("ledger.mod.example/oblik+1c6f9a0b+AQIDBA==",)
        ),
        {"org": "mod-ua", "system": "init"},
    ),
    Example(
        registry.OrganisationProposed(
            id="orion-pl", name="Orion Sensing", country="POL", communities=("EU", "NATO"), trust_tier=2
        ),
        ADMINISTRATOR,
    ),
    Example(registry.OrganisationEnrolled(id="orion-pl"), SECURITY),
    Example(registry.MemberAppointed(org="acme-jp", person="k.sato", roles=("applicant", "signatory")), ADMINISTRATOR),
    Example(
        registry.CredentialIssued(
            id="acme-trainer-2026",
            org="acme-jp",
            holder="trainer-1",
            holder_type="system",
            scopes=("evaluate", "train"),
            token_sha256="7" * 64,
            expires="2027-05-01T00:00:00.000000Z",
        ),
        ADMINISTRATOR,
    ),
    Example(
        registry.CredentialKeyRegistered(
            id="acme-trainer-key-1",
            org="acme-jp",
            holder="trainer-1",
            scopes=("evaluate", "train"),
            jwk={"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            jwk_thumbprint="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            expires="2027-05-01T00:00:00.000000Z",
            certificate_bound=True,
        ),
        ADMINISTRATOR,
    ),
    Example(
        registry.AuthenticationFailed(reason="replayed", client="acme-trainer-key-1", org="acme-jp", unrecorded=3),
        {"org": "mod-ua", "system": "service"},
    ),
    Example(registry.CredentialRevoked(id="acme-trainer-2026", org="acme-jp", reason="it stood in a log"), SECURITY),
    Example(
        rules.PurposesAdopted(
            nodes=(
                Node(id="humanitarian", cls="humanitarian", en="Humanitarian work", uk="Гуманітарна діяльність"),
                Node(
                    id="humanitarian.demining",
                    parent="humanitarian",
                    cls="humanitarian",
                    en="Humanitarian demining",
                    uk="Гуманітарне розмінування",
                ),
                Node(id="offensive", cls="offensive", prohibited=True, en="Offensive action", uk="Наступальні дії"),
            )
        ),
        STEWARD,
    ),
    Example(
        rules.PolicyAdopted(name="dataset_access", digest="8" * 64, model_sha256="9" * 64, rows_sha256="a" * 64),
        SECURITY,
    ),
    Example(
        rules.PolicyProposed(
            id="raw-for-evaluation",
            name="dataset_access",
            digest="c" * 64,
            model_sha256="9" * 64,
            rows_sha256="d" * 64,
            dry_run_sha256="e" * 64,
            replaces="8" * 64,
            quorum=("legal", "security"),
            proposed_by="mod-ua/o.koval",
        ),
        STEWARD,
    ),
    Example(
        rules.PolicyVoted(proposal="raw-for-evaluation", role="security", vote="refuse", note="too wide"), SECURITY
    ),
    Example(rules.PolicyRefused(proposal="raw-for-evaluation"), SECURITY),
    Example(
        rules.PolicyMounted(
            name="records_example",
            digest="9" * 64,
            resource_types=("record",),
            model_sha256=SHA256["text"],
            rows_sha256=SHA256["card"],
            mount_sha256=SHA256["label"],
            facts_sha256=SHA256["manifest"],
        ),
        SECURITY,
    ),
    Example(rules.SecurityPolicyAdopted(name="EXAMPLE", spif_sha256="b" * 64), SECURITY),
    Example(
        data.DatasetRegistered(id="uav-thermal", owner="mod-ua", title="Тепловізійні знімки з дронів, 2025"), STEWARD
    ),
    Example(
        data.DatasetVersionRegistered(
            dataset="uav-thermal",
            version="redacted-1",
            tier="redacted",
            label=LABEL,
            bounds=BOUNDS,
            card_sha256=SHA256["card"],
            manifest_sha256=SHA256["manifest"],
            manifest_key_sha256=SHA256["key"],
            manifest_root=SHA256["root"],
            files=3,
            label_sha256=SHA256["label"],
            derived_from=("raw-1",),
        ),
        STEWARD,
    ),
    Example(
        data.DatasetVersionWithdrawn(dataset="uav-thermal", version="raw-1", reason="a person can be recognised"),
        STEWARD,
    ),
    Example(
        sharing.AgreementProposed(
            id="ua-acme-2026",
            template="data_use",
            version="1",
            template_sha256=SHA256["text"],
            provider="mod-ua",
            consumer="acme-jp",
            terms=TERMS,
        ),
        STEWARD,
    ),
    Example(sharing.AgreementSigned(id="ua-acme-2026", org="acme-jp", in_force=True), APPLICANT),
    Example(
        sharing.AccessRequested(
            id="req-1",
            org="acme-jp",
            agreement="ua-acme-2026",
            resource="dataset:uav-thermal",
            terms=GRANT_TERMS,
            quorum=("security", "steward"),
            requested_by="acme-jp/k.sato",
        ),
        APPLICANT,
        {"justification": "a detector of mines for clearance teams"},
    ),
    Example(
        sharing.AccessVoted(
            request="req-1",
            org="acme-jp",
            resource="dataset:uav-thermal",
            role="steward",
            vote="approve",
            note="within the agreement",
        ),
        STEWARD,
    ),
    Example(sharing.AccessRefused(request="req-2", org="acme-jp", resource="dataset:uav-thermal"), SECURITY),
    Example(
        sharing.GrantIssued(
            id="grant-req-1",
            request="req-1",
            agreement="ua-acme-2026",
            org="acme-jp",
            resource="dataset:uav-thermal",
            terms=GRANT_TERMS,
        ),
        SECURITY,
    ),
    Example(
        sharing.GrantRevoked(
            id="grant-req-1",
            org="acme-jp",
            resource="dataset:uav-thermal",
            reason="the enclave's attestation lapsed",
        ),
        SECURITY,
    ),
    Example(
        decisions.DecisionRecorded(
            asked=decisions.Asked(
                action="train",
                country="JPN",
                environment="enclave",
                purpose="humanitarian.demining",
                resource="dataset:uav-thermal",
                subject="system:acme-jp/trainer-1",
                tier="redacted",
            ),
            org="acme-jp",
            allowed=True,
            failed=(),
            rests_on=(3, 17, 24),
            policy="8" * 64,
            evaluated_at="2026-11-21T09:30:00.123456Z",
            state_seq=41,
            grant="grant-req-1",
            version="dataset:uav-thermal@redacted-1",
        ),
        TRAINER,
    ),
    Example(
        restraints.PausePlaced(
            id="pause-1",
            scope="resource",
            target="dataset:uav-thermal@redacted-1",
            concerns=("dataset:uav-thermal",),
            quorum=("security", "steward"),
            reason="a person can be recognised",
        ),
        SECURITY,
    ),
    Example(
        restraints.PauseLiftVoted(
            pause="pause-1", concerns=("dataset:uav-thermal",), role="steward", note="the frame is taken out"
        ),
        STEWARD,
    ),
    Example(restraints.PauseLifted(id="pause-1", concerns=("dataset:uav-thermal",)), SECURITY),
    Example(
        restraints.IncidentReported(
            id="incident-1",
            scope="organisation",
            target="acme-jp",
            concerns=("org:acme-jp",),
            reported_by="acme-jp/k.sato",
        ),
        APPLICANT,
        {"account": "a laptop with frames on it is missing"},
    ),
    Example(
        restraints.IncidentMadeBlocking(
            id="incident-1",
            scope="organisation",
            target="acme-jp",
            concerns=("org:acme-jp",),
            reason="until the laptop is found",
        ),
        STEWARD,
    ),
    Example(
        restraints.IncidentClosed(
            id="incident-1", concerns=("org:acme-jp",), reason="the laptop was found, its disk encrypted"
        ),
        SECURITY,
    ),
    Example(
        assurances.AuthorisationRecorded(
            id="authorisation-1",
            purpose="defensive.air_defence",
            org="acme-jp",
            basis="political",
            document_sha256=SHA256["text"],
            starts="2026-11-21T00:00:00.000000Z",
            ends="2027-05-21T00:00:00.000000Z",
        ),
        {"org": "mod-ua", "person": "l.shevchuk"},
    ),
    Example(
        assurances.AuthorisationWithdrawn(id="authorisation-1", org="acme-jp", reason="the government decided so"),
        STEWARD,
    ),
    Example(
        assurances.EnvironmentAttested(
            org="acme-jp",
            environment="vault-1",
            kind="enclave",
            country="JPN",
            evidence_sha256=SHA256["text"],
            starts="2026-11-21T00:00:00.000000Z",
            ends="2027-05-21T00:00:00.000000Z",
        ),
        SECURITY,
    ),
    Example(
        assurances.AttestationWithdrawn(org="acme-jp", environment="vault-1", reason="its firmware was recalled"),
        SECURITY,
    ),
    Example(
        decisions.MountedDecisionRecorded(
            mount="records_example",
            policy="9" * 64,
            subject="user:bob",
            action="write",
            resource="record:record-2",
            brought={"resource.status": "archived", "subject.role": "admin"},
            allowed=True,
            evaluated_at="2026-11-21T09:30:00.123456Z",
            state_seq=41,
            row=13,
        ),
        {"org": "mod-ua", "system": "gate-1"},
    ),
    Example(decisions.UseReported(manifest_root=SHA256["root"], **USED), GATEWAY),
    Example(decisions.UseAnomalous(problem="the use began before the decision", **USED), GATEWAY),
    Example(
        data.RunStartedV1(id="run-7", org="acme-jp", decisions=(42,), inputs=("dataset:uav-thermal@redacted-1",)),
        TRAINER,
    ),
    Example(
        data.RunStarted(
            id="run-7",
            org="acme-jp",
            decisions=(42,),
            inputs=("dataset:uav-thermal@redacted-1",),
            grants=("grant-req-1",),
        ),
        TRAINER,
    ),
    Example(
        data.RunFinished(id="run-7", org="acme-jp", outcome="complete", metrics={"epochs": "40", "loss": "0.173"}),
        TRAINER,
    ),
    Example(
        data.WeightsRegistered(
            id="mine-detector-1",
            org="acme-jp",
            run="run-7",
            trainer="acme-jp/trainer-1",
            label=LABEL,
            bounds=BOUNDS,
            manifest_sha256=SHA256["manifest"],
            manifest_key_sha256=SHA256["key"],
            manifest_root=SHA256["root"],
            files=2,
        ),
        TRAINER,
    ),
    Example(
        promotion.PromotionProposed(
            id="promo-1",
            weights="mine-detector-1",
            org="acme-jp",
            stage="validated",
            evidence=(
                Evidence(
                    metric="recall", value="0.94", dataset="dataset:uav-thermal@redacted-1", seq=50, sha256="c" * 64
                ),
            ),
            thresholds=(Threshold(metric="recall", at_least="0.90"), Threshold(metric="latency", at_most="12.5")),
            quorum=("engineering", "ethics", "legal", "security"),
            proposed_by="acme-jp/trainer-1",
        ),
        TRAINER,
    ),
    Example(
        promotion.PromotionVoted(
            promotion="promo-1", weights="mine-detector-1", role="security", vote="refuse", note="not yet"
        ),
        SECURITY,
    ),
    Example(
        promotion.PromotionRefused(
            promotion="promo-1",
            weights="mine-detector-1",
            org="acme-jp",
            problem="`acme-jp/trainer-1` trained it, or is of those who did",
            final=False,
        ),
        TRAINER,
    ),
    Example(
        promotion.WeightsPromoted(id="mine-detector-1", org="acme-jp", promotion="promo-1", stage="validated"),
        SECURITY,
    ),
    Example(
        keys.LogKeyIntroduced(
            vkey="ledger.mod.example/oblik+5d3a8c11+AQIDBA==",
            proof="— ledger.mod.example/oblik HG+aCwECAwQFBgc=\n",
        ),
        {"org": "mod-ua", "system": "keys"},
    ),
    Example(
        keys.LogKeyRetired(vkey="ledger.mod.example/oblik+1c6f9a0b+AQIDBA==", reason="rotated"),
        {"org": "mod-ua", "system": "keys"},
    ),
    Example(
        sealing.FieldDisclosed(
            entry=29,
            field="justification",
            concerns=("dataset:uav-thermal", "org:acme-jp"),
            org="mod-ua",
            reader="i.bondar",
            reader_type="person",
            reason="to vote on the request",
        ),
        STEWARD,
    ),
    Example(
        sealing.FieldErased(
            entry=29,
            field="justification",
            concerns=("dataset:uav-thermal", "org:acme-jp"),
            reason="the project ended, and its retention with it",
        ),
        SECURITY,
    ),
    Example(streams.StreamsSealed(size=17, count=5, root="d" * 64), {"org": "mod-ua", "system": "service"}),
)

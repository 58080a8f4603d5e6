"""Bodies of the management API, with examples. Strict: no coercion, no unknown field."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _in_the_calendar(text: str) -> str:
    """Refuse the 30th of February, which the pattern lets through. Raises ValueError."""
    datetime.fromisoformat(text)
    return text


Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""What things are called: ASCII letters and digits, then also `.`, `_` and `-`; at most 64."""
Purpose = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Reference = Annotated[str, Field(pattern=r"^(dataset|weights):[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
VersionReference = Annotated[
    str, Field(pattern=r"^(dataset:[A-Za-z0-9][A-Za-z0-9._-]{0,63}@|weights:)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
]
Country = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 3166-1 alpha-3."""
Time = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z$"
    ),
    AfterValidator(_in_the_calendar),
]
"""UTC with microseconds: `2026-11-21T09:30:00.123456Z`."""
EXAMPLE_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Decimal = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$", max_length=40)]
Index = Annotated[int, Field(ge=0, lt=2**53)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Document = Annotated[str, Field(min_length=1, max_length=16 * 1024 * 1024)]
Tier = Literal["metadata", "aggregate", "synthetic", "derived", "redacted", "raw"]
Activity = Literal["train", "tune", "evaluate", "check_interoperability", "improve", "infer", "read_metadata"]
EnvironmentKind = Literal["enclave", "federated", "partner_hosted", "edge"]
Names = Annotated[list[Identifier], Field(max_length=100)]


class Body(BaseModel):
    """What every body shares."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Organisation(Body):
    """An organisation to enrol."""

    id: Identifier = Field(examples=["acme-jp"])
    name: Text = Field(examples=["Acme Robotics KK"])
    country: Country = Field(examples=["JPN"])
    communities: Annotated[list[Text], Field(max_length=20)] = Field(default=[], examples=[["NATO"]])
    trust_tier: Annotated[int, Field(ge=0, le=4)] = Field(examples=[3])


class Member(Body):
    """A person's roles, in place of those before."""

    roles: Names = Field(examples=[["steward"]])


class Credential(Body):
    """A token to issue."""

    id: Identifier = Field(examples=["koval-2026"])
    org: Identifier = Field(examples=["mod-ua"])
    holder: Identifier = Field(examples=["o.koval"])
    holder_type: Literal["person", "system"] = Field(examples=["person"])
    scopes: Names = Field(examples=[["govern", "read"]])
    expires: Time = Field(examples=["2027-05-01T00:00:00.000000Z"])


KEY_EXAMPLE = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


class Key(Body):
    """A system's public key."""

    id: Identifier = Field(examples=["acme-trainer-key-1"])
    org: Identifier = Field(examples=["acme-jp"])
    holder: Identifier = Field(examples=["trainer-1"])
    scopes: Names = Field(examples=[["evaluate", "train"]])
    expires: Time = Field(examples=["2027-05-01T00:00:00.000000Z"])
    public_key: Annotated[dict[str, str], Field(max_length=12)] | Annotated[str, Field(max_length=4_096)] = Field(
        examples=[KEY_EXAMPLE]
    )
    certificate_bound: bool = Field(default=False, examples=[False])


class Reason(Body):
    """Why something is ended."""

    reason: Text = Field(examples=["the project ended"])


class Disclosure(Body):
    """The one reader who is to see a sealed field, and why."""

    org: Identifier = Field(examples=["mod-ua"])
    reader: Identifier = Field(examples=["i.bondar"])
    reader_type: Literal["person", "system"] = Field(examples=["person"])
    reason: Text = Field(examples=["to vote on the request"])


class PurposeNode(Body):
    """One node of the purpose tree."""

    id: Purpose = Field(examples=["humanitarian.demining"])
    parent: Purpose | None = Field(default=None, examples=["humanitarian"])
    cls: Literal["humanitarian", "defensive", "logistics", "research", "offensive"] = Field(examples=["humanitarian"])
    prohibited: bool = Field(default=False, examples=[False])
    special_authorisation: bool = Field(default=False, examples=[False])
    en: Text = Field(examples=["Demining"])
    uk: Text = Field(examples=["Розмінування"])


PURPOSES_EXAMPLE = [
    {"id": "humanitarian", "cls": "humanitarian", "en": "Humanitarian work", "uk": "Гуманітарна діяльність"},
    {
        "id": "humanitarian.demining",
        "parent": "humanitarian",
        "cls": "humanitarian",
        "en": "Demining",
        "uk": "Розмінування",
    },
]


class Purposes(Body):
    """A purpose tree, whole."""

    nodes: Annotated[list[PurposeNode], Field(min_length=1, max_length=1_000)] = Field(examples=[PURPOSES_EXAMPLE])


class Policy(Body):
    """A decision policy: the two files of a folder under `policy_models/`."""

    name: Identifier = Field(examples=["dataset_access"])
    model: Document = Field(examples=["[request_definition]\nr = sub, act, res, ctx\n…"])
    rows: Document = Field(examples=["p, *, *, not grant_current, deny, …"])


DRY_RUN_EXAMPLE = '{"cases":[],"decisions":0,"format":"oblik-dry-run/1",…}'


class PolicyProposal(Policy):
    """A decision policy to be put in place of the one in force, with the document of its dry-run."""

    id: Identifier = Field(examples=["raw-for-evaluation"])
    dry_run: Document = Field(
        examples=[DRY_RUN_EXAMPLE], description="what `oblik policy dry-run --json FILE` wrote, byte for byte"
    )


class PolicyProposed(BaseModel):
    """An open proposal, and who has to agree."""

    seq: int = Field(examples=[24])
    id: str = Field(examples=["raw-for-evaluation"])
    digest: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    quorum: list[str] = Field(examples=[["legal", "security"]])


class PolicyVoted(BaseModel):
    """A vote, and what came of it."""

    seq: int = Field(examples=[26])
    outcome: str = Field(examples=["adopted"])
    missing_roles: list[str] = Field(examples=[[]])
    adopted_seq: int | None = Field(default=None, examples=[27])


class MountedPolicy(Body):
    """A policy for other types of resources: the four files of its folder."""

    name: Identifier = Field(examples=["records_example"])
    model: Document = Field(examples=["[request_definition]\nr = sub, act, res, ctx\n…"])
    rows: Document = Field(examples=["p, read, r.sub.known, allow, …"])
    mount: Document = Field(
        examples=['{"subjects": {"user": []}, "actions": {"read": []}, "resources": {"record": []}}']
    )
    facts: Document = Field(examples=['{"subjects": [{"type": "user", "id": "alice"}], "resources": []}'])


class SecurityPolicy(Body):
    """A security policy of labels (SPIF 2.1), as XML."""

    spif: Document = Field(examples=["<spif:SPIF …>…</spif:SPIF>"])


class Dataset(Body):
    """A dataset to make known."""

    id: Identifier = Field(examples=["uav-thermal"])
    title: Text = Field(examples=["Thermal imagery from reconnaissance drones, 2025"])


class Bounds(Body):
    """What a version is open for at the most. Empty means the originator alone."""

    purposes: Annotated[list[Purpose], Field(max_length=100)] = Field(default=[], examples=[["humanitarian"]])
    countries: Annotated[list[Country], Field(max_length=250)] = Field(default=[], examples=[["JPN", "UKR"]])
    until: Time | Literal[""] = Field(default="", examples=["2028-01-01T00:00:00.000000Z"])


class Version(Body):
    """A version of a dataset, with its documents as text."""

    version: Identifier = Field(examples=["redacted-1"])
    tier: Tier = Field(examples=["redacted"])
    card: Document = Field(examples=['{"@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1", …}'])
    manifest: Document = Field(examples=['{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", …}'])
    public_key: Document = Field(examples=["-----BEGIN PUBLIC KEY-----\n…"])
    files: dict[str, Digest] = Field(examples=[{"frames/0001.pgm": EXAMPLE_DIGEST}])
    label: Document | None = Field(default=None, examples=["<originatorConfidentialityLabel …>…"])
    security_policy: Text = Field(default="", examples=["NATO"])
    bounds: Bounds
    derived_from: Names = Field(default=[], examples=[["raw-1"]])


class Duty(Body):
    """What a party has to do, and within how many hours (0: not bound to a time)."""

    type: Identifier = Field(examples=["report_use"])
    within_hours: Annotated[int, Field(ge=0, le=100_000)] = Field(default=0, examples=[24])


class Terms(Body):
    """Terms of an agreement. Sets are sorted, each value once."""

    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=100)] = Field(examples=[["humanitarian"]])
    activities: list[Activity] = Field(min_length=1, examples=[["evaluate", "train"]])
    tier: Tier = Field(examples=["redacted"])
    environments: list[EnvironmentKind] = Field(min_length=1, examples=[["enclave"]])
    countries: Annotated[list[Country], Field(min_length=1, max_length=250)] = Field(examples=[["JPN", "UKR"]])
    starts: Time = Field(examples=["2026-11-21T00:00:00.000000Z"])
    ends: Time = Field(examples=["2027-11-21T00:00:00.000000Z"])
    obligations: list[Duty] = Field(default=[], examples=[[]])


class Agreement(Body):
    """Terms to propose to a partner, from a template under `agreements/`."""

    id: Identifier = Field(examples=["ua-acme-2026"])
    template: Identifier = Field(examples=["data_use"])
    template_version: Identifier = Field(examples=["v1"])
    consumer: Identifier = Field(examples=["acme-jp"])
    terms: Terms


class GrantTerms(Body):
    """Terms of a request, bound to one purpose."""

    purpose: Purpose = Field(examples=["humanitarian.demining"])
    activities: list[Activity] = Field(min_length=1, examples=[["train"]])
    tier: Tier = Field(examples=["redacted"])
    environments: list[EnvironmentKind] = Field(min_length=1, examples=[["enclave"]])
    countries: Annotated[list[Country], Field(min_length=1, max_length=250)] = Field(examples=[["JPN"]])
    starts: Time = Field(examples=["2026-11-21T00:00:00.000000Z"])
    ends: Time = Field(examples=["2027-05-21T00:00:00.000000Z"])
    attestation: bool = Field(default=False, examples=[True])
    max_runs: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(default=None, examples=[3])


class AccessRequest(Body):
    """A request for access. The justification is sealed: the ledger holds a commitment to it."""

    id: Identifier = Field(examples=["req-1"])
    agreement: Identifier = Field(examples=["ua-acme-2026"])
    resource: Reference = Field(examples=["dataset:uav-thermal"])
    terms: GrantTerms
    justification: Text = Field(examples=["a detector of mines in thermal imagery for clearance teams"])


class RequestAfterDenial(Body):
    """A request for exactly what a decision denied, from now until `ends`. The justification is sealed."""

    binding_token: Text = Field(examples=["42"])
    agreement: Identifier = Field(examples=["ua-acme-2026"])
    ends: Time = Field(examples=["2027-05-21T00:00:00.000000Z"])
    justification: Text = Field(examples=["a detector of mines in thermal imagery for clearance teams"])


class Vote(Body):
    """A vote, in one role."""

    role: Identifier = Field(examples=["steward"])
    vote: Literal["approve", "refuse"] = Field(examples=["approve"])
    note: Annotated[str, Field(max_length=2_000)] = Field(default="", examples=["within the agreement"])


class Pause(Body):
    """What is to be stopped at once, with all below it or derived from it; `everything` has no target."""

    id: Identifier = Field(examples=["pause-1"])
    scope: Literal["everything", "organisation", "resource", "agreement", "grant", "purpose", "environment"] = Field(
        examples=["resource"]
    )
    target: Annotated[str, Field(max_length=200)] = Field(default="", examples=["dataset:uav-thermal"])
    reason: Text = Field(examples=["a person can be recognised"])


class Agreed(Body):
    """Consent, in one role."""

    role: Identifier = Field(examples=["security"])
    note: Annotated[str, Field(max_length=2_000)] = Field(default="", examples=["the cause is removed"])


class Incident(Body):
    """An incident to report. The account is sealed: the ledger holds a commitment to it."""

    id: Identifier = Field(examples=["incident-1"])
    scope: Literal["organisation", "resource"] = Field(examples=["organisation"])
    target: Annotated[str, Field(min_length=1, max_length=200)] = Field(examples=["acme-jp"])
    account: Text = Field(examples=["a laptop with frames on it is missing"])


class Authorisation(Body):
    """An authority's word that a purpose is open to an organisation, by the document that says so."""

    id: Identifier = Field(examples=["authorisation-1"])
    purpose: Purpose = Field(examples=["defensive.air_defence"])
    org: Identifier = Field(examples=["acme-jp"])
    basis: Literal["political", "legal"] = Field(examples=["political"])
    document_sha256: Digest = Field(examples=[EXAMPLE_DIGEST])
    starts: Time = Field(examples=["2026-11-21T00:00:00.000000Z"])
    ends: Time = Field(examples=["2027-05-21T00:00:00.000000Z"])


class Attestation(Body):
    """What an environment was found to be, by evidence that was verified."""

    kind: EnvironmentKind = Field(examples=["enclave"])
    country: Country = Field(examples=["JPN"])
    evidence_sha256: Digest = Field(examples=[EXAMPLE_DIGEST])
    starts: Time = Field(examples=["2026-11-21T00:00:00.000000Z"])
    ends: Time = Field(examples=["2027-05-21T00:00:00.000000Z"])


class Quantity(Body):
    """How much was read."""

    files: Count = Field(default=0, examples=[3])
    bytes: Count = Field(default=0, examples=[1_048_576])
    records: Count = Field(default=0, examples=[1_200])


class Use(Body):
    """A use that was made under an allow."""

    decision: Index = Field(examples=[42])
    resource: Reference = Field(examples=["dataset:uav-thermal"])
    version: VersionReference = Field(examples=["dataset:uav-thermal@redacted-1"])
    quantity: Quantity
    started: Time = Field(examples=["2026-11-21T10:00:00.000000Z"])
    ended: Time = Field(examples=["2026-11-21T10:05:00.000000Z"])


class Run(Body):
    """A training run to start."""

    id: Identifier = Field(examples=["run-7"])
    decisions: Annotated[list[Index], Field(min_length=1, max_length=100)] = Field(examples=[[42]])


class RunEnd(Body):
    """How a run ended. Metrics are decimal strings."""

    outcome: Literal["complete", "failed", "aborted"] = Field(examples=["complete"])
    metrics: dict[Identifier, Decimal] = Field(default={}, examples=[{"loss": "0.173"}])


class Weights(Body):
    """The output of a run, with its signed manifest."""

    id: Identifier = Field(examples=["mine-detector-1"])
    run: Identifier = Field(examples=["run-7"])
    manifest: Document = Field(examples=['{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", …}'])
    public_key: Document = Field(examples=["-----BEGIN PUBLIC KEY-----\n…"])
    files: dict[str, Digest] = Field(examples=[{"model.bin": EXAMPLE_DIGEST}])


class Evidence(Body):
    """A measured metric, and what it was measured on."""

    metric: Identifier = Field(examples=["recall"])
    value: Decimal = Field(examples=["0.94"])
    dataset: VersionReference = Field(examples=["dataset:uav-thermal@redacted-1"])


class Threshold(Body):
    """A bound on a metric."""

    metric: Identifier = Field(examples=["recall"])
    at_least: Decimal | None = Field(default=None, examples=["0.90"])
    at_most: Decimal | None = Field(default=None, examples=[None])


class Promotion(Body):
    """A promotion to propose."""

    id: Identifier = Field(examples=["promo-1"])
    weights: Identifier = Field(examples=["mine-detector-1"])
    stage: Literal["validated", "approved", "deployed", "retired"] = Field(examples=["validated"])
    evidence: list[Evidence]
    thresholds: Annotated[list[Threshold], Field(min_length=1)]


class Written(BaseModel):
    """What was written, by its ledger index."""

    seq: int = Field(examples=[17])


class Issued(BaseModel):
    """A new token. It is shown here and never again."""

    seq: int = Field(examples=[5])
    id: str = Field(examples=["koval-2026"])
    token: str = Field(examples=["oblik_…"])
    expires: str = Field(examples=["2027-05-01T00:00:00.000000Z"])


class RegisteredKey(BaseModel):
    """A registered key. `id` is the OAuth client id, `kid` the key's thumbprint (RFC 7638)."""

    seq: int = Field(examples=[6])
    id: str = Field(examples=["acme-trainer-key-1"])
    kid: str = Field(examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"])
    expires: str = Field(examples=["2027-05-01T00:00:00.000000Z"])


class RequestState(BaseModel):
    """Where a request for access stands; `seq` is the entry that says so."""

    id: str = Field(examples=["r-9f86d081884c7d659a2feaa0c55ad015"])
    state: str = Field(description="pending, approved, denied or expired", examples=["pending"])
    seq: int = Field(examples=[57])
    quorum: list[str] = Field(examples=[["security", "steward"]])


class UnderReview(BaseModel):
    """An open matter, and the roles that have to agree."""

    seq: int = Field(examples=[21])
    id: str = Field(examples=["req-1"])
    quorum: list[str] = Field(examples=[["security", "steward"]])


class VoteCounted(BaseModel):
    """A vote, and what came of it."""

    seq: int = Field(examples=[23])
    outcome: str = Field(examples=["granted"])
    missing_roles: list[str] = Field(examples=[[]])
    grant: str | None = Field(default=None, examples=["grant-req-1"])
    granted_seq: int | None = Field(default=None, examples=[24])


class LiftCounted(BaseModel):
    """Consent to lift a pause, and what came of it."""

    seq: int = Field(examples=[51])
    outcome: str = Field(examples=["lifted"])
    missing_roles: list[str] = Field(examples=[[]])
    lifted_seq: int | None = Field(default=None, examples=[52])


class PromotionVoteCounted(BaseModel):
    """A vote of the board, and what came of it."""

    seq: int = Field(examples=[40])
    outcome: str = Field(examples=["promoted"])
    missing_roles: list[str] = Field(examples=[[]])
    stage: str | None = Field(default=None, examples=["validated"])
    promoted_seq: int | None = Field(default=None, examples=[41])


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(examples=["urn:oblik:problem:malformed-input"])
    title: str = Field(examples=["Malformed input"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["`redactedd` is no tier"])
    pointer: str | None = Field(default=None, examples=["/context/tier"])
    help: str | None = Field(default=None, examples=["one of metadata, aggregate, …"])

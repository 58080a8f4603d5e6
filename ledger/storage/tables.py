"""Every table.

`entry`, `head`, `subtree`, `attachment` and `disclosure` are the ledger; `publication` and `timestamp` are what was
said of it to outsiders, and by them; all others are projections.

A projection is a fold of the entries: written in the transaction that writes the entry, and rebuilt from entries
alone by `ledger.storage.rebuild`. Columns that end in `seq` hold ledger indexes. Structured columns hold JSON text,
sorted, so that two engines and two rebuilds give equal rows.
"""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

Index64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A ledger index. SQLite's rowid tables want the name INTEGER."""


def _index(*, key: bool = False, null: bool = False) -> sa.Column[int]:
    return sa.Column(Index64, primary_key=key, autoincrement=False, nullable=null)


def _text(*, key: bool = False, null: bool = False) -> sa.Column[str]:
    return sa.Column(sa.Text(), primary_key=key, nullable=null)


def _bytes() -> sa.Column[bytes]:
    return sa.Column(sa.LargeBinary(), nullable=False)


class EntryRow(SQLModel, table=True):
    """One entry: its canonical bytes as written, and their leaf hash. No row is ever changed or deleted."""

    __tablename__ = "entry"
    seq: int = Field(sa_column=_index(key=True))
    leaf: bytes = Field(sa_column=_bytes())
    data: bytes = Field(sa_column=_bytes())


class HeadRow(SQLModel, table=True):
    """The single row that every writer locks: where the ledger ends."""

    __tablename__ = "head"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_head"),)
    id: int = Field(sa_column=sa.Column(sa.Integer(), primary_key=True, autoincrement=False))
    size: int = Field(sa_column=_index())
    leaf: bytes = Field(sa_column=_bytes())
    """Leaf hash of the last entry; zeros for an empty ledger."""
    edge: bytes = Field(sa_column=_bytes())
    """The tree's right edge: 32 bytes for each bit set in `size`, largest subtree first."""
    state_seq: int = Field(sa_column=_index())
    """Index of the last entry that changed anything a decision depends on; -1 for none."""
    at: str = Field(sa_column=_text())
    """Time of the last entry; "" for none."""


class SubtreeRow(SQLModel, table=True):
    """The hash of leaves [index·256^level, (index+1)·256^level): tile rows above level 0, kept for short proofs."""

    __tablename__ = "subtree"
    level: int = Field(sa_column=sa.Column(sa.SmallInteger(), primary_key=True, autoincrement=False))
    index: int = Field(sa_column=_index(key=True))
    hash: bytes = Field(sa_column=_bytes())


class AttachmentRow(SQLModel, table=True):
    """What did not fit into an entry, by its SHA-256 in hex."""

    __tablename__ = "attachment"
    sha256: str = Field(sa_column=_text(key=True))
    media_type: str = Field(sa_column=_text())
    data: bytes = Field(sa_column=_bytes())


class DisclosureRow(SQLModel, table=True):
    """The value behind a sealed field of an entry: `[salt, name, value]`."""

    __tablename__ = "disclosure"
    commitment: str = Field(sa_column=_text(key=True))
    seq: int = Field(sa_column=_index())
    data: bytes = Field(sa_column=_bytes())


class PublicationRow(SQLModel, table=True):
    """The single row that says what was signed last: each publisher compares it, and swaps in what follows."""

    __tablename__ = "publication"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_publication"),)
    id: int = Field(sa_column=sa.Column(sa.Integer(), primary_key=True, autoincrement=False))
    size: int = Field(sa_column=_index())
    root: bytes = Field(sa_column=_bytes())
    note: bytes = Field(sa_column=_bytes())
    """The checkpoint, as the log signed it."""
    public_size: int = Field(sa_column=_index())
    """Size of the checkpoint that everybody is shown; 0 for none."""
    public: bytes = Field(sa_column=_bytes())
    """That checkpoint, with the cosignatures that it has; empty for none."""


class TimestampRow(SQLModel, table=True):
    """A time-stamp (RFC 3161) by an authority over the checkpoint of a size."""

    __tablename__ = "timestamp"
    size: int = Field(sa_column=_index(key=True))
    authority: str = Field(sa_column=_text(key=True))
    """URL that it was asked of."""
    note: bytes = Field(sa_column=_bytes())
    """The checkpoint, as the log signed it."""
    token: bytes = Field(sa_column=_bytes())


# Projections ----------------------------------------------------------------------------------------------------------


class StreamRow(SQLModel, table=True):
    """How many entries a stream has, and the index of the last."""

    __tablename__ = "stream"
    __table_args__ = {"sqlite_with_rowid": False}
    name: str = Field(sa_column=_text(key=True))
    size: int = Field(sa_column=_index())
    last_seq: int = Field(sa_column=_index())


class OrganisationRow(SQLModel, table=True):
    """proposed → enrolled ⇄ suspended."""

    __tablename__ = "organisation"
    id: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text())
    country: str = Field(sa_column=_text())
    communities: str = Field(sa_column=_text())
    trust_tier: int
    status: str = Field(sa_column=_text())
    proposed_by: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class MemberRow(SQLModel, table=True):
    """A person's roles in an organisation."""

    __tablename__ = "member"
    org: str = Field(sa_column=_text(key=True))
    person: str = Field(sa_column=_text(key=True))
    roles: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


CLIENT_PREFIX = "client:"
"""Before the id of a client, where a token's hash would stand: no hash in hex has a colon."""


class CredentialRow(SQLModel, table=True):
    """An API token, by the hash of its bits, or a system's public key."""

    __tablename__ = "credential"
    __table_args__ = (
        sa.Index("credential_by_key", "jwk_thumbprint", unique=True),
        sa.Index("credential_by_holder", "holder_type", "org", "holder"),
    )
    id: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text())
    holder: str = Field(sa_column=_text())
    holder_type: str = Field(sa_column=_text())
    scopes: str = Field(sa_column=_text())
    known_by: str = Field(sa_column=sa.Column(sa.Text(), nullable=False, unique=True))
    """The SHA-256 of a token in hex; `client:<id>` where it is a key."""
    jwk: str | None = Field(default=None, sa_column=_text(null=True))
    jwk_thumbprint: str | None = Field(default=None, sa_column=_text(null=True))
    certificate_bound: bool = Field(default=False, sa_column=sa.Column(sa.Boolean(), nullable=False))
    expires: str = Field(sa_column=_text())
    revoked_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class PurposeRow(SQLModel, table=True):
    """A node of the purpose tree in force, with its path from the root."""

    __tablename__ = "purpose"
    id: str = Field(sa_column=_text(key=True))
    position: int
    parent: str | None = Field(default=None, sa_column=_text(null=True))
    cls: str = Field(sa_column=_text())
    prohibited: bool
    path: str = Field(sa_column=_text())
    prohibited_at: str | None = Field(default=None, sa_column=_text(null=True))
    special_authorisation: bool
    authorisation_at: str | None = Field(default=None, sa_column=_text(null=True))
    en: str = Field(sa_column=_text())
    uk: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class PolicyRow(SQLModel, table=True):
    """The decision policy in force: one row."""

    __tablename__ = "policy"
    slot: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text())
    digest: str = Field(sa_column=_text())
    model_sha256: str = Field(sa_column=_text())
    rows_sha256: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class AdoptedPolicyRow(SQLModel, table=True):
    """A decision policy that was in force at some time, by digest: where its texts are."""

    __tablename__ = "adopted_policy"
    digest: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text())
    model_sha256: str = Field(sa_column=_text())
    rows_sha256: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())
    """Its latest adoption."""


class PolicyProposalRow(SQLModel, table=True):
    """open → adopted or refused."""

    __tablename__ = "policy_proposal"
    id: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text())
    digest: str = Field(sa_column=_text())
    model_sha256: str = Field(sa_column=_text())
    rows_sha256: str = Field(sa_column=_text())
    dry_run_sha256: str = Field(sa_column=_text())
    replaces: str = Field(sa_column=_text())
    quorum: str = Field(sa_column=_text())
    proposed_by: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class MountedPolicyRow(SQLModel, table=True):
    """A policy that decides on resources of other types, by its name."""

    __tablename__ = "mounted_policy"
    name: str = Field(sa_column=_text(key=True))
    digest: str = Field(sa_column=_text())
    resource_types: str = Field(sa_column=_text())
    model_sha256: str = Field(sa_column=_text())
    rows_sha256: str = Field(sa_column=_text())
    mount_sha256: str = Field(sa_column=_text())
    facts_sha256: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class SecurityPolicyRow(SQLModel, table=True):
    """A security policy (SPIF) by which labels are read."""

    __tablename__ = "security_policy"
    name: str = Field(sa_column=_text(key=True))
    spif_sha256: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class DatasetRow(SQLModel, table=True):
    """A dataset; what can be used of it are its versions."""

    __tablename__ = "dataset"
    id: str = Field(sa_column=_text(key=True))
    owner: str = Field(sa_column=_text())
    title: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class ResourceRow(SQLModel, table=True):
    """What can be used: a dataset version (`dataset:<id>@<version>`) or weights (`weights:<id>`), with its bounds."""

    __tablename__ = "resource"
    __table_args__ = (sa.Index("resource_by_name", "name", "tier"),)
    ref: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text())
    """What requests call it: `dataset:<id>` or `weights:<id>`."""
    version: str = Field(sa_column=_text())
    originator: str = Field(sa_column=_text())
    tier: str = Field(sa_column=_text())
    label: str = Field(sa_column=_text())
    releasable_to: str = Field(sa_column=_text())
    bounds: str = Field(sa_column=_text())
    manifest_root: str = Field(sa_column=_text())
    withdrawn_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class LineageRow(SQLModel, table=True):
    """Each ancestor of each resource, direct or not."""

    __tablename__ = "lineage"
    ref: str = Field(sa_column=_text(key=True))
    ancestor: str = Field(sa_column=_text(key=True))


class AgreementRow(SQLModel, table=True):
    """proposed → in_force, once each party has signed."""

    __tablename__ = "agreement"
    id: str = Field(sa_column=_text(key=True))
    template: str = Field(sa_column=_text())
    version: str = Field(sa_column=_text())
    provider: str = Field(sa_column=_text())
    consumer: str = Field(sa_column=_text())
    terms: str = Field(sa_column=_text())
    signed_by: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())
    """The entry that its status rests on."""


class AccessRequestRow(SQLModel, table=True):
    """under_review → granted or refused."""

    __tablename__ = "access_request"
    id: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text())
    agreement: str = Field(sa_column=_text())
    resource: str = Field(sa_column=_text())
    terms: str = Field(sa_column=_text())
    quorum: str = Field(sa_column=_text())
    requested_by: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class VoteRow(SQLModel, table=True):
    """One person's vote on a request, a promotion or the lifting of a pause."""

    __tablename__ = "vote"
    matter: str = Field(sa_column=_text(key=True))
    """`access:<id>`, `promotion:<id>` or `pause:<id>`."""
    person: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text(key=True))
    role: str = Field(sa_column=_text())
    approve: bool
    seq: int = Field(sa_column=_index())


class GrantRow(SQLModel, table=True):
    """in force until it ends or is revoked."""

    __tablename__ = "access_grant"
    __table_args__ = (sa.Index("access_grant_by_holder", "org", "resource"),)
    id: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text())
    resource: str = Field(sa_column=_text())
    agreement: str = Field(sa_column=_text())
    terms: str = Field(sa_column=_text())
    runs: int
    runs_open: int
    runs_seq: int | None = Field(default=None, sa_column=_index(null=True))
    revoked_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class RunRow(SQLModel, table=True):
    """started → complete, failed or aborted."""

    __tablename__ = "run"
    id: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text())
    decisions: str = Field(sa_column=_text())
    inputs: str = Field(sa_column=_text())
    grants: str = Field(sa_column=_text())
    started_by: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class WeightsRow(SQLModel, table=True):
    """candidate → validated → approved → deployed → retired."""

    __tablename__ = "weights"
    id: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text())
    run: str = Field(sa_column=_text())
    trainer: str = Field(sa_column=_text())
    stage: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class PromotionRow(SQLModel, table=True):
    """open → promoted or refused."""

    __tablename__ = "promotion"
    id: str = Field(sa_column=_text(key=True))
    weights: str = Field(sa_column=_text())
    stage: str = Field(sa_column=_text())
    quorum: str = Field(sa_column=_text())
    proposed_by: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class RestraintRow(SQLModel, table=True):
    """A pause, or an incident that blocks: in force until it is lifted."""

    __tablename__ = "restraint"
    __table_args__ = (sa.Index("restraint_in_force", "lifted_seq"),)
    id: str = Field(sa_column=_text(key=True))
    """`pause:<id>` or `incident:<id>`."""
    kind: str = Field(sa_column=_text())
    scope: str = Field(sa_column=_text())
    target: str = Field(sa_column=_text())
    concerns: str = Field(sa_column=_text())
    quorum: str = Field(sa_column=_text())
    """Who lifts a pause; empty for an incident."""
    placed_by: str = Field(sa_column=_text())
    lifted_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class IncidentRow(SQLModel, table=True):
    """reported → blocking → closed, or closed at once."""

    __tablename__ = "incident"
    id: str = Field(sa_column=_text(key=True))
    scope: str = Field(sa_column=_text())
    target: str = Field(sa_column=_text())
    concerns: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    seq: int = Field(sa_column=_index())


class AuthorisationRow(SQLModel, table=True):
    """What opens a purpose to an organisation that needs a special authorisation: until it ends or is withdrawn."""

    __tablename__ = "authorisation"
    __table_args__ = (sa.Index("authorisation_by_org", "org"),)
    id: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text())
    purpose: str = Field(sa_column=_text())
    starts: str = Field(sa_column=_text())
    ends: str = Field(sa_column=_text())
    withdrawn_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class AttestationRow(SQLModel, table=True):
    """The last attestation of an organisation's environment."""

    __tablename__ = "attestation"
    org: str = Field(sa_column=_text(key=True))
    environment: str = Field(sa_column=_text(key=True))
    kind: str = Field(sa_column=_text())
    country: str = Field(sa_column=_text())
    starts: str = Field(sa_column=_text())
    ends: str = Field(sa_column=_text())
    withdrawn_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class LogKeyRow(SQLModel, table=True):
    """in force → retired."""

    __tablename__ = "log_key"
    vkey: str = Field(sa_column=_text(key=True))
    retired_seq: int | None = Field(default=None, sa_column=_index(null=True))
    seq: int = Field(sa_column=_index())


class DisclosureReaderRow(SQLModel, table=True):
    """A reader who may see the value of one sealed field."""

    __tablename__ = "disclosure_reader"
    entry: int = Field(sa_column=_index(key=True))
    field: str = Field(sa_column=_text(key=True))
    org: str = Field(sa_column=_text(key=True))
    reader_type: str = Field(sa_column=_text(key=True))
    reader: str = Field(sa_column=_text(key=True))
    seq: int = Field(sa_column=_index())


class ErasedFieldRow(SQLModel, table=True):
    """A sealed field whose value was erased."""

    __tablename__ = "erased_field"
    entry: int = Field(sa_column=_index(key=True))
    field: str = Field(sa_column=_text(key=True))
    seq: int = Field(sa_column=_index())


class StreamSealRow(SQLModel, table=True):
    """The latest `streams.sealed`: one row."""

    __tablename__ = "stream_seal"
    slot: str = Field(sa_column=_text(key=True))
    seq: int = Field(sa_column=_index())


class SealedStreamRow(SQLModel, table=True):
    """Where a stream stood at the latest seal, for proofs."""

    __tablename__ = "sealed_stream"
    name: str = Field(sa_column=_text(key=True))
    size: int = Field(sa_column=_index())
    last_seq: int = Field(sa_column=_index())


class UsedAssertionRow(SQLModel, table=True):
    """A client assertion that was exchanged for an access token, until it ends: none is taken twice."""

    __tablename__ = "used_assertion"
    client: str = Field(sa_column=_text(key=True))
    jti: str = Field(sa_column=_text(key=True))
    ends: int = Field(
        sa_column=sa.Column(sa.BigInteger().with_variant(sa.Integer(), "sqlite"), index=True, nullable=False)
    )
    """POSIX seconds."""


LEDGER = (EntryRow, HeadRow, SubtreeRow, AttachmentRow, DisclosureRow)
"""What cannot be derived from anything else."""

PUBLISHED = (PublicationRow, TimestampRow)
"""What was said of it to outsiders, and by them: later than its entries, by a thread of its own."""

PASSING = (UsedAssertionRow,)
"""What is kept for minutes, and means nothing after."""

PROJECTIONS = (
    StreamRow,
    OrganisationRow,
    MemberRow,
    CredentialRow,
    PurposeRow,
    PolicyRow,
    AdoptedPolicyRow,
    PolicyProposalRow,
    MountedPolicyRow,
    SecurityPolicyRow,
    DatasetRow,
    ResourceRow,
    LineageRow,
    AgreementRow,
    AccessRequestRow,
    VoteRow,
    GrantRow,
    RunRow,
    WeightsRow,
    PromotionRow,
    RestraintRow,
    IncidentRow,
    AuthorisationRow,
    AttestationRow,
    LogKeyRow,
    DisclosureReaderRow,
    ErasedFieldRow,
    StreamSealRow,
    SealedStreamRow,
)
"""What `oblik rebuild` empties and folds anew."""


def table(row: type[SQLModel]) -> sa.Table:
    """Give the Core table behind a row class."""
    found: sa.Table = row.__table__  # type: ignore[attr-defined]
    return found

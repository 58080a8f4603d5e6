"""Datasets and their versions: a card, a signed manifest and a label, each verified before anything is written."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from ledger.errors import Conflict, Malformed, NotFound, show
from ledger.events import data
from ledger.events.data import RecordedBounds
from ledger.governance.card import Card, parse_card
from ledger.governance.labels import Label, at_least_as_restrictive, derive, parse_label, releasable_to, values_of
from ledger.governance.lineage import Bounds, check_bounds, check_not_wider
from ledger.governance.manifest import Manifest, check_files, open_manifest
from ledger.services.caller import Caller, require_role
from ledger.services.rules import purposes_in_force, security_policy
from ledger.storage.columns import load
from ledger.storage.tables import DatasetRow, ResourceRow, table
from ledger.storage.transaction import Transaction

DATASET, RESOURCE = table(DatasetRow), table(ResourceRow)


ONLY = "Only"
"""A tag set of the NATO policy that narrows whom a label releases to. An empty intersection of two would have to be
told from its absence, which derivation (ADatP-4774) cannot: so a label that has it is refused."""


class Documents(Struct, frozen=True, kw_only=True):
    """What comes with a version, as its owner wrote it."""

    card: bytes
    """Croissant, JSON-LD."""
    manifest: bytes
    """A Sigstore bundle as OpenSSF Model Signing defines it."""
    public_key: bytes
    """PEM of the key that the owner vouches for; the one inside the bundle counts for nothing."""
    files: Mapping[str, str]
    """SHA-256 in hex of every file that is there, by name."""
    label: bytes | None
    """ADatP-4774 XML; None for a derived version, whose label follows from its parents'."""
    security_policy: str


def register_dataset(tx: Transaction, caller: Caller, owner: str, *, id: str, title: str) -> int:
    """Make a dataset known."""
    require_role(caller, "steward", org=owner)
    if tx.row(DATASET.select().where(DATASET.c.id == id)) is not None:
        raise Conflict(f"dataset {show(id)} exists already")
    return tx.append(data.DatasetRegistered(id=id, owner=owner, title=title), caller.by)


def register_version(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    dataset: str,
    version: str,
    tier: str,
    documents: Documents,
    bounds: RecordedBounds,
    derived_from: Sequence[str],
) -> int:
    """Register a version of a dataset. A derived one may be no wider than any of its parents (I6)."""
    require_role(caller, "steward", org=owner)
    if tx.row(DATASET.select().where(DATASET.c.id == dataset)) is None:
        raise NotFound("dataset", dataset)
    ref = f"dataset:{dataset}@{version}"
    if tx.row(RESOURCE.select().where(RESOURCE.c.ref == ref)) is not None:
        raise Conflict(f"version {show(ref)} exists already")
    manifest = open_manifest(documents.manifest, documents.public_key)
    check_files(manifest, documents.files)
    with located("/card"):
        check_card(parse_card(documents.card), manifest)
    parents = [get_resource(tx, f"dataset:{dataset}@{parent}") for parent in derived_from]
    label = _label(tx, documents, parents)
    _check_bounds(tx, label, bounds, tier, parents)
    registered = data.DatasetVersionRegistered(
        dataset=dataset,
        version=version,
        tier=tier,
        label=label,
        bounds=bounds,
        card_sha256=tx.attach(documents.card, "application/ld+json"),
        label_sha256=tx.attach(documents.label, "application/xml") if documents.label is not None else None,
        manifest_sha256=tx.attach(documents.manifest, "application/vnd.dev.sigstore.bundle.v0.3+json"),
        manifest_key_sha256=hashlib.sha256(documents.public_key).hexdigest(),
        manifest_root=manifest.root,
        files=len(manifest.resources),
        derived_from=tuple(sorted(set(derived_from))),
    )
    return tx.append(registered, caller.by)


def check_card(card: Card, manifest: Manifest) -> None:
    """Check that card and manifest agree on every file that both name. Raises Malformed naming the card's field."""
    signed = {resource.name: resource.digest for resource in manifest.resources}
    for file in card.files:
        if file.sha256 is not None and signed.get(file.name, file.sha256) != file.sha256:
            raise Malformed(
                "/distribution", f"{show(file.sha256)} is not what the signed manifest says of {show(file.name)}"
            )


@contextmanager
def located(document: str) -> Iterator[None]:
    """Have errors in a document say which one it was: `/distribution/0` becomes `/card/distribution/0`."""
    try:
        yield
    except Malformed as error:
        problem = error.problem.removeprefix(f"{error.pointer}: ")
        raise Malformed(document + error.pointer, problem, help=error.help) from None


def withdraw_version(tx: Transaction, caller: Caller, owner: str, *, dataset: str, version: str, reason: str) -> int:
    """Close a version, and with it all that was derived from it."""
    require_role(caller, "steward", "security", org=owner)
    found = get_resource(tx, f"dataset:{dataset}@{version}")
    if found.withdrawn_seq is not None:
        raise Conflict(f"version {show(found.ref)} was withdrawn by entry {found.withdrawn_seq}")
    return tx.append(data.DatasetVersionWithdrawn(dataset=dataset, version=version, reason=reason), caller.by)


def get_resource(tx: Transaction, ref: str) -> "sa.Row[Any]":
    """Read a dataset version or weights. Raises NotFound."""
    row = tx.row(RESOURCE.select().where(RESOURCE.c.ref == ref))
    if row is None:
        raise NotFound("resource", ref)
    return row


def derived_label(tx: Transaction, parents: Sequence["sa.Row[Any]"]) -> Label:
    """Derive the label of what is made from these, by the security policy that they share."""
    labels = [load(parent.label, Label) for parent in parents]
    return derive(labels, security_policy(tx, labels[0].policy))


def bounds_of(row: "sa.Row[Any]") -> Bounds:
    """Give a resource's bounds, with whom its label releases it to."""
    recorded = load(row.bounds, RecordedBounds)
    return Bounds(
        releasable_to=load(row.releasable_to, tuple[str, ...]),
        purposes=recorded.purposes,
        countries=recorded.countries,
        until=recorded.until,
        tier=row.tier,
    )


def _label(tx: Transaction, documents: Documents, parents: Sequence["sa.Row[Any]"]) -> Label:
    if documents.label is None:
        if not parents:
            raise Malformed("/label", "is missing", help="only a derived version takes its label from its parents")
        return derived_label(tx, parents)
    policy = security_policy(tx, documents.security_policy)
    with located("/label"):
        label = parse_label(documents.label, policy)
        if values_of(label, ONLY, "PERMISSIVE"):
            raise Malformed("", f"has a category {show(ONLY)}", help="say whom it is released to in `Releasable To`")
    for parent in parents:
        wider = at_least_as_restrictive(label, load(parent.label, Label), policy)
        if wider:
            raise Conflict(f"the label is wider than that of {show(parent.ref)}: {'; '.join(wider)}")
    return label


def _check_bounds(
    tx: Transaction, label: Label, bounds: RecordedBounds, tier: str, parents: Sequence["sa.Row[Any]"]
) -> None:
    tree = purposes_in_force(tx)
    for i, purpose in enumerate(bounds.purposes):
        if tree.prohibited_at(purpose) is not None:
            raise Malformed(f"/bounds/purposes/{i}", f"{show(purpose)} is prohibited")
    declared = Bounds(
        releasable_to=tuple(sorted(releasable_to(label))),
        purposes=bounds.purposes,
        countries=bounds.countries,
        until=bounds.until,
        tier=tier,
    )
    check_bounds(declared, "/bounds")
    if parents:
        check_not_wider(declared, [bounds_of(parent) for parent in parents], tree.covers)

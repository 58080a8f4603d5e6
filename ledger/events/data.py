"""Datasets and their versions, training runs, and the weights that come of them."""

from typing import Literal

from msgspec import Struct

from ledger.events.catalogue import Event, event
from ledger.governance.label_forms import Label


class RecordedBounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a resource is open for at the most. Empty means the originator alone (I6)."""

    purposes: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    until: str = ""


@event("dataset.registered")
class DatasetRegistered(Event, frozen=True, kw_only=True):
    """A dataset exists; nothing of it is open until it has a version."""

    id: str
    owner: str
    title: str

    def streams(self) -> tuple[str, ...]:
        return (f"dataset:{self.id}", f"org:{self.owner}")


@event("dataset.version_registered")
class DatasetVersionRegistered(Event, frozen=True, kw_only=True):
    """A version with its card, its signed manifest and its label, each verified before it was written."""

    dataset: str
    version: str
    tier: str
    label: Label
    bounds: RecordedBounds
    card_sha256: str
    manifest_sha256: str
    manifest_key_sha256: str
    """Of the PEM of the key that the owner vouched for."""
    manifest_root: str
    """SHA-256 over the digests of all files: what a partner compares with what it received."""
    files: int
    label_sha256: str | None = None
    """Of the label's XML; a derived label has none."""
    derived_from: tuple[str, ...] = ()
    """Versions of this dataset that it was made from."""

    def streams(self) -> tuple[str, ...]:
        return (f"dataset:{self.dataset}",)


@event("dataset.version_withdrawn")
class DatasetVersionWithdrawn(Event, frozen=True, kw_only=True):
    """A version is closed, and with it all that was derived from it."""

    dataset: str
    version: str
    reason: str

    def streams(self) -> tuple[str, ...]:
        return (f"dataset:{self.dataset}",)


@event("run.started")
class RunStartedV1(Event, frozen=True, kw_only=True):
    """As it was written before grants had quotas: it counts under none."""

    id: str
    org: str
    decisions: tuple[int, ...]
    inputs: tuple[str, ...]

    def streams(self) -> tuple[str, ...]:
        named = {ref.partition("@")[0] for ref in self.inputs}
        return (*sorted(named), f"org:{self.org}", f"run:{self.id}")


@event("run.started", version=2)
class RunStarted(Event, frozen=True, kw_only=True):
    """A partner's system began training, under a decision that allowed it."""

    id: str
    org: str
    decisions: tuple[int, ...]
    """Ledger indexes of the allows."""
    inputs: tuple[str, ...]
    """What it trains on: the versions and weights (`dataset:<id>@<version>`, `weights:<id>`) that they allowed."""
    grants: tuple[str, ...]
    """Grants behind the allows: the run counts under each."""

    def streams(self) -> tuple[str, ...]:
        named = {ref.partition("@")[0] for ref in self.inputs}
        return (*sorted(named), f"org:{self.org}", f"run:{self.id}")


@event("run.finished")
class RunFinished(Event, frozen=True, kw_only=True):
    """The run ended, well or not."""

    id: str
    org: str
    outcome: Literal["complete", "failed", "aborted"]
    metrics: dict[str, str]
    """Decimal strings by name."""

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", f"run:{self.id}")


@event("weights.registered")
class WeightsRegistered(Event, frozen=True, kw_only=True):
    """The output of a run became weights. Label and bounds are derived from all inputs, and may only be narrower."""

    id: str
    org: str
    run: str
    trainer: str
    """Who started the run: a person or system, who may never promote the result."""
    label: Label
    bounds: RecordedBounds
    manifest_sha256: str
    manifest_key_sha256: str
    manifest_root: str
    files: int

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", f"run:{self.run}", f"weights:{self.id}")

"""What the story is played with: a small set of ours, or real inputs that nobody here wrote."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ledger.errors import Misconfigured
from ledger.governance.purposes import Node, parse_dpv, parse_nodes
from ledger.governance.spif import parse_spif
from ledger.resources import folder


class Inputs(Struct, frozen=True, kw_only=True):
    """The documents and digests of the story."""

    title: str
    card: bytes
    raw: Mapping[str, str]
    """SHA-256 of each file of the raw version, by name."""
    redacted: Mapping[str, str]
    label: bytes
    spif: bytes
    security_policy: str
    purposes: tuple[Node, ...]
    weights: Mapping[str, str]
    weights_title: str


def example_inputs() -> Inputs:
    """Read the set under `examples/`."""
    root = folder("examples")
    spif = (root / "spif.xml").read_bytes()
    return Inputs(
        title="thermal imagery from reconnaissance drones",
        card=(root / "card.json").read_bytes(),
        raw=_digests(root / "raw"),
        redacted=_digests(root / "redacted"),
        label=(root / "label-raw.xml").read_bytes(),
        spif=spif,
        security_policy=parse_spif(spif).name,
        purposes=_purposes(),
        weights={"detector.bin": hashlib.sha256(b"the weights of the story's detector").hexdigest()},
        weights_title="a detector of the story's own",
    )


def real_inputs(root: Path) -> Inputs:
    """Read real inputs: a Croissant 1.1 card, the NATO security policy and a label, DPV purposes, a detector's files.

    The raw version is all that the card lists, the redacted one its true-colour images and masks. Raises Misconfigured
    where a file is missing.
    """
    try:
        card = (root / "croissant" / "1.1-image_test.json").read_bytes()
        label = (root / "labels" / "nato-4774-17-4.nato").read_bytes()
        spif = (root / "labels" / "nato-4774-policy.xml").read_bytes()
        dpv = (root / "purposes" / "dpv-purposes.csv").read_bytes()
        detector = json.loads((root / "models" / "person-vehicle-bike-detection-2000.json").read_bytes())
    except OSError as error:
        raise Misconfigured(
            f"`{error.filename}` cannot be read",
            help="INPUTS is a folder with croissant/, labels/, purposes/ and models/",
        ) from None
    document = json.loads(card)
    listed = {file["name"]: file["sha256"] for file in document["distribution"] if "sha256" in file}
    return Inputs(
        title=document["name"],
        card=card,
        raw=listed,
        redacted={name: digest for name, digest in listed.items() if "all_bands" not in name},
        label=label,
        spif=spif,
        security_policy=parse_spif(spif).name,
        purposes=(*_purposes(), *parse_dpv(dpv)),
        weights={name: digest for name, _size, digest in detector["files"]},
        weights_title=detector["name"],
    )


def _purposes() -> tuple[Node, ...]:
    return parse_nodes((folder("examples") / "purposes.json").read_bytes())


def _digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

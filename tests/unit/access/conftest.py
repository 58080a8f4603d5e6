"""What the tests of access share: the shipped policy, and the named base of its cases as values."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import yaml

from ledger.access.facts import Facts
from ledger.access.policy import load_policy
from ledger.access.request import parse_request

FOLDER = Path(__file__).resolve().parents[3] / "policy_models"


def differ(base, changes):
    """Give a copy of `base` with each value at a dotted path (`grants.0.tier`) replaced."""
    value = deepcopy(base)
    for path, new in (changes or {}).items():
        *steps, last = [int(step) if step.isdigit() else step for step in _steps(path)]
        place = value
        for step in steps:
            place = place[step]
        place[last]  # a path that leads nowhere is a mistake in the case
        place[last] = new
    return value


def _steps(path):
    return path.split(".")


def load_folder(folder):
    return load_policy(
        folder.name,
        (folder / "model.conf").read_text(encoding="utf-8"),
        (folder / "policy.csv").read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="session")
def world():
    """Give the base case: `request(changes)`, `facts(changes)`, `policy`, both of its texts, and `now`."""
    folder = FOLDER / "dataset_access"
    told = yaml.safe_load((folder / "cases.yaml").read_text(encoding="utf-8"))
    base = told["base"]

    def body(changes=None):
        return msgspec.json.encode(differ(base["request"], changes))

    return SimpleNamespace(
        now=told["now"],
        body=body,
        request=lambda changes=None: parse_request(body(changes)),
        facts=lambda changes=None: msgspec.convert(differ(base["facts"], changes), Facts),
        policy=load_folder(folder),
        model=(folder / "model.conf").read_text(encoding="utf-8"),
        rows=(folder / "policy.csv").read_text(encoding="utf-8"),
        folders=sorted(path for path in FOLDER.iterdir() if path.is_dir()),
        load_folder=load_folder,
        differ=differ,
    )

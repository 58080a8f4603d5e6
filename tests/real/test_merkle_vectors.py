"""Inclusion proofs of transparency-dev/merkle: 98 cases, good and bad."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import BadProof
from ledger.log.proof import check_inclusion

pytestmark = pytest.mark.real


def accepts(case: dict[str, Any]) -> bool:
    leaf, root = (base64.b64decode(case[name] or "") for name in ("leafHash", "root"))
    proof = [base64.b64decode(value) for value in case["proof"] or []]
    try:
        check_inclusion(case["leafIdx"], case["treeSize"], leaf, proof, root)
    except BadProof:
        return False
    return True


def test_all_98_cases_are_judged_as_their_authors_did(shared_data: Path) -> None:
    """Every case that should fail fails with BadProof and nothing else, every other one passes."""
    cases = json.loads((shared_data / "merkle" / "inclusion.json").read_bytes())
    assert len(cases) == 98
    assert {True, False} == {case["wantErr"] for case in cases}
    assert [case["case"] for case in cases if accepts(case) == case["wantErr"]] == []

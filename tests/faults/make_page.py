"""Writes `docs/faults.md` from the matrix that the tests hold: `python tests/faults/make_page.py`."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "support"))

from fault_cells import page  # noqa: E402 - found by the line above

if __name__ == "__main__":
    (TESTS.parent / "docs" / "faults.md").write_text(page(), encoding="utf-8")

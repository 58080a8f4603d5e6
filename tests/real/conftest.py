"""Real inputs, read where they lie."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of real inputs; skip where it is missing, as in a user's clone."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here: real inputs are not part of the project")
    return SHARED

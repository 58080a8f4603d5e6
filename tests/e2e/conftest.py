"""The story, played once for all tests of this folder."""

from pathlib import Path

import pytest
from played import Played, play


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play the story on the examples."""
    folder: Path = tmp_path_factory.mktemp("story")
    return play(folder)

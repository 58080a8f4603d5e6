"""The server from which processes that are to fail are forked: it imports everything once."""

import os
from multiprocessing import forkserver

import mortal
import pytest
from programs import SUPPORT

from ledger.resources import folder


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> None:
    """Start it where it finds what it is to import."""
    path = os.pathsep.join([str(folder("alembic").parent), str(SUPPORT)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", path)
        mortal.CONTEXT.set_forkserver_preload(["mortal", "pytest"])
        forkserver.ensure_running()

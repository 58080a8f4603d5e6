"""A token of software (SoftHSM), of a test's own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.keys import Token

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib/libsofthsm2.so")
HOW_TO_GET = "no SoftHSM: `apt-get install softhsm2`"
PIN = "1234"


def module() -> Path:
    """Give SoftHSM's library. Skips the test where it is missing."""
    found = next((Path(path) for path in MODULES if Path(path).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        pytest.skip(HOW_TO_GET)
    return found


def configure(folder: Path) -> dict[str, str]:
    """Make an empty store of tokens; give the variable that a process finds it by."""
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n", encoding="utf-8")
    return {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}


def make_token(folder: Path, name: str) -> Token:
    """Make a token, in the store that `configure` made in this folder."""
    environment = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    command = ["softhsm2-util", "--init-token", "--free", "--label", name, "--pin", PIN, "--so-pin", "5678"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    pin_file = folder / f"{name}.pin"
    pin_file.write_text(PIN + "\n", encoding="utf-8")
    pin_file.chmod(0o600)
    return Token(module=module(), name=name, pin_file=pin_file)


@contextmanager
def store(folder: Path) -> Iterator[Path]:
    """Have this process find its tokens in a folder. The library reads the variable once, at its start."""
    library = module()
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ.update(configure(folder))
    try:
        yield library
    finally:
        os.environ.pop("SOFTHSM2_CONF")
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before

"""The wheel: everything that `oblik` reads is inside it, and it runs away from any checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ledger.resources import folder

CHECKOUT = folder("alembic").parent
FOLDERS = ("agreements", "alembic", "examples", "policy_models", "ui")

WHERE = """
import json, sys
import ledger
from ledger.resources import folder
print(json.dumps([ledger.__file__, *(str(folder(name)) for name in sys.argv[1:])]))
"""

pytestmark = [
    pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").is_file(), reason="not run from a checkout"),
    pytest.mark.xdist_group("wheel"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel, without a network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Install the wheel, alone, into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index", "--no-compile", "--target", str(target), str(wheel)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed wheel before anything else, away from the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBLIK_")}
    environment = {**kept, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_wheel_has_what_people_read(wheel):
    """Every file of the folders beside the package is inside, byte for byte, and nothing of tests or of a build."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in FOLDERS:
            files = [path for path in (CHECKOUT / name).rglob("*") if path.is_file() and path.suffix != ".pyc"]
            assert files, name
            for path in files:
                inside = f"ledger/_data/{path.relative_to(CHECKOUT).as_posix()}"
                assert archive.read(inside) == path.read_bytes()
    assert "ledger/py.typed" in names
    assert not [name for name in names if name.startswith("tests/") or name.endswith((".pyc", ".db", ".pem"))]


def test_what_is_read_is_found_in_the_wheel(installed, tmp_path):
    """Policies, agreements, migrations, examples and pages come from the installed package, not from a checkout."""
    done = run(installed, tmp_path, "-c", WHERE, *FOLDERS)
    assert done.returncode == 0, done.stderr
    package, *folders = (Path(path) for path in json.loads(done.stdout))
    assert package == installed / "ledger" / "__init__.py"
    assert folders == [installed / "ledger" / "_data" / name for name in FOLDERS]
    assert all(path.is_dir() for path in folders)


def test_the_command_works_from_the_wheel(installed, tmp_path):
    """`oblik init`, `verify`, `export` and `replay` run on what the wheel brings; `oblik` is the command's name."""
    assert (installed / "bin" / "oblik").is_file()
    options = ["--origin", "ledger.example/oblik", "--owner", "mod-ua", "--administrator", "v.melnyk"]
    done = run(installed, tmp_path, str(installed / "bin" / "oblik"), "init", *options, "--data", "data")
    assert done.returncode == 0, done.stderr
    verified = run(installed, tmp_path, "-m", "ledger.cli", "verify", "data/ledger.db")
    assert verified.stdout.startswith("verified: 3 entries, size 3, root ")
    assert run(installed, tmp_path, "-m", "ledger.cli", "export", "out.jsonl", "--data", "data").returncode == 0
    replayed = run(installed, tmp_path, "-m", "ledger.cli", "replay", "out.jsonl")
    assert replayed.stdout == "replayed: 3 entries, 0 decisions, 0 findings\n"


def test_the_story_plays_from_the_wheel(installed, tmp_path):
    """The demonstration needs nothing but what is inside: service, policies, template, examples."""
    done = run(installed, tmp_path, "-m", "ledger.cli", "demo", "--exit")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "0 findings" in done.stdout

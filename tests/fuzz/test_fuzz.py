"""Each parser of bytes from outside under libFuzzer (atheris): an OblikError, or the very same bytes again."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from parsers import READERS, SEEDS

from ledger.errors import OblikError

HERE = Path(__file__).resolve().parent
PATHS = os.pathsep.join(str(path) for path in (HERE.parents[1], HERE.parent / "support"))
RUNS, LONG_RUNS = 2_000, 1_000_000
LONG_SECONDS = 120
GENEROUS_SECONDS = 600
"""Until a fuzzer that hangs is ended: its own limits are far lower."""

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not there: it has wheels for Linux on x86-64 alone"
)


def fuzz(name: str, folder: Path, *, runs: int, seconds: int = 0) -> None:
    """Fuzz one reader from its examples. New examples and finds stay in `folder`."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-runs={runs}", f"-max_total_time={seconds}", "-seed=1", "-timeout=20", "-rss_limit_mb=1024"]
    command = [sys.executable, str(HERE / "run.py"), name, *options, f"-artifact_prefix={folder}/", str(corpus)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=GENEROUS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    assert "Done" in done.stderr


def test_every_reader_has_examples_that_read() -> None:
    """The fuzzer starts from what is right, so that it comes to what is almost right."""
    assert READERS.keys() == SEEDS.keys()
    for name, reader in READERS.items():
        for seed in SEEDS[name]:
            reader(seed)


@pytest.mark.parametrize("name", READERS)
def test_examples_that_break_off_raise_nothing_else(name) -> None:
    """At every length it is an OblikError, or a shorter text of the form."""
    for seed in SEEDS[name]:
        for end in range(0, len(seed), max(1, len(seed) // 200)):
            try:
                READERS[name](seed[:end])
            except OblikError:
                continue


@needs_atheris
@pytest.mark.parametrize("name", READERS)
def test_a_short_run_finds_nothing(name, tmp_path) -> None:
    """Thousands of inputs near the examples."""
    fuzz(name, tmp_path, runs=RUNS)


@needs_atheris
@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_long_run_finds_nothing(name, tmp_path) -> None:
    """A million inputs, or as many as two minutes take."""
    fuzz(name, tmp_path, runs=LONG_RUNS, seconds=LONG_SECONDS)


@needs_atheris
def test_a_find_would_be_seen(tmp_path) -> None:
    """A reader that trips over an example is reported: the fuzzer runs what it is said to run."""
    program = (HERE / "run.py").read_text(encoding="utf-8").replace("reader(data)", "assert not data, 'tripped'")
    (tmp_path / "run.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "run.py", "vkey", "-runs=100", "-seed=1"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "tripped" in done.stdout + done.stderr

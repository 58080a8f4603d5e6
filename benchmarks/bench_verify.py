"""Verifying a million entries (chain, tree, checkpoint), beside a loop that hashes each entry once.

On one core, and with two worker processes beside that. The file is one that the ledger exported. What one core does is
told in CPU time too, which other work on the machine changes less.

    python benchmarks/bench_verify.py --long        ten million, and the memory of every process at its highest
"""

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench_append import decision
from figures import report
from filled import OWNER, append_all

from ledger.bootstrap import open_service
from ledger.keys import create_keys
from ledger.log.note import format_vkey
from ledger.services import sources, verifying
from ledger.services.setup import open_ledger
from ledger.settings import Settings
from ledger.storage.engine import open_engine
from ledger.storage.schema import upgrade_schema

ENTRIES, ROUNDS = 1_000_000, 5
LONG, LONG_ROUNDS = 10_000_000, 1
LOOP = "a loop that reads and hashes each entry once"


def main(entries: int = ENTRIES, rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = _exported(Path(name), entries)
        loop, one, two = [], [], []
        for _ in range(rounds):
            loop.append(_timed(lambda: _hash_once(file, entries)))
            one.append(_timed(lambda: _verify(file, entries, workers=1)))
            two.append(_timed(lambda: _verify(file, entries, workers=2)))
        (loop_s, loop_cpu), (one_s, one_cpu), (two_s, _) = (zip(*times, strict=True) for times in (loop, one, two))
        report("verify", one_s, f"s for {entries:,} entries", LOOP, loop_s)
        report("verify_cpu", one_cpu, f"s of CPU time for {entries:,} entries", LOOP, loop_cpu)
        report("verify_two_workers", two_s, f"s for {entries:,} entries", "verifying on one core", one_s)
        if entries == LONG:
            for workers in (1, 2):
                peaks = _highest(file, workers)
                print({"bench": "verify_memory", "workers": workers, "MB": peaks, "sum": round(sum(peaks), 1)})


def _highest(file: Path, workers: int) -> list[float]:
    """Verify with the command. Gives what each of its processes had resident at its highest, in MB."""
    command = [sys.executable, "-m", "ledger.cli", "verify", str(file), "--quiet", "--workers", str(workers)]
    peaks: dict[int, float] = {}
    with subprocess.Popen(command) as running:
        while running.poll() is None:
            for pid in (running.pid, *_children(running.pid)):
                peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
            time.sleep(0.05)
    if running.returncode:
        raise RuntimeError("the ledger did not verify")
    return list(peaks.values())


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _peak(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return max((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), default=0)


def _exported(data: Path, entries: int) -> Path:
    settings = Settings(data=data, database_url=f"sqlite:///{data / 'ledger.db'}")
    engine = open_engine(settings.database_url)
    upgrade_schema(engine)
    signers = create_keys(settings.keys, origin="bench.example/log")
    vkeys = [format_vkey(signer) for signer in signers]
    open_ledger(engine, origin="bench.example/log", owner=OWNER, administrator="a", vkeys=vkeys, now=datetime.now(UTC))
    service = open_service(settings)
    append_all(service, (decision(number) for number in range(entries - 3)))
    note = service.publisher.fresh().result(60).note
    service.close()
    file = data / "export"
    with file.open("wb") as target, verifying.export(engine, note=note) as lines:
        target.writelines(lines)
    engine.dispose()
    return file


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Give the seconds that passed, and those of CPU time in this process."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def _hash_once(file: Path, entries: int) -> None:
    with file.open("rb") as lines:
        next(lines)
        for _, line in zip(range(entries), lines, strict=False):
            hashlib.sha256(b"\0" + line[:-1]).digest()


def _verify(file: Path, entries: int, *, workers: int) -> None:
    with file.open("rb") as opened:
        verified, _ = verifying.verify(sources.ExportSource.of_file(opened), workers=workers)
    if verified.size != entries or not verified.signed:
        raise RuntimeError(f"verified {verified}, which is not what was exported")


if __name__ == "__main__":
    main(LONG, LONG_ROUNDS) if "--long" in sys.argv else main()

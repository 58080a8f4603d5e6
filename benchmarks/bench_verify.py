"""Verifying a million entries (chain, tree, checkpoint), beside a loop that hashes each entry once.

On one core, and with two worker processes beside that. The file is one that the ledger exported.

    python benchmarks/bench_verify.py --long        ten million, and the memory of every process at its highest
"""

import hashlib
import subprocess
import sys
import tempfile
import time
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
            loop.append(_hash_once(file, entries))
            one.append(_verify(file, entries, workers=1))
            two.append(_verify(file, entries, workers=2))
        report("verify", one, f"s for {entries:,} entries", LOOP, loop)
        report("verify_two_workers", two, f"s for {entries:,} entries", "verifying on one core", one)
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


def _hash_once(file: Path, entries: int) -> float:
    begin = time.perf_counter()
    with file.open("rb") as lines:
        next(lines)
        for _, line in zip(range(entries), lines, strict=False):
            hashlib.sha256(b"\0" + line[:-1]).digest()
    return time.perf_counter() - begin


def _verify(file: Path, entries: int, *, workers: int) -> float:
    begin = time.perf_counter()
    with file.open("rb") as opened:
        verified, _ = verifying.verify(sources.ExportSource.of_file(opened), workers=workers)
    if verified.size != entries or not verified.signed:
        raise RuntimeError(f"verified {verified}, which is not what was exported")
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(LONG, LONG_ROUNDS) if "--long" in sys.argv else main()

"""Verifying a million entries on one core (chain, tree, checkpoint), beside a loop that hashes each entry once."""

import hashlib
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

ENTRIES, ROUNDS = 1_000_000, 3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        file = _exported(Path(name))
        values, bases = [], []
        for _ in range(ROUNDS):
            bases.append(_hash_once(file))
            values.append(_verify(file))
    report("verify", values, "s for 1,000,000 entries", "a loop that reads and hashes each entry once", bases)


def _exported(data: Path) -> Path:
    settings = Settings(data=data, database_url=f"sqlite:///{data / 'ledger.db'}")
    engine = open_engine(settings.database_url)
    upgrade_schema(engine)
    signers = create_keys(settings.keys, origin="bench.example/log")
    vkeys = [format_vkey(signer) for signer in signers]
    open_ledger(engine, origin="bench.example/log", owner=OWNER, administrator="a", vkeys=vkeys, now=datetime.now(UTC))
    service = open_service(settings)
    append_all(service, (decision(number) for number in range(ENTRIES - 3)))
    service.close()
    file = data / "export"
    with file.open("wb") as target, verifying.export(engine, signers=signers) as lines:
        target.writelines(lines)
    engine.dispose()
    return file


def _hash_once(file: Path) -> float:
    begin = time.perf_counter()
    with file.open("rb") as lines:
        next(lines)
        for _, line in zip(range(ENTRIES), lines, strict=False):
            hashlib.sha256(b"\0" + line[:-1]).digest()
    return time.perf_counter() - begin


def _verify(file: Path) -> float:
    begin = time.perf_counter()
    with file.open("rb") as lines:
        verified, _ = verifying.verify(sources.ExportSource(lines))
    if verified.size != ENTRIES or not verified.signed:
        raise RuntimeError(f"verified {verified}, which is not what was exported")
    return time.perf_counter() - begin

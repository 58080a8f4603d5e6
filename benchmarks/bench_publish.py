"""Decisions over HTTP while the ledger is published every second, cosigned by two witnesses and written out as tiles.

Beside the same service, on the same ledger, that publishes once a day, to nobody; on both engines. The two take turns,
and the clock starts once the tiles have caught up with what was written meanwhile.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench_decide_http import bodies
from figures import report
from filled import open_filled
from load import Load, generate
from servers import databases, serving

from ledger.keys.witness import VKEYS_FILE, create_witness_keys
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import format_vkey, parse_note
from ledger.log.trust_policy import parse_policy
from ledger.settings import WITNESS_DATABASE
from ledger.storage.witnessed import create_witnessed

PARTNERS, DATASETS, GRANTS = 500, 20, 10_000
CONNECTIONS, SECONDS, ROUNDS = 32, 4.0, 5

WITNESSES, PATIENCE_SECONDS = 2, 120
QUIET = {"OBLIK_PUBLISH_SECONDS": "86400"}


def main() -> None:
    requests = bodies(5_000, partners=PARTNERS, datasets=DATASETS)
    with tempfile.TemporaryDirectory() as name:
        for engine, url in databases(Path(name)):
            _measure(engine, url, Path(name) / engine, requests)


def _measure(engine: str, url: str, data: Path, requests: list[bytes]) -> None:
    data.mkdir()
    service = open_filled(data, partners=PARTNERS, datasets=DATASETS, grants=GRANTS, url=url)
    service.close()
    logs = "".join(f"log {format_vkey(signer)}\n" for signer in service.signers)
    ours: list[Load] = []
    theirs: list[Load] = []
    with _witnesses(data, logs) as policy:
        loud = {"OBLIK_WITNESSES": str(policy), "OBLIK_TILES": str(data / "tiles")}
        for _ in range(ROUNDS):
            theirs.append(_load(data, {"OBLIK_DATABASE_URL": url, **QUIET}, requests))
            ours.append(_load(data, {"OBLIK_DATABASE_URL": url, **loud}, requests))
            if not parse_policy(policy.read_bytes()).open((data / "tiles" / "checkpoint").read_bytes()).quorum_met:
                raise RuntimeError("the witnesses did not cosign: this measured something else")
    baseline = "the same service, which does not publish"
    report(f"publish_{engine}", [x.rate for x in ours], "decisions/s", baseline, [x.rate for x in theirs])
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        mine, other = ([x.percentile(share) * 1e3 for x in loads] for loads in (ours, theirs))
        report(f"publish_{engine}_{label}", mine, "ms", f"{label} of {baseline}", other)


def _load(data: Path, settings: Mapping[str, str], requests: list[bytes]) -> Load:
    tiles = Path(settings.get("OBLIK_TILES", ""))
    with serving("ledger.asgi:create_app", data=data, factory=True, settings=settings) as (port, _pid):
        if "OBLIK_TILES" in settings:
            _await_tiles(tiles, _signed(data))
        load = generate(port, requests, connections=CONNECTIONS, seconds=SECONDS)
        if "OBLIK_TILES" in settings:
            _await_tiles(tiles, _signed(data))
    return load


def _signed(data: Path) -> int:
    return _size(data / "last-checkpoint")


def _size(note: Path) -> int:
    return parse_checkpoint(parse_note(note.read_bytes())[0]).size if note.exists() else 0


def _await_tiles(tiles: Path, size: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while _size(tiles / "checkpoint") < size:
        if time.monotonic() > end:
            raise RuntimeError(f"the tiles did not come to {size:,} entries in {PATIENCE_SECONDS} s")
        time.sleep(0.05)


@contextmanager
def _witnesses(data: Path, logs: str) -> Iterator[Path]:
    """Serve two witnesses. Gives the policy that asks for both."""
    policy, names = logs, []
    with ExitStack() as stack:
        for number in range(WITNESSES):
            folder = _make_witness(data, number, logs)
            settings = {"OBLIK_WITNESS_DATA": str(folder), "OBLIK_WITNESS_LOGS": str(folder / "logs")}
            port, _pid = stack.enter_context(serving("ledger.asgi:create_witness", factory=True, settings=settings))
            vkey = (folder / VKEYS_FILE).read_text().split()[0]
            policy += f"witness w{number} {vkey} http://127.0.0.1:{port}\n"
            names.append(f"w{number}")
        file = data / "witnesses.policy"
        file.write_text(f"{policy}group all all {' '.join(names)}\nquorum all\n")
        yield file


def _make_witness(data: Path, number: int, logs: str) -> Path:
    folder = data / f"witness-{number}"
    folder.mkdir()
    create_witness_keys(folder, name=f"w{number}.bench.example/witness")
    create_witnessed(folder / WITNESS_DATABASE)
    (folder / "logs").write_text(logs)
    return folder

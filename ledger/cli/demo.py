"""The demonstration: a fresh ledger, a real service, the story over HTTP, and an auditor who needs neither."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from ledger.cli.allies import Allies, allies, published_keys
from ledger.cli.client import UnexpectedAnswer, say
from ledger.cli.inputs import Inputs, example_inputs, real_inputs
from ledger.cli.story import MINISTRY, Story
from ledger.errors import Misconfigured

ORIGIN = "demo.oblik.example/ledger"
ADMINISTRATOR = "v.melnyk"
START_SECONDS = 30
STOP_SECONDS = 10


def run(*, inputs: Path | None, leave_running: bool) -> int:
    """Play the story on a ledger made for it. Returns the exit code: 0 only if everything came out as told."""
    signal.signal(signal.SIGTERM, _interrupt)  # ended either way, it takes its service along
    chosen = real_inputs(inputs) if inputs is not None else example_inputs()
    with tempfile.TemporaryDirectory(prefix="oblik-demo-") as name:
        data = Path(name)
        token = _init(data)
        with (
            allies(data, _published_keys(data), [_free_port(), _free_port()]) as others,
            _serving(data, others) as address,
        ):
            say("Two allies run witnesses, an authority stamps the time, and an auditor looks for the first time.")
            _climb(address, token, data, others, size=3)
            auditor = _play(address, token, chosen)
            _audit(data)
            say("The auditor, with a policy of its own, says how much it knows, over HTTP and from the tiles alone:")
            print(_climb(address, auditor, data, others, size=_size(data)), end="", flush=True)
            if leave_running:
                _wait(address, auditor)
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _oblik(*arguments: str, data: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in a process of its own."""
    command = [sys.executable, "-m", "ledger.cli", *arguments]
    return subprocess.run(command, env=_environment(data), capture_output=True, text=True, check=check)


def _environment(data: Path) -> dict[str, str]:
    return {**os.environ, "OBLIK_DATA": str(data), "OBLIK_DATABASE_URL": ""}


def _published_keys(data: Path) -> list[str]:
    """Give the keys that the ministry publishes, so that outsiders need not take the ledger's word for them."""
    with sqlite3.connect(data / "ledger.db") as database:
        first: bytes = database.execute("SELECT data FROM entry WHERE seq = 0").fetchone()[0]
    database.close()
    return published_keys(first)


def _size(data: Path) -> int:
    with sqlite3.connect(data / "ledger.db") as database:
        size: int = database.execute("SELECT size FROM head").fetchone()[0]
    database.close()
    return size


def _climb(address: str, token: str, data: Path, others: Allies, *, size: int) -> str:
    """Climb the ladder as an auditor elsewhere would. Returns what is printed; raises where a rung is not held."""
    with httpx.Client(base_url=address, timeout=30) as http:
        others.wait_for(http, size)
    trust = ["--policy", str(others.policy), "--remember", str(data / "auditor-remembers")]
    trust += ["--tsa", str(others.authority)] if others.authority else []
    command = [sys.executable, "-m", "ledger.cli", "verify", address, *trust]
    environment = {**os.environ, "OBLIK_TOKEN": token}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def _init(data: Path) -> str:
    """Open the ledger, as its operator does. Returns the administrator's token."""
    arguments = ("init", "--origin", ORIGIN, "--owner", MINISTRY, "--administrator", ADMINISTRATOR)
    printed = _oblik(*arguments, data=data).stdout
    token = re.search(r"oblik_\S+", printed)
    if token is None:
        raise UnexpectedAnswer(f"`oblik init` printed no token: {printed}")
    say(f"A ledger is opened: keys are made, and {ADMINISTRATOR} is its first administrator.", 2)
    return token[0]


@contextmanager
def _serving(data: Path, others: Allies) -> Iterator[str]:
    """Run the service on a free port of this machine, and end it."""
    port = _free_port()
    command = [sys.executable, "-m", "ledger.cli", "serve", "--port", str(port)]
    environment = {**_environment(data), **others.environment}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_up(process, address)
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Misconfigured(f"the service ended with exit code {process.returncode}")
        try:
            if httpx.get(f"{address}/healthz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise Misconfigured(f"the service did not come up within {START_SECONDS} seconds")


def _play(address: str, token: str, inputs: Inputs) -> str:
    """Play the story. Returns the auditor's token."""
    with httpx.Client(base_url=address, timeout=30) as http:
        story = Story(http, administrator=ADMINISTRATOR, token=token, inputs=inputs, now=datetime.now(UTC))
        story.play()
        return story.token_of("a.tkach")


def _audit(data: Path) -> None:
    """Verify offline; then change one byte in a copy, and have the entry named."""
    database = data / "ledger.db"
    say("The auditor verifies the whole history offline:")
    print(_oblik("verify", str(database), data=data).stdout, end="", flush=True)
    say("and derives every decision again, from the ledger alone:")
    print(_oblik("replay", str(database), data=data).stdout, end="", flush=True)
    changed = data / "changed.db"
    with sqlite3.connect(database) as source, sqlite3.connect(changed) as copy:
        source.backup(copy)
    seq = _change_a_byte(changed)
    found = _oblik("verify", str(changed), data=data, check=False)
    if found.returncode != 1 or f"entry {seq}:" not in found.stderr:
        raise UnexpectedAnswer(f"a changed byte in entry {seq} was not found: {found.stdout}{found.stderr}")
    say(f"One byte of entry {seq} is changed in a copy, behind the triggers' back, and verification names it:")
    print(found.stderr, end="", flush=True)


def _change_a_byte(database: Path) -> int:
    """Change an entry as someone with the database's file would: drop the trigger, then write."""
    with sqlite3.connect(database) as copy:
        copy.execute("DROP TRIGGER entry_no_update")
        find = "SELECT seq, data FROM entry WHERE instr(data, CAST('grant.issued' AS BLOB)) > 0"
        seq, data = copy.execute(find).fetchone()
        copy.execute("UPDATE entry SET data = ? WHERE seq = ?", (data.replace(b"redacted", b"redactex", 1), seq))
    copy.close()
    return int(seq)


def _wait(address: str, auditor: str) -> None:
    """Leave the service running until Ctrl-C."""
    print(f"\nThe service is running at {address} (API: {address}/openapi.json). Read its ledger as the auditor:")
    print(f"  curl -H 'Authorization: Bearer {auditor}' '{address}/ledger/v1/entries?start=42&limit=1'")
    print("Ctrl-C ends it, and removes this ledger.", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()

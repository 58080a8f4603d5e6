"""For the demonstration: two allied states' witnesses and a time-stamp authority, all real, on this machine."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ledger.cli.client import UnexpectedAnswer, say
from ledger.cli.local_tsa import local_tsa
from ledger.errors import Misconfigured
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.note import parse_note
from ledger.log.trust_policy import Policy, parse_policy

WITNESSES = ("poland", "japan")
SECONDS = 30


@dataclass(frozen=True)
class Allies:
    """What outsiders have: the policy that they go by, and the authority that they trust."""

    policy: Path
    authority: Path | None
    """Certificate; None where `openssl` is missing, so that there is no authority."""
    authority_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a service that uses them."""
        return {
            "OBLIK_WITNESSES": str(self.policy),
            "OBLIK_TIMESTAMP_URLS": self.authority_url,
            "OBLIK_TIMESTAMP_SECONDS": "1",
        }

    def wait_for(self, http: httpx.Client, size: int) -> None:
        """Wait until a quorum has cosigned so many entries, and the authority has stamped them."""
        policy = parse_policy(self.policy.read_bytes())
        deadline = time.monotonic() + SECONDS
        while not (_is_cosigned(http, policy, size) and (self.authority is None or _is_stamped(http, size))):
            if time.monotonic() > deadline:
                raise UnexpectedAnswer(f"{size} entries were not cosigned and stamped within {SECONDS} seconds")
            time.sleep(0.05)


def _is_cosigned(http: httpx.Client, policy: Policy, size: int) -> bool:
    answer = http.get("/checkpoint")
    if not answer.is_success or parse_checkpoint(parse_note(answer.content)[0]).size < size:
        return False
    return policy.open(answer.content).quorum_met


def _is_stamped(http: httpx.Client, size: int) -> bool:
    stamped = [json.loads(line)["checkpoint"].encode() for line in http.get("/timestamps").content.splitlines()]
    return any(parse_checkpoint(parse_note(note)[0]).size >= size for note in stamped)


@contextmanager
def allies(folder: Path, vkeys: list[str], ports: list[int]) -> Iterator[Allies]:
    """Run the witnesses, and the authority where this machine has `openssl`, to the end of the block."""
    logs = "".join(f"log {vkey}\n" for vkey in vkeys)
    with ExitStack() as stack:
        lines = [stack.enter_context(_witness(folder, *each, logs)) for each in zip(WITNESSES, ports, strict=True)]
        policy = folder / "allies.policy"
        policy.write_text(f"{logs}{''.join(lines)}group both all {' '.join(WITNESSES)}\nquorum both\n")
        yield _with_authority(stack, folder, policy)


def _with_authority(stack: ExitStack, folder: Path, policy: Path) -> Allies:
    try:
        (folder / "authority").mkdir()
        authority = stack.enter_context(local_tsa(folder / "authority"))
    except Misconfigured as error:
        say(f"There is no time-stamp authority: {error}")
        return Allies(policy, None)
    root = folder / "authority-root.pem"
    root.write_bytes(authority.root)
    return Allies(policy, root, authority.url)


@contextmanager
def _witness(folder: Path, name: str, port: int, logs: str) -> Iterator[str]:
    """Run a witness. Gives its lines of the policy: its keys, in a group of its name."""
    data = folder / name
    command = [sys.executable, "-m", "ledger.cli", "witness"]
    made = ["init", "--name", f"witness.{name}.example", "--data", str(data)]
    subprocess.run([*command, *made], check=True, capture_output=True)
    (folder / f"{name}.logs").write_text(logs)
    served = ["serve", "--data", str(data), "--logs", str(folder / f"{name}.logs"), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([*command, *served], start_new_session=True) as process:
        try:
            _wait_until_up(url)
            keys = (data / "witness.vkeys").read_text().split()
            members = [f"{name}-{number}" for number in range(len(keys))]
            lines = [f"witness {member} {key} {url}\n" for member, key in zip(members, keys, strict=True)]
            yield "".join([*lines, f"group {name} any {' '.join(members)}\n"])
        finally:
            process.terminate()


def _wait_until_up(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/healthz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise Misconfigured(f"the witness at {url} did not come up within {SECONDS} seconds")


def published_keys(first_entry: bytes) -> list[str]:
    """Give the log's verifier keys, which its owner publishes; here they are read from the first entry."""
    vkeys: list[str] = json.loads(first_entry)["body"]["vkeys"]
    return vkeys

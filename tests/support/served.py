"""A world behind a real HTTP server, and a caller of it that looks at what a request left in the ledger."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from world import World, open_world

from ledger.api.app import create_app
from ledger.cli.inputs import example_inputs
from ledger.cli.story import signed_manifest
from ledger.log.entry import Entry, parse_entry
from ledger.storage.reading import read_entries, read_head

TIMEOUT_SECONDS = 30


class Served:
    """A world, reached over HTTP. A token is its holder's name, as in `world.TOKENS`; None sends none."""

    def __init__(self, world: World, http: httpx.Client) -> None:
        self.world = world
        self.http = http

    @property
    def size(self) -> int:
        """How many entries are committed."""
        with self.world.service.engine.connect() as connection:
            return read_head(connection).size

    def entries(self, start: int = 0) -> list[Entry]:
        """Read the entries from index `start` on."""
        with self.world.service.engine.connect() as connection:
            return [parse_entry(stored.data, seq=stored.seq) for stored in read_entries(connection, start, 2**53)]

    def send(
        self, method: str, path: str, token: str | None, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a body: bytes as they are, anything else as JSON."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, bytes):
            return self.http.request(method, path, content=body, headers={"Content-Type": "application/json", **sent})
        return self.http.request(method, path, json=body, headers=sent)

    def post(self, path: str, token: str | None, body: Any = None, **more: Any) -> httpx.Response:
        """POST, below `/api/v1` unless the path says otherwise."""
        return self.send("POST", path if path.startswith("/a") else f"/api/v1/{path}", token, body, **more)

    def ok(self, path: str, token: str, body: Any = None, *, wrote: int = 1) -> dict[str, Any]:
        """POST what succeeds with 201 and appends `wrote` entries, the first of which the answer names."""
        before = self.size
        response = self.post(path, token, body)
        assert response.status_code == 201, response.text
        assert self.size == before + wrote
        answer: dict[str, Any] = response.json()
        assert before <= answer["seq"] < before + wrote
        return answer

    def decide(self, token: str = "trainer", **changes: Any) -> dict[str, Any]:
        """Ask for a decision, which is answered and recorded."""
        response = self.post("/access/v1/evaluation", token, evaluation(**changes))
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def allowed(self) -> int:
        """Ask for what the world's grant allows. Returns the decision's index."""
        answer = self.decide()
        assert answer["decision"] is True
        return int(answer["context"]["id"])

    def refused(  # noqa: PLR0917
        self, status: int, path: str, token: str | None, body: Any = None, detail: str = "", pointer: str = ""
    ) -> dict[str, Any]:
        """POST what is refused, with a whole problem document, and leaves nothing in the ledger."""
        before = self.size
        problem = check_problem(self.post(path, token, body), status)
        assert detail in problem["detail"]
        assert pointer == problem.get("pointer", "")
        assert self.size == before
        return problem


def check_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document (RFC 9457) of that status, and says nothing of our insides."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem.keys() <= {"type", "title", "status", "detail", "pointer", "help", "errors"}
    assert problem["type"] == "urn:oblik:problem:" + problem["title"].lower().replace(" ", "-")
    assert problem["status"] == status
    assert problem["detail"]
    assert not any(word in response.text for word in ("Traceback", "sqlalchemy", "pydantic", 'File "'))
    if status == 401:
        assert response.headers["www-authenticate"] == 'Bearer realm="oblik"'
    return problem


def spif() -> dict[str, str]:
    """Give the body that adopts the examples' security policy."""
    return {"spif": example_inputs().spif.decode()}


def version_body(version: str = "raw-2", **changes: Any) -> dict[str, Any]:
    """Give the body that registers the examples' raw version, but for `changes`; its manifest is of its `files`."""
    inputs = example_inputs()
    signed = changes.pop("signed", inputs.raw)
    manifest, public_key = signed_manifest(signed, "uav")
    body = {
        "version": version,
        "tier": "raw",
        "card": inputs.card.decode(),
        "manifest": manifest,
        "public_key": public_key,
        "files": dict(signed),
        "label": inputs.label.decode(),
        "security_policy": "EXAMPLE",
        "bounds": {"purposes": ["humanitarian"], "countries": ["JPN", "UKR"], "until": ""},
    }
    return {**body, **changes}


def evaluation(**changes: Any) -> dict[str, Any]:
    """Give an AuthZEN request that the world's grant allows, but for `changes` of its context, or of a whole entity."""
    context = {"purpose": "humanitarian.demining", "tier": "redacted"}
    environment = {"kind": "enclave", "country": changes.pop("country", "JPN"), **changes.pop("environment", {})}
    context |= {name: changes.pop(name) for name in ("purpose", "tier") if name in changes}
    body = {
        "subject": {"type": "system", "id": "acme-jp/trainer-1"},
        "action": {"name": "train"},
        "resource": {"type": "dataset", "id": "uav"},
        "context": {**context, "environment": environment},
    }
    return {**body, **changes}


@contextmanager
def serving(database_url: str, folder: Path, *, policy: bool = True, **more: str) -> Iterator[Served]:
    """Open a world in an empty database and serve it on a free port of this machine. `more` are settings."""
    world = open_world(database_url, folder, policy=policy, **more)
    listener = socket.create_server(("127.0.0.1", 0))  # it listens from here on: whoever connects early waits
    server = uvicorn.Server(uvicorn.Config(create_app(world.service), log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="served")
    thread.start()
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=TIMEOUT_SECONDS) as http:
            yield Served(world, http)
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_SECONDS)
        listener.close()
        world.service.close()
    assert not thread.is_alive()

"""The example of a policy that is mounted, as a service is given it."""

from typing import Any

from served import Served
from world import OWNER, World

from ledger.access.mount import Texts
from ledger.resources import folder
from ledger.services.caller import Caller
from ledger.services.mounted import mount_policy

FILES = {"model": "model.conf", "rows": "policy.csv", "mount": "mount.json", "facts": "facts.json"}


def texts(**changes: str) -> dict[str, str]:
    """Give the four texts of the example, but for `changes`."""
    root = folder("policy_models") / "records_example"
    return {**{what: (root / name).read_text("utf-8") for what, name in FILES.items()}, **changes}


def body(name: str = "records_example", **changes: str) -> dict[str, str]:
    """Give the body that mounts the example."""
    return {"name": name, **texts(**changes)}


def mount(world: World, name: str = "records_example", **changes: str) -> int:
    """Mount the example in a world. Returns the entry's index."""
    by = Caller(
        credential="x",
        org=OWNER,
        holder="i.bondar",
        holder_type="person",
        scopes=frozenset({"govern"}),
        expires="9",
        roles=frozenset({"security"}),
        enrolled=True,
    )
    command = world.service.sequencer.submit(
        lambda tx: mount_policy(tx, by, OWNER, name=name, texts=Texts(**texts(**changes)))
    )
    return command.result(30)


def request(subject: str | None = "alice", action: str | None = "read", record: str | None = "record-1", **more: Any):
    """Give an AuthZEN request of the certification scenario; `role`, `status` and `soft` are properties."""
    asked: dict[str, Any] = {"subject": {"type": "user"}, "resource": {"type": "record"}}
    if subject is not None:
        asked["subject"]["id"] = subject
    if record is not None:
        asked["resource"]["id"] = record
    if action is not None:
        asked["action"] = {"name": action}
    for part, name in (("subject", "role"), ("resource", "status"), ("action", "soft")):
        if name in more:
            asked[part]["properties"] = {name: more.pop(name)}
    return {**asked, **more}


def decide(api: Served, token: str = "gate", **asked: Any) -> dict[str, Any]:
    """Ask for a decision. Gives the answer."""
    response = api.post("/access/v1/evaluation", token, request(**asked))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer

"""Other policies than the shipped one, and what it takes to put one in force over HTTP."""

from served import Served

from ledger.access.policy import load_policy
from ledger.resources import folder
from ledger.services.dry_run import dry_run, format_dry_run
from ledger.services.sources import DatabaseSource
from ledger.storage.engine import snapshot

POLICY_FOLDER = folder("policy_models") / "dataset_access"
MODEL, ROWS = ((POLICY_FOLDER / name).read_text("utf-8") for name in ("model.conf", "policy.csv"))
STRICTER = ROWS + 'p, train, redacted, not subject_in_good_standing, deny, "Said.", "Сказано."\n'
NO_TRAINING = "\n".join(line for line in ROWS.splitlines() if not line.startswith("p, train"))
WIDER = "\n".join(line for line in ROWS.splitlines() if "not location_permitted" not in line)


def run(api: Served, rows: str, **bounds: int) -> str:
    """Run a policy over the served ledger, as `oblik policy dry-run --json` does."""
    with snapshot(api.world.service.engine) as connection:
        policy = load_policy("dataset_access", MODEL, rows)
        return format_dry_run(dry_run(lambda: DatabaseSource(connection), policy, **bounds)).decode()


def proposal(api: Served, rows: str = STRICTER, **changes: str) -> dict[str, str]:
    """Give the body of a proposal, with a dry-run over all that is recorded."""
    body = {"id": "p1", "name": "dataset_access", "model": MODEL, "rows": rows}
    return {**body, "dry_run": changes.pop("dry_run", None) or run(api, rows), **changes}


def approve(role: str) -> dict[str, str]:
    return {"role": role, "vote": "approve"}


def change_policy(api: Served, rows: str) -> None:
    """Propose a policy and vote for it."""
    api.ok("policy-proposals", "steward", proposal(api, rows))
    api.ok("policy-proposals/p1/votes", "security", approve("security"))
    api.ok("policy-proposals/p1/votes", "legal", approve("legal"), wrote=2)

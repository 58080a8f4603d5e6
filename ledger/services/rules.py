"""Adopting rules: purposes, the decision policy, and the security policies of labels. Each was checked before.

The first decision policy of a ledger is adopted here; others are proposed (`ledger.services.policies`).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ledger.access.policy import Policy, load_policy
from ledger.errors import Conflict, Malformed, NotFound, show
from ledger.events import rules
from ledger.governance.purposes import Node, PurposeTree, parse_tree
from ledger.governance.spif import SecurityPolicy, parse_spif
from ledger.services.caller import Caller, require_role
from ledger.storage.tables import PolicyRow, PurposeRow, SecurityPolicyRow, table
from ledger.storage.transaction import Transaction

PURPOSE, POLICY, SECURITY_POLICY = table(PurposeRow), table(PolicyRow), table(SecurityPolicyRow)

INDISPENSABLE = (
    "subject_in_good_standing",
    "agreement_in_force",
    "grant_current",
    "activity_permitted",
    "purpose_permitted",
    "purpose_not_prohibited",
    "tier_within_grant",
    "environment_permitted",
    "location_permitted",
    "lineage_permits",
    "purpose_authorised",
    "quota_left",
    "environment_attested",
    "not_paused",
    "no_open_incident",
)
"""Clauses that no policy may do without: what a grant says, what is prohibited or stopped (I4), and what sources forbid
(I6). It binds what is adopted: a policy that was adopted before a clause was listed here stays in force."""


def adopt_purposes(tx: Transaction, caller: Caller, owner: str, *, nodes: Sequence[Node]) -> int:
    """Put a purpose tree in force, in place of the one before."""
    require_role(caller, "legal", "steward", org=owner)
    parse_tree(nodes)
    return tx.append(rules.PurposesAdopted(nodes=tuple(nodes)), caller.by)


def adopt_policy(tx: Transaction, caller: Caller, owner: str, *, name: str, model: str, rows: str) -> int:
    """Put the ledger's first decision policy in force. Its texts are kept beside the ledger, by digest, for replay."""
    require_role(caller, "security", org=owner)
    policy = check_policy(name, model, rows)
    if tx.row(POLICY.select()) is not None:
        raise Conflict("a policy is in force", help="propose another one, with its dry-run, for a quorum to adopt")
    model_sha256, rows_sha256 = attach_policy(tx, model, rows)
    adopted = rules.PolicyAdopted(name=name, digest=policy.digest, model_sha256=model_sha256, rows_sha256=rows_sha256)
    return tx.append(adopted, caller.by)


def check_policy(name: str, model: str, rows: str) -> Policy:
    """Load a policy that may be adopted. Raises Malformed or TooLarge."""
    policy = load_policy(name, model, rows)
    missing = [clause for clause in INDISPENSABLE if clause not in _everywhere(policy)]
    if missing:
        raise Malformed(
            "/rows",
            f"nothing denies every action and tier where {show(missing[0])} does not hold",
            help=f"add a row `p, *, *, not {missing[0]}, deny, …`",
        )
    return policy


def attach_policy(tx: Transaction, model: str, rows: str) -> tuple[str, str]:
    """Keep a policy's texts beside the ledger. Returns the SHA-256 of each, in hex."""
    return tx.attach(model.encode(), "text/plain"), tx.attach(rows.encode(), "text/csv")


def _everywhere(policy: Policy) -> set[str]:
    """Name the clauses without which the policy denies, whatever the action and tier."""
    return {row.name for row in policy.rows if row.effect == "deny" and row.action == row.tier == "*"}


def adopt_security_policy(tx: Transaction, caller: Caller, owner: str, *, spif: bytes) -> int:
    """Put a security policy (SPIF) in force, by which labels that name it are read."""
    require_role(caller, "security", org=owner)
    policy = parse_spif(spif)
    adopted = rules.SecurityPolicyAdopted(name=policy.name, spif_sha256=tx.attach(spif, "application/xml"))
    return tx.append(adopted, caller.by)


def purposes_in_force(tx: Transaction) -> PurposeTree:
    """Read the purpose tree in force. Raises Conflict where none has been adopted."""
    rows = tx.rows(PURPOSE.select().order_by(PURPOSE.c.position))
    if not rows:
        raise Conflict("no purposes have been adopted", help="adopt a purpose tree first")
    return parse_tree([_node(row) for row in rows])


def _node(row: sa.Row[Any]) -> Node:
    return Node(
        id=row.id,
        parent=row.parent,
        cls=row.cls,
        prohibited=row.prohibited,
        special_authorisation=row.special_authorisation,
        en=row.en,
        uk=row.uk,
    )


def security_policy(tx: Transaction, name: str) -> SecurityPolicy:
    """Read a security policy in force. Raises NotFound."""
    row = tx.row(SECURITY_POLICY.select().where(SECURITY_POLICY.c.name == name))
    if row is None:
        raise NotFound("adopted security policy", name)
    return parse_spif(tx.attachment(row.spif_sha256))

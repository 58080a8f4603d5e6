"""Mounting policies for other types of resources, and deciding by them. A policy decides once an entry says so."""

from collections.abc import Mapping

import sqlalchemy as sa

from ledger.access.mount import MountedPolicy, Texts, load_mounted
from ledger.access.mounted import MountedDecision, MountedRequest, decide_mounted, take_brought
from ledger.access.vocabulary import RESOURCE_TYPES
from ledger.errors import Conflict, Forbidden, Malformed, TooLarge, show
from ledger.events.decisions import MountedDecisionRecorded
from ledger.events.rules import PolicyMounted
from ledger.services.caller import Caller, require_role, require_scope
from ledger.storage.columns import load
from ledger.storage.tables import MountedPolicyRow, table
from ledger.storage.transaction import Transaction, read_attachment

MOUNTED = table(MountedPolicyRow)

MAX_MOUNTED = 32
"""Policies mounted at a time: all of them are held in memory, at up to a few MB each."""


def mount_policy(tx: Transaction, caller: Caller, owner: str, *, name: str, texts: Texts) -> int:
    """Put a policy in force for its types of resources, in place of the one of that name.

    Its texts are kept beside the ledger, by digest, for replay. Raises Conflict where another one has a type already.
    """
    require_role(caller, "security", org=owner)
    policy = load_mounted(name, texts)
    types = sorted(policy.brought.resources)
    _check_free(tx, name, types)
    mounted = PolicyMounted(
        name=name,
        digest=policy.digest,
        resource_types=tuple(types),
        model_sha256=tx.attach(texts.model.encode(), "text/plain"),
        rows_sha256=tx.attach(texts.rows.encode(), "text/csv"),
        mount_sha256=tx.attach(texts.mount.encode(), "application/json"),
        facts_sha256=tx.attach(texts.facts.encode(), "application/json"),
    )
    return tx.append(mounted, caller.by)


def _check_free(tx: Transaction, name: str, types: list[str]) -> None:
    others = [row for row in tx.rows(MOUNTED.select()) if row.name != name]
    if len(others) >= MAX_MOUNTED:
        raise TooLarge("the list of mounted policies", limit=MAX_MOUNTED, unit="policies")
    for row in others:
        taken = sorted({*types} & {*load(row.resource_types, list[str])})
        if taken:
            raise Conflict(f"`{row.name}` decides on {show(taken[0])} already", help="mount it again without that type")


class Mounts:
    """The mounted policies in force, by type of resource, each loaded once for its digest."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._policies: dict[str, MountedPolicy] = {}
        self._by_type: dict[str, MountedPolicy] = {}

    def in_force(self, connection: sa.Connection, *, state_seq: int) -> Mapping[str, MountedPolicy]:
        """Give the policies in force at `state_seq`, by the types that they decide on."""
        if self._at != state_seq:
            rows = connection.execute(MOUNTED.select()).all()
            self._policies = {row.digest: self._policies.get(row.digest) or _load(connection, row) for row in rows}
            self._by_type = {
                type_: self._policies[row.digest] for row in rows for type_ in load(row.resource_types, list[str])
            }
            self._at = state_seq
        return self._by_type


def _load(connection: sa.Connection, row: sa.Row[tuple[object, ...]]) -> MountedPolicy:
    kinds = ("model", "rows", "mount", "facts")
    texts = {kind: read_attachment(connection, getattr(row, f"{kind}_sha256")).decode() for kind in kinds}
    return load_mounted(row.name, Texts(**texts))


def check_may_ask(caller: Caller, owner: str) -> None:
    """Raise Forbidden unless the caller may ask under mounted policies: their subjects are the owner's to ask about."""
    require_scope(caller, "evaluate")
    if caller.org != owner:
        raise Forbidden(
            f"`{caller.name}` may ask for `{caller.org}` only; what is mounted is for `{owner}` to ask about"
        )


def find_policy(policies: Mapping[str, MountedPolicy], resource_type: str) -> MountedPolicy:
    """Find the policy that is mounted for a type of resources. Raises Malformed where none is."""
    policy = policies.get(resource_type)
    if policy is None:
        known = ", ".join([*RESOURCE_TYPES, *sorted(policies)])
        raise Malformed("/resource/type", f"{show(resource_type)} is not known here", help=f"one of {known}")
    return policy


def answer(
    request: MountedRequest, policy: MountedPolicy, *, now: str, state_seq: int
) -> tuple[MountedDecisionRecorded, MountedDecision]:
    """Decide, and give the decision with its event. Raises Malformed where the policy is for no such request."""
    decision = decide_mounted(request, take_brought(request, policy), policy, now)
    return record_mounted(request, policy.name, decision, state_seq), decision


def record_mounted(
    request: MountedRequest, mount: str, decision: MountedDecision, state_seq: int
) -> MountedDecisionRecorded:
    """Give a decision as the event that the ledger keeps."""
    return MountedDecisionRecorded(
        mount=mount,
        policy=decision.policy,
        subject=f"{request.subject_type}:{request.subject_id}",
        action=request.action,
        resource=f"{request.resource_type}:{request.resource_id}",
        brought=decision.brought,
        allowed=decision.allowed,
        evaluated_at=decision.evaluated_at,
        state_seq=state_seq,
        row=decision.row.line if decision.row is not None else None,
        errors=decision.errors,
    )


def derive_again(
    event: MountedDecisionRecorded, policies: Mapping[str, MountedPolicy], state_seq: int
) -> MountedDecisionRecorded:
    """Derive a recorded decision from what was asked. Raises Malformed where no policy in force decides on that."""
    subject_type, _, subject_id = event.subject.partition(":")
    resource_type, _, resource_id = event.resource.partition(":")
    properties: dict[str, dict[str, object]] = {}
    for name, value in event.brought.items():
        part, _, of = name.partition(".")
        properties.setdefault(part, {})[of] = value
    request = MountedRequest(
        subject_type=subject_type,
        subject_id=subject_id,
        action=event.action,
        resource_type=resource_type,
        resource_id=resource_id,
        properties=properties,
    )
    policy = find_policy(policies, resource_type)
    derived, _ = answer(request, policy, now=event.evaluated_at, state_seq=state_seq)
    return derived

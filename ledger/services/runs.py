"""Training runs, started under a decision that allowed them, and the weights that come of them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ledger.access.clauses import CLAUSES
from ledger.access.vocabulary import TRAINING
from ledger.errors import Conflict, Forbidden, Malformed, NotFound, show
from ledger.events import data
from ledger.events.data import RecordedBounds
from ledger.events.decisions import DecisionRecorded
from ledger.governance.lineage import meet
from ledger.governance.manifest import check_files, open_manifest
from ledger.services.caller import Caller, require_enrolled, require_scope
from ledger.services.data import bounds_of, derived_label, get_resource
from ledger.services.decisions import asked_again
from ledger.services.rules import purposes_in_force
from ledger.services.uses import find_decision
from ledger.storage.columns import load
from ledger.storage.facts import FactReader
from ledger.storage.tables import GrantRow, LineageRow, ResourceRow, RunRow, WeightsRow, table
from ledger.storage.transaction import Transaction

GRANT, LINEAGE, RESOURCE, RUN, WEIGHTS = (table(row) for row in (GrantRow, LineageRow, ResourceRow, RunRow, WeightsRow))

STILL = ("not_paused", "no_open_incident", "purpose_authorised", "environment_attested")
"""Clauses that have to hold when a run starts too, besides what is checked of grant and version."""


def start_run(tx: Transaction, caller: Caller, *, id: str, decisions: Sequence[int]) -> int:
    """Record that training began on what the decisions allowed: each an allow to train, its grant still in force."""
    require_scope(caller, "train")
    require_enrolled(caller)
    if tx.row(RUN.select().where(RUN.c.id == id)) is not None:
        raise Conflict(f"run {show(id)} exists already")
    allowed = [_allowed(tx, caller, i, seq) for i, seq in enumerate(decisions)]
    if not allowed:
        raise Malformed("/decisions", "is empty", help="name the decisions that allow the run")
    started = data.RunStarted(
        id=id,
        org=caller.org,
        decisions=tuple(sorted(set(decisions))),
        inputs=tuple(sorted({version for version, _ in allowed})),
        grants=tuple(sorted({grant for _, grant in allowed})),
    )
    return tx.append(started, caller.by)


def _allowed(tx: Transaction, caller: Caller, i: int, seq: int) -> tuple[str, str]:
    """Give what one decision allows to train on, and its grant."""
    decision, pointer = find_decision(tx, seq), f"/decisions/{i}"
    if decision is None or decision.org != caller.org:
        raise Malformed(pointer, f"entry {seq} is no decision for `{caller.org}`")
    if not decision.allowed or decision.asked.action not in TRAINING:
        raise Forbidden(f"{pointer}: the decision in entry {seq} does not allow training")
    grant = tx.row(GRANT.select().where(GRANT.c.id == decision.grant))
    if grant is None or grant.revoked_seq is not None or load(grant.terms, dict)["ends"] <= tx.now:
        raise Forbidden(
            f"{pointer}: the grant behind entry {seq} is no longer in force", help="ask for a decision again"
        )
    if decision.version is None:
        raise Malformed(pointer, f"the decision in entry {seq} led to no version")
    _check_open(tx, decision.version, pointer)
    _check_still(tx, decision, pointer)
    return decision.version, str(grant.id)


def _check_still(tx: Transaction, decision: DecisionRecorded, pointer: str) -> None:
    """Raise Forbidden where something stops the use since, or no run is left under the grant."""
    request = asked_again(decision)
    (facts,) = FactReader().gather(tx.connection, [request], state_seq=tx.next_seq)
    grant = next(grant for grant in facts.grants if grant.id == decision.grant)
    for clause in STILL:
        if not CLAUSES[clause](request, facts, grant, tx.now).holds:
            raise Forbidden(f"{pointer}: {show(clause)} does not hold any more", help="ask for a decision again")
    if grant.max_runs is not None and grant.runs >= grant.max_runs:
        raise Forbidden(f"{pointer}: all {grant.max_runs} runs of {show(grant.id)} were started")


def _check_open(tx: Transaction, ref: str, pointer: str) -> None:
    """Raise Forbidden where a version, or anything that it is derived from, was withdrawn or closed since."""
    above = sa.select(LINEAGE.c.ancestor).where(LINEAGE.c.ref == ref)
    line = sa.select(RESOURCE.c.ref, RESOURCE.c.withdrawn_seq, RESOURCE.c.bounds).where(
        sa.or_(RESOURCE.c.ref == ref, RESOURCE.c.ref.in_(above))
    )
    for row in tx.rows(line):
        if row.withdrawn_seq is not None:
            raise Forbidden(f"{pointer}: {show(row.ref)} was withdrawn by entry {row.withdrawn_seq}")
        until = load(row.bounds, RecordedBounds).until
        if until and until <= tx.now:
            raise Forbidden(f"{pointer}: {show(row.ref)} closed at {until}")


def finish_run(
    tx: Transaction,
    caller: Caller,
    *,
    id: str,
    outcome: str,
    metrics: Mapping[str, str],
) -> int:
    """Record how a run ended."""
    require_scope(caller, "train")
    _own_run(tx, caller, id, status="started")
    if outcome == "complete":
        ended = data.RunFinished(id=id, org=caller.org, outcome="complete", metrics=dict(metrics))
    else:
        ended = data.RunFinished(
            id=id, org=caller.org, outcome="failed" if outcome == "failed" else "aborted", metrics=dict(metrics)
        )
    return tx.append(ended, caller.by)


def register_weights(
    tx: Transaction,
    caller: Caller,
    *,
    id: str,
    run: str,
    manifest: bytes,
    public_key: bytes,
    files: Mapping[str, str],
) -> int:
    """Make the output of a finished run known as weights. Label and bounds are derived from all its inputs (I6)."""
    require_scope(caller, "train")
    found = _own_run(tx, caller, run, status="complete")
    if tx.row(WEIGHTS.select().where(WEIGHTS.c.id == id)) is not None:
        raise Conflict(f"weights {show(id)} exist already")
    opened = open_manifest(manifest, public_key)
    check_files(opened, files)
    parents = [get_resource(tx, ref) for ref in load(found.inputs, list[str])]
    bounds = meet([bounds_of(parent) for parent in parents], purposes_in_force(tx).covers)
    registered = data.WeightsRegistered(
        id=id,
        org=caller.org,
        run=run,
        trainer=found.started_by,
        label=derived_label(tx, parents),
        bounds=RecordedBounds(purposes=bounds.purposes, countries=bounds.countries, until=bounds.until),
        manifest_sha256=tx.attach(manifest, "application/vnd.dev.sigstore.bundle.v0.3+json"),
        manifest_key_sha256=hashlib.sha256(public_key).hexdigest(),
        manifest_root=opened.root,
        files=len(opened.resources),
    )
    return tx.append(registered, caller.by)


def _own_run(tx: Transaction, caller: Caller, id: str, *, status: str) -> sa.Row[Any]:
    found = tx.row(RUN.select().where(RUN.c.id == id))
    if found is None or found.org != caller.org:
        raise NotFound("run", id)
    if found.status != status:
        raise Conflict(f"run {show(id)} is {found.status}, not {status}")
    return found

"""Uses: what a gateway says was done under an allow. A use that no allow covers is refused, and put on record."""

from ledger.errors import Forbidden, NotFound, OblikError
from ledger.events import event_of
from ledger.events.decisions import DecisionRecorded, Quantity, UseAnomalous, UseReported
from ledger.events.sharing import GrantTerms
from ledger.log.entry import parse_entry
from ledger.services.caller import Caller, require_scope
from ledger.storage.columns import load
from ledger.storage.reading import read_entry
from ledger.storage.tables import GrantRow, ResourceRow, table
from ledger.storage.transaction import Transaction

GRANT, RESOURCE = table(GrantRow), table(ResourceRow)


def report_use(
    tx: Transaction,
    caller: Caller,
    owner: str,
    *,
    decision: int,
    resource: str,
    version: str,
    quantity: Quantity,
    started: str,
    ended: str,
) -> int | OblikError:
    """Record a use under the allow at index `decision`.

    Returns its index; or, where no allow covers it, the Forbidden to raise, after an anomaly has been appended.
    """
    require_scope(caller, "report")
    allow = find_decision(tx, decision)
    problem = _problem(caller, owner, allow, resource, version, started, ended)
    if problem is None and allow is not None:
        problem = _ended_before(tx, allow, started)
    if problem is not None or allow is None:
        anomaly = UseAnomalous(
            problem=problem or "",
            decision=decision,
            org=caller.org,
            resource=resource,
            version=version,
            quantity=quantity,
            started=started,
            ended=ended,
        )
        seq = tx.append(anomaly, caller.by)
        return Forbidden(f"{problem}; recorded as an anomaly in entry {seq}")
    use = UseReported(
        decision=decision,
        org=allow.org,
        resource=resource,
        version=version,
        manifest_root=_manifest_root(tx, version),
        quantity=quantity,
        started=started,
        ended=ended,
    )
    return tx.append(use, caller.by)


def find_decision(tx: Transaction, seq: int) -> DecisionRecorded | None:
    """Read the decision at an index; None where there is no entry, or one of another kind."""
    try:
        stored = read_entry(tx.connection, seq)
    except NotFound:
        return None
    entry = parse_entry(stored.data, seq=seq)
    if entry.kind != DecisionRecorded.KIND:
        return None
    event = event_of(entry)
    return event if isinstance(event, DecisionRecorded) else None


def _problem(  # noqa: PLR0911, PLR0917
    caller: Caller, owner: str, allow: DecisionRecorded | None, resource: str, version: str, started: str, ended: str
) -> str | None:
    if allow is None:
        return "the report names no decision"
    if caller.org not in {allow.org, owner}:
        return f"the decision was not made for `{caller.org}`"
    if not allow.allowed:
        return "the decision was a deny"
    if allow.asked.resource != resource:
        return f"the decision was about `{allow.asked.resource}`"
    if allow.version != version:
        return f"the decision was about version `{allow.version}`"
    if started < allow.evaluated_at:
        return "the use began before the decision"
    if ended < started:
        return "the use ended before it began"
    return None


def _ended_before(tx: Transaction, allow: DecisionRecorded, started: str) -> str | None:
    """Say where the grant behind an allow had ended, by its term or by revocation, when the use began."""
    grant = tx.row(GRANT.select().where(GRANT.c.id == allow.grant))
    if grant is None or load(grant.terms, GrantTerms).ends <= started:
        return "the grant had ended when the use began"
    if grant.revoked_seq is not None and _time_of(tx, grant.revoked_seq) <= started:
        return f"the grant was revoked by entry {grant.revoked_seq} before the use began"
    return None


def _time_of(tx: Transaction, seq: int) -> str:
    """Give the time of an entry; one of this very batch, which is not stored yet, has the present."""
    try:
        return parse_entry(read_entry(tx.connection, seq).data, seq=seq).at
    except NotFound:
        return tx.now


def _manifest_root(tx: Transaction, ref: str) -> str:
    row = tx.row(RESOURCE.select().where(RESOURCE.c.ref == ref))
    if row is None:
        raise NotFound("resource", ref)
    root: str = row.manifest_root
    return root

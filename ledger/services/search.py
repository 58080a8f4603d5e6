"""Searching (AuthZEN 1.0 §8): which subjects may, on which resources one may, and what one may do.

    subject?   system                        may train on   dataset:uav-thermal   for …, at …, in …
    resource?  system acme-jp/trainer-1      may train on   dataset               for …, at …, in …
    action?    user alice                    may            …                     record:record-1

A search asks the policies what an evaluation would ask them, for one candidate after the other, in order of their ids,
and writes nothing: it permits nothing. What is found may be gone a moment later; a use needs an evaluation, and that is
on record. It finds nothing that its caller could not find out by evaluations: a partner searches for its own subjects,
and only the owner's systems search under mounted policies.

A page ends after so many results, or after so many candidates, whichever comes first: it may be empty and have a next
one. A token says where the next page begins, and for which search. Whoever forges one skips candidates, no more.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from ledger.access.decide import decide
from ledger.access.mount import MountedPolicy
from ledger.access.mounted import MountedRequest, decide_mounted, take_brought
from ledger.access.policy import Policy
from ledger.access.request import Request, check_id, parse_request
from ledger.access.vocabulary import ACTIONS, RESOURCE_TYPES, SUBJECT_TYPES
from ledger.errors import Forbidden, Malformed, Unavailable
from ledger.log.canonical import encode
from ledger.services.caller import Caller, require_scope
from ledger.services.decisions import Policies
from ledger.services.mounted import Mounts, check_may_ask
from ledger.storage.facts import FactReader
from ledger.storage.search import read_organisations, read_resources, read_systems
from ledger.storage.tail import read_state_seq

MAX_RESULTS = 100
"""Results on a page, at the most."""

DEFAULT_RESULTS = 50
"""Results on a page where a request does not say."""

MAX_SCANNED = 200
"""Candidates evaluated for a page: bounds what one request costs, to about what two batches of evaluations do."""

ANY_ID = {"organisation": "x", "system": "x/x"}
"""Stands for the id of a subject that is sought."""


class Search(Struct, frozen=True, kw_only=True):
    """A search. The id or name of what is sought is ""."""

    sought: Literal["subject", "resource", "action"]
    subject_type: str
    subject_id: str = ""
    action: str = ""
    resource_type: str
    resource_id: str = ""
    properties: dict[str, dict[str, Any]] = {}
    """Of the parts that are given, the context among them; what is sought brings nothing along."""
    limit: int | None = None
    token: str = ""


class Found(Struct, frozen=True):
    """A page of results: ids, or names of actions; `next_token` is "" at the end."""

    results: tuple[str, ...]
    next_token: str


NOTHING = Found((), "")

Candidates = Callable[[str, int], Sequence[str]]
"""`(after, at most)` → ids in order."""
Allows = Callable[[Sequence[str]], Sequence[bool]]


class Searcher:
    """Searches, with the policies remembered. Safe to be used from several threads."""

    def __init__(self, *, owner: str) -> None:
        self._owner = owner
        self._policies, self._mounts = Policies(), Mounts()
        self._lock = threading.Lock()

    def __call__(self, connection: sa.Connection, caller: Caller, asked: Search, *, now: str) -> Found:
        """Give a page of results. Raises Forbidden, Malformed, and Unavailable where there is no policy."""
        require_scope(caller, "evaluate")
        after, limit = _open_token(asked)
        policy, mounts = self._in_force(connection)
        mounted = mounts.get(asked.resource_type)
        if mounted is not None:
            check_may_ask(caller, self._owner)
            found = _under_mount(asked, mounted, now)
        elif asked.resource_type in RESOURCE_TYPES and asked.subject_type in SUBJECT_TYPES:
            found = self._under_main(connection, caller, asked, policy, now)
        else:
            found = None
        return NOTHING if found is None else _page(asked, *found, after=after, limit=limit)

    def _in_force(self, connection: sa.Connection) -> tuple[Policy | None, Mapping[str, MountedPolicy]]:
        with self._lock:
            state_seq = read_state_seq(connection)
            return (
                self._policies.in_force(connection, state_seq=state_seq),
                self._mounts.in_force(connection, state_seq=state_seq),
            )

    def _under_main(
        self, connection: sa.Connection, caller: Caller, asked: Search, policy: Policy | None, now: str
    ) -> tuple[Candidates, Allows] | None:
        if asked.sought != "action" and asked.action not in ACTIONS:
            return None
        if policy is None:
            raise Unavailable("no policy has been adopted, so nothing can be allowed", help="adopt a policy first")
        template = parse_request(_evaluation(asked))
        everyone = caller.org == self._owner
        if asked.sought != "subject" and not everyone and caller.org != template.org:
            raise Forbidden(f"`{caller.name}` may ask for `{caller.org}` only, not for `{template.org}`")

        def candidates(after: str, count: int) -> Sequence[str]:
            if asked.sought == "action":
                return [name for name in sorted(ACTIONS) if name > after][:count]
            if asked.sought == "resource":
                return read_resources(connection, asked.resource_type, after=after, count=count)
            org = None if everyone else caller.org
            if asked.subject_type == "organisation":
                return read_organisations(connection, after=after, count=count, only=org)
            return read_systems(connection, after=after, count=count, only=org, now=now)

        def allows(ids: Sequence[str]) -> Sequence[bool]:
            requests = [_for_candidate(template, asked.sought, one) for one in ids]
            facts = FactReader().gather(connection, requests, state_seq=0)
            return [decide(r, f, policy, now).allowed for r, f in zip(requests, facts, strict=True)]

        return candidates, allows


def _evaluation(asked: Search) -> bytes:
    """Give the search as an evaluation, with something in place of what is sought, to be read as strictly as one."""
    return _plain(
        {
            "subject": {"type": asked.subject_type, "id": asked.subject_id or ANY_ID[asked.subject_type]},
            "action": {"name": asked.action or ACTIONS[0]},
            "resource": {"type": asked.resource_type, "id": asked.resource_id or "x"},
            "context": asked.properties.get("context", {}),
        }
    )


def _plain(value: object) -> bytes:
    """Give JSON in ASCII: what a request holds may be half of a surrogate pair, which UTF-8 has no bytes for."""
    return json.dumps(value, sort_keys=True).encode()


def _for_candidate(template: Request, sought: str, one: str) -> Request:
    if sought == "subject":
        return msgspec.structs.replace(template, subject_id=one, org=one.partition("/")[0])
    if sought == "resource":
        return msgspec.structs.replace(template, resource_id=one)
    return msgspec.structs.replace(template, action=one)


def _under_mount(asked: Search, policy: MountedPolicy, now: str) -> tuple[Candidates, Allows] | None:
    """Give candidates and their test; None where a type, an action or an id is not known."""
    named = policy.brought
    subject, resource = (asked.subject_type, asked.subject_id), (asked.resource_type, asked.resource_id)
    known = (
        asked.subject_type in named.subjects
        and (asked.sought == "subject" or subject in policy.subjects)
        and (asked.sought == "action" or asked.action in named.actions)
        and (asked.sought == "resource" or resource in policy.resources)
    )
    if not known:
        return None
    everything = {
        "subject": [id_ for type_, id_ in policy.subjects if type_ == asked.subject_type],
        "resource": [id_ for type_, id_ in policy.resources if type_ == asked.resource_type],
        "action": list(named.actions),
    }[asked.sought]

    def candidates(after: str, count: int) -> Sequence[str]:
        return sorted(one for one in everything if one > after)[:count]

    def allows(ids: Sequence[str]) -> Sequence[bool]:
        requests = [_mounted_request(asked, one) for one in ids]
        return [decide_mounted(r, take_brought(r, policy), policy, now).allowed for r in requests]

    return candidates, allows


def _mounted_request(asked: Search, one: str) -> MountedRequest:
    return MountedRequest(
        subject_type=asked.subject_type,
        subject_id=one if asked.sought == "subject" else asked.subject_id,
        action=one if asked.sought == "action" else asked.action,
        resource_type=asked.resource_type,
        resource_id=one if asked.sought == "resource" else asked.resource_id,
        properties=asked.properties,
    )


def _page(asked: Search, candidates: Candidates, allows: Allows, *, after: str, limit: int) -> Found:
    waiting = candidates(after, MAX_SCANNED + 1)
    scanned = waiting[:MAX_SCANNED]
    results: list[str] = []
    passed = 0
    for one, allowed in zip(scanned, allows(scanned), strict=True):
        passed += 1
        if allowed:
            results.append(one)
        if len(results) == limit:
            break
    ended = passed == len(waiting)
    return Found(tuple(results), "" if ended else _make_token(asked, limit, waiting[passed - 1]))


# Tokens: base64url of [digest of the search, limit, last candidate passed]


def _make_token(asked: Search, limit: int, last: str) -> str:
    return base64.urlsafe_b64encode(encode([_digest(asked), limit, last])).decode()


def _open_token(asked: Search) -> tuple[str, int]:
    """Give where the page begins, and its limit. Raises Malformed where the token is of another search, or none."""
    limit = min(asked.limit or DEFAULT_RESULTS, MAX_RESULTS)
    if not asked.token:
        return "", limit
    try:
        digest, told, after = msgspec.json.decode(base64.urlsafe_b64decode(asked.token), type=tuple[str, int, str])
    except (ValueError, msgspec.DecodeError):
        raise Malformed("/page/token", "is none that was given out here", help="begin anew, without a token") from None
    if digest != _digest(asked) or (asked.limit is not None and limit != told):
        raise Malformed("/page/token", "is of another search", help="send the same parameters, or begin anew")
    check_id(after, "/page/token")
    return after, max(1, min(told, MAX_RESULTS))


def _digest(asked: Search) -> str:
    """Give the digest of all that has to be the same from page to page."""
    same = msgspec.structs.replace(asked, token="", limit=None)
    return hashlib.sha256(_plain(msgspec.structs.asdict(same))).hexdigest()

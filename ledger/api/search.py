"""Searching: `POST /access/v1/search/{subject,resource,action}` (AuthZEN 1.0 §8). Nothing is written.

    {"subject": {"type": "user"}, "action": {"name": "read"}, "resource": {"type": "record", "id": "record-1"},
     "page": {"limit": 10}}
    → {"results": [{"type": "user", "id": "alice"}], "page": {"next_token": "", "count": 1}}

Unknown fields are ignored, among them the id of what is sought.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ledger.access.request import MAX_REQUEST_BYTES
from ledger.api.acting import Act
from ledger.api.management import PROBLEMS
from ledger.api.strict import StrictRequest, StrictRoute, read_body
from ledger.log.entry import format_time
from ledger.services.search import Found, Search, Searcher

CONTEXT_EXAMPLE = {
    "purpose": "humanitarian.demining",
    "tier": "redacted",
    "environment": {"kind": "enclave", "country": "JPN"},
}


class SearchRoute(StrictRoute):
    """A route with a small body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the strict handler."""
        handle = super().get_route_handler()

        async def small(request: Request) -> Response:
            body = await read_body(request, limit=MAX_REQUEST_BYTES)
            return await handle(_read_again(request, body))

        return small


def _read_again(request: Request, body: bytes) -> StrictRequest:
    """Give the request with its body to be read once more."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return StrictRequest(request.scope, receive)


class Part(BaseModel):
    """What every part of a search shares: types are strict, unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    properties: dict[str, Any] = Field(default={}, examples=[{}])


class Sought(Part):
    """The entity that is sought: its type alone."""

    type: str = Field(examples=["dataset"])


class SoughtSubject(Sought):
    """The subject that is sought: its type alone."""

    type: str = Field(examples=["system"])


class Subject(Part):
    """A subject."""

    type: str = Field(examples=["system"])
    id: str = Field(min_length=1, examples=["acme-jp/trainer-1"])


class Action(Part):
    """An action."""

    name: str = Field(min_length=1, examples=["train"])


class Resource(Part):
    """A resource."""

    type: str = Field(examples=["dataset"])
    id: str = Field(min_length=1, examples=["uav-thermal"])


class Page(BaseModel):
    """Which page: the next one of a search has its token, and otherwise the same parameters."""

    model_config = ConfigDict(extra="ignore", strict=True)

    token: str = Field(default="", examples=[""])
    limit: int | None = Field(default=None, ge=1, lt=2**53, examples=[10])


class Paged(BaseModel):
    """What every search shares."""

    model_config = ConfigDict(extra="ignore", strict=True)

    context: dict[str, Any] = Field(default={}, examples=[CONTEXT_EXAMPLE])
    page: Page = Page()


class SubjectSearch(Paged):
    """Asks which subjects of a type may."""

    subject: SoughtSubject
    action: Action
    resource: Resource


class ResourceSearch(Paged):
    """Asks on which resources of a type one may."""

    subject: Subject
    action: Action
    resource: Sought


class ActionSearch(Paged):
    """Asks what one may do."""

    subject: Subject
    resource: Resource


class Entity(BaseModel):
    """A subject or a resource that was found."""

    type: str = Field(examples=["dataset"])
    id: str = Field(examples=["uav-thermal"])


class Name(BaseModel):
    """An action that was found."""

    name: str = Field(examples=["train"])


class Next(BaseModel):
    """Where the results go on: "" at the end."""

    next_token: str = Field(examples=[""])
    count: int = Field(examples=[1])


class Entities(BaseModel):
    """A page of subjects or resources."""

    results: list[Entity]
    page: Next


class Names(BaseModel):
    """A page of actions."""

    results: list[Name]
    page: Next


def _searcher(request: Request) -> Searcher:
    found: Searcher = request.app.state.searcher
    return found


SearcherOf = Annotated[Searcher, Depends(_searcher)]

PATH = "/access/v1/search"

router = APIRouter(prefix=PATH, route_class=SearchRoute, responses=PROBLEMS, tags=["decisions"])


@router.post("/subject")
def search_subjects(body: SubjectSearch, act: Act, searcher: SearcherOf) -> Entities:
    """Find the subjects of a type that may do this (scope `evaluate`). Nothing is written."""
    asked = Search(
        sought="subject",
        subject_type=body.subject.type,
        action=body.action.name,
        resource_type=body.resource.type,
        resource_id=body.resource.id,
        properties=_properties(body, action=body.action, resource=body.resource),
        limit=body.page.limit,
        token=body.page.token,
    )
    return _entities(_find(act, searcher, asked), body.subject.type)


@router.post("/resource")
def search_resources(body: ResourceSearch, act: Act, searcher: SearcherOf) -> Entities:
    """Find the resources of a type that this subject may use so (scope `evaluate`). Nothing is written."""
    asked = Search(
        sought="resource",
        subject_type=body.subject.type,
        subject_id=body.subject.id,
        action=body.action.name,
        resource_type=body.resource.type,
        properties=_properties(body, subject=body.subject, action=body.action),
        limit=body.page.limit,
        token=body.page.token,
    )
    return _entities(_find(act, searcher, asked), body.resource.type)


@router.post("/action")
def search_actions(body: ActionSearch, act: Act, searcher: SearcherOf) -> Names:
    """Find what this subject may do with this resource (scope `evaluate`). Nothing is written."""
    asked = Search(
        sought="action",
        subject_type=body.subject.type,
        subject_id=body.subject.id,
        resource_type=body.resource.type,
        resource_id=body.resource.id,
        properties=_properties(body, subject=body.subject, resource=body.resource),
        limit=body.page.limit,
        token=body.page.token,
    )
    found = _find(act, searcher, asked)
    return Names(results=[Name(name=name) for name in found.results], page=_next(found))


def _properties(body: Paged, **parts: Part) -> dict[str, dict[str, Any]]:
    return {"context": body.context, **{name: part.properties for name, part in parts.items()}}


def _find(act: Act, searcher: Searcher, asked: Search) -> Found:
    now = format_time(act.service.clock())
    return act.reading(lambda connection, caller: searcher(connection, caller, asked, now=now))


def _entities(found: Found, type_: str) -> Entities:
    return Entities(results=[Entity(type=type_, id=one) for one in found.results], page=_next(found))


def _next(found: Found) -> Next:
    return Next(next_token=found.next_token, count=len(found.results))

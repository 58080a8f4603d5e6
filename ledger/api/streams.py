"""Streams over HTTP: one stream, its entries and its standing for those whom it concerns; sealing all of them."""

import base64
import json
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from ledger.api import models as m
from ledger.api.acting import Act, ServiceOf
from ledger.api.management import PROBLEMS
from ledger.api.reading import ENTRY_EXAMPLE, NDJSON, PUBLISHED_WITHIN_SECONDS
from ledger.api.strict import StrictRoute
from ledger.log.streams import StreamLeaf
from ledger.services import streams
from ledger.services.reading import MAX_PAGE

router = APIRouter(prefix="/ledger/v1/streams", route_class=StrictRoute, responses=PROBLEMS, tags=["streams"])

StreamName = Annotated[str, Path(pattern=r"^[a-z]{1,16}:[A-Za-z0-9._:@-]{1,200}$", description="`org:acme-jp`")]
HASH_EXAMPLE = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="
FILE_EXAMPLE = '{"entries":2,"format":"oblik-stream/1","origin":"…","sealed":41,"size":44,"stream":"org:acme-jp"}\n…'


class Leaf(BaseModel):
    """A stream's head under the seal, with its inclusion proof (RFC 9162); hashes in standard base64."""

    name: str = Field(examples=["org:acme-jp"])
    size: int = Field(examples=[6])
    last_seq: int = Field(examples=[30])
    index: int = Field(examples=[3])
    hashes: list[str] = Field(examples=[[HASH_EXAMPLE]])


class Standing(BaseModel):
    """Where a stream stood at the latest seal: its head, or the neighbours between which there is none."""

    name: str = Field(examples=["org:acme-jp"])
    size: int = Field(examples=[6], description="entries in the stream")
    last_seq: int = Field(examples=[30], description="index of the last of them; -1 for none")
    seal: str = Field(examples=['{"about":{},…,"kind":"streams.sealed",…}'], description="the entry, as stored")
    leaves: list[Leaf]


@router.post("/seal", status_code=201)
async def seal(act: Act) -> m.Written:
    """Commit to the head of every stream (administrator or auditor)."""
    heads = await run_in_threadpool(
        act.reading, lambda connection, by: streams.heads_to_seal(connection, by, act.owner)
    )
    return m.Written(seq=await act(lambda tx, by: streams.seal_now(tx, by, act.owner, heads)))


@router.get(
    "/{name}",
    response_class=Response,
    responses={200: {"content": {NDJSON: {"example": FILE_EXAMPLE}}, "description": "a stream file, oblik-stream/1"}},
)
def stream_file(act: Act, service: ServiceOf, name: StreamName) -> StreamingResponse:
    """Give a stream whole, as it was sealed last, with all its proofs (scope `read`; of the owner, or one's own)."""
    note = act.reading(lambda connection, _by: streams.note_over_seal(connection))
    if note is None:
        note = service.publisher.fresh().result(PUBLISHED_WITHIN_SECONDS).note
    file = act.reading(lambda connection, by: streams.open_stream_file(connection, by, act.owner, name=name, note=note))
    return StreamingResponse(streams.stream_file_lines(service.engine, file), media_type=NDJSON)


@router.get(
    "/{name}/entries",
    response_class=Response,
    responses={
        200: {
            "content": {NDJSON: {"example": json.dumps(ENTRY_EXAMPLE) + "\n"}},
            "description": "entries, one a line, as stored, newest first",
        }
    },
)
def entries(
    act: Act,
    name: StreamName,
    before: Annotated[
        int | None, Query(ge=0, lt=2**53, description="an entry of the stream; its end by default")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> Response:
    """Give a stream's entries as stored, newest first (scope `read`; of the owner, or one's own)."""
    page = act.reading(
        lambda connection, by: streams.page_of_stream(connection, by, act.owner, name=name, before=before, limit=limit)
    )
    return Response(b"".join(entry.data + b"\n" for entry in page), media_type=NDJSON)


@router.get("/{name}/proof")
def proof(act: Act, name: StreamName) -> Standing:
    """Prove where a stream stood at the latest seal (scope `read`; of the owner, or one's own)."""
    found = act.reading(lambda connection, by: streams.standing(connection, by, act.owner, name=name))
    return Standing(
        name=found.name,
        size=found.size,
        last_seq=found.last_seq,
        seal=found.seal.data.decode(),
        leaves=[_leaf(leaf) for leaf in found.leaves],
    )


def _leaf(leaf: StreamLeaf) -> Leaf:
    hashes = [base64.b64encode(item).decode() for item in leaf.hashes]
    return Leaf(name=leaf.name, size=leaf.size, last_seq=leaf.last_seq, index=leaf.index, hashes=hashes)

"""Reading the ledger under `/ledger/v1`: entries for readers; checkpoint and proofs for anyone who is let connect."""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from ledger.api.acting import Act, ServiceOf
from ledger.api.management import PROBLEMS
from ledger.api.strict import StrictRoute
from ledger.services import reading, receipts

router = APIRouter(prefix="/ledger/v1", route_class=StrictRoute, responses=PROBLEMS, tags=["ledger"])

Index = Annotated[int, Path(ge=0, lt=2**53)]
Size = Annotated[int | None, Query(ge=1, lt=2**53, description="size of the tree; the present one by default")]
PUBLISHED_WITHIN_SECONDS = 30
NDJSON = "application/x-ndjson"

ENTRY_EXAMPLE = {
    "about": {"dataset:uav-thermal": [3, 12], "org:acme-jp": [5, 15]},
    "at": "2026-11-21T09:30:00.123456Z",
    "body": {"id": "grant-req-1", "org": "acme-jp", "reason": "the project ended", "resource": "dataset:uav-thermal"},
    "by": {"org": "mod-ua", "person": "o.koval"},
    "kind": "grant.revoked",
    "prev": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "seq": 17,
    "v": 1,
}
CHECKPOINT_EXAMPLE = """\
ledger.mod.example/oblik
8
47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=

\N{EM DASH} ledger.mod.example/oblik HG+aC…
"""
RECEIPT_EXAMPLE = """\
c2sp.org/tlog-proof@v1
extra eyJhYm91dCI6e319
index 3
bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=

ledger.mod.example/oblik
8
47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=

\N{EM DASH} ledger.mod.example/oblik HG+aC…
"""


def told(media_type: str, example: object, description: str) -> dict[int | str, dict[str, Any]]:
    """Describe an answer that is bytes as stored, which FastAPI cannot tell from a type."""
    return {200: {"content": {media_type: {"example": example}}, "description": description}}


class Inclusion(BaseModel):
    """An inclusion proof (RFC 9162 §2.1.3); hashes in standard base64, from the leaf's sibling up."""

    index: int = Field(examples=[3])
    size: int = Field(examples=[8])
    leaf: str = Field(examples=["bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="])
    root: str = Field(examples=["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])
    hashes: list[str] = Field(examples=[["bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="]])


class Consistency(BaseModel):
    """A consistency proof (RFC 9162 §2.1.4); hashes in standard base64."""

    old_size: int = Field(examples=[4])
    new_size: int = Field(examples=[8])
    old_root: str = Field(examples=["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])
    new_root: str = Field(examples=["bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="])
    hashes: list[str] = Field(examples=[["bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="]])


@router.get(
    "/checkpoint",
    response_class=PlainTextResponse,
    responses=told("text/plain", CHECKPOINT_EXAMPLE, "a signed note, by both keys of the log"),
)
def checkpoint(service: ServiceOf) -> PlainTextResponse:
    """Give a checkpoint (C2SP tlog-checkpoint) over all that is committed now, signed by the log."""
    note = service.publisher.fresh().result(PUBLISHED_WITHIN_SECONDS).note
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get(
    "/entries",
    response_class=Response,
    responses=told(NDJSON, json.dumps(ENTRY_EXAMPLE) + "\n", "entries, one a line, as stored"),
)
def entries(
    act: Act,
    start: Annotated[int, Query(ge=0, lt=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=reading.MAX_PAGE)] = 100,
) -> Response:
    """Give entries as stored, one a line (scope `read`, of the owner)."""
    page = act.reading(
        lambda connection, by: reading.page_of_entries(connection, by, act.owner, start=start, limit=limit)
    )
    return Response(b"".join(entry.data + b"\n" for entry in page), media_type=NDJSON)


@router.get(
    "/entries/{seq}",
    response_class=Response,
    responses=told("application/json", ENTRY_EXAMPLE, "the bytes of the entry, as stored"),
)
def entry(act: Act, seq: Index) -> Response:
    """Give the bytes of one entry as stored (scope `read`, of the owner or of whom it concerns)."""
    found = act.reading(lambda connection, by: reading.one_entry(connection, by, act.owner, seq=seq))
    headers = {"X-Leaf-Hash": found.leaf.hex()}
    return Response(found.data, headers=headers, media_type="application/json")


@router.get(
    "/entries/{seq}/receipt",
    response_class=PlainTextResponse,
    responses=told("text/plain", RECEIPT_EXAMPLE, "a proof file, with the entry inside"),
)
def receipt(act: Act, seq: Index) -> PlainTextResponse:
    """Give the receipt of an entry (C2SP tlog-proof): for readers, and for the organisation whose decision it is."""
    note = act.reading(lambda connection, by: receipts.note_over(connection, by, act.owner, seq=seq))
    if note is None:
        note = act.service.publisher.fresh().result(PUBLISHED_WITHIN_SECONDS).note
    found = act.reading(lambda connection, _by: receipts.receipt(connection, seq, note))
    headers = {"Content-Disposition": f'attachment; filename="{seq}.tlog-proof"'}
    return PlainTextResponse(found, headers=headers)


@router.get("/proofs/inclusion")
def inclusion(service: ServiceOf, index: Annotated[int, Query(ge=0, lt=2**53)], size: Size = None) -> Inclusion:
    """Prove that an entry is in the tree."""
    with service.engine.connect() as connection:
        proof = reading.inclusion_proof(connection, index=index, size=size)
    return Inclusion(
        index=proof.index, size=proof.size, leaf=_b64(proof.leaf), root=_b64(proof.root), hashes=_list(proof.hashes)
    )


@router.get("/proofs/consistency")
def consistency(service: ServiceOf, old: Annotated[int, Query(ge=1, lt=2**53)], new: Size = None) -> Consistency:
    """Prove that the tree at one size begins with the tree at a smaller one."""
    with service.engine.connect() as connection:
        proof = reading.consistency_proof(connection, old=old, new=new)
    return Consistency(
        old_size=proof.old_size,
        new_size=proof.new_size,
        old_root=_b64(proof.old_root),
        new_root=_b64(proof.new_root),
        hashes=_list(proof.hashes),
    )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _list(hashes: Any) -> list[str]:
    return [_b64(item) for item in hashes]

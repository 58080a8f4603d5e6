"""Reading the ledger under `/ledger/v1`: entries for readers; checkpoint and proofs for anyone who is let connect."""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from ledger.api.acting import Act, ServiceOf
from ledger.api.management import PROBLEMS
from ledger.api.strict import StrictRoute
from ledger.services import reading

router = APIRouter(prefix="/ledger/v1", route_class=StrictRoute, responses=PROBLEMS, tags=["ledger"])

Index = Annotated[int, Path(ge=0, lt=2**53)]
Size = Annotated[int | None, Query(ge=1, lt=2**53, description="size of the tree; the present one by default")]
NDJSON = "application/x-ndjson"


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


@router.get("/checkpoint", response_class=PlainTextResponse)
def checkpoint(service: ServiceOf) -> PlainTextResponse:
    """Give the signed checkpoint (C2SP tlog-checkpoint) over the committed head."""
    with service.engine.connect() as connection:
        note = reading.signed_checkpoint(connection, origin=service.origin, signers=service.signers)
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get("/entries", responses={200: {"content": {NDJSON: {}}, "description": "entries, one a line, as stored"}})
def entries(
    act: Act,
    start: Annotated[int, Query(ge=0, lt=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=reading.MAX_PAGE)] = 100,
) -> Response:
    """Give entries as stored, one a line (scope `read`)."""
    page = act.reading(lambda connection, by: reading.page_of_entries(connection, by, start=start, limit=limit))
    return Response(b"".join(entry.data + b"\n" for entry in page), media_type=NDJSON)


@router.get("/entries/{seq}", responses={200: {"content": {"application/json": {}}, "description": "the bytes stored"}})
def entry(act: Act, seq: Index) -> Response:
    """Give the bytes of one entry as stored (scope `read`)."""
    found = act.reading(lambda connection, by: reading.one_entry(connection, by, seq=seq))
    headers = {"X-Leaf-Hash": found.leaf.hex()}
    return Response(found.data, headers=headers, media_type="application/json")


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

"""Tiles and checkpoint (C2SP tlog-tiles), at the root of the service, as any verifier expects them.

    GET /checkpoint                    text/plain, cached for a second
    GET /tile/<L>/<N>[.p/<W>]          hashes: for anyone who is let connect, cached for ever
    GET /tile/entries/<N>[.p/<W>]      entries: for readers; cached by nobody but them
    GET /attachments/index, /<sha256>  what entries name by its hash: for readers
    GET /timestamps                    time-stamps (RFC 3161), one a line, with the checkpoints that they are over

The same paths are the files that `oblik export --tiles` writes.
"""

import gzip
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import PlainTextResponse, Response

from ledger.api.acting import Act, ServiceOf
from ledger.api.management import PROBLEMS
from ledger.api.reading import CHECKPOINT_EXAMPLE, NDJSON, told
from ledger.services import tiles

router = APIRouter(responses=PROBLEMS, tags=["ledger"])

OCTETS = "application/octet-stream"
FOR_SECONDS = {"Cache-Control": "public, max-age=1"}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FOR_EVER_BY_READERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Vary": "Authorization, Accept-Encoding",
}

GZIP_LEVEL = 6


@router.get(
    "/checkpoint",
    response_class=PlainTextResponse,
    responses=told("text/plain", CHECKPOINT_EXAMPLE, "a signed note, with the witnesses' cosignatures"),
)
def checkpoint(service: ServiceOf) -> PlainTextResponse:
    """Give the last checkpoint that was published (C2SP tlog-checkpoint)."""
    with service.engine.connect() as connection:
        return PlainTextResponse(tiles.public_checkpoint(connection), headers=FOR_SECONDS)


@router.get(
    "/timestamps",
    response_class=Response,
    responses=told(NDJSON, '{"authority":"…","checkpoint":"…","token":"…"}\n', "time-stamps, one a line"),
)
def timestamps(service: ServiceOf) -> Response:
    """Give every time-stamp (RFC 3161), each with the checkpoint that it is over."""
    with service.engine.connect() as connection:
        return Response(tiles.format_timestamps(connection), headers=FOR_SECONDS, media_type=NDJSON)


@router.get(
    "/tile/entries/{path:path}",
    response_class=Response,
    responses=told(OCTETS, "", "entries as stored, each behind its length in two bytes"),
)
def bundle(act: Act, path: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """Give 256 entries, or as many as the path says (scope `read`)."""
    found = act.reading(lambda connection, by: tiles.one_bundle(connection, by, act.owner, f"tile/entries/{path}"))
    return _packed(found, accept_encoding)


@router.get(
    "/tile/{path:path}",
    response_class=Response,
    responses=told(OCTETS, "", "hashes, 32 bytes each"),
)
def tile(service: ServiceOf, path: str) -> Response:
    """Give 256 hashes of the tree, or as many as the path says."""
    with service.engine.connect() as connection:
        return Response(tiles.one_tile(connection, f"tile/{path}"), headers=FOR_EVER, media_type=OCTETS)


@router.get(
    "/attachments/index",
    response_class=Response,
    responses=told(NDJSON, '{"media_type":"text/csv","sha256":"…"}\n', "the attachments, one a line"),
)
def attachments(act: Act) -> Response:
    """List what entries name by its SHA-256 (scope `read`)."""
    found = act.reading(lambda connection, by: tiles.list_attachments(connection, by, act.owner))
    return Response(found, headers={"Cache-Control": "private, no-cache"}, media_type=NDJSON)


@router.get(
    "/attachments/{sha256}",
    response_class=Response,
    responses=told(OCTETS, "", "the attachment, as stored"),
)
def attachment(act: Act, sha256: str) -> Response:
    """Give an attachment by its SHA-256 in hex (scope `read`)."""
    found = act.reading(lambda connection, by: tiles.one_attachment(connection, by, act.owner, sha256))
    return Response(found, headers=FOR_EVER_BY_READERS, media_type=OCTETS)


def _packed(data: bytes, accept_encoding: str) -> Response:
    """Compress where the reader can take it: entries are text, and shrink to a fifth."""
    headers = dict(FOR_EVER_BY_READERS)
    if "gzip" in accept_encoding:
        data, headers["Content-Encoding"] = gzip.compress(data, GZIP_LEVEL, mtime=0), "gzip"
    return Response(data, headers=headers, media_type=OCTETS)

"""OAuth 2 for partners' systems: a token for a signed assertion, and what is published to check it with.

    POST /oauth2/token
    grant_type=client_credentials&scope=evaluate&client_assertion=eyJ…
        &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer

    {"access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600, "scope": "evaluate"}

Errors are those of RFC 6749 §5.2, `{"error": "invalid_client", "error_description": …}`, not problem documents.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from ledger.api.acting import ServiceOf
from ledger.api.bearer import certificate_of
from ledger.api.management import PROBLEMS
from ledger.api.models import KEY_EXAMPLE
from ledger.api.problems import RETRY_AFTER_SECONDS
from ledger.api.strict import read_body
from ledger.bootstrap import Service
from ledger.errors import (
    Malformed,
    Misconfigured,
    NotFound,
    OblikError,
    Rejected,
    TooLarge,
    Unauthenticated,
    Unavailable,
    show,
)
from ledger.services.tokens import JWKS_PATH, METADATA_PATH, TOKEN_PATH, Granted, TokenRequest, Tokens

MAX_FORM_BYTES = 16_384
"""Twice the longest assertion."""

MAX_FIELDS = 20

FORM = "application/x-www-form-urlencoded"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
PUBLIC = {"Cache-Control": "public, max-age=300"}
"""A third of the time for which a key is published before it signs."""

CODES = {"/grant_type": "unsupported_grant_type", "/scope": "invalid_scope"}
"""Error codes for parameters that have their own; others are `invalid_request`."""

TEXT = {"type": "string"}
ERROR: dict[str, Any] = {
    "schema": {"type": "object", "required": ["error"], "properties": {"error": TEXT, "error_description": TEXT}},
    "example": {"error": "invalid_client", "error_description": "the token is not accepted: it has expired"},
}
GRANTED: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["access_token", "token_type", "expires_in", "scope"],
        "properties": {"access_token": TEXT, "token_type": TEXT, "expires_in": {"type": "integer"}, "scope": TEXT},
    },
    "example": {"access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600, "scope": "evaluate"},
}
FIELDS = ("grant_type", "client_assertion_type", "client_assertion", "client_id", "scope")
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM: {
            "schema": {"type": "object", "required": list(FIELDS[:3]), "properties": dict.fromkeys(FIELDS, TEXT)},
            "example": {
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": "eyJ…",
                "scope": "evaluate",
            },
        }
    },
}


def _told(content: Mapping[str, Any], description: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: dict(content)}}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _told(ERROR, "malformed, or a scope that is not the client's"),
    401: _told(ERROR, "the assertion does not prove who asks"),
    404: _told(ERROR, "no access tokens are issued here"),
    413: _told(ERROR, "too large"),
    503: _told(ERROR, "no token can be issued now"),
}

JWK_SET = "application/jwk-set+json"
JWKS = {"example": {"keys": [{**KEY_EXAMPLE, "alg": "EdDSA", "use": "sig", "kid": "kPrK_q…"}]}}
METADATA = {"example": {"issuer": "https://ledger.mod.example", "grant_types_supported": ["client_credentials"]}}

router = APIRouter(tags=["tokens"], responses=ERRORS)
published = APIRouter(tags=["tokens"], responses=PROBLEMS)


@router.post(
    TOKEN_PATH,
    response_class=Response,
    openapi_extra={"requestBody": BODY},
    responses={200: _told(GRANTED, "an access token")},
)
async def issue_token(request: Request, service: ServiceOf) -> Response:
    """Exchange an assertion, signed with a registered key, for an access token (RFC 6749 §4.4, RFC 7523 §2.2)."""
    try:
        granted = await _grant(service, request)
    except OblikError as error:
        return _refused(error)
    body = {
        "access_token": granted.token,
        "token_type": "Bearer",
        "expires_in": granted.seconds,
        "scope": granted.scope,
    }
    return _json(200, body, NO_STORE)


async def _grant(service: Service, request: Request) -> Granted:
    tokens = _tokens(service)
    asked = _parse_form(request, await read_body(request, limit=MAX_FORM_BYTES), service)
    proved = await run_in_threadpool(tokens.prove, asked)
    granted: Any = await service.sequencer.run(partial(tokens.grant, proved=proved))
    return cast("Granted", granted)  # an error that a command gives is raised


@published.get(JWKS_PATH, responses={200: _told(JWKS, "the keys", JWK_SET)}, response_class=Response)
def jwks(service: ServiceOf) -> Response:
    """Give the public keys that access tokens are signed with (RFC 7517)."""
    return _json(200, _tokens(service).jwks(), PUBLIC, JWK_SET)


@published.get(METADATA_PATH, responses={200: _told(METADATA, "the metadata")}, response_class=Response)
def metadata(service: ServiceOf) -> Response:
    """Give the authorization server's metadata (RFC 8414)."""
    return _json(200, _tokens(service).metadata(), PUBLIC)


def _tokens(service: Service) -> Tokens:
    if service.tokens is None:
        raise NotFound("access token is issued without a setting", "OBLIK_URL")
    return service.tokens


def _parse_form(request: Request, body: bytes, service: Service) -> TokenRequest:
    """Read the form, in which nothing stands twice (RFC 6749 §3.2). Raises Malformed."""
    if request.headers.get("content-type", "").split(";", maxsplit=1)[0].strip().lower() != FORM:
        raise Malformed("", f"the content type is not `{FORM}`")
    if "authorization" in request.headers:
        raise Malformed("", "a client proves who it is in one way, by its assertion", help="no `Authorization` header")
    fields = _fields(body)
    if "client_secret" in fields:
        raise Malformed("/client_secret", "no client has a secret here", help="send `client_assertion`")
    return TokenRequest(
        grant_type=fields.get("grant_type", ""),
        assertion_type=fields.get("client_assertion_type", ""),
        assertion=fields.get("client_assertion", ""),
        client=fields.get("client_id", ""),
        scope=fields.get("scope"),
        certificate=certificate_of(service, request.scope["headers"]),
    )


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:  # not UTF-8, not pairs, or too many of them
        raise Malformed("", f"the body is not a form of up to {MAX_FIELDS} fields") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        raise Malformed("", f"{show(twice)} stands twice")
    return {name: value for name, value in fields.items() if value}  # RFC 6749 §3.1: empty is as if left out


def _refused(error: OblikError) -> Response:
    """Give an error as RFC 6749 §5.2 has it, in ASCII as that asks for."""
    status, code = _status(error)
    headers = dict(NO_STORE)
    if status == 401:  # noqa: PLR2004 - RFC 9110 §11.6.1
        headers["WWW-Authenticate"] = 'Bearer realm="oblik"'
    if status == 503:  # noqa: PLR2004
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    description = str(error).encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")
    return _json(status, {"error": code, "error_description": description}, headers)


def _status(error: OblikError) -> tuple[int, str]:
    if isinstance(error, Unauthenticated):
        return 401, "invalid_client"
    if isinstance(error, TooLarge):
        return 413, "invalid_request"
    if isinstance(error, NotFound):
        return 404, "invalid_request"
    if isinstance(error, Malformed):
        return 400, CODES.get(error.pointer, "invalid_request")
    if isinstance(error, Rejected):
        return 400, "invalid_request"
    if isinstance(error, Unavailable | Misconfigured):
        return 503, "temporarily_unavailable"
    raise error


def _json(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], media: str = "application/json"
) -> Response:
    return Response(json.dumps(body), status, dict(headers), media_type=media)

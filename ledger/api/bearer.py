"""What a request shows of who sends it: an API token, or an access token and perhaps a TLS certificate.

Authorization: Bearer oblik_…
Authorization: Bearer eyJ…        (RFC 9068; issued at /oauth2/token)
Client-Cert: :MIIB…:              (RFC 9440; from the TLS proxy in front, if the operator named the header)
"""

import base64
import hashlib
from collections.abc import Iterable

from msgspec import Struct

from ledger.bootstrap import Service
from ledger.errors import BadToken, Malformed
from ledger.keys.jwt import encode
from ledger.services.caller import Access, hash_token

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""

TOKEN_DOTS = 2
"""In a JWT; an API token has none."""

MAX_CERTIFICATE_CHARACTERS = 16_384
"""A client's certificate has about 2,000; servers take headers of up to 64 KiB."""


class Shown(Struct, frozen=True, gc=False):
    """What the caller is to be looked up by, and the access token that says so, if it was one."""

    token_hash: str
    access: Access | None = None


def show_token(service: Service, token: str, headers: Headers) -> Shown:
    """Read a bearer token. Raises Unauthenticated where it is an access token that is not to be believed."""
    if token.count(".") != TOKEN_DOTS:
        return Shown(hash_token(token))
    if service.tokens is None:
        raise BadToken("issuer", "no access token is issued here", help="use an API token: `oblik_…`")
    access = service.tokens.recognise(token, certificate=certificate_of(service, headers))
    return Shown(access.known_by, access)


def certificate_of(service: Service, headers: Headers) -> str:
    """Give the SHA-256, in base64url, of the certificate that the proxy passed on; "" where there is none.

    Raises Malformed where there are two: one of them may be the caller's own invention.
    """
    wanted = service.client_cert_header.encode("latin-1")
    found = [value for name, value in headers if wanted and name == wanted]
    if len(found) > 1:
        raise Malformed("", "more than one client certificate was passed on", help="the proxy has to remove others")
    return _thumbprint(found[0].decode("latin-1").strip()) if found else ""


def _thumbprint(value: str) -> str:
    """Hash a certificate given as a byte sequence (RFC 9440 §2.2, RFC 9651 §3.3.5; RFC 8705 §3.1)."""
    if not value:
        return ""
    inside = value[1:-1] if value[0] == value[-1] == ":" and len(value) <= MAX_CERTIFICATE_CHARACTERS else ""
    try:
        certificate = base64.b64decode(inside, validate=True)
    except ValueError:
        certificate = b""
    if not certificate:
        raise Malformed("", "the client certificate is not base64 between colons", help="see RFC 9440")
    return encode(hashlib.sha256(certificate).digest())

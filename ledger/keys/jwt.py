"""JSON Web Tokens (RFC 7519, RFC 8725), strictly: one type, one key and one audience at a time, and two algorithms.

header   {"alg": "EdDSA", "kid": "<thumbprint of the key, RFC 7638>", "typ": "at+jwt"}
claims   {"iss": "https://ledger.mod.example", "aud": …, "iat": 1795253400, "exp": 1795254000, "jti": …, …}

A token is opened in two steps, since whose key it takes may stand in it: `read_token` parses it and believes nothing;
`check_token` then holds it to a key, a type, an issuer and an audience. The algorithm is the key's (Ed25519: `EdDSA`;
P-256: `ES256`), never the token's choice. A header that has more than `alg`, `kid` and `typ`, a name twice in one
object, and times that are not whole seconds are refused. All that is refused raises `BadToken`.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from ledger.errors import BadToken, Malformed, show

MAX_TOKEN_BYTES = 8_192
"""A token of ours has about 600 bytes; more than this is no token, and is not looked at."""

MAX_PEM_BYTES = 2_048
"""A public key in PEM has about 180."""

MAX_ID_CHARACTERS = 128
"""Of a token's `jti`, which is remembered."""

LEEWAY_SECONDS = 30
"""How far the clocks of two machines may be apart, where a token says since when it holds."""

COORDINATE_BYTES = 32
"""Of a point of Ed25519, and of x and of y on P-256."""

HEADER_NAMES = frozenset({"alg", "kid", "typ"})

_signatures = jwt.PyJWS(algorithms=["EdDSA", "ES256"])  # no other algorithm is even loaded


class PublicKey(Struct, frozen=True):
    """A key that checks tokens: as a JWK without anything but the key, with its algorithm and its name."""

    jwk: dict[str, str]
    algorithm: str
    kid: str
    """Thumbprint (RFC 7638), SHA-256 in base64url."""
    key: Ed25519PublicKey | EllipticCurvePublicKey


class Token(Struct, frozen=True):
    """What a token says; nothing of it is proved."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    def claim(self, name: str) -> str:
        """Give a claim that is text, "" where there is none."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""


# Keys -----------------------------------------------------------------------------------------------------------------


def parse_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """Read a public key from a JWK (RFC 7517, RFC 8037). Raises Malformed, also where it is a private key."""
    if "d" in jwk:
        raise Malformed("", "it is a private key", help="send the public key alone, and make a new pair: this is told")
    form = jwk.get("kty"), jwk.get("crv")
    if form == ("OKP", "Ed25519"):
        return _ed25519(_coordinate(jwk, "x"))
    if form == ("EC", "P-256"):
        return _p256(_coordinate(jwk, "x"), _coordinate(jwk, "y"))
    raise Malformed("", "it is neither an Ed25519 nor a P-256 key", help="keys for RSA or HMAC are not accepted")


def parse_public_pem(pem: str) -> PublicKey:
    """Read a public key from PEM (SubjectPublicKeyInfo). Raises Malformed."""
    if "PRIVATE" in pem:
        raise Malformed("", "it is a private key", help="send the public key alone, and make a new pair: this is told")
    if len(pem) > MAX_PEM_BYTES:
        raise Malformed("", f"a public key in PEM has at most {MAX_PEM_BYTES:,} bytes")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed("", "it is not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise Malformed("", "it is neither an Ed25519 nor a P-256 key", help="keys for RSA or HMAC are not accepted")
    return public_key(key)


def public_key(key: Ed25519PublicKey | EllipticCurvePublicKey) -> PublicKey:
    """Give a key its algorithm and its name. Raises Malformed where its curve is another."""
    if isinstance(key, Ed25519PublicKey):
        return _named(key, "EdDSA", {"crv": "Ed25519", "kty": "OKP", "x": encode(key.public_bytes_raw())})
    if not isinstance(key.curve, SECP256R1):
        raise Malformed("", f"its curve is `{key.curve.name}`", help="use P-256 or Ed25519")
    numbers = key.public_numbers()
    x, y = (encode(number.to_bytes(COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
    return _named(key, "ES256", {"crv": "P-256", "kty": "EC", "x": x, "y": y})


def format_jwk(key: PublicKey) -> dict[str, str]:
    """Give a key as a set of keys has it (RFC 7517 §4)."""
    return {**key.jwk, "alg": key.algorithm, "kid": key.kid, "use": "sig"}


def _named(key: Ed25519PublicKey | EllipticCurvePublicKey, algorithm: str, jwk: dict[str, str]) -> PublicKey:
    """Name a key by the thumbprint of its required members in order (RFC 7638 §3.2)."""
    canonical = json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()
    return PublicKey(jwk, algorithm, encode(hashlib.sha256(canonical).digest()), key)


def _ed25519(x: bytes) -> PublicKey:
    return public_key(Ed25519PublicKey.from_public_bytes(x))


def _p256(x: bytes, y: bytes) -> PublicKey:
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1())
    try:
        return public_key(numbers.public_key())
    except ValueError:
        raise Malformed("", "its point is not on the curve P-256") from None


def _coordinate(jwk: Mapping[str, Any], name: str) -> bytes:
    try:
        value = decode(jwk.get(name))
    except ValueError:
        value = b""
    if len(value) != COORDINATE_BYTES:
        raise Malformed("", f"`{name}` is not {COORDINATE_BYTES} bytes in base64url")
    return value


def encode(data: bytes) -> str:
    """Write base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: object) -> bytes:
    """Read base64url without padding. Raises ValueError where it is not exactly that."""
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("not text")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if encode(data) != text:
        raise ValueError("not in its one form")
    return data


# Tokens ---------------------------------------------------------------------------------------------------------------


def sign_token(
    claims: Mapping[str, Any], key: Ed25519PrivateKey | EllipticCurvePrivateKey, *, typ: str, kid: str
) -> str:
    """Make a token."""
    algorithm = "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"
    payload = json.dumps(dict(claims), separators=(",", ":"), sort_keys=True).encode()
    return _signatures.encode(payload, key, algorithm=algorithm, headers={"kid": kid, "typ": typ})


def read_token(text: str) -> Token:
    """Parse a token and believe nothing of it. Raises BadToken where it is not of the form."""
    if len(text) > MAX_TOKEN_BYTES:
        raise BadToken("malformed", f"it has more than {MAX_TOKEN_BYTES:,} bytes")
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - RFC 7515 §7.1; five are an encrypted token
        raise BadToken("malformed", "it is not three parts with dots between")
    header, claims = _object(parts[0], "header"), _object(parts[1], "claims")
    _check_form(parts[2])  # the library accepts padding, by which one token would have several texts
    unknown = sorted(header.keys() - HEADER_NAMES)
    if unknown:
        raise BadToken("header", f"its header has {show(unknown[0])}", help="`alg`, `kid` and `typ`, and nothing else")
    return Token(text, header, claims)


def _check_form(part: str) -> None:
    try:
        decode(part)
    except ValueError:
        raise BadToken("malformed", "its signature is not base64url") from None


def _object(part: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(decode(part), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError):
        raise BadToken("malformed", f"its {what} are not base64url of plain JSON") from None
    if not isinstance(found, dict):
        raise BadToken("malformed", f"its {what} are no object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: two readers would take two different values. Raises ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(_text: str) -> None:
    raise ValueError("not a whole number")


def check_token(token: Token, key: PublicKey, *, types: Collection[str | None]) -> None:
    """Hold a token to a key and to the types that are meant (RFC 8725 §3.11); None: no type. Raises BadToken."""
    typ, kid = token.header.get("typ"), token.header.get("kid")
    if (typ.lower() if isinstance(typ, str) else typ) not in types:
        raise BadToken("type", f"its type is {show(typ)}")
    if token.header.get("alg") != key.algorithm:
        raise BadToken("algorithm", f"its algorithm is {show(token.header.get('alg'))}, and its key is for another")
    if kid is not None and kid != key.kid:
        raise BadToken("key", f"no key here is called {show(kid)}")
    try:
        _signatures.decode(token.text, key.key, algorithms=[key.algorithm])
    except jwt.PyJWTError:
        raise BadToken("signature", "its signature is not of its key") from None


def check_claims(token: Token, *, issuer: str, audiences: Collection[str], now: datetime, seconds: int) -> None:
    """Hold what a checked token says to who issued it, for whom, and for when.

    `seconds` is how far ahead it may end. Raises BadToken.
    """
    if token.claims.get("iss") != issuer:
        raise BadToken("issuer", f"it was issued by {show(token.claims.get('iss'))}")
    if _audience(token) not in audiences:
        raise BadToken("audience", f"it is for {show(token.claims.get('aud'))}")
    _check_times(token, now.timestamp(), seconds)
    if not 1 <= len(token.claim("jti")) <= MAX_ID_CHARACTERS:
        raise BadToken("claims", f"its `jti` is not text of 1 to {MAX_ID_CHARACTERS} characters")


def _audience(token: Token) -> str | None:
    """Give the one audience; a list of several could be shown to each of them."""
    given = token.claims.get("aud")
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    return given if isinstance(given, str) else None


def _check_times(token: Token, now: float, seconds: int) -> None:
    issued, ends, starts = (_seconds(token, name) for name in ("iat", "exp", "nbf"))
    if issued is None or ends is None:
        raise BadToken("claims", "it does not say when it was issued (`iat`) and when it ends (`exp`)")
    if ends <= now:
        raise BadToken("expired", "it has expired")
    if max(issued, starts or 0) > now + LEEWAY_SECONDS:
        raise BadToken("early", "it is not valid yet", help="do your clock and ours agree?")
    if ends > now + seconds + LEEWAY_SECONDS or ends > max(issued, starts or 0) + seconds:
        raise BadToken("lifetime", f"it lives longer than {seconds} seconds")


def _seconds(token: Token, name: str) -> int | None:
    """Give a time in whole POSIX seconds, None where there is none. Raises BadToken."""
    value = token.claims.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53):
        raise BadToken("claims", f"its `{name}` is not a number of whole seconds")
    return value

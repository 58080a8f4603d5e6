"""A partner's system that is a client of `/oauth2/token`: it has a key, signs assertions, and keeps nothing else.

Tokens are made here by hand, without the code under test: base64url, JSON, a signature.
"""

import base64
import json
import secrets
from datetime import datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from served import Served
from world import LAST_DAY, PARTNER

URL = "https://ledger.mod.example"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CERT_HEADER = "Client-Cert"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def raw(value: Any) -> str:
    """Give a part of a token: bytes as they are, else as JSON."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


class Client:
    """A client, registered or not."""

    def __init__(self, served: Served, id: str = "acme-key", *, key: Any = None) -> None:
        self.served, self.id = served, id
        self.key = key or Ed25519PrivateKey.generate()

    @property
    def pem(self) -> str:
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def algorithm(self) -> str:
        return "EdDSA" if isinstance(self.key, Ed25519PrivateKey) else "ES256"

    def register(self, token: str = "admin", **changes: Any) -> dict[str, Any]:
        return self.served.ok("credentials/keys", token, self.body(**changes))

    def body(self, **changes: Any) -> dict[str, Any]:
        body = {"id": self.id, "org": PARTNER, "holder": "trainer-1", "scopes": ["evaluate", "train"]}
        return {**body, "expires": LAST_DAY, "public_key": self.pem, **changes}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Give the claims of a good assertion, but for `changes`; a claim that is None is left out."""
        now = seconds(self.served.world.clock.now)
        claims = {"iss": self.id, "sub": self.id, "aud": f"{URL}/oauth2/token", "iat": now, "exp": now + 120}
        claims = {**claims, "jti": secrets.token_hex(8), **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, header: Any, claims: Any) -> str:
        signed = f"{raw(header)}.{raw(claims)}"
        if isinstance(self.key, EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.key.sign(signed.encode(), ECDSA(SHA256())))
            return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        return f"{signed}.{b64(self.key.sign(signed.encode()))}"

    def assertion(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        return self.sign(header or {"alg": self.algorithm, "typ": "JWT"}, self.claims(**changes))

    def ask(
        self, assertion: str | None = None, *, headers: dict[str, str] | None = None, **fields: str
    ) -> httpx.Response:
        """Ask for an access token."""
        form = {"grant_type": "client_credentials", "client_assertion_type": TYPE}
        form = {**form, "client_assertion": self.assertion() if assertion is None else assertion, **fields}
        return self.served.http.post("/oauth2/token", data=form, headers=headers)

    def token(self, *, headers: dict[str, str] | None = None, **fields: str) -> str:
        response = self.ask(headers=headers, **fields)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])


def p256() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def failures(served: Served) -> list[dict[str, Any]]:
    """Give the bodies of all recorded failures, once those that were submitted are written."""
    served.world.service.sequencer.submit(lambda _tx: None).result(30)
    return [entry.body for entry in served.entries() if entry.kind == "authentication.failed"]

"""Sigstore bundles around a DSSE envelope, as OpenSSF Model Signing v1.0 uses them (§4): opened and signed offline.

    {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
     "verificationMaterial": {"publicKey": {"hint": "<hex SHA-256 of the public key as PEM>"}, "tlogEntries": []},
     "dsseEnvelope": {"payload": "<base64>", "payloadType": "application/vnd.in-toto+json",
                      "signatures": [{"sig": "<base64>", "keyid": ""}]}}

The signature is ECDSA over the pre-authentication encoding of DSSE v1, `DSSEv1 <length> <type> <length> <payload>`,
by a key on P-256, P-384 or P-521 with the SHA-2 of its size.

**The key to trust is the caller's.** The key, hint, certificate or log entry inside the bundle has to be there (§4.1)
and counts for nothing; `keyid` is not looked at. So a certificate is not followed to its root, nor an entry to its log:
whoever trusts a key by those ways hands us the key.

Bundles of model-signing 1.0.0 verify as they are: its signature is over the same encoding, its key is `rawBytes` where
later ones have `hint`, its `keyid` is null. Releases before 1.0 are said to have signed the text that Python prints for
bytes (`b'…'`); that encoding is no one's standard and is not tried.
"""

import base64
import binascii
import hashlib
import json
from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from msgspec import UNSET, Meta, Struct, UnsetType

from ledger.errors import BadManifest, Malformed, show
from ledger.governance.documents import parse_json

MAX_BUNDLE_BYTES = 16 * 1024 * 1024
"""A file takes about 250 bytes, so this is some 65,000 files; what has more is packed into archives."""

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}

Text = Annotated[str, Meta(min_length=1)]


# The schemas of v1.0, one struct an object. Where a schema allows further fields they are ignored, elsewhere refused.


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    sig: Text
    keyid: str | None = None


class _Envelope(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: Text
    payload_type: str
    signatures: tuple[_Signature, ...]


class _PublicKey(Struct, frozen=True, rename="camel"):
    hint: str | UnsetType = UNSET
    raw_bytes: str | UnsetType = UNSET


class _Certificate(Struct, frozen=True, rename="camel"):
    raw_bytes: Text


class _Chain(Struct, frozen=True):
    certificates: Annotated[tuple[_Certificate, ...], Meta(min_length=1)]


class _Material(Struct, frozen=True, rename="camel"):
    public_key: _PublicKey | UnsetType = UNSET
    x509_certificate_chain: _Chain | UnsetType = UNSET
    certificate: _Certificate | UnsetType = UNSET
    tlog_entries: tuple[dict[str, Any], ...] = ()


class _Bundle(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


def open_bundle(bundle: bytes, public_key: bytes) -> bytes:
    """Give the payload that the owner of `public_key` (PEM) signed.

    Raises TooLarge, BadManifest that says what failed, or Malformed at `/public_key` where the caller's key is no key.
    """
    key = _public_key(public_key)
    try:
        parsed = parse_json(bundle, _Bundle, limit=MAX_BUNDLE_BYTES, what="the bundle")
    except Malformed as error:
        raise BadManifest(error.problem) from error
    if parsed.media_type != MEDIA_TYPE:
        raise BadManifest(f"/mediaType: {show(parsed.media_type)} is not {show(MEDIA_TYPE)}")
    _check_material(parsed.verification_material)
    return _open_envelope(parsed.dsse_envelope, key, parsed.verification_material.public_key)


def sign_bundle(payload: bytes, private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Sign an in-toto statement. Raises Malformed at `/private_key` for a curve that is not in the format."""
    public_key = private_key.public_key()
    signature = private_key.sign(_encode(payload), _scheme(public_key, "/private_key"))
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _fingerprint(public_key)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def _public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("/public_key", f"is not a public key in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Malformed("/public_key", "is not a key on an elliptic curve")
    _scheme(key, "/public_key")
    return key


def _scheme(key: ec.EllipticCurvePublicKey, pointer: str) -> ec.ECDSA:
    if key.curve.name not in _HASHES:
        raise Malformed(pointer, f"the curve {show(key.curve.name)} is not P-256, P-384 or P-521")
    return ec.ECDSA(_HASHES[key.curve.name])


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Give the hint of §4.1: SHA-256 of the key as PEM."""
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _check_material(material: _Material) -> None:
    """Check that the material is of one of the three methods (§4.1)."""
    place = "/verificationMaterial"
    methods = (material.public_key, material.x509_certificate_chain, material.certificate)
    if sum(each is not UNSET for each in methods) != 1:
        raise BadManifest(f"{place}: is not one of publicKey, x509CertificateChain and certificate")
    if material.certificate is not UNSET and not material.tlog_entries:
        raise BadManifest(f"{place}/tlogEntries: is missing or empty, and a certificate needs one")
    key = material.public_key
    if key is not UNSET and key.hint is UNSET and key.raw_bytes is UNSET:
        raise BadManifest(f"{place}/publicKey: has neither hint nor rawBytes")


def _open_envelope(envelope: _Envelope, key: ec.EllipticCurvePublicKey, said: _PublicKey | UnsetType) -> bytes:
    if envelope.payload_type != PAYLOAD_TYPE:
        raise BadManifest(f"/dsseEnvelope/payloadType: {show(envelope.payload_type)} is not {show(PAYLOAD_TYPE)}")
    if len(envelope.signatures) != 1:
        raise BadManifest(f"/dsseEnvelope/signatures: there are {len(envelope.signatures)}, not one")
    payload = _decode(envelope.payload, "/dsseEnvelope/payload")
    signature = _decode(envelope.signatures[0].sig, "/dsseEnvelope/signatures/0/sig")
    try:
        key.verify(signature, _encode(payload), _scheme(key, "/public_key"))
    except InvalidSignature as error:
        hint = UNSET if said is UNSET else said.hint
        other = hint is not UNSET and hint != _fingerprint(key)
        raise BadManifest(
            "/dsseEnvelope/signatures/0/sig: is not the trusted key's signature over the payload",
            help=f"the bundle hints at the key {hint}, the trusted one is {_fingerprint(key)}" if other else "",
        ) from error
    return payload


def _encode(payload: bytes) -> bytes:
    """Give the pre-authentication encoding (DSSE v1, protocol)."""
    type_ = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(type_), type_, len(payload), payload)


def _decode(text: str, place: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadManifest(f"{place}: is not base64: {error}") from error
    if base64.b64encode(data).decode() != text:  # several texts decode to one value: only one of them is taken
        raise BadManifest(f"{place}: is not canonical base64")
    return data

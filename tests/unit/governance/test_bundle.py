"""Sigstore bundles: opened with the caller's key alone, and only in their one form."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.errors import BadManifest, Malformed, TooLarge
from ledger.governance.bundle import MAX_BUNDLE_BYTES, open_bundle, sign_bundle

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
PAYLOAD = b'{"a": 1}'


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def changed(*path, to=None, drop=False):
    """Sign PAYLOAD, and change one place of the bundle."""
    bundle = json.loads(sign_bundle(PAYLOAD, KEY))
    place = bundle
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(bundle).encode()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_round_trip(curve):
    """What is signed with a key on one of the three curves opens with its public key."""
    key = ec.generate_private_key(curve)
    assert open_bundle(sign_bundle(PAYLOAD, key), pem(key)) == PAYLOAD


def test_the_form_that_is_written():
    """The bundle is of the current form: a hint that is SHA-256 of the PEM, no log entries, one signature, no keyid."""
    bundle = json.loads(sign_bundle(PAYLOAD, KEY))
    assert set(bundle) == {"mediaType", "verificationMaterial", "dsseEnvelope"}
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = hashlib.sha256(pem(KEY)).hexdigest()
    assert {"publicKey": {"hint": hint}, "tlogEntries": []} == bundle["verificationMaterial"]
    envelope = bundle["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == PAYLOAD
    (signature,) = envelope["signatures"]
    assert signature["keyid"] == ""


def test_the_signature_is_over_dsse_v1():
    """The signature verifies over `DSSEv1`, the lengths in bytes, the type and the payload."""
    payload = '{"a": "ї"}'.encode()
    signature = json.loads(sign_bundle(payload, KEY))["dsseEnvelope"]["signatures"][0]["sig"]
    signed = b"DSSEv1 28 application/vnd.in-toto+json 11 " + payload
    KEY.public_key().verify(base64.b64decode(signature), signed, ec.ECDSA(hashes.SHA256()))


def test_the_key_inside_counts_for_nothing():
    """A bundle signed by another key is refused, also when it claims to be by the trusted one."""
    forged = json.loads(sign_bundle(PAYLOAD, OTHER))
    with pytest.raises(BadManifest, match="not the trusted key's signature") as refused:
        open_bundle(json.dumps(forged).encode(), pem(KEY))
    assert hashlib.sha256(pem(OTHER)).hexdigest() in refused.value.help
    forged["verificationMaterial"]["publicKey"]["hint"] = hashlib.sha256(pem(KEY)).hexdigest()
    with pytest.raises(BadManifest, match="not the trusted key's signature"):
        open_bundle(json.dumps(forged).encode(), pem(KEY))


@pytest.mark.parametrize(
    "bundle",
    [
        changed("verificationMaterial", "publicKey", to={"hint": "whatever"}),
        changed("verificationMaterial", "publicKey", to={"rawBytes": "AAAA", "keyDetails": "PKIX"}),
        changed("verificationMaterial", to={"publicKey": {"hint": ""}}),
        changed("verificationMaterial", to={"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}),
        changed("verificationMaterial", to={"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{"logIndex": "1"}]}),
        changed("dsseEnvelope", "signatures", 0, "keyid", to=None),
        changed("dsseEnvelope", "signatures", 0, "keyid", to="anything"),
        changed("dsseEnvelope", "signatures", 0, "keyid", drop=True),
    ],
)
def test_what_makes_no_difference(bundle):
    """Each form of material is taken (§4.1), and keyid may be absent, null, empty or a hint."""
    assert open_bundle(bundle, pem(KEY)) == PAYLOAD


@pytest.mark.parametrize(
    ("bundle", "problem"),
    [
        (b"", "the bundle is not JSON"),
        (b"[]", "got `array`"),
        (b'{"mediaType": "x", "mediaType": "x"}', "missing required field"),
        (changed("mediaType", to="application/vnd.dev.sigstore.bundle.v0.2+json"), "/mediaType"),
        (changed("mediaType", drop=True), "`mediaType`"),
        (changed("surprise", to=1), "`surprise`"),
        (changed("verificationMaterial", drop=True), "`verificationMaterial`"),
        (changed("verificationMaterial", "publicKey", drop=True), "/verificationMaterial: is not one of"),
        (changed("verificationMaterial", "publicKey", to={}), "/verificationMaterial/publicKey"),
        (
            changed("verificationMaterial", "x509CertificateChain", to={"certificates": [{"rawBytes": "AAAA"}]}),
            "/verificationMaterial: is not one of",
        ),
        (
            changed("verificationMaterial", to={"certificate": {"rawBytes": "AAAA"}}),
            "/verificationMaterial/tlogEntries",
        ),
        (
            changed("verificationMaterial", to={"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}),
            "/verificationMaterial/tlogEntries",
        ),
        (
            changed("verificationMaterial", to={"x509CertificateChain": {"certificates": []}}),
            "/verificationMaterial/x509CertificateChain/certificates",
        ),
        (changed("dsseEnvelope", drop=True), "`dsseEnvelope`"),
        (changed("dsseEnvelope", "surprise", to=1), "`surprise`"),
        (changed("dsseEnvelope", "payloadType", to="application/json"), "/dsseEnvelope/payloadType"),
        (changed("dsseEnvelope", "payload", to=""), "/dsseEnvelope/payload"),
        (changed("dsseEnvelope", "payload", to="e3"), "/dsseEnvelope/payload: is not base64"),
        (changed("dsseEnvelope", "payload", to="e-_="), "/dsseEnvelope/payload: is not base64"),
        (changed("dsseEnvelope", "payload", to="e31="), "/dsseEnvelope/payload: is not canonical base64"),
        (changed("dsseEnvelope", "payload", to="eyJhIjogMn0="), "not the trusted key's signature"),
        (changed("dsseEnvelope", "signatures", to=[]), "there are 0, not one"),
        (changed("dsseEnvelope", "signatures", to=[{"sig": "AAAA"}] * 2), "there are 2, not one"),
        (changed("dsseEnvelope", "signatures", 0, "surprise", to=1), "`surprise`"),
        (changed("dsseEnvelope", "signatures", 0, "sig", drop=True), "`sig`"),
        (changed("dsseEnvelope", "signatures", 0, "sig", to="AAAA"), "not the trusted key's signature"),
        (changed("dsseEnvelope", "signatures", 0, "keyid", to=7), "/dsseEnvelope/signatures/0/keyid"),
    ],
)
def test_what_is_refused(bundle, problem):
    """A bundle with one thing wrong is refused, and the error says what."""
    with pytest.raises(BadManifest) as refused:
        open_bundle(bundle, pem(KEY))
    assert problem in refused.value.problem


def test_any_flipped_bit_of_the_signature_is_refused():
    """No bit of a signature can be changed."""
    good = json.loads(sign_bundle(PAYLOAD, KEY))
    signature = base64.b64decode(good["dsseEnvelope"]["signatures"][0]["sig"])
    for place in range(len(signature)):
        bad = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        good["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(bad).decode()
        with pytest.raises(BadManifest):
            open_bundle(json.dumps(good).encode(), pem(KEY))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP256K1())),
    ],
)
def test_a_key_that_is_none_is_the_callers_mistake(key):
    """Another kind of key, another curve, or no key at all is Malformed at /public_key."""
    with pytest.raises(Malformed) as refused:
        open_bundle(sign_bundle(PAYLOAD, KEY), key)
    assert refused.value.pointer == "/public_key"


def test_a_curve_that_is_not_in_the_format_signs_nothing():
    """Signing with a key on another curve is refused."""
    with pytest.raises(Malformed) as refused:
        sign_bundle(PAYLOAD, ec.generate_private_key(ec.SECP256K1()))
    assert refused.value.pointer == "/private_key"


def test_size_is_limited():
    """A bundle over the limit is refused unread."""
    with pytest.raises(TooLarge):
        open_bundle(b" " * (MAX_BUNDLE_BYTES + 1), pem(KEY))

"""Manifests signed by the reference implementation, and the specification's test vectors."""

import base64
import hashlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.errors import BadManifest
from ledger.governance.manifest import check_files, open_manifest

pytestmark = pytest.mark.real

SIGNME_1 = "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc"
SIGNME_2 = "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028"


@pytest.fixture
def vectors(shared_data):
    return shared_data / "oms" / "test-vectors" / "v1.0"


@pytest.fixture
def key(shared_data):
    return (shared_data / "oms" / "signed-model" / "signing-key-pub.pem").read_bytes()


def key_of_certificate(bundle):
    """Give the key inside a certificate, to trust on purpose what must not be trusted for being there."""
    der = base64.b64decode(json.loads(bundle)["verificationMaterial"]["certificate"]["rawBytes"])
    return (
        x509.load_der_x509_certificate(der).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


def test_a_model_signed_by_1_0_0(shared_data, key):
    """The bundle of model-signing 1.0.0 opens under its published key, and the file is the one that was signed."""
    folder = shared_data / "oms" / "signed-model"
    manifest = open_manifest((folder / "model.sig").read_bytes(), key)
    assert (
        manifest.subject,
        manifest.method,
        manifest.hash_type,
        manifest.ignore_paths,
    ) == ("signme-1", "files", "sha256", ())
    assert [(each.name, each.digest) for each in manifest.resources] == [(".", SIGNME_1)]
    data = (folder / "signme-1").read_bytes()
    check_files(manifest, {"signme-1": hashlib.sha256(data).hexdigest()})
    with pytest.raises(BadManifest, match="`signme-1` differs"):
        check_files(manifest, {"signme-1": hashlib.sha256(data + b"\n").hexdigest()})


@pytest.mark.parametrize("name", ["key", "certificate"])
def test_valid_vectors(vectors, key, name):
    """Both vectors by that key open, the certificate's without a look at the certificate."""
    manifest = open_manifest((vectors / "valid" / f"{name}.bundle.json").read_bytes(), key)
    assert manifest.root == "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"
    assert {each.name: each.digest for each in manifest.resources} == {"signme-1": SIGNME_1, "signme-2": SIGNME_2}
    assert sorted(manifest.ignore_paths) == [".git", ".gitattributes", ".github", ".gitignore", "ignore-me"]
    check_files(manifest, {"signme-1": SIGNME_1, "signme-2": SIGNME_2, "ignore-me": "", ".github/x": ""})
    with pytest.raises(BadManifest, match="`ignored` is not listed"):
        check_files(manifest, {"signme-1": SIGNME_1, "signme-2": SIGNME_2, "ignored": ""})


def test_the_hint_is_the_sha256_of_the_pem(vectors, key):
    """The hint in the vector is SHA-256 of the PEM as OpenSSL writes it, without the comment of the key's file."""
    bundle = json.loads((vectors / "valid" / "key.bundle.json").read_bytes())
    pem = key[key.index(b"-----BEGIN") :]
    assert hashlib.sha256(pem).hexdigest() == bundle["verificationMaterial"]["publicKey"]["hint"]


def test_the_keyless_vector(vectors, key):
    """A keyless bundle opens for who trusts its P-256 key by other means, and for nobody else."""
    bundle = (vectors / "valid" / "sigstore.bundle.json").read_bytes()
    manifest = open_manifest(bundle, key_of_certificate(bundle))
    assert manifest.subject == "v1.1.0-sigstore"
    with pytest.raises(BadManifest, match="not the trusted key's signature"):
        open_manifest(bundle, key)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("invalid/empty", "the bundle is not JSON"),
        ("invalid/missing-envelope", "`dsseEnvelope`"),
        ("invalid/missing-verification-material", "`verificationMaterial`"),
        ("invalid/missing-tlog-entries", "/verificationMaterial/tlogEntries"),
        ("invalid-payload/wrong-predicate", "not the trusted key's signature"),
    ],
)
def test_invalid_vectors(vectors, key, name, problem):
    """Every invalid vector is refused, for its own fault."""
    with pytest.raises(BadManifest) as refused:
        open_manifest((vectors / f"{name}.bundle.json").read_bytes(), key)
    assert problem in refused.value.problem


def test_a_good_signature_does_not_mend_a_bad_bundle(vectors):
    """The vector without log entries is refused although its own key did sign it."""
    bundle = (vectors / "invalid" / "missing-tlog-entries.bundle.json").read_bytes()
    with pytest.raises(BadManifest, match="tlogEntries"):
        open_manifest(bundle, key_of_certificate(bundle))

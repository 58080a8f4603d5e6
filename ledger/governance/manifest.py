"""Signed manifests of data and weights: OpenSSF Model Signing v1.0, the statement inside the bundle (`bundle`).

    {"_type": "https://in-toto.io/Statement/v1",
     "subject": [{"name": "uav-thermal", "digest": {"sha256": "<root>"}}],
     "predicateType": "https://model_signing/signature/v1.0",
     "predicate": {"resources": [{"name": "raw/1.pgm", "digest": "<hex>", "algorithm": "sha256"}, …],
                   "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": false}}}

The root is SHA-256 over the raw digests of the resources, in the order of their names (§6.5.1). A file that is there
and not listed fails as one that differs or is missing (§8.4), unless it lies below an ignored path (§6.2).

Sections are those of the specification. Known and refused: shards (§6.3.2 leaves them to the verifier), symbolic links
that were followed, the predicate of 0.2.0 (§5.1). A single file may be named `.`, as release 1.0.0 did.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Literal, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ledger.errors import BadManifest, Malformed, show
from ledger.governance.bundle import MAX_BUNDLE_BYTES, Text, open_bundle, sign_bundle
from ledger.governance.documents import parse_json

SHOWN_FILES = 20
"""How many files an error names, of those that do not match."""

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

DEFAULT_IGNORED = (".git", ".gitattributes", ".github", ".gitignore")
"""§6.2: never part of a manifest, at the top of the tree."""

T = TypeVar("T")

HashType = Literal["sha256", "blake2b", "blake3"]
Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]+\Z")]

_DIGEST_BYTES = {"sha256": 32, "blake2b": 64, "blake3": 32}
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Resource(Struct, frozen=True, kw_only=True):
    """One file: its path below the root, and its digest in hex. Further fields are ignored (§5.2.1)."""

    name: str
    digest: Hex
    algorithm: HashType


class Manifest(Struct, frozen=True, kw_only=True):
    """What the owner of the key signed."""

    subject: str
    """A name for people (§6.5.1)."""
    root: str
    """SHA-256 in hex over the digests of all resources: what stands for the whole."""
    resources: tuple[Resource, ...]
    method: str
    hash_type: str
    ignore_paths: tuple[str, ...]
    """Paths whose files, and what lies below them, are not part of it."""


class _Subject(Struct, frozen=True):
    name: Text
    digest: dict[str, Hex]


class _Serialization(Struct, frozen=True, forbid_unknown_fields=True):
    method: str
    hash_type: HashType
    allow_symlinks: bool
    shard_size: int | UnsetType = UNSET
    ignore_paths: tuple[Text, ...] = ()


class _Predicate(Struct, frozen=True, forbid_unknown_fields=True):
    resources: Annotated[tuple[Resource, ...], Meta(min_length=1)]
    serialization: _Serialization


class _Statement(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"type": "_type", "predicate_type": "predicateType"}
):
    type: str
    subject: Annotated[tuple[_Subject, ...], Meta(min_length=1, max_length=1)]
    predicate_type: str
    predicate: Raw


def open_manifest(bundle: bytes, public_key: bytes) -> Manifest:
    """Open a manifest that the owner of `public_key` (PEM) signed.

    Raises TooLarge, BadManifest that says what failed, or Malformed at `/public_key` where the caller's key is no key.
    """
    statement = _read(open_bundle(bundle, public_key), _Statement, "statement")
    for name, value, expected in (
        ("_type", statement.type, STATEMENT_TYPE),
        ("predicateType", statement.predicate_type, PREDICATE_TYPE),
    ):
        if value != expected:
            raise BadManifest(f"statement: /{name}: {show(value)} is not {show(expected)}")
    predicate = _read(bytes(statement.predicate), _Predicate, "predicate")
    _check_serialization(predicate.serialization)
    _check_resources(predicate.resources, predicate.serialization.hash_type)
    return Manifest(
        subject=statement.subject[0].name,
        root=_check_root(statement.subject[0].digest.get("sha256"), predicate.resources),
        resources=predicate.resources,
        method=predicate.serialization.method,
        hash_type=predicate.serialization.hash_type,
        ignore_paths=predicate.serialization.ignore_paths,
    )


def check_files(manifest: Manifest, digests: Mapping[str, str]) -> None:
    """Check that the files are those that were signed: `digests` is by name, in hex, by the manifest's `hash_type`.

    Raises BadManifest that names the files that are missing, differ, or are not listed and not ignored.
    """
    listed = {resource.name: resource.digest for resource in manifest.resources}
    if set(listed) == {"."} and len(digests) == 1:  # 1.0.0 calls a single file so, whatever its name
        listed = dict.fromkeys(digests, listed["."])
    ignored = (*DEFAULT_IGNORED, *manifest.ignore_paths)
    wrong = [f"{show(name)} is missing" for name in listed if name not in digests]
    wrong += [f"{show(name)} differs" for name in listed if digests.get(name, listed[name]) != listed[name]]
    wrong += [
        f"{show(name)} is not listed"
        for name in sorted(digests)
        if name not in listed and (_flaw(name) or not _lies_below(name, ignored))
    ]
    if wrong:
        more = f", and {len(wrong) - SHOWN_FILES} more" if len(wrong) > SHOWN_FILES else ""
        raise BadManifest(f"the files are not those that were signed: {', '.join(wrong[:SHOWN_FILES])}{more}")


def sign_manifest(digests: Mapping[str, str], private_key: ec.EllipticCurvePrivateKey, *, name: str) -> bytes:
    """Sign the files of a directory called `name`: their SHA-256 in hex, by path. Gives a bundle.

    Raises Malformed. What §6.2 excludes is left out.
    """
    if not name:
        raise Malformed("/name", "is empty")
    resources = _listed(digests)
    serialization = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": list(DEFAULT_IGNORED),
    }
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root(each["digest"] for each in resources)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"resources": resources, "serialization": serialization},
    }
    return sign_bundle(json.dumps(statement).encode(), private_key)


def _listed(digests: Mapping[str, str]) -> list[dict[str, str]]:
    names = [name for name in sorted(digests) if not _lies_below(name, DEFAULT_IGNORED)]
    if not names:
        raise Malformed("/digests", "names no file")
    for name in names:
        if flaw := _flaw(name):
            raise Malformed("/digests", f"the name {show(name)} {flaw}")
        if not _SHA256.fullmatch(digests[name]):
            raise Malformed("/digests", f"{show(digests[name])} of {show(name)} is not a SHA-256 in hex")
    return [{"name": name, "digest": digests[name], "algorithm": "sha256"} for name in names]


def _read(data: bytes, form: type[T], what: str) -> T:
    try:
        return parse_json(data, form, limit=MAX_BUNDLE_BYTES, what=what)
    except Malformed as error:
        raise BadManifest(f"{what}: {error.problem}") from error


def _check_serialization(serialization: _Serialization) -> None:
    place = "predicate: /serialization"
    if serialization.method != "files":
        raise BadManifest(f"{place}/method: {show(serialization.method)} is not supported, only `files`")
    if serialization.shard_size is not UNSET:
        raise BadManifest(f"{place}/shard_size: has no place where the method is `files`")
    if serialization.allow_symlinks:  # §6.1.1: what a link points at may lie outside, and change
        raise BadManifest(f"{place}/allow_symlinks: links were followed, and that is not supported")
    for i, path in enumerate(serialization.ignore_paths):
        flaw = _flaw(path) or ("has a wildcard" if set("*?[") & set(path) else None)  # §6.2.1
        if flaw:
            raise BadManifest(f"{place}/ignore_paths/{i}: {show(path)} {flaw}")


def _check_resources(resources: tuple[Resource, ...], hash_type: str) -> None:
    alone = len(resources) == 1
    for i, resource in enumerate(resources):
        place = f"predicate: /resources/{i}"
        flaw = None if alone and resource.name == "." else _flaw(resource.name)
        if flaw:
            raise BadManifest(f"{place}/name: {show(resource.name)} {flaw}")
        if resource.algorithm != hash_type:
            raise BadManifest(f"{place}/algorithm: {show(resource.algorithm)} is not the hash_type {show(hash_type)}")
        if len(resource.digest) != 2 * _DIGEST_BYTES[hash_type]:
            raise BadManifest(f"{place}/digest: {show(resource.digest)} is not a digest by {hash_type}")
    for i, (before, after) in enumerate(pairwise(resources), start=1):
        if before.name >= after.name:  # §5.2.1: by code point, which is how Python compares
            problem = "stands twice" if before.name == after.name else f"is out of order after {show(before.name)}"
            raise BadManifest(f"predicate: /resources/{i}/name: {show(after.name)} {problem}")


def _check_root(signed: str | None, resources: tuple[Resource, ...]) -> str:
    root = _root(resource.digest for resource in resources)
    if signed != root:
        raise BadManifest(
            f"statement: /subject/0/digest/sha256: {show(signed)} is not the resources' root {show(root)}"
        )
    return root


def _root(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _flaw(name: str) -> str | None:
    """Tell what is wrong with a path by §6.1.2, if something is."""
    if not name:
        return "is empty"
    if name.startswith("/"):
        return "is absolute"
    if "\\" in name:
        return "has a backslash"
    if {"", ".", ".."} & set(name.split("/")):
        return "has an empty, `.` or `..` component"
    return None


def _lies_below(name: str, paths: Iterable[str]) -> bool:
    return any(name == path or name.startswith(f"{path}/") for path in paths)

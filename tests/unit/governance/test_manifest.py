"""Signed manifests: what they say, and the files that they are about."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BadManifest, Malformed
from ledger.governance.bundle import open_bundle, sign_bundle
from ledger.governance.manifest import SHOWN_FILES, Manifest, Resource, check_files, open_manifest, sign_manifest

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
A, B, C = (hashlib.sha256(name).hexdigest() for name in (b"a", b"b", b"c"))
FILES = {"b.csv": B, "a/1.pgm": A}


def root(*digests):
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def statement(resources=(("a/1.pgm", A), ("b.csv", B)), algorithm="sha256", **serialization):
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "set", "digest": {"sha256": root(*(digest for _, digest in resources))}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": [{"name": n, "digest": d, "algorithm": algorithm} for n, d in resources],
            "serialization": {"method": "files", "hash_type": algorithm, "allow_symlinks": False} | serialization,
        },
    }


def opened(value):
    return open_manifest(sign_bundle(json.dumps(value).encode(), KEY), PEM)


def put(*path, to=None, drop=False):
    value = statement()
    place = value
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return value


def test_what_is_signed_opens():
    """A manifest that was signed gives the subject, the root, and the files by name in code point order."""
    expected = Manifest(
        subject="set",
        root=root(A, B),
        resources=(
            Resource(name="a/1.pgm", digest=A, algorithm="sha256"),
            Resource(name="b.csv", digest=B, algorithm="sha256"),
        ),
        method="files",
        hash_type="sha256",
        ignore_paths=(".git", ".gitattributes", ".github", ".gitignore"),
    )
    assert expected == open_manifest(sign_manifest(FILES, KEY, name="set"), PEM)


def test_the_statement_that_is_written():
    """The statement has what the schemas of v1.0 ask for, and nothing else."""
    written = json.loads(open_bundle(sign_manifest(FILES, KEY, name="set"), PEM))
    expected = statement(ignore_paths=[".git", ".gitattributes", ".github", ".gitignore"])
    assert expected == written


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        (put("subject", 0, "uri", to="https://example.org"), "set"),
        (put("subject", 0, "digest", "sha512", to="00"), "set"),
        (put("predicate", "resources", 0, "mediaType", to="image/x-portable-graymap"), "set"),
        (put("subject", 0, "name", to="model"), "model"),
    ],
)
def test_further_fields_are_ignored_where_the_format_allows_them(value, subject):
    """Subject and resource may have further fields (§5.2.1), and the subject any name (§6.5.1)."""
    assert subject == opened(value).subject


@pytest.mark.parametrize(("algorithm", "size"), [("sha256", 32), ("blake3", 32), ("blake2b", 64)])
def test_every_algorithm_has_its_length(algorithm, size):
    """A digest is as long as its algorithm makes it; the root is SHA-256 for all (§6.5.1)."""
    right, wrong = ("ab" * length for length in (size, size - 1))
    assert root(right) == opened(statement([("f", right)], algorithm)).root
    with pytest.raises(BadManifest, match="/resources/0/digest"):
        opened(statement([("f", wrong)], algorithm))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "statement: Expected `object`"),
        (put("_type", to="https://in-toto.io/Statement/v0.1"), "statement: /_type"),
        (put("predicateType", to="https://model_signing/Digests/v0.1"), "statement: /predicateType"),
        (put("surprise", to=1), "`surprise`"),
        (put("predicate", drop=True), "`predicate`"),
        (put("subject", to=[]), "statement: /subject"),
        (put("subject", to=statement()["subject"] * 2), "statement: /subject"),
        (put("subject", 0, "name", to=""), "statement: /subject/0/name"),
        (put("subject", 0, "digest", to={"sha512": "00"}), "statement: /subject/0/digest/sha256"),
        (put("subject", 0, "digest", "sha256", to=root(B, A)), "statement: /subject/0/digest/sha256"),
        (put("predicate", "surprise", to=1), "`surprise`"),
        (put("predicate", "resources", to=[]), "predicate: /resources"),
        (put("predicate", "resources", 1, "digest", drop=True), "`digest`"),
        (put("predicate", "resources", 1, "digest", to=B.upper()), "predicate: /resources/1/digest"),
        (put("predicate", "resources", 1, "digest", to=B + "\n"), "predicate: /resources/1/digest"),
        (put("predicate", "resources", 1, "algorithm", to="sha1"), "predicate: /resources/1/algorithm"),
        (put("predicate", "resources", 1, "algorithm", to="blake3"), "predicate: /resources/1/algorithm"),
        (put("predicate", "serialization", "surprise", to=1), "`surprise`"),
        (put("predicate", "serialization", "hash_type", to="md5"), "predicate: /serialization/hash_type"),
        (put("predicate", "serialization", "allow_symlinks", drop=True), "`allow_symlinks`"),
        (put("predicate", "serialization", "allow_symlinks", to=True), "predicate: /serialization/allow_symlinks"),
        (put("predicate", "serialization", "shard_size", to=1), "predicate: /serialization/shard_size"),
        (statement(method="shards", shard_size=1), "predicate: /serialization/method: `shards` is not supported"),
        (statement(method="file-shard-9"), "predicate: /serialization/method: `file-shard-9` is not supported"),
        (statement(ignore_paths=["a", ""]), "predicate: /serialization/ignore_paths/1"),
        (statement(ignore_paths=["/a"]), "predicate: /serialization/ignore_paths/0"),
        (statement(ignore_paths=["."]), "predicate: /serialization/ignore_paths/0"),
        (statement(ignore_paths=["a*"]), "predicate: /serialization/ignore_paths/0"),
        (statement([("b", B), ("a", A)]), "predicate: /resources/1/name: `a` is out of order after `b`"),
        (statement([("a/b", B), ("a.b", A)]), "predicate: /resources/1/name: `a.b` is out of order"),
        (statement([("a", A), ("a", A)]), "predicate: /resources/1/name: `a` stands twice"),
        (statement([(".", A), ("a", A)]), "predicate: /resources/0/name"),
        *(
            (statement([(name, A)]), f"predicate: /resources/0/name: `{name}` {flaw}")
            for name, flaw in (
                ("", "is empty"),
                ("/a", "is absolute"),
                ("a\\b", "has a backslash"),
                *((dotted, "has an empty") for dotted in ("..", "../a", "a/../b", "./a", "a//b", "a/", "a/.")),
            )
        ),
    ],
)
def test_what_is_refused(value, problem):
    """A signed statement with one thing wrong is refused, and the error says what."""
    with pytest.raises(BadManifest) as refused:
        opened(value)
    assert problem in refused.value.problem


def test_code_points_order_names():
    """Names are in the order of code points: capitals before small letters, then other alphabets, then pictographs."""
    names = ["B", "a", "a.b", "a/b", "й", "\uffee", "\U0001f6e9"]
    assert names == [each.name for each in opened(statement([(name, A) for name in names])).resources]


def test_the_files_that_were_signed_pass():
    """The files themselves pass, with or without what is ignored."""
    manifest = opened(statement(ignore_paths=["cache"]))
    check_files(manifest, FILES)
    check_files(manifest, FILES | {".git/config": C, ".gitignore": C, "cache": C, "cache/x/y": C})


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"b.csv": B}, "`a/1.pgm` is missing"),
        (FILES | {"b.csv": C}, "`b.csv` differs"),
        (FILES | {"b.csv": B.upper()}, "`b.csv` differs"),
        (FILES | {"c": C}, "`c` is not listed"),
        (FILES | {"B.csv": B}, "`B.csv` is not listed"),
        (FILES | {"x/.git/config": C}, "`x/.git/config` is not listed"),
        (FILES | {"cached": C}, "`cached` is not listed"),
        (FILES | {"x/cache": C}, "`x/cache` is not listed"),
        (FILES | {"cache/../c": C}, "`cache/../c` is not listed"),
        (FILES | {".git/../c": C}, "`.git/../c` is not listed"),
        ({"b.csv": A, "c": C}, "`a/1.pgm` is missing, `b.csv` differs, `c` is not listed"),
        ({}, "`a/1.pgm` is missing, `b.csv` is missing"),
    ],
)
def test_other_files_are_named(files, problem):
    """A file that is missing, differs, or is not listed fails and is named; ignored paths are whole components."""
    with pytest.raises(BadManifest) as refused:
        check_files(opened(statement(ignore_paths=["cache"])), files)
    assert refused.value.problem == f"the files are not those that were signed: {problem}"


def test_what_is_listed_is_checked_although_ignored():
    """A listed file below an ignored path has to be there and be the same."""
    manifest = opened(statement(ignore_paths=["a"]))
    for files in ({"b.csv": B}, FILES | {"a/1.pgm": C}):
        with pytest.raises(BadManifest, match=r"a/1\.pgm"):
            check_files(manifest, files)


def test_a_single_file_may_be_a_dot():
    """Release 1.0.0 calls a single file `.`: any one name with that digest passes, two files do not."""
    manifest = opened(statement([(".", A)]))
    check_files(manifest, {"a": A})
    for files in ({"a": B}, {"a": A, "b": A}, {}):
        with pytest.raises(BadManifest):
            check_files(manifest, files)


def test_an_error_names_so_many_files():
    """An error names the first files and counts the rest."""
    with pytest.raises(BadManifest, match=r"`f19` is not listed, and 12 more$"):
        check_files(opened(statement()), FILES | {f"f{i:02}": C for i in range(SHOWN_FILES + 12)})


names = st.lists(st.text("ab.é\U0001f6e9", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.dictionaries(names, digests, min_size=1, max_size=6), st.data())
@settings(max_examples=40, deadline=None)
def test_what_was_signed_passes_and_nothing_else(files, data):
    """Whatever files are signed pass, and fail with one changed, one taken away or one added."""
    if any(part in {".", ".."} for name in files for part in name.split("/")):
        with pytest.raises(Malformed):
            sign_manifest(files, KEY, name="set")
        return
    manifest = open_manifest(sign_manifest(files, KEY, name="set"), PEM)
    assert root(*(files[name] for name in sorted(files))) == manifest.root
    check_files(manifest, files)
    victim = data.draw(st.sampled_from(sorted(files)))
    without = {name: digest for name, digest in files.items() if name != victim}
    for other in (without, files | {victim: A}, files | {"new": A}):
        with pytest.raises(BadManifest):
            check_files(manifest, other)


def test_signing_leaves_out_what_is_never_listed():
    """What §6.2 excludes is not signed, at the top of the tree only."""
    files = FILES | {".git/config": C, ".gitignore": C, "x/.gitignore": C}
    manifest = open_manifest(sign_manifest(files, KEY, name="set"), PEM)
    assert [each.name for each in manifest.resources] == ["a/1.pgm", "b.csv", "x/.gitignore"]


@pytest.mark.parametrize(
    ("files", "name", "pointer"),
    [
        ({}, "set", "/digests"),
        ({".git/config": A}, "set", "/digests"),
        ({"../a": A}, "set", "/digests"),
        ({".": A}, "set", "/digests"),
        ({"a": A.upper()}, "set", "/digests"),
        ({"a": A[:-1]}, "set", "/digests"),
        ({"a": A + "\n"}, "set", "/digests"),
        ({"a": A}, "", "/name"),
    ],
)
def test_what_cannot_be_signed(files, name, pointer):
    """Nothing is signed that would not open."""
    with pytest.raises(Malformed) as refused:
        sign_manifest(files, KEY, name=name)
    assert refused.value.pointer == pointer

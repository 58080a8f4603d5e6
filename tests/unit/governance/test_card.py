"""Dataset cards (Croissant), and the examples that come with the project."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.errors import Malformed, TooLarge
from ledger.governance.card import MAX_CARD_BYTES, Card, CardFile, parse_card
from ledger.governance.labels import marking, parse_label
from ledger.governance.manifest import check_files, open_manifest, sign_manifest
from ledger.governance.spif import parse_spif

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
DIGEST = hashlib.sha256(b"").hexdigest()

CARD = {
    "@context": {"@vocab": "https://schema.org/"},
    "@type": "sc:Dataset",
    "conformsTo": "http://mlcommons.org/croissant/1.1",
    "name": "set",
    "distribution": [
        {"@type": "cr:FileObject", "@id": "a", "name": "a.zip", "sha256": DIGEST.upper(), "encodingFormat": "x"},
        {"@type": "cr:FileSet", "@id": "b", "containedIn": {"@id": "a"}, "includes": "*.pgm"},
        {"@type": "cr:FileObject", "@id": "c", "contentUrl": "c.csv", "contentSize": "7 B", "md5": "00"},
    ],
    "recordSet": [{"field": [{"anything": [1.5, None]}]}],
}


def parsed(**changed):
    return parse_card(json.dumps(CARD | changed).encode())


def with_item(i, **changed):
    items = [dict(item) for item in CARD["distribution"]]
    items[i] |= changed
    return {"distribution": items}


def test_what_is_read():
    """Name and files are read, a digest in lower case; a FileSet is no file, and a file may be without a digest."""
    expected = Card(
        name="set",
        version="",
        conforms_to="http://mlcommons.org/croissant/1.1",
        license="",
        description="",
        files=(
            CardFile(id="a", name="a.zip", content_url="", size="", sha256=DIGEST),
            CardFile(id="c", name="", content_url="c.csv", size="7 B", sha256=None),
        ),
    )
    assert expected == parsed()


@pytest.mark.parametrize(
    ("changed", "name", "expected"),
    [
        ({"version": "1.0.0"}, "version", "1.0.0"),
        ({"version": 25}, "version", "25"),
        ({"version": 1.5}, "version", "1.5"),
        ({"description": "Опис"}, "description", "Опис"),
        ({"license": "cc-by-4.0"}, "license", "cc-by-4.0"),
        ({"license": ["a", {"@type": "CreativeWork", "url": "b"}]}, "license", "a, b"),
        ({"license": {"name": "n", "url": "u"}}, "license", "n"),
        ({"conformsTo": "http://mlcommons.org/croissant/1.0"}, "conforms_to", "http://mlcommons.org/croissant/1.0"),
        (
            {"conformsTo": ["http://mlcommons.org/croissant/RAI/1.0", "http://mlcommons.org/croissant/1.1"]},
            "conforms_to",
            "http://mlcommons.org/croissant/1.1",
        ),
        ({"distribution": []}, "files", ()),
    ],
)
def test_what_may_be_written_in_several_ways(changed, name, expected):
    """JSON-LD lets a version be a number, a licence a work, and a card conform to more than Croissant."""
    assert expected == getattr(parsed(**changed), name)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256",
        "https://github.com/mlcommons/croissant/issues/80",
        "d41d8cd98f00b204e9800998ecf8427e",
        DIGEST[:-1],
        DIGEST + "0",
        DIGEST[:-1] + "g",
        DIGEST + "\n",
        f"sha256:{DIGEST}",
        None,
        7,
    ],
)
def test_a_digest_that_cannot_be_one_is_refused(digest):
    """A sha256 that is not 64 hexadecimal digits is refused, with the field named."""
    with pytest.raises(Malformed) as refused:
        parsed(**with_item(2, sha256=digest))
    assert refused.value.pointer == "/distribution/2/sha256"


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"@type": "sc:SoftwareApplication"}, "/@type"),
        ({"conformsTo": "http://mlcommons.org/croissant/0.8"}, "/conformsTo"),
        ({"conformsTo": "http://mlcommons.org/croissant/1.1/"}, "/conformsTo"),
        ({"conformsTo": []}, "/conformsTo"),
        ({"conformsTo": {"@id": "http://mlcommons.org/croissant/1.1"}}, "/conformsTo"),
        ({"name": ""}, "/name"),
        ({"name": ["set"]}, "/name"),
        ({"version": True}, "/version"),
        ({"description": 1}, "/description"),
        ({"license": [1]}, "/license/0"),
        ({"distribution": {}}, "/distribution"),
        (with_item(1, **{"@id": "a"}), "/distribution/1/@id"),
        (with_item(0, **{"@id": ""}), "/distribution/0/@id"),
        (with_item(1, **{"@type": "cr:RecordSet"}), "/distribution/1/@type"),
        (with_item(1, sha256=DIGEST), "/distribution/1/sha256"),
        (with_item(2, contentSize=7), "/distribution/2/contentSize"),
        (with_item(2, name=None), "/distribution/2/name"),
    ],
)
def test_what_is_refused(changed, pointer):
    """A card with a field of another type, or another kind of thing, is refused with the field named."""
    with pytest.raises(Malformed) as refused:
        parsed(**changed)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize("missing", ["@type", "conformsTo", "name"])
def test_what_must_be_there(missing):
    """Type, conformsTo and name are required."""
    with pytest.raises(Malformed, match=f"`{missing}`"):
        parse_card(json.dumps({key: value for key, value in CARD.items() if key != missing}).encode())


def test_a_key_that_stands_twice_is_refused():
    """A second value for a key, however deep, is refused."""
    twice = json.dumps(CARD).replace('"anything":', '"anything": 1, "anything":')
    with pytest.raises(Malformed, match="`anything` stands twice"):
        parse_card(twice.encode())


def test_size_is_limited():
    """A card over the limit is refused unread."""
    with pytest.raises(TooLarge):
        parse_card(b" " * (MAX_CARD_BYTES + 1))


class TestExamples:
    CARD = parse_card((EXAMPLES / "card.json").read_bytes())
    POLICY = parse_spif((EXAMPLES / "spif.xml").read_bytes())

    def test_the_card_is_of_the_files(self):
        """Every file of the example card is there, with its size and SHA-256, and there are no others."""
        there = {str(path.relative_to(EXAMPLES)): path for path in EXAMPLES.glob("r*/*")}
        assert set(there) == {file.content_url for file in self.CARD.files}
        for file in self.CARD.files:
            data = there[file.content_url].read_bytes()
            assert (f"{len(data)} B", hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)

    def test_the_label(self):
        """The example label is RESTRICTED, to Ukraine, Japan and Poland, and reads so in two languages."""
        label = parse_label((EXAMPLES / "label-raw.xml").read_bytes(), self.POLICY)
        assert marking(label, self.POLICY) == "EXAMPLE RESTRICTED Releasable to Japan, Poland, Ukraine"
        assert marking(label, self.POLICY, "uk") == (
            "EXAMPLE ДЛЯ СЛУЖБОВОГО КОРИСТУВАННЯ Дозволено надавати: Японія, Польща, Україна"
        )

    @pytest.mark.parametrize("folder", ["raw", "redacted"])
    def test_a_manifest_fits_card_and_files(self, folder):
        """A manifest signed over either folder has the digests that the card has under the same names."""
        files = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((EXAMPLES / folder).iterdir())
        }
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        manifest = open_manifest(sign_manifest(files, key, name=folder), pem)
        check_files(manifest, files)
        assert files.items() <= {file.name: file.sha256 for file in self.CARD.files}.items()

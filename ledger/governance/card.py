"""Dataset cards: Croissant 1.0 and 1.1, JSON-LD, of which the description and the files are read.

    {"@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1", "name": "uav-thermal",
     "distribution": [{"@type": "cr:FileObject", "@id": "1.pgm", "name": "1.pgm", "contentUrl": "raw/1.pgm",
                       "contentSize": "64 B", "sha256": "<64 hex>"}, …]}

A FileObject is a file, with a digest or without (some cards have only an MD5, which proves nothing and is not read). A
FileSet is a pattern over files within another, and has no digest. Everything else in a card is the business of those
who load data by it.

Cards in the wild have `sha256` fields that hold anything: the word `sha256`, an address, the MD5 of nothing. A digest
that nobody can check is worse than none, so such a card is refused with the field named.
"""

import re
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from ledger.errors import Malformed, show
from ledger.governance.documents import parse_json

MAX_CARD_BYTES = 16 * 1024 * 1024
"""A card of real size takes 5 to 20 KB; one that lists every file of a large dataset takes some MiB."""

CONFORMS_TO = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/1.1")

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)

Text = Annotated[str, Meta(min_length=1)]

# JSON-LD lets a name be written with its vocabulary or without.
_DATASET = {"sc:Dataset", "Dataset", "http://schema.org/Dataset", "https://schema.org/Dataset"}
_FILE_OBJECT = {"cr:FileObject", "FileObject", "http://mlcommons.org/croissant/FileObject"}
_FILE_SET = {"cr:FileSet", "FileSet", "http://mlcommons.org/croissant/FileSet"}


class CardFile(Struct, frozen=True, kw_only=True):
    """A FileObject. `size` is as the card says it, such as `4.698 MB`; "" stands for what the card leaves out."""

    id: str
    name: str
    content_url: str
    size: str
    sha256: str | None
    """In lower case hex."""


class Card(Struct, frozen=True, kw_only=True):
    """What a card says of its dataset; "" stands for what it leaves out."""

    name: str
    version: str
    conforms_to: str
    license: str
    """Where there are several, separated by a comma and a space."""
    description: str
    files: tuple[CardFile, ...]


class _Item(Struct, frozen=True, rename="camel"):
    """An element of `distribution`."""

    type: str = field(name="@type")
    id: Text = field(name="@id")
    name: str = ""
    content_url: str = ""
    content_size: str = ""
    sha256: str | UnsetType = UNSET


class _Work(Struct, frozen=True):
    """A licence given as a schema.org CreativeWork."""

    name: str = ""
    url: str = ""


class _Dataset(Struct, frozen=True, rename="camel"):
    type: str = field(name="@type")
    conforms_to: str | tuple[str, ...]
    name: Text
    version: str | int | float = ""
    """schema.org lets it be a number."""
    license: str | _Work | tuple[str | _Work, ...] = ""
    description: str = ""
    distribution: tuple[_Item, ...] = ()


def parse_card(data: bytes) -> Card:
    """Read a card. Raises TooLarge, or Malformed with the field, such as `/distribution/0/sha256`."""
    dataset = parse_json(data, _Dataset, limit=MAX_CARD_BYTES, what="the card")
    if dataset.type not in _DATASET:
        raise Malformed("/@type", f"{show(dataset.type)} is not a Dataset")
    _check_items(dataset.distribution)
    return Card(
        name=dataset.name,
        version=str(dataset.version),
        conforms_to=_conforms_to(dataset.conforms_to),
        license=_license(dataset.license),
        description=dataset.description,
        files=tuple(_file(item) for item in dataset.distribution if item.type in _FILE_OBJECT),
    )


def _conforms_to(said: str | tuple[str, ...]) -> str:
    """Give the version of Croissant; a card may conform to further vocabularies, such as the RAI extension."""
    versions = [each for each in ((said,) if isinstance(said, str) else said) if each in CONFORMS_TO]
    if len(versions) != 1:
        raise Malformed("/conformsTo", f"{show(said)} is not one of {' and '.join(CONFORMS_TO)}")
    return versions[0]


def _license(said: str | _Work | tuple[str | _Work, ...]) -> str:
    each = said if isinstance(said, tuple) else (said,)
    return ", ".join(one if isinstance(one, str) else one.name or one.url for one in each)


def _check_items(items: tuple[_Item, ...]) -> None:
    seen = set()
    for i, item in enumerate(items):
        pointer = f"/distribution/{i}"
        if item.type not in _FILE_OBJECT | _FILE_SET:
            raise Malformed(f"{pointer}/@type", f"{show(item.type)} is neither a FileObject nor a FileSet")
        if item.id in seen:
            raise Malformed(f"{pointer}/@id", f"{show(item.id)} stands twice")
        seen.add(item.id)
        if item.sha256 is not UNSET:
            _check_sha256(item.sha256, item.type, f"{pointer}/sha256")


def _check_sha256(text: str, type_: str, pointer: str) -> None:
    if type_ in _FILE_SET:
        raise Malformed(pointer, "a FileSet has no digest of its own")
    if not _SHA256.fullmatch(text):
        raise Malformed(pointer, f"{show(text)} cannot be a SHA-256", help="64 hexadecimal digits")


def _file(item: _Item) -> CardFile:
    return CardFile(
        id=item.id,
        name=item.name,
        content_url=item.content_url,
        size=item.content_size,
        sha256=None if item.sha256 is UNSET else item.sha256.lower(),
    )

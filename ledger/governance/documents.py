"""Documents that others wrote, read strictly: UTF-8 JSON and XML, of a bounded size, each with one reading only.

JSON (RFC 8259) becomes msgspec Structs; a key that stands twice in an object is refused, since people and programs
would read different documents. XML becomes `Node`s, which know their path from below the root, as XPath writes it, with
an index where siblings share a name:

    /ConfidentialityInformation/Category[2]/GenericValue[1]

No document type declaration, no entity, no encoding but UTF-8 (defusedxml, and a decoder of our own in front of it).
Every error is TooLarge or Malformed with the place.
"""

import json
import re
from collections import Counter
from collections.abc import Collection
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import msgspec

from ledger.errors import Malformed, TooLarge, show

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$(.*)`$")


def parse_json(data: bytes, form: type[T], *, limit: int, what: str) -> T:
    """Read the JSON document `what` of at most `limit` bytes as `form`. Raises TooLarge, or Malformed."""
    _check_size(data, limit, what)
    try:
        value = msgspec.json.decode(data, type=form)
        json.loads(data, object_pairs_hook=_refuse_repeated)
    except msgspec.ValidationError as error:
        raise _located(error) from error
    except (ValueError, RecursionError) as error:  # msgspec's DecodeError is a ValueError
        raise Malformed("", f"{what} is not JSON: {error}") from error
    return value


def parse_xml(data: bytes, root: str, *, limit: int, what: str) -> "Node":
    """Read the XML document `what` of at most `limit` bytes. Raises TooLarge or Malformed.

    `root` is the element expected, as `{namespace}name`; elements of other namespaces have no name of their own.
    """
    _check_size(data, limit, what)
    try:
        element = defusedxml.ElementTree.fromstring(data.decode("utf-8-sig"), forbid_dtd=True)
    except (ParseError, ValueError) as error:  # UnicodeDecodeError and defusedxml's exceptions are ValueErrors
        raise Malformed("", f"{what} is not plain XML in UTF-8: {error}") from error
    if element.tag != root:
        raise Malformed("", f"{what} begins with {show(element.tag)}, not with {show(root)}")
    return Node(element, "", root.rpartition("}")[0] + "}")


class Node:
    """An element of a document, with its path."""

    def __init__(self, element: Element, path: str, namespace: str) -> None:
        self.path = path
        self.name = element.tag.removeprefix(namespace)
        """Without the namespace of the document; with braces in front, and so unknown, where it has another."""
        self._element = element
        self._namespace = namespace

    def children(self, known: Collection[str]) -> list["Node"]:
        """Give the elements below. Raises Malformed at one that is not `known`, and at text between them."""
        if any((text or "").strip() for text in [self._element.text, *(each.tail for each in self._element)]):
            raise Malformed(self.path, "has text where only elements belong")
        total, seen = Counter(each.tag for each in self._element), Counter[str]()
        nodes = []
        for each in self._element:
            seen[each.tag] += 1
            name = each.tag.removeprefix(self._namespace)
            index = f"[{seen[each.tag]}]" if total[each.tag] > 1 else ""
            node = Node(each, f"{self.path}/{name}{index}", self._namespace)
            if name not in known:
                raise Malformed(node.path, f"{show(name)} is unknown here", help=f"known: {', '.join(sorted(known))}")
            nodes.append(node)
        return nodes

    def check_attributes(self, known: Collection[str]) -> None:
        """Check that no attribute is there but the `known`. Raises Malformed."""
        for name in self._element.attrib:
            if name not in known:
                raise Malformed(f"{self.path}/@{name}", "is an unknown attribute")

    def attribute(self, name: str) -> str:
        """Give an attribute that must be there and not be empty. Raises Malformed."""
        value = self.optional(name)
        if not value:
            raise Malformed(f"{self.path}/@{name}", "is missing" if value is None else "is empty")
        return value

    def optional(self, name: str) -> str | None:
        """Give an attribute, or None."""
        return self._element.get(name)

    def text(self) -> str:
        """Give the text of an element that has nothing else in it, and has some. Raises Malformed."""
        if len(self._element):
            raise Malformed(self.path, "has elements where only text belongs")
        text = self._element.text or ""
        if not text.strip():
            raise Malformed(self.path, "is empty")
        return text


def one(nodes: Collection[Node], name: str, parent: Node) -> Node:
    """Give the one node of that name. Raises Malformed where there is none, and at the second."""
    found = [node for node in nodes if node.name == name]
    if not found:
        raise Malformed(f"{parent.path}/{name}", "is missing")
    if len(found) > 1:
        raise Malformed(found[1].path, "stands twice")
    return found[0]


def _check_size(data: bytes, limit: int, what: str) -> None:
    if len(data) > limit:
        raise TooLarge(what, limit=limit)


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise Malformed("", f"the key {show(key)} stands twice in one object")
    return dict(pairs)


def _located(error: msgspec.ValidationError) -> Malformed:
    """Turn msgspec's place (`$.files[3].name`) into a JSON pointer (`/files/3/name`)."""
    text = str(error)
    place = _PLACE.search(text)
    if place is None:
        return Malformed("", text)
    return Malformed(re.sub(r"[.\[]+", "/", place[1]).replace("]", ""), text[: place.start()])

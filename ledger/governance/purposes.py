"""Purposes: a tree in which a grant for a node covers what lies below it (DESIGN §5).

    humanitarian                          class humanitarian
    ├── humanitarian.demining
    └── humanitarian.search_and_rescue
    offensive                             class offensive, prohibited: and so is all below it
    └── offensive.strike

As JSON, one list of nodes in any order (`examples/purposes.json`):

    [{"id": "humanitarian", "parent": null, "cls": "humanitarian", "en": "Humanitarian", "uk": "Гуманітарні цілі"},
     {"id": "humanitarian.demining", "parent": "humanitarian", "cls": "humanitarian",
      "en": "Demining", "uk": "Розмінування"}]

A child has its parent's class, without exception: the quorum for a request depends on the class of the purpose asked
for (`quorum`), so a child of another class would be reached under the wrong quorum. What belongs to another class is a
root of its own.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from msgspec import Struct

from ledger.errors import Malformed, NotFound, TooLarge, show
from ledger.governance.forms import check_identifier, decode

PurposeClass = Literal["humanitarian", "defensive", "logistics", "research", "offensive"]
CLASSES: tuple[str, ...] = get_args(PurposeClass)

MAX_NODES = 1_000
"""Of a tree: it is adopted in one entry of at most 65,535 bytes, in which a node takes about 100."""

MAX_CSV_BYTES = 1_048_576
"""Of a vocabulary's table: DPV 2.3 has 47 kB."""

_DPV = "https://w3id.org/dpv#"


class Node(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One purpose. `en` and `uk` are its labels for people; `parent` is None at a root."""

    id: str
    cls: str
    en: str
    uk: str
    parent: str | None = None
    prohibited: bool = False
    special_authorisation: bool = False
    """Whether it, and all below it, is open only under a recorded political or legal authorisation."""


class PurposeTree(Struct, frozen=True):
    """A tree that `parse_tree` found to be one: nodes by id, and for each its path from its root down to itself."""

    nodes: Mapping[str, Node]
    paths: Mapping[str, tuple[str, ...]]

    def node(self, id: str) -> Node:
        """Give the node. Raises NotFound."""
        if id not in self.nodes:
            raise NotFound("purpose", id)
        return self.nodes[id]

    def path(self, id: str) -> tuple[str, ...]:
        """Give the ids from the root down to `id`. Raises NotFound."""
        return self.paths[self.node(id).id]

    def prohibited_at(self, id: str) -> str | None:
        """Give the nearest prohibited node, `id` itself or above it; None where there is none. Raises NotFound."""
        return next((step for step in reversed(self.path(id)) if self.nodes[step].prohibited), None)

    def authorisation_at(self, id: str) -> str | None:
        """Give the nearest node, `id` itself or above it, that needs a special authorisation. Raises NotFound."""
        return next((step for step in reversed(self.path(id)) if self.nodes[step].special_authorisation), None)

    def covers(self, granted: str, asked: str) -> bool:
        """Tell whether `asked` is `granted` or lies below it. A purpose outside the tree is covered by nothing."""
        return granted in self.paths.get(asked, ())


def parse_nodes(data: bytes) -> tuple[Node, ...]:
    """Read a JSON list of nodes. Raises TooLarge, or Malformed naming the place; `parse_tree` checks what they say."""
    return decode(data, tuple[Node, ...])


def parse_tree(nodes: Sequence[Node]) -> PurposeTree:
    """Check that `nodes` form one or more trees, and give them as one value.

    Raises TooLarge, or Malformed at the pointer of the first node (`/nodes/3/parent`) that has an empty or ill-formed
    id, an id that another has, an unknown class, an empty label, a parent that is not there or is of another class, or
    that never reaches a root.
    """
    if len(nodes) > MAX_NODES:
        raise TooLarge("the purpose tree", limit=MAX_NODES, unit="nodes")
    if not nodes:
        raise Malformed("/nodes", "is empty: a tree has at least one purpose")
    by_id: dict[str, Node] = {}
    for i, node in enumerate(nodes):
        _check_node(node, f"/nodes/{i}")
        if node.id in by_id:
            raise Malformed(f"/nodes/{i}/id", f"{show(node.id)} is the id of another node too")
        by_id[node.id] = node
    paths: dict[str, tuple[str, ...]] = {}
    for i, node in enumerate(nodes):
        _check_parent(node, by_id, f"/nodes/{i}")
        paths[node.id] = _path(node, by_id, f"/nodes/{i}/parent")
    return PurposeTree(nodes=by_id, paths=paths)


def _check_node(node: Node, pointer: str) -> None:
    check_identifier(node.id, f"{pointer}/id")
    if node.cls not in CLASSES:
        raise Malformed(
            f"{pointer}/cls", f"{show(node.cls)} is not a class of purposes", help=f"one of {', '.join(CLASSES)}"
        )
    for field, label in (("en", node.en), ("uk", node.uk)):
        if not label.strip():
            raise Malformed(f"{pointer}/{field}", f"the label of {show(node.id)} is empty")


def _check_parent(node: Node, by_id: Mapping[str, Node], pointer: str) -> None:
    if node.parent is None:
        return
    if node.parent not in by_id:
        raise Malformed(f"{pointer}/parent", f"there is no node {show(node.parent)}")
    cls = by_id[node.parent].cls
    if node.cls != cls:
        raise Malformed(
            f"{pointer}/cls",
            f"{show(node.id)} is {show(node.cls)} below {show(node.parent)}, which is {show(cls)}",
            help="a purpose has its parent's class; make it a root of its own",
        )


def _path(node: Node, by_id: Mapping[str, Node], pointer: str) -> tuple[str, ...]:
    """Climb to the root. A parent that is missing further up ends the climb: its own child is the one to be named."""
    path = {node.id: None}  # a dict keeps the order and finds a circle at once
    step = node
    while step.parent is not None and step.parent in by_id:
        if step.parent in path:
            raise Malformed(pointer, f"{show(node.id)} never reaches a root: {show(step.parent)} is above itself")
        path[step.parent] = None
        step = by_id[step.parent]
    return tuple(reversed(path))


def parse_dpv(csv_bytes: bytes, classes: Mapping[str, PurposeClass] | None = None) -> list[Node]:
    """Read the purposes of the W3C Data Privacy Vocabulary (table `purposes.csv`, DPV 2.3) as nodes for `parse_tree`.

    A purpose is a class whose `dpvtype` is `dpv:Purpose`, or `Purpose` itself; what else the table holds (sectors,
    properties) is left out. Its id is the term, for example `AcademicResearch`. DPV gives some terms several broader
    ones, a tree has room for one: the first in the table's order that is itself a purpose of the table is taken, and
    where none is, the top concept `Purpose`. Every term is of class research, except that a term named in `classes`
    becomes a root of its own in the class given there, with what lies below it. DPV is in English alone, so both labels
    are.

    Raises TooLarge, or Malformed: `/<row>/<column>`, rows counted from 0 after the header.
    """
    rows = {row["term"]: row for row in _purpose_rows(csv_bytes)}
    roots = {"Purpose": "research"} | dict(classes or {})
    if unknown := sorted(roots.keys() - rows.keys()):
        raise Malformed("", f"the table has no purpose {show(unknown[0])}")
    parents = {term: None if term in roots else _broader(row, rows) for term, row in rows.items()}
    return [
        Node(id=term, parent=parents[term], cls=_class_of(term, parents, roots), en=row["label"], uk=row["label"])
        for term, row in rows.items()
    ]


def _purpose_rows(csv_bytes: bytes) -> Iterator[dict[str, str]]:
    if len(csv_bytes) > MAX_CSV_BYTES:
        raise TooLarge("the table of purposes", limit=MAX_CSV_BYTES)
    seen: set[str] = set()
    try:
        lines = csv_bytes.decode().split("\n")  # not splitlines, which also parts at U+2028 inside a text
        for i, row in enumerate(csv.DictReader((line + "\n" for line in lines), strict=True)):
            _check_row(row, f"/{i}")
            if row["type"] == "class" and (row["dpvtype"] == _DPV + "Purpose" or row["term"] == "Purpose"):
                if row["term"] in seen:
                    raise Malformed(f"/{i}/term", f"{show(row['term'])} stands twice")
                seen.add(row["term"])
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed("", f"is not CSV in UTF-8: {error}") from error


def _check_row(row: Mapping[str | None, str | None], pointer: str) -> None:
    for column in ("term", "type", "label", "dpvtype", "hasbroader"):
        if row.get(column) is None:
            raise Malformed(f"{pointer}/{column}", "the column is missing")
    if None in row:
        raise Malformed(pointer, "the row has more fields than the header")


def _broader(row: Mapping[str, str], rows: Mapping[str, Mapping[str, str]]) -> str:
    broader = (iri.strip().removeprefix(_DPV) for iri in row["hasbroader"].split(";"))
    return next((term for term in broader if term in rows), "Purpose")


def _class_of(term: str, parents: Mapping[str, str | None], roots: Mapping[str, str]) -> str:
    """Give the class of the root above `term`; on a circle, which has none, research: parse_tree refuses it anyway."""
    step: str | None = term
    for _ in parents:
        if step is None or step in roots:
            break
        step = parents[step]
    return roots.get(step or "", "research")

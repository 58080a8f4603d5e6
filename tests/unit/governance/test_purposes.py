"""Purposes: a tree, covered from above, prohibited from above."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, NotFound, TooLarge
from ledger.governance.purposes import CLASSES, MAX_NODES, Node, parse_dpv, parse_nodes, parse_tree

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "purposes.json"


def node(name, parent=None, cls="research", **fields):
    return Node(id=name, parent=parent, cls=cls, en=name, uk=name, **fields)


TREE = parse_tree(
    [
        node("r.a.x", "r.a"),
        node("r"),
        node("r.a", "r"),
        node("r.b", "r", prohibited=True),
        node("r.b.y", "r.b"),
        node("o", cls="offensive", prohibited=True),
        node("o.s", "o", cls="offensive", prohibited=True),
    ]
)


@st.composite
def forests(draw):
    """Up to 12 nodes; each is a root or the child of an earlier one, given in any order."""
    size = draw(st.integers(1, 12))
    parents = [draw(st.none() | st.integers(0, i - 1)) if i else None for i in range(size)]
    nodes = [
        node(f"n{i}", None if p is None else f"n{p}", prohibited=draw(st.booleans())) for i, p in enumerate(parents)
    ]
    return draw(st.permutations(nodes))


@given(forests())
def test_path_climbs_parents(nodes):
    """A path is the parent's path and then the node itself."""
    tree = parse_tree(nodes)
    for each in nodes:
        above = () if each.parent is None else tree.path(each.parent)
        assert (*above, each.id) == tree.path(each.id)


@given(forests())
def test_covers_is_being_on_the_path(nodes):
    """A node covers itself and what lies below it, and nothing else."""
    tree = parse_tree(nodes)
    for granted in nodes:
        below = {each.id for each in nodes if granted.id in tree.path(each.id)}
        assert below == {each.id for each in nodes if tree.covers(granted.id, each.id)}
        assert granted.id in below


@given(forests())
def test_what_lies_below_a_prohibited_node_is_prohibited(nodes):
    """A purpose is prohibited if and only if it or a node above it is."""
    tree = parse_tree(nodes)
    for each in nodes:
        at = tree.prohibited_at(each.id)
        assert any(tree.node(step).prohibited for step in tree.path(each.id)) is (at is not None)
        if at is not None:
            assert tree.node(at).prohibited
            assert tree.covers(at, each.id)


def test_the_nearest_prohibited_node_is_named():
    """Of several prohibited nodes on a path, the nearest is given; none gives None."""
    assert TREE.prohibited_at("r.b.y") == "r.b"
    assert TREE.prohibited_at("o.s") == "o.s"
    assert TREE.prohibited_at("r.a.x") is None


def test_covers_does_not_climb_or_cross():
    """A node does not cover its parent, its sibling, or a node whose id merely begins like its own."""
    tree = parse_tree([node("a"), node("a.b", "a"), node("a.bc", "a"), node("a.b.c")])
    assert [tree.covers(*pair) for pair in [("a", "a.b"), ("a.b", "a"), ("a.b", "a.bc"), ("a.b", "a.b.c")]] == [
        True,
        False,
        False,
        False,
    ]


def test_an_unknown_purpose_is_covered_by_nothing():
    """No node covers a purpose outside the tree, nor does it cover any, itself included; asking for it is NotFound."""
    assert not TREE.covers("gone", "gone")
    assert not TREE.covers("r", "gone")
    assert not TREE.covers("gone", "r")
    for ask in (TREE.path, TREE.prohibited_at, TREE.node):
        with pytest.raises(NotFound, match="no purpose `gone`"):
            ask("gone")


@pytest.mark.parametrize(
    ("nodes", "pointer"),
    [
        ([], "/nodes"),
        ([node("")], "/nodes/0/id"),
        ([node("a"), node("a b")], "/nodes/1/id"),
        ([node("a"), node("b"), node("a")], "/nodes/2/id"),
        ([node("a", cls="peaceful")], "/nodes/0/cls"),
        ([node("a", cls="")], "/nodes/0/cls"),
        ([node("a"), node("b"), node("c", "a"), node("d", "z")], "/nodes/3/parent"),
        ([node("a", "")], "/nodes/0/parent"),
        ([node("a"), node("b", "a", cls="defensive")], "/nodes/1/cls"),
        ([node("a", "a")], "/nodes/0/parent"),
        ([node("r"), node("a", "c"), node("b", "a"), node("c", "b")], "/nodes/1/parent"),
        ([node("r"), node("x", "a"), node("a", "b"), node("b", "a")], "/nodes/1/parent"),
        ([Node(id="a", cls="research", en=" ", uk="a")], "/nodes/0/en"),
        ([Node(id="a", cls="research", en="a", uk="")], "/nodes/0/uk"),
    ],
)
def test_what_is_not_a_tree_is_refused(nodes, pointer):
    """Each way of not being a tree is Malformed at the node and field that shows it."""
    with pytest.raises(Malformed) as refused:
        parse_tree(nodes)
    assert refused.value.pointer == pointer


def test_a_tree_has_a_limit():
    """A chain of the greatest size is a tree; one more node is too large."""
    chain = [node(f"n{i}", f"n{i - 1}" if i else None) for i in range(MAX_NODES + 1)]
    assert len(parse_tree(chain[:-1]).path(f"n{MAX_NODES - 1}")) == MAX_NODES
    with pytest.raises(TooLarge):
        parse_tree(chain)


@given(forests())
def test_nodes_survive_json(nodes):
    """Nodes read back from JSON are the same nodes."""
    assert tuple(nodes) == parse_nodes(msgspec.json.encode(nodes))


def test_nodes_are_read_strictly():
    """A field that is unknown or of another type is refused at its place."""
    with pytest.raises(Malformed) as refused:
        parse_nodes(b'[{"id":"a","cls":"research","en":"a","uk":"a","parent":1}]')
    assert refused.value.pointer == "/0/parent"
    with pytest.raises(Malformed):
        parse_nodes(b'[{"id":"a","cls":"research","en":"a","uk":"a","prohibit":true}]')


def test_example_tree():
    """The example has every class, its offensive branch prohibited and nothing else, and ids that follow its paths."""
    tree = parse_tree(parse_nodes(EXAMPLE.read_bytes()))
    assert set(CLASSES) == {each.cls for each in tree.nodes.values()}
    prohibited = {name for name in tree.nodes if tree.prohibited_at(name)}
    assert prohibited == {"offensive", "offensive.strike", "offensive.targeting"}
    for name in tree.nodes:
        steps = name.split(".")
        assert tuple(".".join(steps[: i + 1]) for i in range(len(steps))) == tree.path(name)


HEADER = "term,type,label,dpvtype,hasbroader\n"
TOP = "Purpose,class,Purpose,,\n"
P = "https://w3id.org/dpv#Purpose"


def table(*rows):
    return (HEADER + TOP + "".join(row + "\n" for row in rows)).encode()


def test_dpv_takes_the_first_broader_purpose():
    """Of several broader terms the first in the table's order counts; one outside the table is passed over."""
    dpv = "https://w3id.org/dpv#"
    rows = (
        f"A,class,A label,{P},{P}",
        f"B,class,B label,{P},{P}",
        f"C,class,C label,{P},{dpv}B;{dpv}A",
        f"D,class,D label,{P},{dpv}Elsewhere;{dpv}A",
        f"E,class,E label,{P},{dpv}Elsewhere",
        "hasPurpose,property,has purpose,,",
        f"hasAim,property,has aim,{P},",
        "Sector,class,Sector,,",
    )
    tree = parse_tree(parse_dpv(table(*rows)))
    assert {"Purpose", "A", "B", "C", "D", "E"} == set(tree.nodes)
    assert tree.path("C") == ("Purpose", "B", "C")
    assert tree.path("D") == ("Purpose", "A", "D")
    assert tree.path("E") == ("Purpose", "E")
    assert tree.node("C").en == "C label"


def test_dpv_mapped_terms_are_roots_of_their_class():
    """A term given a class starts a tree of its own; what lies below has its class, the rest is research."""
    dpv = "https://w3id.org/dpv#"
    tree = parse_tree(parse_dpv(table(f"A,class,A,{P},{P}", f"B,class,B,{P},{dpv}A"), {"A": "defensive"}))
    assert tree.path("B") == ("A", "B")
    assert {k: v.cls for k, v in tree.nodes.items()} == {"Purpose": "research", "A": "defensive", "B": "defensive"}


def test_dpv_circle_is_left_to_the_tree():
    """A circle in the table does not hang the reader, and is refused as a tree."""
    dpv = "https://w3id.org/dpv#"
    nodes = parse_dpv(table(f"A,class,A,{P},{dpv}B", f"B,class,B,{P},{dpv}A"))
    with pytest.raises(Malformed, match="never reaches a root"):
        parse_tree(nodes)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b"", ""),
        (b"\xff", ""),
        (HEADER.encode(), ""),
        (b"term,type\nPurpose,class\n", "/0/label"),
        (table("A,class"), "/1/label"),
        (table(f"A,class,A,{P},{P},more"), "/1"),
        (table(f"A,class,A,{P},{P}", f"A,class,A,{P},{P}"), "/2/term"),
        (table('"A,class'), ""),
    ],
)
def test_dpv_is_read_strictly(data, pointer):
    """A table that lacks a column or a field, repeats a term, or is no table at all is refused at its place."""
    with pytest.raises(Malformed) as refused:
        parse_dpv(data)
    assert refused.value.pointer == pointer


def test_dpv_mapping_names_terms_of_the_table():
    """A class given to a term that is not there is refused."""
    with pytest.raises(Malformed, match="no purpose `Nowhere`"):
        parse_dpv(table(), {"Nowhere": "defensive"})

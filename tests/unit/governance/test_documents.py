"""Documents of others: one reading each, or an error with the place."""

import pytest
from msgspec import Struct

from ledger.errors import Malformed, TooLarge
from ledger.governance.documents import one, parse_json, parse_xml


class Inner(Struct):
    x: int


class Outer(Struct):
    items: tuple[Inner, ...]


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b'{"items": [{"x": 1}, {"x": "1"}]}', "/items/1/x"),
        (b'{"items": [{"x": 1}, {"x": 1, "x": 2}]}', ""),
        (b'{"items": [{"x": 1}], "a": {"b": 1, "b": 1}}', ""),
        (b'{"items": {}}', "/items"),
        (b'{"items": [], "a": "\\ud800"}', ""),
        (b'{"items": [], "a": NaN}', ""),
        (b'{"items": [], "a": "\xff"}', ""),
        (b'{"items": []} ,', ""),
        (b"", ""),
        (b'{"items": [], "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
    ],
)
def test_json_is_refused(data, pointer):
    """JSON with a wrong type, a key twice, or a second reading is refused with the place."""
    with pytest.raises(Malformed) as refused:
        parse_json(data, Outer, limit=1_000_000, what="the document")
    assert refused.value.pointer == pointer


def test_size_is_checked_first():
    """A document of the limit is read; one byte more is refused unread."""
    assert Inner(1) == parse_json(b'{"x":1}', Inner, limit=7, what="the document")
    with pytest.raises(TooLarge):
        parse_json(b'{"x":1}', Inner, limit=6, what="the document")
    assert parse_xml(b"<a xmlns='u'/>", "{u}a", limit=14, what="the document").name == "a"
    with pytest.raises(TooLarge):
        parse_xml(b"<a xmlns='u'/>", "{u}a", limit=13, what="the document")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a",
        b"<a xmlns='u'></b>",
        b"<a/>",
        b"<a xmlns='v'/>",
        b"<b xmlns='u'/>",
        b"<!DOCTYPE a><a xmlns='u'/>",
        b"<!DOCTYPE a [<!ENTITY e 'x'>]><a xmlns='u'>&e;</a>",
        b"<a xmlns='u'>&e;</a>",
        b"<a xmlns='u'>\xff</a>",
        "<a xmlns='u'/>".encode("utf-16"),
        b"<a xmlns='u'>\x00</a>",
    ],
)
def test_xml_is_refused(data):
    """XML that is not well-formed, not UTF-8, has a DTD or another root is refused."""
    with pytest.raises(Malformed):
        parse_xml(data, "{u}a", limit=1000, what="the document")


def test_paths_have_an_index_where_siblings_share_a_name():
    """A path is as XPath writes it below the root."""
    root = parse_xml(b"<a xmlns='u'><b/><c/><c><d/></c></a>", "{u}a", limit=1000, what="the document")
    children = root.children({"b", "c"})
    assert [each.path for each in children] == ["/b", "/c[1]", "/c[2]"]
    assert [each.path for each in children[2].children({"d"})] == ["/c[2]/d"]


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b"<a xmlns='u'><b/><x/></a>", "/x"),
        (b"<a xmlns='u'><b/><b xmlns='v'/></a>", "/{v}b"),
        (b"<a xmlns='u'>text<b/></a>", ""),
        (b"<a xmlns='u'><b/>text</a>", ""),
    ],
)
def test_unknown_content_is_refused(data, pointer):
    """An unknown element, one of another namespace, and stray text are refused."""
    root = parse_xml(data, "{u}a", limit=1000, what="the document")
    with pytest.raises(Malformed) as refused:
        root.children({"b"})
    assert refused.value.pointer == pointer


def test_one_is_neither_none_nor_two():
    """What must be there once is refused where it is missing, and at the second."""
    root = parse_xml(b"<a xmlns='u'><b/><c/><c/></a>", "{u}a", limit=1000, what="the document")
    children = root.children({"b", "c"})
    assert one(children, "b", root).path == "/b"
    for name, pointer in (("d", "/d"), ("c", "/c[2]")):
        with pytest.raises(Malformed) as refused:
            one(children, name, root)
        assert refused.value.pointer == pointer


def test_text_and_attributes_are_there_or_refused():
    """Text and required attributes must not be empty; unknown attributes are refused."""
    root = parse_xml(b"<a xmlns='u' y='' z='1'><b> </b><c><d/></c></a>", "{u}a", limit=1000, what="the document")
    b, c = root.children({"b", "c"})
    assert root.attribute("z") == "1"
    for call, pointer in (
        (b.text, "/b"),
        (c.text, "/c"),
        (lambda: root.attribute("x"), "/@x"),
        (lambda: root.attribute("y"), "/@y"),
        (lambda: root.check_attributes({"y"}), "/@z"),
    ):
        with pytest.raises(Malformed) as refused:
            call()
        assert refused.value.pointer == pointer

"""The two forms of a confidentiality label: XML (ADatP-4774) outside, a struct in ledger entries.

    <originatorConfidentialityLabel xmlns="urn:nato:stanag:4774:confidentialitymetadatalabel:1:0">
      <ConfidentialityInformation>
        <PolicyIdentifier URI="urn:oid:2.25.1">EXAMPLE</PolicyIdentifier>
        <Classification>RESTRICTED</Classification>
        <Category TagName="Releasable To" Type="PERMISSIVE">
          <GenericValue>UKR</GenericValue>
          <GenericValue>POL</GenericValue>
        </Category>
      </ConfidentialityInformation>
    </originatorConfidentialityLabel>

    {"policy": "EXAMPLE", "classification": "RESTRICTED",
     "categories": [{"tag": "Releasable To", "type": "PERMISSIVE", "values": ["POL", "UKR"]}]}

Categories are sorted by tag and type, each once; their values are sorted, and there is at least one. What the policy
(`spif`) does not know, or excludes at the label's classification, is refused in either form.
"""

import unicodedata
from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement, tostring

from msgspec import Struct

from ledger.errors import Conflict, Malformed, show
from ledger.governance.documents import Node, one, parse_xml
from ledger.governance.forms import check_set
from ledger.governance.spif import TAG_TYPES, SecurityPolicy, TagType, Value

MAX_LABEL_BYTES = 65_536
"""A label that names every country of the world takes about 10 KB."""

NAMESPACE = "urn:nato:stanag:4774:confidentialitymetadatalabel:1:0"

_ORDER = ("PolicyIdentifier", "Classification", "PrivacyMark", "Category")
"""Of the elements in ConfidentialityInformation."""


class Category(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values of one type from one tag set, sorted, at least one."""

    tag: str
    type: TagType
    values: tuple[str, ...]


class Label(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A label. Categories are sorted by tag and type, privacy marks by themselves."""

    policy: str
    classification: str
    categories: tuple[Category, ...] = ()
    privacy_marks: tuple[str, ...] = ()


def parse_label(xml: bytes, policy: SecurityPolicy) -> Label:
    """Read a label by the policy that it names. Raises TooLarge, or Malformed with the path below the root element."""
    expected = f"{{{NAMESPACE}}}originatorConfidentialityLabel"
    root = parse_xml(xml, expected, limit=MAX_LABEL_BYTES, what="the label")
    root.check_attributes(())
    information = one(root.children({"ConfidentialityInformation"}), "ConfidentialityInformation", root)
    information.check_attributes(())
    children = _in_order(information)
    _check_policy(one(children, "PolicyIdentifier", information), policy)
    level = one(children, "Classification", information)
    level.check_attributes(())
    classification = level.text()
    _check_classification(classification, policy, level.path)
    return Label(
        policy=policy.name,
        classification=classification,
        categories=_categories([each for each in children if each.name == "Category"], classification, policy),
        privacy_marks=_privacy_marks([each for each in children if each.name == "PrivacyMark"]),
    )


def format_label(label: Label) -> bytes:
    """Write a label as XML in UTF-8; `parse_label` reads it back as it was."""
    root = Element("originatorConfidentialityLabel", xmlns=NAMESPACE)
    information = SubElement(root, "ConfidentialityInformation")
    SubElement(information, "PolicyIdentifier").text = label.policy
    SubElement(information, "Classification").text = label.classification
    for mark in label.privacy_marks:
        SubElement(information, "PrivacyMark").text = mark
    for category in label.categories:
        element = SubElement(information, "Category", TagName=category.tag, Type=category.type)
        for value in category.values:
            SubElement(element, "GenericValue").text = value
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def check_label(label: Label, policy: SecurityPolicy, pointer: str = "") -> None:
    """Check a label that did not come from `parse_label`.

    Raises Malformed with a JSON pointer, and Conflict where the label is of another policy.
    """
    if label.policy != policy.name:
        raise Conflict(f"{show(label.policy)} is not the policy {show(policy.name)}: labels of two policies do not mix")
    _check_classification(label.classification, policy, f"{pointer}/classification")
    check_set(label.privacy_marks, f"{pointer}/privacy_marks")
    keys = [(each.tag, each.type) for each in label.categories]
    if keys != sorted(set(keys)):
        raise Malformed(f"{pointer}/categories", "are not sorted by tag and type, each once")
    for i, category in enumerate(label.categories):
        path = f"{pointer}/categories/{i}"
        check_set(category.values, f"{path}/values")
        if not category.values:
            raise Malformed(f"{path}/values", "is empty", help="omit the category: the originator alone")
        for j, value in enumerate(category.values):
            _check_value(category, value, label.classification, policy, f"{path}/values/{j}")


def values_of(label: Label, tag: str, type_: str) -> tuple[str, ...]:
    """Give the values of a category; none where the label omits it."""
    return next((each.values for each in label.categories if (each.tag, each.type) == (tag, type_)), ())


def _in_order(information: Node) -> list[Node]:
    children = information.children(_ORDER)
    for before, after in pairwise(children):
        if _ORDER.index(before.name) > _ORDER.index(after.name):
            raise Malformed(after.path, f"stands after {before.name}", help=f"the order is {', '.join(_ORDER)}")
    return children


def _check_policy(node: Node, policy: SecurityPolicy) -> None:
    node.check_attributes({"URI", "URL"})  # one real writer says URL
    if node.text() != policy.name:
        raise Malformed(node.path, f"{show(node.text())} is not the policy {show(policy.name)}")
    for name in ("URI", "URL"):
        _check_oid(node, name, policy.id)


def _check_oid(node: Node, name: str, oid: str) -> None:
    uri = node.optional(name)
    if uri not in {None, f"urn:oid:{oid}"}:
        raise Malformed(f"{node.path}/@{name}", f"{show(uri)} is not {show(f'urn:oid:{oid}')}")


def _check_classification(name: str, policy: SecurityPolicy, path: str) -> None:
    if policy.classification(name) is None:
        known = ", ".join(each.name for each in policy.classifications)
        raise Malformed(path, f"{show(name)} is not a classification of {policy.name}", help=f"one of {known}")


def _privacy_marks(nodes: list[Node]) -> tuple[str, ...]:
    marks = set()
    for node in nodes:
        node.check_attributes(())
        mark = node.text()
        if any(unicodedata.category(character) == "Cc" for character in mark):
            raise Malformed(node.path, f"{show(mark)} has a control character")
        if mark in marks:
            raise Malformed(node.path, f"{show(mark)} stands twice")
        marks.add(mark)
    return tuple(sorted(marks))


def _categories(nodes: list[Node], classification: str, policy: SecurityPolicy) -> tuple[Category, ...]:
    """Read the categories, grouped by tag set and type."""
    grouped: dict[tuple[str, TagType], set[str]] = {}
    for node in nodes:
        node.check_attributes({"TagName", "Type", "URI"})
        category = Category(tag=node.attribute("TagName"), type=_tag_type(node), values=())
        _check_category(node, category, policy)
        values = grouped.setdefault((category.tag, category.type), set())
        for each in _generic_values(node):
            _check_value(category, each.text(), classification, policy, each.path)
            if each.text() in values:
                raise Malformed(each.path, f"{show(each.text())} stands twice")
            values.add(each.text())
    return tuple(
        Category(tag=tag, type=type_, values=tuple(sorted(grouped[tag, type_]))) for tag, type_ in sorted(grouped)
    )


def _tag_type(node: Node) -> TagType:
    text = node.attribute("Type")
    for known in TAG_TYPES:
        if text == known:
            return known
    raise Malformed(f"{node.path}/@Type", f"{show(text)} is not one of {', '.join(TAG_TYPES)}")


def _check_category(node: Node, category: Category, policy: SecurityPolicy) -> None:
    tag_set = policy.tag_set(category.tag)
    if tag_set is None:
        raise Malformed(f"{node.path}/@TagName", f"{show(category.tag)} is not a tag set of {policy.name}")
    _check_oid(node, "URI", tag_set.id)
    types = {tag.type for tag in tag_set.tags}
    if category.type not in types:
        raise Malformed(
            f"{node.path}/@Type", f"{show(category.tag)} is {' or '.join(sorted(types))}, not {show(category.type)}"
        )


def _generic_values(node: Node) -> list[Node]:
    values = node.children({"GenericValue"})
    if not values:
        raise Malformed(node.path, "has no value", help="omit the category: the originator alone")
    for value in values:
        value.check_attributes(())
    return values


def _check_value(category: Category, name: str, classification: str, policy: SecurityPolicy, path: str) -> None:
    value = _find(category, name, policy)
    if value is None:
        raise Malformed(path, f"{show(name)} is not a {category.type} value of {show(category.tag)} in {policy.name}")
    if classification in value.excluded:
        raise Malformed(path, f"{show(name)} must not stand with the classification {show(classification)}")


def _find(category: Category, name: str, policy: SecurityPolicy) -> Value | None:
    tag_set = policy.tag_set(category.tag)
    tags = [tag for tag in tag_set.tags if tag.type == category.type] if tag_set else []
    return next((value for tag in tags for value in tag.values if value.name == name), None)

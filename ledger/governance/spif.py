"""The security policy by which labels are read and marked: SPIF 2.1 (xmlspif.org), and 2.0, which reads alike.

    <SPIF xmlns="http://www.xmlspif.org/spif" schemaVersion="2.1">
      <securityPolicyId name="EXAMPLE" id="2.25.1"/>
      <securityClassifications>
        <securityClassification name="RESTRICTED" lacv="2" hierarchy="2"/>
      </securityClassifications>
      <securityCategoryTagSets>
        <securityCategoryTagSet name="Releasable To" id="2.25.1.1">
          <securityCategoryTag name="Releasable To" tagType="enumerated" enumType="permissive">
            <tagCategory name="UKR" lacv="804"><markingData phrase="Ukraine"/></tagCategory>
          </securityCategoryTag>
        </securityCategoryTagSet>
      </securityCategoryTagSets>
    </SPIF>

A label names the tag set, the type and the value. What is obsolete is known, since old labels keep it.

Read: the policy's name and id, classifications with their height, tag sets, tags, values with the classifications that
exclude them, and markings per language. Known and passed over: equivalents in other policies, extensions, selection of
one value only, and categories that require or exclude other categories. These bind those who write labels; nothing here
becomes wider without them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from ledger.errors import Malformed, show
from ledger.governance.documents import Node, one, parse_xml

MAX_SPIF_BYTES = 4 * 1024 * 1024
"""The policy of an alliance with all its countries in two languages takes 90 KB; this leaves room for more."""

NAMESPACE = "http://www.xmlspif.org/spif"

TagType = Literal["RESTRICTIVE", "PERMISSIVE", "INFORMATIVE"]
"""As ADatP-4774 writes it."""

TAG_TYPES: tuple[TagType, ...] = ("RESTRICTIVE", "PERMISSIVE", "INFORMATIVE")

_BY_ATTRIBUTES: dict[tuple[str, str | None], TagType] = {
    ("restrictive", None): "RESTRICTIVE",
    ("enumerated", "restrictive"): "RESTRICTIVE",
    ("permissive", None): "PERMISSIVE",
    ("enumerated", "permissive"): "PERMISSIVE",
    ("informative", None): "INFORMATIVE",
    ("tagType7", None): "INFORMATIVE",
}
"""By tagType and, for enumerated tags, enumType."""

MARKING_CODES = frozenset({
    "documentEnd", "documentStart", "noMarkingDisplay", "noNameDisplay", "pageBottom", "pageTop", "pageTopBottom",
    "replacePolicy", "suppressClassName", "unused",
})  # fmt: skip

_BOOLEANS = {None: False, "false": False, "0": False, "true": True, "1": True}
_DECIMAL = re.compile(r"[0-9]{1,9}")
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_READ = {"securityPolicyId", "securityClassifications", "securityCategoryTagSets", "markingData", "markingQualifier"}
_PASSED_OVER = {"defaultSecurityPolicyId", "equivalentPolicies", "extensions"}


class Marking(Struct, frozen=True, kw_only=True):
    """What is shown for something, in one language; "" is the policy's own. Without a phrase the name is shown."""

    language: str
    phrase: str
    codes: frozenset[str]


class Qualifier(Struct, frozen=True, kw_only=True):
    """What stands before, after or between the values of a tag, in one language."""

    language: str
    place: str
    """`prefix`, `suffix` or `separator`."""
    text: str


class Classification(Struct, frozen=True, kw_only=True):
    """A level; of two, the one of greater hierarchy is the higher. No two share a hierarchy."""

    name: str
    lacv: int
    hierarchy: int
    obsolete: bool
    markings: tuple[Marking, ...]


class Value(Struct, frozen=True, kw_only=True):
    """A value of a category; `excluded` are the classifications with which it must not stand."""

    name: str
    lacv: int
    obsolete: bool
    excluded: frozenset[str]
    markings: tuple[Marking, ...]


class Tag(Struct, frozen=True, kw_only=True):
    """Values of one type."""

    name: str
    type: TagType
    values: tuple[Value, ...]
    qualifiers: tuple[Qualifier, ...]


class TagSet(Struct, frozen=True, kw_only=True):
    """What a label's TagName names."""

    name: str
    id: str
    tags: tuple[Tag, ...]


class SecurityPolicy(Struct, frozen=True, kw_only=True):
    """A security policy, in the order in which its file gives things."""

    name: str
    id: str
    """An object identifier, dotted."""
    classifications: tuple[Classification, ...]
    tag_sets: tuple[TagSet, ...]
    markings: tuple[Marking, ...]
    qualifiers: tuple[Qualifier, ...]

    def classification(self, name: str) -> Classification | None:
        """Find a classification by name."""
        return next((each for each in self.classifications if each.name == name), None)

    def tag_set(self, name: str) -> TagSet | None:
        """Find a tag set by name."""
        return next((each for each in self.tag_sets if each.name == name), None)


def parse_spif(xml: bytes) -> SecurityPolicy:
    """Read a security policy. Raises TooLarge, or Malformed with the path below `SPIF`."""
    root = parse_xml(xml, f"{{{NAMESPACE}}}SPIF", limit=MAX_SPIF_BYTES, what="the security policy")
    if root.attribute("schemaVersion") not in {"2.0", "2.1"}:
        raise Malformed("/@schemaVersion", f"{show(root.attribute('schemaVersion'))} is neither 2.0 nor 2.1")
    children = root.children(_READ | _PASSED_OVER)
    policy = one(children, "securityPolicyId", root)
    classifications = _classifications(one(children, "securityClassifications", root))
    known = frozenset(each.name for each in classifications)
    tag_sets = tuple(
        _tag_set(node, known)
        for group in _named(children, "securityCategoryTagSets")
        for node in group.children({"securityCategoryTagSet"})
    )
    _check_distinct("/securityCategoryTagSets", "tag set", (each.name for each in tag_sets))
    return SecurityPolicy(
        name=policy.attribute("name"),
        id=policy.attribute("id"),
        classifications=classifications,
        tag_sets=tag_sets,
        markings=_markings(children),
        qualifiers=_qualifiers(children),
    )


def _classifications(parent: Node) -> tuple[Classification, ...]:
    found = tuple(_classification(node) for node in parent.children({"securityClassification"}))
    if not found:
        raise Malformed(parent.path, "has no classification")
    _check_distinct(parent.path, "classification", (each.name for each in found))
    # Of two at one height neither would be the highest, and a derived label needs the highest.
    _check_distinct(parent.path, "hierarchy", (str(each.hierarchy) for each in found))
    return found


def _classification(node: Node) -> Classification:
    children = node.children({"markingData", "markingQualifier", "equivalentClassification", "requiredCategory"})
    return Classification(
        name=node.attribute("name"),
        lacv=_number(node, "lacv"),
        hierarchy=_number(node, "hierarchy"),
        obsolete=_boolean(node, "obsolete"),
        markings=_markings(children),
    )


def _tag_set(node: Node, classifications: frozenset[str]) -> TagSet:
    tags = tuple(_tag(each, classifications) for each in node.children({"securityCategoryTag"}))
    # A label gives set, type and value, not the tag: these three have to lead to one value.
    _check_distinct(node.path, "value", (f"{tag.type} {value.name}" for tag in tags for value in tag.values))
    return TagSet(name=node.attribute("name"), id=node.attribute("id"), tags=tags)


def _tag(node: Node, classifications: frozenset[str]) -> Tag:
    named = (node.attribute("tagType"), node.optional("enumType"))
    if named not in _BY_ATTRIBUTES:
        raise Malformed(f"{node.path}/@tagType", f"{show(named[0])} with enumType {show(named[1])} is not a tag type")
    children = node.children({"tagCategory", "markingQualifier"})
    return Tag(
        name=node.attribute("name"),
        type=_BY_ATTRIBUTES[named],
        values=tuple(_value(each, classifications) for each in _named(children, "tagCategory")),
        qualifiers=_qualifiers(children),
    )


def _value(node: Node, classifications: frozenset[str]) -> Value:
    children = node.children(
        {"markingData", "excludedClass", "equivalentSecCategoryTag", "requiredCategory", "excludedCategory"}
    )
    excluded = list(_named(children, "excludedClass"))
    for each in excluded:
        if each.text() not in classifications:
            raise Malformed(each.path, f"{show(each.text())} is not a classification of this policy")
    return Value(
        name=node.attribute("name"),
        lacv=_number(node, "lacv"),
        obsolete=_boolean(node, "obsolete"),
        excluded=frozenset(each.text() for each in excluded),
        markings=_markings(children),
    )


def _markings(nodes: Iterable[Node]) -> tuple[Marking, ...]:
    return tuple(
        Marking(
            language=node.optional(_LANG) or "",
            phrase=node.optional("phrase") or "",
            codes=frozenset(_code(each) for each in node.children({"code"})),
        )
        for node in _named(nodes, "markingData")
    )


def _code(node: Node) -> str:
    if node.text() not in MARKING_CODES:
        raise Malformed(node.path, f"{show(node.text())} is not a marking code")
    return node.text()


def _qualifiers(nodes: Iterable[Node]) -> tuple[Qualifier, ...]:
    return tuple(
        _qualifier(node) for group in _named(nodes, "markingQualifier") for node in group.children({"qualifier"})
    )


def _qualifier(node: Node) -> Qualifier:
    place = node.attribute("qualifierCode")
    if place not in {"prefix", "suffix", "separator"}:
        raise Malformed(f"{node.path}/@qualifierCode", f"{show(place)} is not prefix, suffix or separator")
    return Qualifier(
        language=node.optional(_LANG) or "",
        place=place,
        text=node.attribute("markingQualifier"),
    )


def _named(nodes: Iterable[Node], name: str) -> Iterator[Node]:
    return (node for node in nodes if node.name == name)


def _number(node: Node, name: str) -> int:
    text = node.attribute(name)
    if not _DECIMAL.fullmatch(text):
        raise Malformed(f"{node.path}/@{name}", f"{show(text)} is not a number")
    return int(text)


def _boolean(node: Node, name: str) -> bool:
    text = node.optional(name)
    if text not in _BOOLEANS:
        raise Malformed(f"{node.path}/@{name}", f"{show(text)} is not a boolean")
    return _BOOLEANS[text]


def _check_distinct(path: str, what: str, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise Malformed(path, f"the {what} {show(name)} stands twice")
        seen.add(name)

"""Security policies (SPIF 2.1), read strictly."""

import pytest

from ledger.errors import Malformed, TooLarge
from ledger.governance.spif import MAX_SPIF_BYTES, Marking, Qualifier, parse_spif

SPIF = """\
<p:SPIF xmlns:p="http://www.xmlspif.org/spif" schemaVersion="2.1">
  <p:defaultSecurityPolicyId name="Default" id="1.1"/>
  <p:securityPolicyId name="P" id="1.2.3"/>
  <p:securityClassifications>
    <p:securityClassification name="LOW" lacv="1" hierarchy="1"/>
    <p:securityClassification name="HIGH" lacv="004" hierarchy="20" obsolete="true">
      <p:markingData xml:lang="fr" phrase="HAUT"><p:code>pageTop</p:code></p:markingData>
    </p:securityClassification>
  </p:securityClassifications>
  <p:securityCategoryTagSets>
    <p:securityCategoryTagSet name="Set" id="1.2.3.1">
      <p:securityCategoryTag name="R" tagType="restrictive">
        <p:tagCategory name="A" lacv="7" obsolete="1"><p:excludedClass>LOW</p:excludedClass></p:tagCategory>
      </p:securityCategoryTag>
      <p:securityCategoryTag name="ER" tagType="enumerated" enumType="restrictive"/>
      <p:securityCategoryTag name="P" tagType="permissive"/>
      <p:securityCategoryTag name="EP" tagType="enumerated" enumType="permissive">
        <p:tagCategory name="A" lacv="8"/>
        <p:markingQualifier><p:qualifier markingQualifier="to " qualifierCode="prefix"/></p:markingQualifier>
      </p:securityCategoryTag>
      <p:securityCategoryTag name="I" tagType="tagType7" tag7Encoding="bitSetAttributes"/>
    </p:securityCategoryTagSet>
  </p:securityCategoryTagSets>
  <p:extensions><anything/></p:extensions>
</p:SPIF>
"""

TAG = "/securityCategoryTagSets/securityCategoryTagSet/securityCategoryTag"


def test_what_is_read():
    """Name, id, classifications, tag sets, values, exclusions and markings are as the file gives them."""
    policy = parse_spif(SPIF.encode())
    assert (policy.name, policy.id) == ("P", "1.2.3")
    low, high = policy.classifications
    assert (low.name, low.lacv, low.hierarchy, low.obsolete, low.markings) == ("LOW", 1, 1, False, ())
    assert (high.name, high.lacv, high.hierarchy, high.obsolete) == ("HIGH", 4, 20, True)
    assert (Marking(language="fr", phrase="HAUT", codes=frozenset({"pageTop"})),) == high.markings
    restrictive, _, _, permissive, _ = policy.tag_sets[0].tags
    (value,) = restrictive.values
    assert ("A", 7, True, frozenset({"LOW"})) == (value.name, value.lacv, value.obsolete, value.excluded)
    assert (Qualifier(language="", place="prefix", text="to "),) == permissive.qualifiers
    assert high is policy.classification("HIGH")
    assert policy.tag_sets[0] is policy.tag_set("Set")
    assert (policy.classification("high"), policy.tag_set("set")) == (None, None)


def test_tag_types():
    """Tag types come from tagType, for enumerated ones from enumType; tagType7 is informative."""
    tags = parse_spif(SPIF.encode()).tag_sets[0].tags
    assert [tag.type for tag in tags] == ["RESTRICTIVE", "RESTRICTIVE", "PERMISSIVE", "PERMISSIVE", "INFORMATIVE"]


def test_the_default_namespace_is_the_same_policy():
    """A file with the namespace as default reads as one with a prefix."""
    plain = SPIF.replace("xmlns:p=", "xmlns=").replace("<p:", "<").replace("</p:", "</")
    assert parse_spif(SPIF.encode()) == parse_spif(plain.encode())


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        ('schemaVersion="2.1"', 'schemaVersion="3.0"', "/@schemaVersion"),
        ('schemaVersion="2.1"', "", "/@schemaVersion"),
        ('<p:securityPolicyId name="P" id="1.2.3"/>', "", "/securityPolicyId"),
        ('name="P" id="1.2.3"', 'name="P"', "/securityPolicyId/@id"),
        ('name="P" id="1.2.3"', 'name="" id="1.2.3"', "/securityPolicyId/@name"),
        ("<p:extensions>", "<p:surprise/><p:extensions>", "/surprise"),
        ('lacv="1" hierarchy="1"', 'lacv="1"', "/securityClassifications/securityClassification[1]/@hierarchy"),
        ('hierarchy="20"', 'hierarchy="2²"', "/securityClassifications/securityClassification[2]/@hierarchy"),
        ('lacv="004"', 'lacv="+4"', "/securityClassifications/securityClassification[2]/@lacv"),
        ('hierarchy="20"', 'hierarchy="1"', "/securityClassifications"),
        ('name="HIGH"', 'name="LOW"', "/securityClassifications"),
        ('obsolete="true"', 'obsolete="yes"', "/securityClassifications/securityClassification[2]/@obsolete"),
        ("pageTop", "pageLeft", "/securityClassifications/securityClassification[2]/markingData/code"),
        (
            "<p:excludedClass>LOW<",
            "<p:excludedClass>LOWER<",
            f"{TAG}[1]/tagCategory/excludedClass",
        ),
        (
            'tagType="permissive"',
            'tagType="lenient"',
            f"{TAG}[3]/@tagType",
        ),
        (
            'tagType="enumerated" enumType="restrictive"',
            'tagType="enumerated"',
            f"{TAG}[2]/@tagType",
        ),
        (
            'qualifierCode="prefix"',
            'qualifierCode="infix"',
            f"{TAG}[4]/markingQualifier/qualifier/@qualifierCode",
        ),
        (
            '<p:tagCategory name="A" lacv="8"/>',
            '<p:tagCategory name="A" lacv="8"/><p:tagCategory name="A" lacv="9"/>',
            "/securityCategoryTagSets/securityCategoryTagSet",
        ),
        (
            "</p:securityCategoryTagSets>",
            '<p:securityCategoryTagSet name="Set" id="1.2.3.2"/></p:securityCategoryTagSets>',
            "/securityCategoryTagSets",
        ),
    ],
)
def test_what_is_refused(old, new, pointer):
    """A policy with one thing wrong is refused, and the path says where."""
    assert old in SPIF
    with pytest.raises(Malformed) as refused:
        parse_spif(SPIF.replace(old, new, 1).encode())
    assert refused.value.pointer == pointer


def test_a_policy_without_classifications_is_refused():
    """A policy has a classification, or no label could be of it."""
    start, rest = SPIF.split("<p:securityClassifications>")
    rest = rest.split("</p:securityClassifications>")[1]
    with pytest.raises(Malformed) as refused:
        parse_spif(f"{start}<p:securityClassifications/>{rest}".encode())
    assert refused.value.pointer == "/securityClassifications"


def test_size_is_limited():
    """A policy over the limit is refused unread."""
    with pytest.raises(TooLarge):
        parse_spif(b" " * (MAX_SPIF_BYTES + 1))

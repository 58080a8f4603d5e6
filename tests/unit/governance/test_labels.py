"""Confidentiality labels: read, written, derived, compared and marked."""

from functools import reduce

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Conflict, Malformed, TooLarge
from ledger.governance.label_forms import MAX_LABEL_BYTES
from ledger.governance.labels import (
    Category,
    Label,
    at_least_as_restrictive,
    check_label,
    derive,
    format_label,
    marking,
    parse_label,
    releasable_to,
    values_of,
)
from ledger.governance.spif import parse_spif

POLICY = parse_spif(
    """\
<SPIF xmlns="http://www.xmlspif.org/spif" schemaVersion="2.1">
  <securityPolicyId name="P" id="1.2.3"/>
  <securityClassifications>
    <securityClassification name="HIGH" lacv="3" hierarchy="30">
      <markingData phrase="COSMIC"><code>replacePolicy</code></markingData>
      <markingData xml:lang="uk" phrase="ВИСОКИЙ"/>
    </securityClassification>
    <securityClassification name="LOW" lacv="1" hierarchy="1"/>
    <securityClassification name="MIDDLE" lacv="2" hierarchy="2"/>
  </securityClassifications>
  <securityCategoryTagSets>
    <securityCategoryTagSet name="Sensitivity" id="1.2.3.1">
      <securityCategoryTag name="Sensitivity" tagType="restrictive">
        <tagCategory name="CRYPTO" lacv="1"><excludedClass>LOW</excludedClass></tagCategory>
        <tagCategory name="MEDICAL" lacv="2"/>
        <tagCategory name="DRAFT" lacv="3"><excludedClass>HIGH</excludedClass></tagCategory>
      </securityCategoryTag>
    </securityCategoryTagSet>
    <securityCategoryTagSet name="Releasable To" id="1.2.3.2">
      <securityCategoryTag name="Releasable To" tagType="enumerated" enumType="permissive">
        <tagCategory name="UKR" lacv="804">
          <markingData phrase="Ukraine"/><markingData xml:lang="uk" phrase="Україна"/>
        </tagCategory>
        <tagCategory name="POL" lacv="616"><markingData phrase="Poland"/></tagCategory>
        <tagCategory name="USA" lacv="840"/>
        <tagCategory name="JPN" lacv="392"/>
        <tagCategory name="ALL" lacv="1"><markingData><code>noMarkingDisplay</code></markingData></tagCategory>
        <markingQualifier>
          <qualifier markingQualifier="to " qualifierCode="prefix"/>
          <qualifier xml:lang="uk" markingQualifier="для: " qualifierCode="prefix"/>
          <qualifier markingQualifier=" ONLY" qualifierCode="suffix"/>
          <qualifier markingQualifier=" + " qualifierCode="separator"/>
        </markingQualifier>
      </securityCategoryTag>
    </securityCategoryTagSet>
    <securityCategoryTagSet name="Context" id="1.2.3.3">
      <securityCategoryTag name="Context" tagType="permissive">
        <tagCategory name="MISSION" lacv="1">
          <markingData phrase="P/MISSION"><code>noNameDisplay</code><code>replacePolicy</code></markingData>
        </tagCategory>
        <tagCategory name="EXERCISE" lacv="2"/>
      </securityCategoryTag>
      <securityCategoryTag name="Note" tagType="tagType7">
        <tagCategory name="EXERCISE" lacv="1"/>
        <tagCategory name="STAFF" lacv="2"/>
      </securityCategoryTag>
    </securityCategoryTagSet>
  </securityCategoryTagSets>
</SPIF>""".encode()
)

OTHER = msgspec.structs.replace(POLICY, name="Q")
NAMESPACE = "urn:nato:stanag:4774:confidentialitymetadatalabel:1:0"


def label_xml(inner, attributes=f'xmlns="{NAMESPACE}"'):
    return (
        f"<originatorConfidentialityLabel {attributes}><ConfidentialityInformation>{inner}"
        "</ConfidentialityInformation></originatorConfidentialityLabel>"
    ).encode()


def category(tag, type_, *values):
    generic = "".join(f"<GenericValue>{value}</GenericValue>" for value in values)
    return f'<Category TagName="{tag}" Type="{type_}">{generic}</Category>'


HEAD = "<PolicyIdentifier>P</PolicyIdentifier><Classification>MIDDLE</Classification>"


def label(classification="MIDDLE", *, to=(), sensitivity=(), context=(), note=(), marks=(), policy="P"):
    given = (
        ("Context", "INFORMATIVE", note),
        ("Context", "PERMISSIVE", context),
        ("Releasable To", "PERMISSIVE", to),
        ("Sensitivity", "RESTRICTIVE", sensitivity),
    )
    categories = tuple(Category(tag=t, type=k, values=tuple(sorted(v))) for t, k, v in given if v)
    return Label(
        policy=policy, classification=classification, categories=categories, privacy_marks=tuple(sorted(marks))
    )


def some_of(*values):
    return st.sets(st.sampled_from(values))


labels = st.one_of(
    st.builds(
        label,
        st.sampled_from(["LOW", "MIDDLE", "HIGH"]),
        to=some_of("UKR", "POL", "USA", "JPN"),
        sensitivity=some_of("MEDICAL"),
        context=some_of("MISSION", "EXERCISE"),
        note=some_of("EXERCISE", "STAFF"),
        marks=some_of("In Confidence", "Staff & Friends <1>"),
    ),
    st.builds(label, st.sampled_from(["MIDDLE", "HIGH"]), to=some_of("UKR", "POL"), sensitivity=some_of("CRYPTO")),
)


class TestParse:
    def test_grouped_and_sorted(self):
        """Categories of one tag set and type are one, sorted, whatever the order of the file."""
        xml = label_xml(
            HEAD
            + "<PrivacyMark>Z</PrivacyMark><PrivacyMark>A</PrivacyMark>"
            + category("Releasable To", "PERMISSIVE", "UKR")
            + category("Context", "INFORMATIVE", "EXERCISE")
            + category("Context", "PERMISSIVE", "EXERCISE")
            + category("Releasable To", "PERMISSIVE", "POL", "JPN")
        )
        expected = label(to=["JPN", "POL", "UKR"], context=["EXERCISE"], note=["EXERCISE"], marks=["A", "Z"])
        assert expected == parse_label(xml, POLICY)

    @pytest.mark.parametrize("attribute", ["", ' URI="urn:oid:1.2.3"', ' URL="urn:oid:1.2.3"'])
    def test_policy_identifier(self, attribute):
        """The policy is named by its name, and may be by its object identifier too."""
        xml = label_xml(f"<PolicyIdentifier{attribute}>P</PolicyIdentifier><Classification>LOW</Classification>")
        assert label("LOW") == parse_label(xml, POLICY)

    def test_a_prefix_is_as_good_as_the_default_namespace(self):
        """Prefixes do not matter; namespaces do."""
        xml = label_xml(HEAD).decode().replace("</", "</p:").replace("<", "<p:").replace("<p:/p:", "</p:")
        xml = xml.replace("xmlns=", "xmlns:p=")
        assert label() == parse_label(xml.encode(), POLICY)

    @pytest.mark.parametrize(
        ("inner", "pointer"),
        [
            ("<Classification>LOW</Classification>", "PolicyIdentifier"),
            ("<PolicyIdentifier>P</PolicyIdentifier>", "Classification"),
            (HEAD.replace(">P<", ">Q<"), "PolicyIdentifier"),
            (HEAD.replace("<PolicyIdentifier", '<PolicyIdentifier URI="urn:oid:1.2.4"'), "PolicyIdentifier/@URI"),
            (HEAD.replace("<PolicyIdentifier", '<PolicyIdentifier URL=""'), "PolicyIdentifier/@URL"),
            (HEAD.replace("<PolicyIdentifier", '<PolicyIdentifier x=""'), "PolicyIdentifier/@x"),
            (HEAD.replace("MIDDLE", "middle"), "Classification"),
            (HEAD.replace("MIDDLE", " MIDDLE"), "Classification"),
            (HEAD.replace("MIDDLE", ""), "Classification"),
            (HEAD + "<Classification>LOW</Classification>", "Classification[2]"),
            ("<Classification>LOW</Classification><PolicyIdentifier>P</PolicyIdentifier>", "PolicyIdentifier"),
            (HEAD + "<Surprise/>", "Surprise"),
            (HEAD + "<PrivacyMark/>", "PrivacyMark"),
            (HEAD + "<PrivacyMark>a\nb</PrivacyMark>", "PrivacyMark"),
            (HEAD + "<PrivacyMark>a</PrivacyMark><PrivacyMark>a</PrivacyMark>", "PrivacyMark[2]"),
            (HEAD + category("Releasable", "PERMISSIVE", "UKR"), "Category/@TagName"),
            (HEAD + category("Releasable To", "RESTRICTIVE", "UKR"), "Category/@Type"),
            (HEAD + category("Releasable To", "permissive", "UKR"), "Category/@Type"),
            (HEAD + category("Releasable To", "PERMISSIVE"), "Category"),
            (HEAD + category("Releasable To", "PERMISSIVE", "RUS"), "Category/GenericValue"),
            (HEAD + category("Context", "INFORMATIVE", "EXERCISE", "MISSION"), "Category/GenericValue[2]"),
            (HEAD + category("Releasable To", "PERMISSIVE", "UKR", "UKR"), "Category/GenericValue[2]"),
            (HEAD + category("Releasable To", "PERMISSIVE", "UKR") * 2, "Category[2]/GenericValue"),
            (
                HEAD.replace("MIDDLE", "LOW")
                + category("Releasable To", "PERMISSIVE", "UKR")
                + category("Sensitivity", "RESTRICTIVE", "MEDICAL", "CRYPTO"),
                "Category[2]/GenericValue[2]",
            ),
            (HEAD + '<Category TagName="Context"/>', "Category/@Type"),
            (HEAD + '<Category Type="PERMISSIVE"/>', "Category/@TagName"),
            (
                HEAD + category("Context", "PERMISSIVE", "MISSION").replace("<Category", '<Category URI="urn:oid:9"'),
                "Category/@URI",
            ),
            (
                HEAD + category("Context", "PERMISSIVE", "MISSION").replace("GenericValue", "IntegerValue"),
                "Category/IntegerValue",
            ),
        ],
    )
    def test_what_is_refused(self, inner, pointer):
        """A label with one thing wrong is refused, and the path says where."""
        with pytest.raises(Malformed) as refused:
            parse_label(label_xml(inner), POLICY)
        assert refused.value.pointer == f"/ConfidentialityInformation/{pointer}"

    def test_the_value_is_shown(self):
        """An error shows the value that is wrong."""
        xml = label_xml(HEAD + category("Releasable To", "PERMISSIVE", "RUS"))
        with pytest.raises(Malformed, match="`RUS` is not a PERMISSIVE value of `Releasable To` in P"):
            parse_label(xml, POLICY)

    @pytest.mark.parametrize("attributes", ["", 'xmlns="urn:other"', f'xmlns="{NAMESPACE}" Id="1"'])
    def test_the_root_is_known(self, attributes):
        """Another namespace, or an attribute at the root, is refused."""
        with pytest.raises(Malformed):
            parse_label(label_xml(HEAD, attributes), POLICY)

    def test_size_is_limited(self):
        """A label over the limit is refused unread."""
        with pytest.raises(TooLarge):
            parse_label(b" " * (MAX_LABEL_BYTES + 1), POLICY)


class TestForms:
    @given(labels)
    @settings(max_examples=50, deadline=None)
    def test_round_trips(self, given_label):
        """A label written as XML, or as what goes into an entry, reads back as it was."""
        assert given_label == parse_label(format_label(given_label), POLICY)
        assert given_label == msgspec.convert(msgspec.to_builtins(given_label), Label)
        assert given_label == msgspec.json.decode(msgspec.json.encode(given_label), type=Label)
        check_label(given_label, POLICY)

    @pytest.mark.parametrize(
        ("changed", "pointer"),
        [
            ({"classification": "TOP"}, "/x/classification"),
            ({"privacy_marks": ("b", "a")}, "/x/privacy_marks/1"),
            ({"categories": label(to=["UKR"]).categories * 2}, "/x/categories"),
            ({"categories": label(to=["UKR"], note=["STAFF"]).categories[::-1]}, "/x/categories"),
            ({"categories": (Category(tag="Context", type="PERMISSIVE", values=()),)}, "/x/categories/0/values"),
            ({"categories": label(to=["RUS"]).categories}, "/x/categories/0/values/0"),
            (
                {"categories": (Category(tag="Releasable To", type="PERMISSIVE", values=("UKR", "POL")),)},
                "/x/categories/0/values/1",
            ),
            (
                {"categories": label(sensitivity=["CRYPTO", "MEDICAL"]).categories, "classification": "LOW"},
                "/x/categories/0/values/0",
            ),
        ],
    )
    def test_check_refuses(self, changed, pointer):
        """A struct that is not in the form, or not of the policy, is refused with a JSON pointer."""
        with pytest.raises(Malformed) as refused:
            check_label(msgspec.structs.replace(label(), **changed), POLICY, "/x")
        assert refused.value.pointer == pointer


class TestDerive:
    def test_the_trap(self):
        """What comes of a set for UKR and POL and a set for USA has no "Releasable To": the originator alone."""
        derived = derive([label(to=["UKR", "POL"]), label(to=["USA"])], POLICY)
        assert label() == derived
        assert frozenset() == releasable_to(derived)

    def test_omitted_in_one_is_omitted(self):
        """A parent that omits the category is for its originator alone, and so is what comes of it."""
        assert label() == derive([label(to=["UKR", "POL"]), label()], POLICY)

    def test_rules(self):
        """Highest classification by hierarchy; restrictive and informative union; permissive intersection."""
        one = label("HIGH", to=["UKR", "POL", "USA"], sensitivity=["CRYPTO"], context=["MISSION"], note=["STAFF"])
        two = label("MIDDLE", to=["JPN", "POL", "UKR"], sensitivity=["MEDICAL"], note=["EXERCISE"], marks=["M"])
        expected = label(
            "HIGH", to=["POL", "UKR"], sensitivity=["CRYPTO", "MEDICAL"], note=["EXERCISE", "STAFF"], marks=["M"]
        )
        assert expected == derive([one, two], POLICY)
        assert expected == derive([two, one], POLICY)

    def test_another_policy_is_refused(self):
        """Labels of two policies do not mix."""
        with pytest.raises(Conflict, match="`Q` is not the policy `P`"):
            derive([label(), label(policy="Q")], POLICY)
        with pytest.raises(Conflict):
            derive([label()], OTHER)

    def test_nothing_derives_from_nothing(self):
        """Without a parent there is no label."""
        with pytest.raises(Malformed) as refused:
            derive([], POLICY)
        assert refused.value.pointer == "/labels"

    def test_a_malformed_parent_is_named(self):
        """A parent that the policy does not know is refused by its place."""
        with pytest.raises(Malformed) as refused:
            derive([label(), label(to=["RUS"])], POLICY)
        assert refused.value.pointer == "/labels/1/categories/0/values/0"

    def test_what_the_policy_excludes_is_a_conflict(self):
        """A restriction is never dropped, not even where the policy excludes it at the classification."""
        with pytest.raises(Conflict, match="`DRAFT` must not stand with the classification `HIGH`"):
            derive([label("HIGH"), label("LOW", sensitivity=["DRAFT"])], POLICY)

    @given(st.lists(labels, min_size=1, max_size=4))
    @settings(max_examples=100, deadline=None)
    def test_never_wider(self, parents):
        """Nobody may receive what is derived whom any parent refuses; omitted is nobody but the originator."""
        derived = derive(parents, POLICY)
        for who in ("UKR", "POL", "USA", "JPN", "ALL"):
            assert all(who in releasable_to(parent) for parent in parents) == (who in releasable_to(derived))
        for parent in parents:
            assert at_least_as_restrictive(derived, parent, POLICY) == ()
            assert set(values_of(derived, "Context", "PERMISSIVE")) <= set(values_of(parent, "Context", "PERMISSIVE"))
            assert set(values_of(parent, "Sensitivity", "RESTRICTIVE")) <= set(
                values_of(derived, "Sensitivity", "RESTRICTIVE")
            )

    @given(st.lists(labels, min_size=1, max_size=4))
    @settings(max_examples=50, deadline=None)
    def test_the_way_there_does_not_matter(self, parents):
        """Deriving step by step, or in another order, gives the same label, and from one label the label itself."""
        derived = derive(parents, POLICY)
        assert derived == derive(parents[::-1], POLICY)
        assert derived == reduce(lambda a, b: derive([a, b], POLICY), parents)
        assert parents[0] == derive(parents[:1], POLICY)


class TestCompare:
    PARENT = label("MIDDLE", to=["UKR", "POL"], sensitivity=["MEDICAL"], note=["STAFF"])

    @pytest.mark.parametrize(
        ("child", "wider"),
        [
            (PARENT, ()),
            (label("HIGH", to=["UKR"], sensitivity=["CRYPTO", "MEDICAL"]), ()),
            (label("MIDDLE", sensitivity=["MEDICAL"]), ()),
            (label("LOW", sensitivity=["MEDICAL"]), ("`LOW` is below `MIDDLE`",)),
            (label(), ("`Sensitivity` lacks `MEDICAL`",)),
            (label(to=["JPN", "UKR", "USA"], sensitivity=["MEDICAL"]), ("`Releasable To` adds `JPN`, `USA`",)),
            (label(context=["MISSION"], sensitivity=["MEDICAL"]), ("`Context` adds `MISSION`",)),
        ],
    )
    def test_differences(self, child, wider):
        """Lower, fewer restrictions or more permissions are wider, each told; notes make no difference."""
        assert wider == at_least_as_restrictive(child, self.PARENT, POLICY)

    def test_a_permission_where_the_parent_has_none_is_wider(self):
        """The parent without the category is for its originator alone: any value in the child is wider."""
        assert at_least_as_restrictive(label(to=["UKR"]), label(), POLICY) == ("`Releasable To` adds `UKR`",)

    def test_another_policy_is_refused(self):
        """Labels of two policies cannot be compared."""
        with pytest.raises(Conflict):
            at_least_as_restrictive(label(), label(policy="Q"), POLICY)
        with pytest.raises(Conflict):
            at_least_as_restrictive(label(policy="Q"), label(), POLICY)


class TestMarking:
    @pytest.mark.parametrize(
        ("given_label", "language", "expected"),
        [
            (label(), "en", "P MIDDLE"),
            (label(to=["UKR", "POL", "JPN", "ALL"]), "en", "P MIDDLE to Ukraine + Poland + JPN ONLY"),
            (label(to=["UKR", "POL"]), "uk", "P MIDDLE для: Україна + Poland ONLY"),
            (label(to=["ALL"]), "en", "P MIDDLE"),
            (label(context=["MISSION"]), "en", "P/MISSION MIDDLE"),
            (label(context=["EXERCISE"], note=["STAFF"]), "en", "P MIDDLE EXERCISE STAFF"),
            (label("HIGH", context=["MISSION"]), "en", "COSMIC HIGH"),
            (label("HIGH"), "uk", "COSMIC ВИСОКИЙ"),
            (
                label(sensitivity=["CRYPTO", "MEDICAL"], marks=["In Confidence"]),
                "fr",
                "P MIDDLE CRYPTO, MEDICAL In Confidence",
            ),
        ],
    )
    def test_lines(self, given_label, language, expected):
        """The line is in the policy's order, in the language asked for as far as the policy has it."""
        assert expected == marking(given_label, POLICY, language)

    def test_of_its_own_policy_only(self):
        """A label is not marked by another policy."""
        with pytest.raises(Conflict):
            marking(label(), OTHER)

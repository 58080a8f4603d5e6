"""The line that people see, from a label and the policy's markings (SPIF 2.1 markingData and markingQualifier).

    NATO RESTRICTED Releasable to Japan, Switzerland, Ukraine

In order: the policy's name, or the phrase by which the policy, the classification or a value replaces it; the
classification; each tag's values in the policy's order between the tag's prefix and suffix; privacy marks. Codes that
name a place on the page make no difference here.
"""

from collections.abc import Iterator

from ledger.governance.label_forms import Label, check_label, values_of
from ledger.governance.spif import Marking, Qualifier, SecurityPolicy

_HIDDEN = frozenset({"noNameDisplay", "noMarkingDisplay"})


def marking(label: Label, policy: SecurityPolicy, language: str = "en") -> str:
    """Give the line shown to people, such as `NATO RESTRICTED Releasable to Japan, Switzerland, Ukraine`.

    `language` is as in the policy's xml:lang; what the policy does not say in it is shown in the policy's own words.
    """
    check_label(label, policy)
    level = next(each for each in policy.classifications if each.name == label.classification)
    parts = [
        _policy_shown(label, policy, level.markings, language),
        _shown(level.name, level.markings, language),
        *_tags_shown(label, policy, language),
        *label.privacy_marks,
    ]
    before, after = _qualifier(policy.qualifiers, "prefix", language), _qualifier(policy.qualifiers, "suffix", language)
    return f"{before}{' '.join(part for part in parts if part)}{after}"


def _policy_shown(label: Label, policy: SecurityPolicy, level: tuple[Marking, ...], language: str) -> str:
    """Give the policy's name, or what the policy, the classification or the first of the values replaces it with."""
    values = [
        value
        for tag_set in policy.tag_sets
        for tag in tag_set.tags
        for value in tag.values
        if value.name in values_of(label, tag_set.name, tag.type)
    ]
    for markings in (policy.markings, level, *(value.markings for value in values)):
        for language_ in (language, ""):
            for each in markings:
                if each.language == language_ and "replacePolicy" in each.codes:
                    return each.phrase
    return policy.name


def _shown(name: str, markings: tuple[Marking, ...], language: str) -> str:
    """Give the phrase in that language, or the policy's own, or the name; "" where neither is to be shown."""
    for language_ in (language, ""):
        for each in markings:
            if each.language == language_ and each.phrase and not each.codes & {"replacePolicy", "noMarkingDisplay"}:
                return each.phrase
    return "" if any(each.codes & _HIDDEN for each in markings) else name


def _tags_shown(label: Label, policy: SecurityPolicy, language: str) -> Iterator[str]:
    for tag_set in policy.tag_sets:
        for tag in tag_set.tags:
            there = values_of(label, tag_set.name, tag.type)
            phrases = [_shown(value.name, value.markings, language) for value in tag.values if value.name in there]
            separator = _qualifier(tag.qualifiers, "separator", language) or ", "
            if text := separator.join(phrase for phrase in phrases if phrase):
                before, after = (_qualifier(tag.qualifiers, place, language) for place in ("prefix", "suffix"))
                yield f"{before}{text}{after}"


def _qualifier(qualifiers: tuple[Qualifier, ...], place: str, language: str) -> str:
    for language_ in (language, ""):
        for each in qualifiers:
            if (each.place, each.language) == (place, language_):
                return each.text
    return ""

"""Confidentiality labels (ADatP-4774, FORMATS §10): what a derived thing's label is, and what it may be.

    UKR, POL  +  USA          no category "Releasable To": the originator alone
    UKR, POL  +  POL, JPN     Releasable To POL
    RESTRICTED  +  CONFIDENTIAL, CRYPTO     CONFIDENTIAL, CRYPTO

**The trap.** What is derived from a set for UKR and POL and a set for USA is for nobody but the originator: the
intersection is empty, and an empty category cannot be written, so it is omitted. An omitted permissive category is
therefore not "no restriction". It is the originator alone, here and wherever a label is read.

Labels are read and written in `label_forms` and shown to people in `markings`.
"""

from collections.abc import Iterator, Sequence

from ledger.errors import Conflict, Malformed, show
from ledger.governance.label_forms import Category, Label, check_label, format_label, parse_label, values_of
from ledger.governance.markings import marking
from ledger.governance.spif import SecurityPolicy

__all__ = [
    "Category",
    "Label",
    "at_least_as_restrictive",
    "check_label",
    "derive",
    "format_label",
    "marking",
    "parse_label",
    "releasable_to",
    "values_of",
]

RELEASABLE_TO = "Releasable To"
"""The tag set whose values say who may receive."""


def derive(labels: Sequence[Label], policy: SecurityPolicy) -> Label:
    """Give the label of what is derived from things with these labels (FORMATS §10).

    The highest classification; of restrictive and informative categories every value; of a permissive category what
    all have, and where that is nothing, no category: the originator alone.

    Raises Malformed where there is no label or one is not of the policy's form; Conflict where a label is of another
    policy, or where the policy permits no such label.
    """
    if not labels:
        raise Malformed("/labels", "is empty: what is derived is derived from something")
    for i, label in enumerate(labels):
        check_label(label, policy, f"/labels/{i}")
    derived = Label(
        policy=policy.name,
        classification=max((each.classification for each in labels), key=lambda name: _height(name, policy)),
        categories=tuple(_merged(labels)),
        privacy_marks=tuple(sorted({mark for label in labels for mark in label.privacy_marks})),
    )
    try:
        check_label(derived, policy)
    except Malformed as error:
        raise Conflict(f"the policy permits no label for what is derived: {error.problem}") from error
    return derived


def releasable_to(label: Label) -> frozenset[str]:
    """Give the countries and communities that the label releases to.

    Empty means the originator alone, never everyone.
    """
    return frozenset(values_of(label, RELEASABLE_TO, "PERMISSIVE"))


def at_least_as_restrictive(child: Label, parent: Label, policy: SecurityPolicy) -> tuple[str, ...]:
    """Tell in what the label of something derived is wider than its parent's; empty where in nothing.

    Raises Malformed where a label is not of the policy's form, Conflict where it is of another policy.
    """
    check_label(child, policy, "/child")
    check_label(parent, policy, "/parent")
    return tuple(_wider(child, parent, policy))


def _height(classification: str, policy: SecurityPolicy) -> int:
    return next(each.hierarchy for each in policy.classifications if each.name == classification)


def _merged(labels: Sequence[Label]) -> Iterator[Category]:
    for tag, type_ in sorted({(each.tag, each.type) for label in labels for each in label.categories}):
        sets = [set(values_of(label, tag, type_)) for label in labels]  # empty where a label omits the category
        values = set.intersection(*sets) if type_ == "PERMISSIVE" else set.union(*sets)
        if values:
            yield Category(tag=tag, type=type_, values=tuple(sorted(values)))


def _wider(child: Label, parent: Label, policy: SecurityPolicy) -> Iterator[str]:
    if _height(child.classification, policy) < _height(parent.classification, policy):
        yield f"{show(child.classification)} is below {show(parent.classification)}"
    for category in parent.categories:
        lost = set(category.values) - set(values_of(child, category.tag, category.type))
        if category.type == "RESTRICTIVE" and lost:
            yield f"{show(category.tag)} lacks {', '.join(map(show, sorted(lost)))}"
    for category in child.categories:
        gained = set(category.values) - set(values_of(parent, category.tag, category.type))
        if category.type == "PERMISSIVE" and gained:
            yield f"{show(category.tag)} adds {', '.join(map(show, sorted(gained)))}"

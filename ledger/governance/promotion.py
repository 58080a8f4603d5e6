"""Promotion: the life of weights, and the gate of evidence that stands before each stage.

    candidate → validated → approved → deployed → retired

One step at a time; weights may be retired from any stage, since that only closes. Who moves them is `quorum`'s to say.

A metric is a decimal string (`0.912`, `-3`), never a float: an auditor compares what is written, exactly.

    gate([Threshold(metric="map50", at_least="0.80")], [Evidence(metric="map50", value="0.79", dataset="uav@3")])
    → GateResult(passed=False, failures=("`map50` on `uav@3` is `0.79`, under `0.80`",))
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from msgspec import Struct

from ledger.errors import Conflict, Malformed, show

STAGES = ("candidate", "validated", "approved", "deployed", "retired")

MAX_DECIMAL_CHARACTERS = 40
"""Of a metric: enough for any measurement."""

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Threshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Bounds on a metric, both inclusive, at least one of them given. Decimal strings."""

    metric: str
    at_least: str | None = None
    at_most: str | None = None


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A measured metric: its value as a decimal string, and the dataset version that it was measured on.

    The measurement itself is found at the ledger index `seq`, or in the attachment `sha256` (hex), or in neither where
    the entry that holds this is all there is.
    """

    metric: str
    value: str
    dataset: str
    seq: int | None = None
    sha256: str | None = None


class GateResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether every threshold is met; `failures` has a sentence for each that is not, in the thresholds' order."""

    passed: bool
    failures: tuple[str, ...]


def check_transition(present: str, to: str) -> None:
    """Check that weights may go from stage `present` to stage `to`. Raises Malformed, or Conflict."""
    for pointer, stage in (("/from", present), ("/to", to)):
        if stage not in STAGES:
            raise Malformed(pointer, f"{show(stage)} is not a stage", help=f"one of {', '.join(STAGES)}")
    step = STAGES.index(to) - STAGES.index(present)
    if step != 1 and not (to == "retired" and step > 0):
        raise Conflict(f"weights do not go from {show(present)} to {show(to)}", help=" → ".join(STAGES))


def gate(thresholds: Sequence[Threshold], evidence: Sequence[Evidence]) -> GateResult:
    """Hold the evidence against the thresholds.

    A metric without evidence fails. Where a metric was measured more than once, every value has to do: a good one does
    not hide a bad one. Raises Malformed naming the place where a number is not a decimal string (NaN and Infinity are
    not), a threshold bounds nothing or cannot be met, or there is no threshold, since an empty gate would let all pass.
    """
    if not thresholds:
        raise Malformed("/thresholds", "is empty: a gate has at least one")
    for i, threshold in enumerate(thresholds):
        _check_threshold(threshold, f"/thresholds/{i}")
    for i, item in enumerate(evidence):
        _check_evidence(item, f"/evidence/{i}")
    failures = tuple(failure for threshold in thresholds for failure in _failures(threshold, evidence))
    return GateResult(passed=not failures, failures=failures)


def _failures(threshold: Threshold, evidence: Sequence[Evidence]) -> Iterator[str]:
    measured = [item for item in evidence if item.metric == threshold.metric]
    if not measured:
        yield f"{show(threshold.metric)} was not measured"
    for item in measured:
        what = f"{show(item.metric)} on {show(item.dataset)} is {show(item.value)}"
        if threshold.at_least is not None and Decimal(item.value) < Decimal(threshold.at_least):
            yield f"{what}, under {show(threshold.at_least)}"
        if threshold.at_most is not None and Decimal(item.value) > Decimal(threshold.at_most):
            yield f"{what}, over {show(threshold.at_most)}"


def _check_threshold(threshold: Threshold, pointer: str) -> None:
    _check_filled(threshold.metric, f"{pointer}/metric")
    least, most = threshold.at_least, threshold.at_most
    if least is not None:
        _check_decimal(least, f"{pointer}/at_least")
    if most is not None:
        _check_decimal(most, f"{pointer}/at_most")
    if least is None and most is None:
        raise Malformed(pointer, f"bounds {show(threshold.metric)} neither below nor above")
    if least is not None and most is not None and Decimal(least) > Decimal(most):
        raise Malformed(pointer, f"cannot be met: at least {show(least)} and at most {show(most)}")


def _check_evidence(item: Evidence, pointer: str) -> None:
    _check_filled(item.metric, f"{pointer}/metric")
    _check_filled(item.dataset, f"{pointer}/dataset")
    _check_decimal(item.value, f"{pointer}/value")
    if item.sha256 is not None and not _SHA256.fullmatch(item.sha256):
        raise Malformed(f"{pointer}/sha256", f"{show(item.sha256)} is not a SHA-256 in hex")


def _check_filled(text: str, pointer: str) -> None:
    if not text:
        raise Malformed(pointer, "is empty")


def _check_decimal(text: str, pointer: str) -> None:
    if len(text) > MAX_DECIMAL_CHARACTERS or not _DECIMAL.fullmatch(text):
        raise Malformed(pointer, f"{show(text)} is not a decimal number", help="for example 0.912")

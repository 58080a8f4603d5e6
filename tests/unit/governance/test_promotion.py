"""Promotion: one stage at a time, through a gate that compares exactly."""

from fractions import Fraction
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Conflict, Malformed
from ledger.governance.promotion import STAGES, Evidence, GateResult, Threshold, check_transition, gate


def measured(value, metric="map50", dataset="uav@3"):
    return Evidence(metric=metric, value=value, dataset=dataset)


AT_LEAST = Threshold(metric="map50", at_least="0.80")


def test_transitions():
    """Of all pairs of stages only the next one, and retirement from any, are open."""
    opened = {pair for pair in product(STAGES, STAGES) if goes(*pair)}
    assert opened == {
        ("candidate", "validated"),
        ("validated", "approved"),
        ("approved", "deployed"),
        ("deployed", "retired"),
        ("approved", "retired"),
        ("validated", "retired"),
        ("candidate", "retired"),
    }


def goes(present, to):
    try:
        check_transition(present, to)
    except Conflict:
        return False
    return True


@pytest.mark.parametrize(("present", "to", "pointer"), [("new", "validated", "/from"), ("candidate", "", "/to")])
def test_an_unknown_stage_is_malformed(present, to, pointer):
    """What is not a stage is Malformed on the side that it stands on."""
    with pytest.raises(Malformed) as refused:
        check_transition(present, to)
    assert refused.value.pointer == pointer


decimals = st.decimals(-5, 5, places=3).map(str)


@given(st.none() | decimals, st.none() | decimals, st.lists(decimals, max_size=3))
def test_gate_is_arithmetic(least, most, values):
    """A gate passes if and only if there is a value and all lie within the bounds, by exact fractions."""
    low, high = (None if bound is None else Fraction(bound) for bound in (least, most))
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        return
    result = gate([Threshold(metric="m", at_least=least, at_most=most)], [measured(value, "m") for value in values])
    numbers = [Fraction(value) for value in values]
    low_enough = high is None or all(number <= high for number in numbers)
    high_enough = low is None or all(number >= low for number in numbers)
    assert (bool(numbers) and low_enough and high_enough) is result.passed
    assert result.passed is (result.failures == ())


def test_the_bound_itself_passes():
    """Both bounds are inclusive, and 0.8 is 0.800."""
    both = Threshold(metric="map50", at_least="0.80", at_most="0.800")
    assert gate([both], [measured("0.8")]) == GateResult(passed=True, failures=())


def test_comparison_is_exact():
    """A difference in the 39th digit counts: no float, no rounding."""
    nearly = "0.7" + "9" * 37
    assert gate([AT_LEAST], [measured(nearly)]).failures == (f"`map50` on `uav@3` is `{nearly}`, under `0.80`",)


def test_a_missing_metric_fails():
    """A threshold without evidence fails, however good the other metrics are."""
    result = gate([AT_LEAST, Threshold(metric="false_alarms", at_most="3")], [measured("0.9")])
    assert result == GateResult(passed=False, failures=("`false_alarms` was not measured",))


def test_a_good_value_does_not_hide_a_bad_one():
    """Every measurement of a metric has to meet its threshold."""
    result = gate([AT_LEAST], [measured("0.9"), measured("0.7", dataset="night@1"), measured("0.95")])
    assert result == GateResult(passed=False, failures=("`map50` on `night@1` is `0.7`, under `0.80`",))


def test_every_failure_is_listed():
    """All thresholds are looked at; failures stand in their order."""
    result = gate([Threshold(metric="delay", at_most="10"), AT_LEAST], [measured("0.1"), measured("11", "delay")])
    assert result.failures == ("`delay` on `uav@3` is `11`, over `10`", "`map50` on `uav@3` is `0.1`, under `0.80`")


BAD_NUMBERS = ["", "NaN", "nan", "sNaN", "Infinity", "-inf", "1e3", "1_0", "+1", ".5", "1.", "01", " 1", "1\n"]


@pytest.mark.parametrize("bad", [*BAD_NUMBERS, "0x1", "1,5", "\u0661", "1" * 41])
def test_what_is_not_a_decimal_string_is_refused(bad):
    """NaN, Infinity, exponents and any lax spelling are Malformed, in evidence and on either side of a threshold."""
    for thresholds, evidence, pointer in (
        ([AT_LEAST], [measured("1"), measured(bad, "other")], "/evidence/1/value"),
        ([Threshold(metric="map50", at_least=bad)], [measured("1")], "/thresholds/0/at_least"),
        ([AT_LEAST, Threshold(metric="map50", at_most=bad)], [], "/thresholds/1/at_most"),
    ):
        with pytest.raises(Malformed) as refused:
            gate(thresholds, evidence)
        assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("thresholds", "evidence", "pointer"),
    [
        ([], [measured("1")], "/thresholds"),
        ([Threshold(metric="map50")], [], "/thresholds/0"),
        ([Threshold(metric="map50", at_least="2", at_most="1.99")], [], "/thresholds/0"),
        ([Threshold(metric="", at_least="2")], [], "/thresholds/0/metric"),
        ([AT_LEAST], [measured("1", "")], "/evidence/0/metric"),
        ([AT_LEAST], [measured("1", dataset="")], "/evidence/0/dataset"),
        ([AT_LEAST], [Evidence(metric="m", value="1", dataset="d", sha256="ab")], "/evidence/0/sha256"),
    ],
)
def test_a_gate_that_says_nothing_is_refused(thresholds, evidence, pointer):
    """No thresholds, a threshold that bounds nothing or cannot be met, and evidence of nothing are Malformed."""
    with pytest.raises(Malformed) as refused:
        gate(thresholds, evidence)
    assert refused.value.pointer == pointer


def test_values_survive_json():
    """Thresholds, evidence and results read back from an entry are the same."""
    for value in (
        AT_LEAST,
        Evidence(metric="m", value="1", dataset="d", seq=17, sha256="ab" * 32),
        gate([AT_LEAST], []),
    ):
        assert value == msgspec.json.decode(msgspec.json.encode(value), type=type(value))

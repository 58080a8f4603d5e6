"""How figures are reported."""

import json
import statistics
from collections.abc import Sequence


def report(bench: str, values: Sequence[float], unit: str, baseline: str, baseline_values: Sequence[float]) -> None:
    """Print one figure: medians, and the ratio of each round to its neighbour's baseline."""
    ratios = [value / base for value, base in zip(values, baseline_values, strict=True)]
    line = {
        "bench": bench,
        "value": _rounded(statistics.median(values)),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": _rounded(statistics.median(baseline_values)),
        "ratio": round(statistics.median(ratios), 3),
        "spread": {
            "value": [_rounded(min(values)), _rounded(max(values))],
            "baseline_value": [_rounded(min(baseline_values)), _rounded(max(baseline_values))],
            "ratio": [round(min(ratios), 3), round(max(ratios), 3)],
        },
    }
    print(json.dumps(line), flush=True)


def _rounded(value: float) -> float:
    return round(value, 3) if abs(value) < 100 else round(value)

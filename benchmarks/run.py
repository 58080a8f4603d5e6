"""Run the benchmarks: one JSON object a line, each figure beside a baseline that was measured in the same run.

    python benchmarks/run.py [append|verify|decide_http|decide_batch|decide_vs_cerbos|decide_vs_casbin|memory|proof|
                             receipt|publish]

The machines are shared and noisy: ratios hold better than figures. Medians of several rounds, alternating with the
baseline's; `spread` gives the lowest and the highest round.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

ALL = (
    "append",
    "verify",
    "decide_http",
    "decide_batch",
    "decide_vs_cerbos",
    "decide_vs_casbin",
    "memory",
    "proof",
    "receipt",
    "publish",
)


def main(only: list[str]) -> int:
    for name in only or ALL:
        if name not in ALL:
            print(f"no benchmark `{name}`: one of {', '.join(ALL)}", file=sys.stderr)
            return 2
        importlib.import_module(f"bench_{name}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

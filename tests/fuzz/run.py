"""Fuzz one parser: `python tests/fuzz/run.py <reader> [libFuzzer's options and corpus folders]`. See README.md."""

import sys

import atheris

with atheris.instrument_imports(include=["ledger"]):
    from parsers import READERS

    from ledger.errors import OblikError


def main() -> None:
    """Hand the fuzzer a reader: OblikErrors are answers, everything else is a find."""
    name, *options = sys.argv[1:]
    reader = READERS[name]

    def one(data: bytes) -> None:
        try:
            reader(data)
        except OblikError:
            return

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

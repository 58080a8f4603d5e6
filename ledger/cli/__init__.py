"""The `oblik` command: the same services from a terminal.

Exit codes: 0 done; 1 something does not verify; 2 misuse, or a setup that is not right; 3 a log contradicts
itself (`oblik monitor`). What is wrong stands on stderr, in one line that says what to do; never a traceback.
"""

from ledger.cli.main import main

__all__ = ["main"]

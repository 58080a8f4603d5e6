"""`python -m ledger.cli` is `oblik`."""

from ledger.cli import main

main()

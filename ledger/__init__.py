"""Oblik: purpose-bound, tiered access to datasets and model weights, on a ledger that outsiders can verify.

The folders are layers, and imports point downwards (held by import-linter, see `pyproject.toml`):

    api | web | cli → bootstrap → settings → services → storage | keys → events → access | governance → log → errors

`log`, `access`, `governance` and `events` are pure: they take values and raise, and never touch a file, a socket, a
database or the clock.
"""

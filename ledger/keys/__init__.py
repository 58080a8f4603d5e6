"""Signing keys of the log: in files today, behind `ledger.log.note.Signer`."""

from ledger.keys.files import create_keys, load_keys

__all__ = ["create_keys", "load_keys"]

"""A log of a few leaves, and its forks: checkpoints and proofs of any size, always with the same keys."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.cosignature import MLDSA44Signer
from ledger.log.merkle import hash_leaf, hash_node
from ledger.log.note import Ed25519Signer, format_vkey
from ledger.log.proof import prove_consistency, root_at
from ledger.log.witnessing import format_add_checkpoint

ORIGIN = "log.example/oblik"


History = tuple[tuple[int, str], ...]
"""From which leaf on they are of which branch."""


@cache
def subtree(history: History, height: int, index: int) -> bytes:
    if height == 0:
        branch = next(name for start, name in reversed(history) if start <= index)
        return hash_leaf(f"{branch} {index}".encode())
    return hash_node(subtree(history, height - 1, 2 * index), subtree(history, height - 1, 2 * index + 1))


class SmallLog:
    """One history of the log of this origin."""

    def __init__(self, origin: str = ORIGIN, *, history: History = ((0, "main"),), seed: int = 1) -> None:
        self.origin, self.history, self.seed = origin, history, seed
        ed25519 = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        ml_dsa = MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32)
        self.signers = (Ed25519Signer(origin, ed25519), MLDSA44Signer(origin, ml_dsa))

    def branch(self, start: int, name: str = "other") -> "SmallLog":
        """Give the history that is this one up to leaf `start`, and another from there on."""
        return SmallLog(self.origin, history=(*self.history, (start, name)), seed=self.seed)

    @property
    def trusted(self) -> bytes:
        """The file of logs by which a witness trusts this one."""
        return "".join(f"log {format_vkey(signer)}\n" for signer in self.signers).encode()

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(origin=self.origin, size=size, root=root_at(size, self._read))

    def note(self, size: int) -> bytes:
        return sign_checkpoint(self.checkpoint(size), self.signers)

    def proof(self, old: int, new: int) -> list[bytes]:
        return prove_consistency(old, new, self._read) if old > 0 else []

    def request(self, old: int, new: int) -> bytes:
        return format_add_checkpoint(old, self.proof(old, new), self.note(new))

    def _read(self, nodes) -> list[bytes]:
        return [subtree(self.history, *node) for node in nodes]
